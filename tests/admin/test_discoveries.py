"""What agents found and nobody placed: listed with the reason, placed in two clicks."""

from __future__ import annotations

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client
from django.utils import timezone

from herds.models import AuditEntry, Discovery, Herd, Instance, Server
from herds.selectors import discoveries
from tests import factories as make

from .pages import LISTS, Page, queries_of, rows, visit

pytestmark = pytest.mark.django_db

LIST = LISTS["discovery"]


def found(host: str = "ele09", name: str = "trade", **values: object) -> Discovery:
    """Make a discovered instance on a host that an agent registered."""
    server = Server.objects.filter(hostname=host).first()
    if server is None:
        server = Server.objects.create(hostname=host)
    Server.objects.filter(pk=server.pk).update(discovered_at="2026-01-01T00:00:00Z")
    values = {
        "db_port": 5432,
        "version": "15.4",
        "is_online": True,
        "pgdata": "/data/trade",
        "xlog_pos": 1000,
        "why": f"{host} has no environment yet. Choose one.",
        **values,
    }
    return Discovery.objects.create(server=server, base_name=name, **values)


def page_of(discovery: Discovery) -> str:
    return f"{LIST}{discovery.pk}/place/"


def place(client: Client, discovery: Discovery, **chosen: object) -> Page:
    """Answer the page that places, as it comes, with what is chosen otherwise."""
    form = client.get(page_of(discovery)).context["form"]
    sent = {name: form[name].value() or "" for name in form.fields}
    sent = {name: getattr(value, "pk", value) for name, value in sent.items()}
    response = client.post(page_of(discovery), {**sent, **chosen}, follow=True)
    return Page(response.content.decode())


def test_the_list_says_what_was_found_and_what_is_missing(
    administrator: Client,
) -> None:
    found(master_host="ele01")

    row = rows(visit(administrator, LIST))[0]

    assert row[:2] == ["ele09 no environment", "Place"]
    assert row[2:4] == ["trade port 5432", "15.4"]
    assert row[4].startswith("✔ online, ")
    assert row[5:] == ["ele01", "ele09 has no environment yet. Choose one."]


def test_the_likely_herd_is_chosen_already_and_yes_places_it(
    administrator: Client,
) -> None:
    primary = make.instance("trade", "ele01")
    make.herd("quote", db_port=5432)
    discovery = found(master_host="ele01", system_identifier="71", timeline=3)

    page = place(administrator, discovery)

    assert "Placed trade on ele09, as its agent reported it." in page.text
    assert "before its host key is accepted" in page.text
    new = Instance.objects.get(server__hostname="ele09")
    assert (new.herd, new.master) == (primary.herd, primary)
    assert (new.version, new.is_online, new.xlog_pos) == ("15.4", True, 1000)
    assert (new.local_pgdata, new.observed_by) == ("/data/trade", "agent")
    assert (new.system_identifier, new.timeline) == ("71", 3)
    assert new.observed_at == discovery.last_seen_at
    assert new.server.environment == primary.herd.environment
    assert not Discovery.objects.exists()
    assert LogEntry.objects.count() == 2
    told = {each.event: each for each in AuditEntry.objects.order_by("audit_id")}
    assert (told["changed"].name, told["changed"].before) == (
        "ele09",
        {"environment": None},
    )
    assert told["placed"].name == "trade on ele09"
    assert (told["placed"].after or {})["system_identifier"] == "71"


def test_a_new_herd_is_made_of_what_was_reported(administrator: Client) -> None:
    make.environment("dev")
    stage = make.environment("stage")

    page = place(administrator, found(), environment=stage.pk, herd_name="Trade EU")

    assert "Placed " in page.text
    herd = Herd.objects.get()
    assert (herd.herd_name, herd.base_name, herd.db_port) == ("Trade EU", "trade", 5432)
    assert (herd.pgdata, herd.environment) == ("/data/trade", stage)
    assert Instance.objects.get().is_primary


def test_the_only_environment_is_chosen_already(administrator: Client) -> None:
    make.environment("dev")

    place(administrator, found())

    assert Instance.objects.get().herd.environment.env_name == "dev"


