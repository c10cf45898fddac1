"""The front page says what needs a person, worst first, and offers what helps."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from herds.domain.states import OperationState
from herds.models import (
    Discovery,
    Fence,
    Herd,
    Instance,
    Operation,
    Server,
    Worker,
)
from herds.selectors.attention import Kind, Line, attention, survey
from herds.selectors.trouble import (
    HERD_KINDS,
    INSTANCE_KINDS,
    herds_with,
    instances_with,
)
from tests import factories

from .pages import LISTS, Page, rows, visit

pytestmark = pytest.mark.django_db

MB = 1024 * 1024
GB = 1024 * MB


@pytest.fixture(autouse=True)
def a_worker(db: None) -> Worker:
    """Somebody executes what is asked for."""
    return factories.worker()


def herd_of_two(name: str, *, vhost_target: str = "") -> tuple[Instance, Instance]:
    """Give a primary and its standby, both seen online just now."""
    primary = factories.instance(name, f"{name}1", "prod")
    standby = factories.instance(name, f"{name}2", "prod", master=primary)
    seen = {"is_online": True, "observed_at": timezone.now()}
    Instance.objects.filter(herd=primary.herd).update(**seen)
    Herd.objects.filter(pk=primary.herd_id).update(
        vhost=f"{name}.example",
        vhost_target=vhost_target or f"{name}1.example",
        vhost_seen_at=timezone.now(),
    )
    return primary, standby


def note(instance: Instance, **seen: Any) -> None:
    Instance.objects.filter(pk=instance.pk).update(**seen)


def lost(*instances: Instance, minutes: float = 2) -> None:
    """Have hosts not answer for some minutes."""
    moment = timezone.now() - timedelta(minutes=minutes)
    for instance in instances:
        note(
            instance,
            unreachable_since=moment,
            observed_at=moment,
            unreachable_why=f"{instance.server.hostname} could not be reached.",
        )


def only_line() -> Line:
    (line,) = attention()
    return line


def helps(line: Line) -> list[tuple[str, str, int]]:
    return [(each.action, each.model, each.pk) for each in line.helps]


# Each kind -----------------------------------------------------------------------


def test_with_nothing_wrong_it_says_so(administrator: Client) -> None:
    herd_of_two("trade")

    page = visit(administrator, "/admin/")

    assert "✔ nothing needs you, as far as is known: the oldest" in page.text
    assert attention() == []


def test_a_primary_that_is_in_recovery_takes_no_writes() -> None:
    primary, _ = herd_of_two("quote")
    note(primary, is_streaming=False)

    line = attention()[0]

    assert line.kind is Kind.NO_PRIMARY
    assert line.words == (
        "quote (prod): no member takes writes; the primary quote1 is in recovery."
    )
    assert [action for action, *_ in helps(line)] == ["refresh", "failover"]


def test_two_writable_primaries_are_a_split(administrator: Client) -> None:
    primary, other = herd_of_two("quote")
    note(other, master=None)

    line = attention()[0]

    assert line.words == (
        "quote (prod): quote1 and quote2 both take writes. Decide which one "
        "stays; demote the other."
    )
    assert line.key == f"split:herd:{primary.herd_id}"
    assert line.environment == "prod"


def test_a_stopped_primary_leaves_none_to_write() -> None:
    primary, _ = herd_of_two("trade")
    note(primary, is_online=False)

    line = only_line()

    assert line.words == (
        "trade (prod): no member takes writes; the primary trade1 is stopped."
    )
    assert helps(line) == [
        ("start", "instance", primary.pk),
        ("failover", "herd", primary.herd_id),
    ]


def test_a_herd_of_standbys_alone_has_no_primary() -> None:
    one, other = herd_of_two("trade")
    Herd.objects.update(vhost="")
    third = factories.instance("trade", "trade3", "prod", master=other)
    note(one, master=third)

    line = only_line()

    assert line.words == (
        "trade (prod): no member takes writes; none of 3 members is recorded as the "
        "primary."
    )
    assert helps(line) == [
        ("refresh", "herd", one.herd_id),
        ("failover", "herd", one.herd_id),
    ]


def test_an_unknown_primary_is_not_told_as_a_missing_one() -> None:
    primary, _ = herd_of_two("trade")
    lost(primary)

    line, unseen = attention()

    assert line.kind is Kind.PRIMARY_UNKNOWN
    assert line.words == (
        "trade (prod): it is not known whether the primary trade1 takes writes. "
        "trade1 could not be reached."
    )
    assert line.since is not None
    assert unseen.kind is Kind.UNSEEN


def test_a_primary_never_seen_is_told_as_such() -> None:
    primary, _ = herd_of_two("trade")
    note(primary, observed_at=None, is_online=False)

    line = attention()[0]

    assert line.words == "trade (prod): the primary trade1 was never seen."


def test_what_follows_a_host_elsewhere_is_no_primary() -> None:
    _, standby = herd_of_two("trade")
    note(standby, master=None, upstream_host="elsewhere", is_streaming=False)

    line = only_line()

    assert line.words == (
        "trade (prod): trade2 runs, but receives no WAL from elsewhere."
    )


def test_a_herd_without_members_needs_nobody() -> None:
    factories.herd("trade")

    assert attention() == []


def test_a_fenced_member_seen_writable_comes_first() -> None:
    primary, _ = herd_of_two("trade")
    note(primary, is_online=False)
    _, former = herd_of_two("mail")
    Fence.objects.create(instance=former, seen_writable_at=timezone.now())

    line = attention()[0]

    assert line.kind is Kind.UNFENCED
    assert line.words == (
        "mail (prod): mail2 was failed over from and takes writes again."
    )
    assert helps(line) == [("stop", "instance", former.pk)]


def test_a_fenced_member_waits_for_its_rebuild() -> None:
    _, former = herd_of_two("mail")
    fence = Fence.objects.create(instance=former)
    assert "is not fenced yet" in only_line().words

    fence.applied_at = timezone.now()
    fence.save()

    line = only_line()
    assert line.words == "mail (prod): mail2 is fenced: rebuild it to have it follow."
    assert helps(line) == [("rebuild", "instance", former.pk)]


def test_a_virtual_host_elsewhere_is_told_with_both_ends() -> None:
    primary, _ = herd_of_two("trade", vhost_target="trade2.example")

    line = only_line()

    assert line.words == (
        "trade (prod): trade.example points at trade2.example, the primary is trade1."
    )
    assert helps(line) == [("refresh_dns", "herd", primary.herd_id)]


def test_a_standby_that_receives_nothing_is_told() -> None:
    _, standby = herd_of_two("trade")
    note(standby, is_streaming=False)

    line = only_line()

    assert line.words == "trade (prod): trade2 runs, but receives no WAL from trade1."
    assert helps(line) == [
        ("refresh", "instance", standby.pk),
        ("rebuild", "instance", standby.pk),
    ]


@pytest.mark.parametrize("seen", [{"is_online": False}, {"is_streaming": None}])
def test_what_is_stopped_or_was_not_asked_is_not_told_to_receive_nothing(
    seen: dict[str, Any],
) -> None:
    _, standby = herd_of_two("trade")
    note(standby, **{"is_streaming": False, **seen})

    assert attention() == []


def test_a_lag_beyond_the_bound_is_told(settings: Any) -> None:
    settings.ATTENTION = {"LAG": 100 * MB}
    _, standby = herd_of_two("trade")
    note(standby, lag_octets=100 * MB, lag_seen_at=timezone.now())
    assert attention() == []

    note(standby, lag_octets=150 * MB)

    assert only_line().words == "trade (prod): trade2 is 150.0 MB behind trade1."


def test_an_old_timeline_is_told_with_both() -> None:
    primary, standby = herd_of_two("trade")
    note(primary, timeline=4)
    note(standby, timeline=4)
    assert attention() == []

    note(standby, timeline=3)

    assert only_line().words == (
        "trade (prod): trade2 is on timeline 3, the primary on 4: it follows a history "
        "that has ended."
    )


def test_a_slot_that_holds_much_is_told(settings: Any) -> None:
    settings.ATTENTION = {"SLOT": 2 * GB}
    primary, _ = herd_of_two("trade")
    note(primary, slot_name="trade_3", slot_octets=2 * GB)
    assert attention() == []

    note(primary, slot_octets=3 * GB)

    assert only_line().words == (
        "trade (prod): trade1 keeps 3.0 GB of WAL for the slot trade_3, which nobody "
        "uses. Its disk fills."
    )


def test_an_interrupted_operation_can_be_resumed() -> None:
    operation = factories.operation(state=OperationState.INTERRUPTED)

    line = only_line()

    assert line.words == (
        f"Operation {operation.pk} (Restart 2 instances of 1 herd in prod) was "
        "interrupted: resume it."
    )
    assert helps(line) == [("resume", "operation", operation.pk)]


def test_nobody_who_executes_is_told(a_worker: Worker, administrator: Client) -> None:
    herd_of_two("trade")
    Worker.objects.update(heartbeat_at=timezone.now() - timedelta(minutes=1))

    assert only_line().kind is Kind.NO_WORKER
    page = visit(administrator, "/admin/")
    assert page.text.count("No worker is running") == 1


def test_hosts_and_instances_to_place_are_told(administrator: Client) -> None:
    herd_of_two("trade")
    now = timezone.now()
    host = Server.objects.create(hostname="ele77", discovered_at=now, reported_at=now)
    Server.objects.create(hostname="by-hand")
    Discovery.objects.create(
        server=host, base_name="main", db_port=5432, why="No herd has port 5432."
    )

    hosts, instances = attention()

    assert hosts.words == (
        "ele77 was reported by its agent and belongs to no environment yet; "
        "1 instance on it waits."
    )
    assert instances.words == (
        "ele77: main, port 5432, was found and belongs to no herd yet. "
        "No herd has port 5432."
    )
    page = visit(administrator, "/admin/")
    discovery = Discovery.objects.get()
    assert page.links["Place…"] == f"/admin/herds/discovery/{discovery.pk}/place/"
    html = administrator.get("/admin/").content.decode()
    assert f'href="/admin/herds/server/{host.pk}/change/" id="help-place' in html


# What is not seen ------------------------------------------------------------------


def test_a_host_that_does_not_answer_is_one_line() -> None:
    herd_of_two("trade")
    host = factories.server("ele09", "prod")
    for number in range(3):
        primary, _ = herd_of_two(f"herd{number}")
        member = Instance.objects.create(
            herd=primary.herd, server=host, master=primary, is_online=True
        )
        lost(member)

    line = only_line()

    assert line.words == (
        "ele09 (prod): 3 instances cannot be reached. ele09 could not be reached."
    )
    assert line.key == f"unseen:server:{host.pk}"
    assert line.count == 3


def test_what_nobody_looked_at_is_told_by_its_age(settings: Any) -> None:
    settings.ATTENTION = {"UNSEEN": 60.0, "UNREPORTED": 600.0}
    one, other = herd_of_two("trade")
    for each in (one, other):
        note(each, observed_at=timezone.now() - timedelta(minutes=2))
    note(other, observed_by="agent")

    line = only_line()

    assert line.words == "trade1 (prod): 1 instance not looked at lately."


def test_a_network_that_is_down_is_a_few_lines() -> None:
    members = [member for n in range(12) for member in herd_of_two(f"herd{n:02}")]
    fine, _ = herd_of_two("fine")
    lost(*members)

    lines = attention()

    assert [line.key for line in lines] == [
        f"primary-unknown:environment:{fine.herd.environment_id}",
        f"unseen:environment:{fine.herd.environment_id}",
    ]
    assert lines[0].words == (
        "prod: it is not known whether the primaries of 12 herds take writes. Check "
        "the network between this service and their hosts."
    )
    assert lines[1].words == ("prod: 24 instances on 24 hosts cannot be reached.")


def test_unseen_instances_can_be_refreshed_together(administrator: Client) -> None:
    seen, _ = herd_of_two("fine")
    members = [member for n in range(4) for member in herd_of_two(f"herd{n}")]
    lost(*members)
    environment = seen.herd.environment_id

    answer = administrator.post(f"/admin/front/refresh/environment/{environment}/")

    operation = Operation.objects.get()
    assert answer["Location"] == f"/admin/herds/operation/{operation.pk}/"
    targets = set(operation.targets.values_list("instance_id", flat=True))
    assert targets == {member.pk for member in members}


def test_a_refresh_needs_its_permission(viewer: Client) -> None:
    primary, _ = herd_of_two("trade")
    lost(primary)
    address = f"/admin/front/refresh/server/{primary.server_id}/"

    assert viewer.post(address).status_code == 403
    assert not Operation.objects.exists()


def test_a_refresh_of_something_else_is_not_found(administrator: Client) -> None:
    assert administrator.post("/admin/front/refresh/herd/1/").status_code == 404
    assert administrator.get("/admin/front/refresh/server/1/").status_code == 405


# The page ----------------------------------------------------------------------------


def test_the_page_is_in_order_with_buttons(administrator: Client) -> None:
    primary, _ = herd_of_two("trade", vhost_target="trade2.example")
    down, _ = herd_of_two("quote")
    note(down, is_online=False)

    page = visit(administrator, "/admin/")
    html = administrator.get("/admin/").content.decode()

    no_primary, elsewhere = (line.words for line in attention())
    assert page.links[no_primary] == f"/admin/herds/herd/{down.herd_id}/change/"
    assert page.text.index(f"✖ now {no_primary}") < page.text.index(
        f"▲ soon {elsewhere}"
    )
    assert "Attention 1 now, 1 soon" in page.text
    for address in (
        f"/admin/herds/herd/{primary.herd_id}/operate/refresh_dns/",
        f"/admin/herds/instance/{down.pk}/operate/start/",
        f"/admin/herds/herd/{down.herd_id}/operate/failover/",
    ):
        assert f'<form method="post" action="{address}">' in html
        assert administrator.post(address).status_code == 302


def test_who_may_only_look_has_no_buttons(viewer: Client) -> None:
    herd_of_two("trade", vhost_target="trade2.example")
    factories.operation(state=OperationState.INTERRUPTED)

    html = viewer.get("/admin/").content.decode()

    assert "points at trade2.example" in html
    assert "was interrupted" in html
    assert "/operate/" not in html
    assert "/resume/" not in html


def test_who_may_not_see_operations_hears_nothing_of_them() -> None:
    herd_of_two("trade", vhost_target="trade2.example")
    factories.operation(state=OperationState.INTERRUPTED)
    person = factories.user("bert", "herds.view_instance")
    client = Client()
    client.force_login(person)

    page = visit(client, "/admin/")

    assert "nothing needs you" in page.text
    assert "interrupted" not in page.text


def test_more_than_fits_leads_to_the_list(administrator: Client) -> None:
    for number in range(7):
        _, standby = herd_of_two(f"herd{number}")
        note(standby, is_streaming=False)

    page = visit(administrator, "/admin/")

    address = page.links["and 2 more like these"]
    assert address == "/admin/herds/instance/?attention=not-streaming"
    assert len(rows(visit(administrator, address))) == 7


def test_every_kind_of_a_list_can_be_filtered(administrator: Client) -> None:
    _, standby = herd_of_two("trade")
    note(standby, is_streaming=False)
    herd_of_two("quote", vhost_target="quote2.example")

    for kind in INSTANCE_KINDS:
        found = rows(visit(administrator, f"{LISTS['instance']}?attention={kind}"))
        assert len(found) == (1 if kind is Kind.NOT_STREAMING else 0)
    for kind in HERD_KINDS:
        found = rows(visit(administrator, f"{LISTS['herd']}?attention={kind}"))
        assert len(found) == (1 if kind is Kind.ASTRAY else 0)


def test_the_lists_and_the_page_count_the_same() -> None:
    down, _ = herd_of_two("down")
    note(down, is_online=False)
    unknown, _ = herd_of_two("unknown")
    lost(unknown)
    _, second = herd_of_two("split")
    note(second, master=None)
    herd_of_two("elsewhere", vhost_target="elsewhere2.example")

    told = {section.kind: section.total for section in survey()}

    for kind in HERD_KINDS:
        assert herds_with(kind).count() == told[kind] == 1, kind
    for kind in INSTANCE_KINDS:
        assert instances_with(kind).count() == told[kind], kind
    assert set(told) == set(Kind)


# Live ---------------------------------------------------------------------------


def fragment(client: Client, known: str = "") -> Page:
    answer = client.get(
        "/admin/front/", {"known": known}, headers={"HX-Request": "true"}
    )
    assert answer.status_code == 200
    return Page(answer.content.decode())


def version_of(client: Client, address: str = "/admin/") -> str:
    html = client.get(address).content.decode()
    return html.split("/admin/front/?known=")[1].split('"')[0]


def test_a_poll_tells_only_what_has_changed(administrator: Client) -> None:
    primary, _ = herd_of_two("trade", vhost_target="trade2.example")
    known = version_of(administrator)

    same = fragment(administrator, known)
    note(primary, is_online=False)
    changed = fragment(administrator, known)

    assert "2 instances of 1 herd on 2 servers" in same.text
    assert "points at" not in same.text
    assert "seen now" in same.text
    assert "no member takes writes" in changed.text
    assert "Last operations" not in changed.text


def test_operations_are_told_when_they_have_changed(administrator: Client) -> None:
    herd_of_two("trade")
    known = version_of(administrator)
    factories.operation(
        state=OperationState.SUCCEEDED,
        finished_at=timezone.now(),
        outcome="All 2 instances were restarted.",
    )

    page = fragment(administrator, known)

    assert "Last operations" in page.tables
    assert "All 2 instances were restarted." in page.text
    assert "nothing needs you" not in page.text


def test_a_poll_is_no_page_and_no_way_around_the_login(administrator: Client) -> None:
    assert administrator.get("/admin/front/")["Location"] == "/admin/"
    anonymous = Client().get("/admin/front/", headers={"HX-Request": "true"})
    assert anonymous["HX-Redirect"].startswith("/admin/login/")
    nobody = Client()
    nobody.force_login(factories.user("carl"))
    answer = nobody.get("/admin/front/", headers={"HX-Request": "true"})
    assert answer.status_code == 403


# Cost ---------------------------------------------------------------------------


def troubled(instances: int) -> None:
    """Make instances that have every trouble among them, a third of them not seen."""
    now = timezone.now()
    home = factories.environment("prod")
    count = range(instances // 2)
    hosts = Server.objects.bulk_create(
        Server(hostname=f"host{n:03}", environment=home) for n in range(instances)
    )
    herds = Herd.objects.bulk_create(
        Herd(
            herd_name=f"herd{n:03}",
            base_name="main",
            pgdata="/srv/pg",
            environment=home,
            vhost="a.example",
            vhost_target="b.example",
            vhost_seen_at=now,
        )
        for n in count
    )
    seen = {"is_online": True, "observed_at": now}
    primaries = Instance.objects.bulk_create(
        Instance(herd=herds[n], server=hosts[n], timeline=2, **seen) for n in count
    )
    standbys = Instance.objects.bulk_create(
        Instance(
            herd=herds[n],
            server=hosts[-1 - n],
            master=primaries[n] if n % 2 else None,
            timeline=1,
            is_streaming=False,
            lag_octets=GB,
            lag_seen_at=now,
            slot_octets=2 * GB,
            unreachable_since=now if n % 3 == 0 else None,
            **seen,
        )
        for n in count
    )
    Fence.objects.bulk_create(Fence(instance=each) for each in standbys)
    found = Server.objects.bulk_create(
        Server(hostname=f"found{n:03}", discovered_at=now) for n in count
    )
    Discovery.objects.bulk_create(
        Discovery(server=each, base_name="main", db_port=5432) for each in found
    )
    for state in (OperationState.INTERRUPTED, OperationState.SUCCEEDED):
        done = factories.operation(state=state, finished_at=now)
        Operation.objects.bulk_create(
            Operation(
                headline=done.headline,
                state=state,
                expires_at=now,
                confirmed_at=now,
                finished_at=now,
            )
            for _ in count
        )


@pytest.mark.parametrize("address", ["/admin/", "/admin/front/"])
def test_more_trouble_costs_no_more_queries(
    administrator: Client, address: str
) -> None:
    def asked() -> list[str]:
        with CaptureQueriesContext(connection) as captured:
            answer = administrator.get(address, headers={"HX-Request": "true"})
        assert answer.status_code == 200
        return [query["sql"] for query in captured.captured_queries]

    troubled(6)
    administrator.get(address)
    few = asked()
    for model in (Instance, Herd, Server, Operation):
        model.objects.all().delete()
    troubled(500)
    many = asked()

    assert len(many) == len(few), "\n".join(many)
