"""A herd's page draws its members, says whether they could move, and stays fresh."""

from __future__ import annotations

import re
from datetime import timedelta
from html.parser import HTMLParser
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from herds.domain.states import OperationState, TargetState
from herds.models import Fence, Herd, Instance
from tests import factories
from tests.admin.pages import queries_of, visit

HTMX = {"HX-Request": "true"}
AT = 2**40
BEHIND = AT - 80 * 2**20


class Tree(HTMLParser):
    """The drawing as nested lists say it: a line a member, with its depth."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.members: list[tuple[int, str]] = []
        self._depth = -1
        self._is_inside = 0
        self._takes = False
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "ul" and (self._is_inside or given.get("class") == "ele-tree"):
            self._is_inside += 1
        self._takes |= tag == "a" and (given.get("id") or "").startswith("member-")

    def handle_endtag(self, tag: str) -> None:
        if tag == "ul" and self._is_inside:
            self._is_inside -= 1
        self._takes &= tag != "a"

    def handle_data(self, data: str) -> None:
        if self._takes and data.strip():
            self.members.append((self._is_inside - 1, data.strip()))


def page_of(client: Client, herd: Herd) -> str:
    answer = client.get(f"/admin/herds/herd/{herd.pk}/change/")
    assert answer.status_code == 200
    return answer.content.decode()


def words_of(client: Client, herd: Herd) -> str:
    return visit(client, f"/admin/herds/herd/{herd.pk}/change/").text


def words_in_list(client: Client) -> str:
    return visit(client, "/admin/herds/disasterrecovery/").text


def buttons_on(html: str, member: Instance) -> set[str]:
    pattern = rf'action="/admin/herds/instance/{member.pk}/operate/(\w+)/"'
    return set(re.findall(pattern, html))


def update(member: Instance, **values: Any) -> None:
    Instance.objects.filter(pk=member.pk).update(**values)


@pytest.fixture
def primary(db: None) -> Instance:
    """The primary of trade on ele01, on timeline 4."""
    return factories.instance(timeline=4, xlog_pos=AT)


@pytest.fixture
def standby(primary: Instance) -> Instance:
    """A standby that streams and is level."""
    return factories.instance(
        host="ele02",
        master=primary,
        timeline=4,
        xlog_pos=AT,
        is_streaming=True,
        lag_octets=0,
        lag_seen_at=timezone.now(),
    )


def test_it_draws_the_primary_with_what_follows_it_below(
    administrator: Client, primary: Instance, standby: Instance
) -> None:
    factories.instance(host="ele03", master=standby)
    factories.instance(host="ele04", master=primary)
    factories.instance("quote", "ele03")

    html = page_of(administrator, primary.herd)

    assert Tree(html).members == [
        (0, "ele01"),
        (1, "ele02"),
        (2, "ele03"),
        (1, "ele04"),
    ]
    assert 'aria-label="Replication tree of trade, the primary first"' in html


def test_members_whose_upstreams_go_round_are_all_drawn(
    administrator: Client, primary: Instance, standby: Instance
) -> None:
    update(primary, master=standby)

    html = page_of(administrator, primary.herd)

    assert {name for _, name in Tree(html).members} == {"ele01", "ele02"}
    assert "leads to no primary" in html


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"is_streaming": False}, "Receives no WAL"),
        ({"timeline": 3}, "Is on timeline 3; the primary is on 4."),
        (
            {"lag_octets": 80 * 2**20, "xlog_pos": BEHIND},
            "Is 80.0 MB behind; 64.0 MB are too much.",
        ),
        (
            {"slot_name": "ele09", "slot_octets": 3 * 2**30},
            "Slot ele09, which nobody uses, holds 3.0 GB of WAL.",
        ),
    ],
)
def test_it_says_what_is_wrong_with_a_member(
    administrator: Client,
    primary: Instance,
    standby: Instance,
    values: dict[str, Any],
    words: str,
) -> None:
    assert words not in words_of(administrator, primary.herd)

    later = timezone.now() + timedelta(milliseconds=1)
    update(standby, **values, lag_seen_at=later)

    assert words in words_of(administrator, primary.herd)


def test_two_writers_are_told_at_both(
    administrator: Client, primary: Instance, standby: Instance
) -> None:
    update(standby, master=None, timeline=5, is_streaming=None)

    words = words_of(administrator, primary.herd)

    assert "Takes writes, as ele02 does." in words
    assert "Takes writes, as ele01 does." in words
    assert "Not ready to switch over: ele01 and ele02 take writes." in words


def test_a_fenced_member_is_told(
    administrator: Client, primary: Instance, standby: Instance
) -> None:
    Fence.objects.create(instance=standby)

    assert "is fenced: rebuild it" in words_of(administrator, primary.herd)


def test_actions_are_those_that_make_sense_for_a_member(
    administrator: Client, primary: Instance, standby: Instance
) -> None:
    stopped = factories.instance(host="ele03", master=primary, is_online=False)

    html = page_of(administrator, primary.herd)

    assert {"stop", "restart", "demote"} <= buttons_on(html, primary)
    assert not {"promote", "rebuild", "start"} & buttons_on(html, primary)
    assert {"promote", "rebuild"} <= buttons_on(html, standby)
    assert not {"demote", "start"} & buttons_on(html, standby)
    assert {"start", "rebuild"} <= buttons_on(html, stopped)
    assert not {"stop", "promote"} & buttons_on(html, stopped)


def test_who_may_only_look_is_offered_nothing(
    client: Client, primary: Instance, standby: Instance
) -> None:
    looker = factories.user("vera", "herds.view_herd", "herds.restart_instance")
    client.force_login(looker)

    html = page_of(client, primary.herd)

    assert buttons_on(html, standby) == {"restart"}
    assert "Check on the hosts now" not in html


def test_a_herd_that_could_move_says_where_to(
    administrator: Client, primary: Instance, standby: Instance
) -> None:
    words = words_of(administrator, primary.herd)

    assert "✔ ready Ready to switch over to ele02." in words
    assert "Check on the hosts now…" in words


@pytest.mark.parametrize(
    ("member", "values", "words"),
    [
        (
            "standby",
            {"is_streaming": False},
            "Not ready to switch over: ele02 receives",
        ),
        (
            "standby",
            {"timeline": 3},
            "Not ready to switch over: ele02 is on timeline 3",
        ),
        ("standby", {"is_online": False}, "Not ready to switch over: no standby is"),
        ("primary", {"is_online": False}, "Not ready to switch over: no member takes"),
        ("standby", {"is_streaming": None}, "is not known: ele02 was not seen to"),
        (
            "primary",
            {"is_streaming": True},
            "Not ready to switch over: no member takes",
        ),
        ("primary", {"upstream_host": "away"}, "switch over: no member takes"),
        (
            "standby",
            {"is_online": False, "unreachable_since": timezone.now()},
            "is not known: nothing is known of ele02",
        ),
        (
            "standby",
            {"system_identifier": "7000000000000000002"},
            "Not ready to switch over: ele02 is no copy of the primary",
        ),
        (
            "primary",
            {"unreachable_since": timezone.now()},
            "is not known: nothing is known of ele01",
        ),
        (
            "primary",
            {"observed_at": timezone.now() - timedelta(hours=1)},
            "is not known: ele01 was seen 60 min ago",
        ),
    ],
)
def test_a_herd_that_could_not_move_says_why(
    administrator: Client,
    primary: Instance,
    standby: Instance,
    member: str,
    values: dict[str, Any],
    words: str,
) -> None:
    update(primary, system_identifier="7000000000000000001")
    update({"primary": primary, "standby": standby}[member], **values)

    assert words in words_of(administrator, primary.herd)


def test_a_herd_that_could_move_with_a_warning_says_so(
    administrator: Client, primary: Instance, standby: Instance
) -> None:
    later = timezone.now() + timedelta(milliseconds=1)
    update(standby, xlog_pos=BEHIND, lag_octets=80 * 2**20, lag_seen_at=later)

    words = words_of(administrator, primary.herd)

    assert (
        "▲ ready, look first Ready to switch over to ele02, but look at this first: "
        "ele02 is 80.0 MB behind."
    ) in words


@pytest.mark.parametrize(
    "values",
    [
        {"is_online": False},
        {"is_streaming": False},
        {"unreachable_since": timezone.now()},
    ],
)
def test_another_standby_that_would_not_follow_is_a_warning_here_and_in_the_list(
    administrator: Client,
    primary: Instance,
    standby: Instance,
    values: dict[str, Any],
) -> None:
    other = factories.instance(
        host="ele03",
        master=primary,
        timeline=4,
        xlog_pos=AT - 10**6,
        is_streaming=True,
        lag_octets=10**6,
        lag_seen_at=timezone.now(),
    )
    well = words_of(administrator, primary.herd)
    update(other, **values)

    words = words_of(administrator, primary.herd)
    listed = words_in_list(administrator)

    assert "✔ ready Ready to switch over to ele02." in well
    assert (
        "▲ ready, look first Ready to switch over to ele02, but look at this first: "
        "ele03 would not follow at once."
    ) in words
    assert "ready, look first" in listed


def test_the_lag_of_a_cascade_is_that_behind_the_primary(
    administrator: Client, primary: Instance, standby: Instance
) -> None:
    seen = timezone.now() + timedelta(milliseconds=1)
    long_ago = {"observed_at": timezone.now() - timedelta(seconds=20)}
    update(standby, is_online=False, lag_octets=70 * 2**20, lag_seen_at=seen)
    factories.instance(
        host="ele03",
        master=standby,
        timeline=4,
        xlog_pos=BEHIND,
        is_streaming=True,
        lag_octets=0,
        lag_seen_at=seen,
        **long_ago,
    )

    assert "ele03 is 70.0 MB behind." in words_of(administrator, primary.herd)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"upstream_host": "away.test"}, "Follows away.test, which is no member"),
        ({"is_streaming": False}, "Is in recovery and follows nobody"),
    ],
)
def test_what_only_looks_like_a_primary_is_told_and_is_no_second_writer(
    administrator: Client,
    primary: Instance,
    standby: Instance,
    values: dict[str, Any],
    words: str,
) -> None:
    factories.instance(host="ele03", timeline=4, xlog_pos=AT, **values)

    text = words_of(administrator, primary.herd)

    assert words in text
    assert "Ready to switch over to ele02." in text


def test_what_was_seen_of_a_silent_member_is_not_told_as_if_it_were_so(
    administrator: Client, primary: Instance, standby: Instance
) -> None:
    assert "Streams yes" in words_of(administrator, primary.herd)

    update(standby, unreachable_since=timezone.now())

    assert "Streams unknown" in words_of(administrator, primary.herd)
    page = visit(administrator, f"/admin/herds/instance/{standby.pk}/change/")
    assert "Streaming: ? unknown" in page.text


def test_members_lead_to_their_servers(
    administrator: Client, client: Client, primary: Instance
) -> None:
    address = f'href="/admin/herds/server/{primary.server_id}/change/"'
    assert address in page_of(administrator, primary.herd)

    client.force_login(factories.user("vera", "herds.view_herd"))

    assert address not in page_of(client, primary.herd)


@pytest.mark.parametrize(
    ("has_environment", "has_server", "words"),
    [
        (False, False, "Choose an environment for it below"),
        (True, False, "Add a server of prod first"),
        (True, True, "Add an instance of it on a server of prod."),
    ],
)
def test_a_herd_of_none_says_what_to_do_first(
    administrator: Client, has_environment: bool, has_server: bool, words: str
) -> None:
    herd = factories.herd()
    if has_server:
        factories.server("ele01")
    if not has_environment:
        Herd.objects.update(environment=None)

    assert words in words_of(administrator, herd)


def test_the_checks_of_the_last_plan_stand_below(
    administrator: Client, primary: Instance, standby: Instance
) -> None:
    plan = factories.operation(action="switchover")
    factories.target(plan, standby, checks=[factories.check(name="Archiver")])
    for _ in range(2):
        other = factories.operation(action="restart")
        factories.target(other, standby, checks=[factories.check(name="Nothing")])

    page = visit(administrator, f"/admin/herds/herd/{primary.herd_id}/change/")

    (row,) = page.tables["Checks of trade"][1:]
    assert row[:3] == ["✔ fine", "ele02", "Archiver"]
    assert "to switch over to ele02" in page.text


@pytest.mark.parametrize("verdict", ["ok", "stop"])
def test_the_checks_of_a_plan_are_unfolded_where_one_stops_it(
    administrator: Client, primary: Instance, standby: Instance, verdict: str
) -> None:
    plan = factories.operation(action="switchover")
    factories.target(plan, standby, checks=[factories.check(verdict, name="Archiver")])

    html = page_of(administrator, primary.herd)

    unfolded = '<details class="ele-op-checks" open>' in html
    assert unfolded is (verdict == "stop")


def test_who_may_not_see_operations_sees_none_and_is_told_that_one_runs(
    client: Client, primary: Instance, standby: Instance
) -> None:
    plan = factories.operation(action="switchover")
    factories.target(plan, standby, checks=[factories.check(name="Archiver")])
    running = factories.operation(state=OperationState.RUNNING)
    factories.target(running, standby, TargetState.RUNNING)
    client.force_login(factories.user("vera", "herds.view_herd"))

    page = visit(client, f"/admin/herds/herd/{primary.herd_id}/change/")

    assert "an operation works on this herd" in page.text
    assert "Last operations" not in page.tables
    assert "Archiver" not in page.text


def test_operations_on_the_herd_stand_there_and_hold_it(
    administrator: Client, primary: Instance, standby: Instance
) -> None:
    running = factories.operation(state=OperationState.RUNNING)
    factories.target(running, standby, TargetState.RUNNING)

    page = visit(administrator, f"/admin/herds/herd/{primary.herd_id}/change/")

    assert page.tables["Last operations"][1][:3] == [
        f"{running.pk}: restart",
        "ele02",
        "◐ running",
    ]
    assert "an operation works on this herd" in page.text


def test_what_runs_comes_first_and_an_operation_is_one_line(
    administrator: Client, primary: Instance, standby: Instance
) -> None:
    third = factories.instance(host="ele03", master=primary)
    fourth = factories.instance(host="ele04", master=primary)
    running = factories.operation(state=OperationState.RUNNING)
    factories.target(running, standby, TargetState.RUNNING)
    for _ in range(6):
        ended = factories.operation(state=OperationState.PARTLY)
        for each in (primary, standby, third):
            factories.target(ended, each, TargetState.SUCCEEDED, outcome="Restarted.")
        factories.target(ended, fourth, TargetState.FAILED, outcome="Did not start.")

    page = visit(administrator, f"/admin/herds/herd/{primary.herd_id}/change/")

    lines = page.tables["Last operations"][1:]
    assert len(lines) == 5
    assert lines[0][2] == "◐ running"
    assert lines[1][:3] == [
        f"{ended.pk}: restart",
        "ele01 ele02 ele03 and 1 more",
        "▲ partly",
    ]
    assert lines[1][3].startswith("Did not start.")


def test_all_operations_of_a_herd_are_a_link_away(
    administrator: Client, primary: Instance
) -> None:
    theirs = factories.operation(state=OperationState.SUCCEEDED, headline="Theirs")
    factories.target(theirs, primary, TargetState.SUCCEEDED)
    foreign = factories.operation(state=OperationState.SUCCEEDED, headline="Foreign")
    factories.target(foreign, factories.instance("quote"), TargetState.SUCCEEDED)

    page = visit(administrator, f"/admin/herds/herd/{primary.herd_id}/change/")
    listed = visit(administrator, page.links["All operations on this herd"])

    assert "Theirs" in listed.text
    assert "Foreign" not in listed.text
    assert "By herd" in listed.text
    assert "By herd" not in visit(administrator, "/admin/herds/operation/").text


@pytest.mark.parametrize("asked", ["x", "1 or 1=1", "9" * 30, "-1"])
def test_a_meaningless_herd_filters_nothing(administrator: Client, asked: str) -> None:
    answer = administrator.get("/admin/herds/operation/", {"herd": asked})

    assert answer.status_code == 200
    assert "By herd" not in answer.content.decode()


def test_a_herd_that_is_gone_has_no_operations(administrator: Client) -> None:
    factories.operation(state=OperationState.SUCCEEDED, headline="Somebody else's")

    page = visit(administrator, "/admin/herds/operation/?herd=4711")

    assert "Somebody else" not in page.text


def test_the_live_part_is_given_alone_to_htmx_only(
    administrator: Client, primary: Instance, standby: Instance
) -> None:
    address = f"/admin/herds/herd/{primary.herd_id}/live/"

    alone = administrator.get(address, headers=HTMX)
    whole = administrator.get(address)

    assert len(Tree(alone.content.decode()).members) == 2
    assert b'<div id="herd-judged" hx-swap-oob="innerHTML">' in alone.content
    assert b"<html" not in alone.content
    assert b"hx-swap-oob" not in administrator.get(whole.url).content  # type: ignore[attr-defined]
    assert whole.status_code == 302


def test_the_live_part_needs_the_permission(client: Client, primary: Instance) -> None:
    client.force_login(factories.user("vera"))

    answer = client.get(f"/admin/herds/herd/{primary.herd_id}/live/", headers=HTMX)

    assert answer.status_code == 403


@pytest.mark.parametrize("page", ["change", "live"])
def test_many_members_take_no_more_queries(
    administrator: Client, primary: Instance, standby: Instance, page: str
) -> None:
    address = f"/admin/herds/herd/{primary.herd_id}/{page}/"
    factories.instance(host="ele31", master=primary)
    done = factories.operation(state=OperationState.SUCCEEDED)
    factories.target(done, primary, TargetState.SUCCEEDED)
    few = len(queries_of(administrator, address, headers=HTMX))
    for number in range(3, 31):
        member = factories.instance(host=f"ele{number:02}", master=primary)
        if number % 2:
            Fence.objects.create(instance=member)
        done = factories.operation(state=OperationState.SUCCEEDED)
        for each in (primary, member):
            factories.target(done, each, TargetState.SUCCEEDED)

    assert len(queries_of(administrator, address, headers=HTMX)) == few
