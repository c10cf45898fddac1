"""The front page, the help pages and the pages of herds, servers and instances."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from herds.models import Environment, Herd, Instance, Server
from tests import factories
from tests.browser import fleet

from .pages import LISTS, Page, queries_of, visit

pytestmark = pytest.mark.django_db


# The site -----------------------------------------------------------------------


def test_the_root_leads_to_the_admin(client: Client) -> None:
    response = client.get("/", follow=True)

    assert response.redirect_chain[0] == ("/admin/", 302)
    assert "Elephant Herd as a Service" in response.content.decode()


def test_the_menus_stand_in_the_order_one_fills_them_in(administrator: Client) -> None:
    page = visit(administrator, "/admin/")

    menus = [row[0] for row in page.tables["Elephant Herd as a Service"][1:]]
    assert menus[:5] == [
        "System Environments",
        "Herds",
        "Servers",
        "Instances",
        "Disaster Recovery Pairs",
    ]
    assert "Users" in page.links
    assert "Groups" in page.links


def test_the_queue_has_no_menu_of_its_own(administrator: Client) -> None:
    assert "rocrastinate" not in visit(administrator, "/admin/").text


def test_an_empty_front_page_says_what_to_do_first(administrator: Client) -> None:
    page = visit(administrator, "/admin/")

    assert "First steps" in page.text
    assert page.links["Add an environment"] == "/admin/herds/environment/add/"
    assert page.links["Add a server"] == "/admin/herds/server/add/"


def test_first_steps_are_ticked_off_and_then_gone(administrator: Client) -> None:
    factories.environment("prod")
    begun = visit(administrator, "/admin/")
    factories.instance()
    done = visit(administrator, "/admin/")

    assert "✔ done Add an environment." in begun.text
    assert "First steps" not in done.text


def test_the_front_page_counts_every_instance_once(administrator: Client) -> None:
    fleet.build_small()

    page = visit(administrator, "/admin/")

    assert "12 instances of 7 herds on 11 servers: " in page.text
    assert page.links["9 ✔ online"] == "/admin/herds/instance/?online=online"
    assert page.links["1 ✖ stopped"] == "/admin/herds/instance/?online=stopped"
    assert page.links["2 ? unknown"] == "/admin/herds/instance/?online=unknown"
    assert "oldest observation 12 min ago" in page.text


def test_figures_are_for_those_who_may_see_instances() -> None:
    factories.instance()
    client = Client()
    client.force_login(factories.user("anna", "herds.view_server"))

    page = visit(client, "/admin/")

    assert "1 instance" not in page.text
    assert [row[0] for row in page.tables["Help"][1:]] == ["Servers"]


# Help and empty lists -----------------------------------------------------------


@pytest.mark.parametrize("model", LISTS)
def test_every_menu_has_a_help_page_linked_from_index_and_list(
    administrator: Client, model: str
) -> None:
    address = f"{LISTS[model]}help/"

    index = administrator.get("/admin/").content.decode()
    help_page = visit(administrator, address)

    assert f'href="{address}"' in index
    assert visit(administrator, LISTS[model]).links["Help"] == address
    assert len(help_page.text) > 800
    assert "Help: " in help_page.text


@pytest.mark.parametrize("model", LISTS)
def test_help_pages_need_a_login(client: Client, model: str) -> None:
    response = client.get(f"{LISTS[model]}help/")

    assert response.status_code == 302
    assert response["Location"].startswith("/admin/login/")


@pytest.mark.parametrize("model", LISTS)
def test_an_empty_list_says_what_to_do_first(administrator: Client, model: str) -> None:
    page = visit(administrator, LISTS[model])

    assert "There are no " in page.text
    assert " yet. " in page.text
    assert "result_list" not in page.tables


def test_a_search_without_a_hit_is_not_an_empty_list(administrator: Client) -> None:
    factories.server("ele01")

    page = visit(administrator, f"{LISTS['server']}?q=nothing-like-it")

    assert "There are no " not in page.text
    assert "0 Servers" in page.text


# Pages of one herd, server, instance ---------------------------------------------


def test_a_herd_without_members_leads_to_adding_one(administrator: Client) -> None:
    herd = factories.herd()

    page = visit(administrator, f"/admin/herds/herd/{herd.pk}/change/")
    form = administrator.get(page.links["Add an instance of this herd"])

    assert "This herd has no members yet." in page.text
    assert page.links["Add an instance of this herd"].endswith(f"?herd={herd.pk}")
    assert re.search(
        r"<option [^>]*selected[^>]*>trade \(prod\)", form.content.decode()
    )


def test_a_herd_without_an_environment_has_a_page(administrator: Client) -> None:
    herd = Herd.objects.create(herd_name="orphan", base_name="o", pgdata="/srv/o")

    page = visit(administrator, f"/admin/herds/herd/{herd.pk}/change/")

    assert "orphan no environment" in page.text


def test_a_server_shows_the_instances_it_carries(administrator: Client) -> None:
    trade = factories.instance("trade", "ele01")
    factories.instance("quote", "ele01")
    factories.instance("trade", "ele02", master=trade)

    page = visit(administrator, f"/admin/herds/server/{trade.server_id}/change/")

    carried = page.tables["Instances on this server"][1:]
    assert [row[0] for row in carried] == ["quote prod", "trade prod"]
    assert page.links["trade prod"] == f"/admin/herds/instance/{trade.pk}/change/"


def test_an_instance_shows_what_was_observed(administrator: Client) -> None:
    primary = factories.instance("trade", "ele01", xlog_pos=0x3_0000_0060)
    replica = factories.instance(
        "trade",
        "ele02",
        master=primary,
        xlog_pos=0x3_0000_0000,
        local_pgdata="/srv/elsewhere",
        lag_octets=96,
        lag_seen_at=timezone.now() - timedelta(minutes=9),
        observed_at=timezone.now() - timedelta(minutes=9),
        unreachable_since=timezone.now() - timedelta(minutes=8),
        unreachable_why="ele02 could not be reached over SSH (no route).",
    )

    page = visit(administrator, f"/admin/herds/instance/{replica.pk}/change/")

    for words in (
        "State: ? unknown for 8 min, last seen online 9 min ago",
        "Why Unknown: ele02 could not be reached over SSH (no route).",
        "Role: replica of ele01",
        "Lag: 9 min ago: 96 bytes behind",
        "Version: 15.4",
        "WAL Position: 3/0",
        "Data Directory: /srv/elsewhere",
        "trade prod on ele02",
    ):
        assert words in page.text


def test_an_instance_that_is_reached_has_no_reason_why_not(
    administrator: Client,
) -> None:
    instance = factories.instance()

    page = visit(administrator, f"/admin/herds/instance/{instance.pk}/change/")

    assert "Why Unknown" not in page.text


def test_pages_run_as_many_queries_for_40_rows_as_for_2(administrator: Client) -> None:
    primary = factories.instance("trade", "ele00")
    factories.instance("trade", "ele01", master=primary)
    factories.instance("quote", "ele00")
    addresses = [
        f"/admin/herds/herd/{primary.herd_id}/change/",
        f"/admin/herds/server/{primary.server_id}/change/",
        f"/admin/herds/instance/{primary.pk}/change/",
    ]
    few = [queries_of(administrator, address) for address in addresses]

    for number in range(2, 40):
        factories.instance("trade", f"ele{number:02}", master=primary)
        factories.instance(f"herd{number}", "ele00")
    many = [queries_of(administrator, address) for address in addresses]

    assert [len(queries) for queries in many] == [len(queries) for queries in few]


# Deleting -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "consequence"),
    [
        ("environment", "belong to no environment"),
        ("herd", "Its instances are deleted with it."),
        ("server", "so is the accepted host key"),
        ("instance", "listed without an upstream"),
    ],
)
def test_deleting_says_that_no_host_is_touched(
    administrator: Client, model: str, consequence: str
) -> None:
    instance = factories.instance()
    key = {
        "environment": instance.herd.environment_id,
        "herd": instance.herd_id,
        "server": instance.server_id,
        "instance": instance.pk,
    }[model]

    one = visit(administrator, f"/admin/herds/{model}/{key}/delete/")
    several = Page(
        administrator.post(
            LISTS[model], {"action": "delete_selected", "_selected_action": [key]}
        ).content.decode()
    )

    for page in (one, several):
        assert "Nothing is done on any host" in page.text
        assert consequence in page.text


def test_deleting_an_environment_keeps_its_herds_and_servers(
    administrator: Client,
) -> None:
    instance = factories.instance()
    environment = instance.herd.environment

    administrator.post(
        f"/admin/herds/environment/{environment.pk}/delete/", {"post": "yes"}
    )

    assert not Environment.objects.exists()
    assert Herd.objects.get().environment is None
    assert Server.objects.get().environment is None
    assert Instance.objects.exists()


# Every page ---------------------------------------------------------------------


def every_page() -> list[str]:
    instance = Instance.objects.select_related("herd", "server").first()
    assert instance is not None
    return [
        "/admin/",
        *LISTS.values(),
        *(f"{address}help/" for address in LISTS.values()),
        *(f"/admin/herds/{model}/add/" for model in ("herd", "server", "instance")),
        f"/admin/herds/herd/{instance.herd_id}/change/",
        f"/admin/herds/server/{instance.server_id}/change/",
        f"/admin/herds/instance/{instance.pk}/change/",
        f"/admin/herds/instance/{instance.pk}/history/",
    ]


def test_no_page_carries_script_or_style_of_its_own(administrator: Client) -> None:
    fleet.build_small()

    for address in every_page():
        page = visit(administrator, address)
        assert page.inline == [], address


def test_every_table_heads_its_columns_and_rows(administrator: Client) -> None:
    fleet.build_small()

    for address in every_page():
        html = administrator.get(address).content.decode()
        for heading in html.split("<th")[1:]:
            tag = heading.split(">", 1)[0]
            if heading.startswith("ead"):
                continue
            assert "scope=" in tag or 'class="field-' in tag, (address, tag)


def test_whoever_is_not_staff_sees_nothing() -> None:
    factories.instance()
    client = Client()
    client.force_login(User.objects.create_user("somebody", password="secret"))

    for address in every_page():
        assert client.get(address).status_code == 302, address


def test_other_programs_are_a_link_away(administrator: Client, settings: Any) -> None:
    settings.LINKS = {
        "Grafana": {
            "herd": "https://g.example/herd?env={environment}&name={herd}&at={vhost}",
            "instance": "https://g.example/{host}/{port}/{cluster}/{version}",
        }
    }
    herd = factories.herd("a & b", base_name="main", vhost="", db_port=5499)
    instance = factories.instance("a & b", "ele01")

    of_herd = visit(administrator, f"/admin/herds/herd/{herd.pk}/change/")
    of_instance = visit(administrator, f"/admin/herds/instance/{instance.pk}/change/")

    assert of_herd.links["Grafana ↗"] == (
        "https://g.example/herd?env=prod&name=a%20%26%20b&at="
    )
    assert of_instance.links["Grafana ↗"] == "https://g.example/ele01/5499/main/15.4"