def test_a_new_herd_without_environment_or_directory_is_asked_for_them(
    administrator: Client,
) -> None:
    make.environment("dev")
    make.environment("prod")

    page = place(administrator, found(pgdata=""))

    assert "A new herd needs an environment." in page.text
    assert "A new herd needs a data root." in page.text
    assert not Herd.objects.exists()


def test_only_herds_that_fit_are_offered(administrator: Client) -> None:
    make.herd("trade", db_port=5432)
    make.herd("quote", db_port=5433)
    make.herd("audit", "stage", db_port=5432)
    make.server("ele09", "prod")

    form = administrator.get(page_of(found())).context["form"]

    assert [herd.herd_name for herd in form.fields["herd"].queryset] == ["trade"]
    assert "environment" not in form.fields


def test_a_herd_with_another_database_is_not_chosen_for_anybody() -> None:
    instance = make.instance("trade", "ele01", system_identifier="71")

    assert discoveries.likeliest_herd(found()) == instance.herd
    Discovery.objects.all().delete()
    assert discoveries.likeliest_herd(found(system_identifier="72")) is None


def test_two_herds_that_fit_alike_leave_the_choice_open() -> None:
    make.herd("trade", db_port=5432, base_name="main")
    make.herd("quote", db_port=5432, base_name="main")

    assert discoveries.likeliest_herd(found(name="main")) is None


def test_what_does_not_go_together_is_refused_and_changes_nothing(
    administrator: Client,
) -> None:
    herd = make.herd("quote", db_port=5432)
    make.instance("quote", "ele02")
    discovery = found("ele02")

    page = place(administrator, discovery, herd=herd.pk)

    assert "This server carries this herd already. Nothing was placed." in page.text
    assert Instance.objects.count() == Discovery.objects.count() == 1


def test_what_was_placed_in_the_meantime_is_not_placed_twice(
    administrator: Client,
) -> None:
    discovery = found()
    address = page_of(discovery)
    discovery.delete()

    for response in (administrator.get(address), administrator.post(address)):
        assert response.status_code == 302
    assert "placed or deleted in the meantime" in visit(administrator, LIST).text


def test_placing_needs_its_permission(viewer: Client) -> None:
    discovery = found()

    assert "Place" not in visit(viewer, LIST).links
    assert viewer.get(page_of(discovery)).status_code == 403
    assert viewer.post(page_of(discovery)).status_code == 403


def test_who_may_place_and_nothing_else_can(client: Client) -> None:
    make.instance("trade", "ele01")
    client.force_login(make.user("anna", "herds.place_discovery"))

    page = place(client, found(master_host="ele01"))

    assert "Placed " in page.text
    assert Instance.objects.filter(server__hostname="ele09").exists()


def test_the_list_asks_the_same_whatever_it_shows(
    administrator: Client,
) -> None:
    found()
    few = len(queries_of(administrator, LIST))
    for number in range(30):
        found(f"ele{number + 10}")

    assert len(queries_of(administrator, LIST)) == few
    assert few <= 10


def test_the_page_that_places_asks_the_same_whatever_the_number_of_herds(
    administrator: Client,
) -> None:
    discovery = found()
    make.herd("herd", db_port=5432)
    few = len(queries_of(administrator, page_of(discovery)))
    for number in range(20):
        make.herd(f"herd{number}", db_port=5432)

    assert len(queries_of(administrator, page_of(discovery))) == few
    assert few <= 12


def test_a_replica_of_a_stranger_is_not_called_a_primary(administrator: Client) -> None:
    make.instance("trade", "ele01", upstream_host="10.0.0.77")

    page = visit(administrator, LISTS["instance"])

    assert rows(page)[0][4] == "replica of 10.0.0.77, no member of this herd"


def test_a_servers_page_says_when_its_agent_reported(administrator: Client) -> None:
    server = found().server
    address = f"{LISTS['server']}{server.pk}/change/"
    assert "Agent" not in visit(administrator, address).text

    Server.objects.filter(pk=server.pk).update(reported_at=timezone.now())

    assert "Agent: reported now; it registered this host" in (
        visit(administrator, address).text
    )
