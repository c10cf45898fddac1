"""Lists show, filter, search and sort as the contract says, in constant queries."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from herds.models import Environment, Herd, Instance, Server
from herds.selectors import clock
from tests import factories
from tests.browser import fleet

from .pages import LISTS, column, queries_of, rows, visit

pytestmark = pytest.mark.django_db

INSTANCES = LISTS["instance"]
MB = 1024 * 1024


@pytest.fixture
def trade() -> dict[str, Instance]:
    """A primary, a replica of it that is stopped, and a replica nobody can see."""
    now = timezone.now()
    primary = factories.instance("trade", "ele01", xlog_pos=100 * MB, version="15.4")
    stopped = factories.instance(
        "trade",
        "ele02",
        master=primary,
        is_online=False,
        xlog_pos=90 * MB,
        version="15.4",
    )
    unseen = factories.instance(
        "trade",
        "ele03",
        master=primary,
        xlog_pos=98 * MB,
        version="16.1",
        observed_at=now - timedelta(minutes=5),
        unreachable_since=now - timedelta(minutes=2),
        unreachable_why="ele03 could not be reached over SSH (timed out).",
    )
    return {"primary": primary, "stopped": stopped, "unseen": unseen}


# What the lists show ------------------------------------------------------------


def headings(client: Client, model: str) -> list[str]:
    heading = visit(client, LISTS[model]).tables["result_list"][0]
    # A column that is sorted by carries its rank before its title.
    return [title.lstrip("0123456789 ") for title in heading if title]


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("environment", ["System Environment"]),
        ("herd", ["Herd Name", "DB Port", "Virtual Host", "Data Root"]),
        ("server", ["Host Name", "Environment"]),
        (
            "instance",
            [
                *("Herd", "Container", "DB Port", "Version"),
                *("Primary?", "Online?", "MB Lag"),
            ],
        ),
        (
            "disasterrecovery",
            [
                *("Herd", "Primary", "DR Container", "MB Lag", "Virtual Host"),
                "Switchover",
            ],
        ),
    ],
)
def test_lists_have_the_columns_of_the_contract(
    administrator: Client, model: str, expected: list[str]
) -> None:
    fleet.build_small()

    assert headings(administrator, model) == expected


def test_an_instance_is_told_in_words(
    administrator: Client, trade: dict[str, Instance]
) -> None:
    primary, stopped, unseen = rows(visit(administrator, INSTANCES))

    assert primary[:5] == ["trade prod", "ele01", "5432", "15.4", "primary"]
    assert primary[5].startswith("✔ online, ")
    assert primary[6] == "–"
    assert stopped[4] == "replica of ele01"
    assert stopped[5].startswith("✖ stopped, ")
    assert stopped[6].startswith("10.0 MB behind, ")
    assert unseen[5] == "? unknown for 2 min, last seen online 5 min ago"


def test_a_lag_of_readings_at_different_times_is_none(
    administrator: Client, trade: dict[str, Instance]
) -> None:
    Instance.objects.filter(pk=trade["primary"].pk).update(
        observed_at=timezone.now() - timedelta(minutes=12)
    )

    lags = column(visit(administrator, INSTANCES), 6)

    assert lags == ["–", "? not comparable", "? not comparable"]


def test_a_recorded_lag_has_its_own_age(
    administrator: Client, trade: dict[str, Instance]
) -> None:
    for name, seconds in (("stopped", 7200), ("unseen", 4)):
        Instance.objects.filter(pk=trade[name].pk).update(
            lag_octets=3 * MB,
            lag_seen_at=timezone.now() - timedelta(seconds=seconds),
            observed_at=timezone.now() - timedelta(hours=3),
        )

    lags = column(visit(administrator, INSTANCES), 6)

    assert lags == ["–", "2 h ago: 3.0 MB behind", "3.0 MB behind, 4 s ago"]


def test_positions_on_two_timelines_are_not_compared(
    administrator: Client, trade: dict[str, Instance]
) -> None:
    Instance.objects.filter(pk=trade["primary"].pk).update(timeline=2)
    Instance.objects.filter(pk=trade["stopped"].pk).update(timeline=1)

    assert column(visit(administrator, INSTANCES), 6)[1] == "? not comparable"


def test_ages_are_counted_by_the_clock_of_the_metadata_server(
    administrator: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    factories.instance()
    monkeypatch.setattr(clock._Offset, "ahead", timedelta(hours=1))

    assert column(visit(administrator, INSTANCES), 5) == ["60 min ago: ✔ online"]


def test_an_instance_never_seen_is_unknown_and_not_stopped(
    administrator: Client,
) -> None:
    factories.instance(observed_at=None, is_online=False)

    assert column(visit(administrator, INSTANCES), 5) == ["? unknown never seen"]


def test_what_has_no_environment_says_so(administrator: Client) -> None:
    herd = Herd.objects.create(herd_name="orphan", base_name="o", pgdata="/srv/o")
    server = Server.objects.create(hostname="stray")
    Instance.objects.create(herd=herd, server=server)

    assert rows(visit(administrator, LISTS["herd"]))[0][0] == "orphan no environment"
    assert rows(visit(administrator, LISTS["server"])) == [["stray", "no environment"]]
    assert column(visit(administrator, INSTANCES), 0) == ["orphan no environment"]


def test_a_dr_pair_is_the_primary_with_its_best_standby(administrator: Client) -> None:
    primary = factories.instance("trade", "ele01", xlog_pos=100 * MB)
    factories.instance("trade", "ele02", master=primary, xlog_pos=90 * MB)
    factories.instance("trade", "ele03", master=primary, xlog_pos=99 * MB)

    pair = rows(visit(administrator, LISTS["disasterrecovery"]))[0]

    assert pair[:3] == ["trade prod", "ele01", "ele03"]
    assert pair[3].startswith("1.0 MB behind, ")
    assert pair[4] == "trade.lab.test"


# Filters and searches -----------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "hosts"),
    [
        ("role=primary", ["ele01"]),
        ("role=replica", ["ele02", "ele03"]),
        ("online=online", ["ele01"]),
        ("online=stopped", ["ele02"]),
        ("online=unknown", ["ele03"]),
        ("version=16.1", ["ele03"]),
        ("version=15.4", ["ele01", "ele02"]),
        ("role=replica&online=stopped", ["ele02"]),
        ("role=nonsense", ["ele01", "ele02", "ele03"]),
        ("q=16.1", ["ele03"]),
        ("q=ele02", ["ele02"]),
        ("q=trade", ["ele01", "ele02", "ele03"]),
        ("q=nothing-like-it", []),
    ],
)
def test_instances_are_filtered_by_what_the_filter_says(
    administrator: Client, trade: dict[str, Instance], query: str, hosts: list[str]
) -> None:
    assert column(visit(administrator, f"{INSTANCES}?{query}"), 1) == hosts


def test_instances_are_filtered_by_herd_and_by_environment(
    administrator: Client,
) -> None:
    wanted = factories.instance("trade", "ele01")
    factories.instance("quote", "ele02")
    factories.instance("trade", "ele11", env="dev")
    dev = Environment.objects.get(env_name="dev")

    of_herd = visit(administrator, f"{INSTANCES}?herd={wanted.herd_id}")
    of_environment = visit(
        administrator, f"{INSTANCES}?herd__environment__environment_id__exact={dev.pk}"
    )

    assert column(of_herd, 1) == ["ele01"]
    assert column(of_environment, 1) == ["ele11"]
    assert "trade (dev)" in of_environment.text
    assert "quote (prod)" not in of_environment.text


@pytest.mark.parametrize("query", ["herd=nonsense", "herd=999999", "version=99"])
def test_a_filter_that_leads_nowhere_starts_again(
    administrator: Client, query: str
) -> None:
    factories.instance()

    response = administrator.get(f"{INSTANCES}?{query}")

    assert response.status_code == 302
    assert response["Location"] == f"{INSTANCES}?e=1"


def test_an_unknown_version_can_be_filtered(administrator: Client) -> None:
    factories.instance("trade", "ele01", version="")
    factories.instance("trade", "ele02", version="15.4")

    page = visit(administrator, INSTANCES)

    assert page.links["unknown"] == "?version=-"
    assert column(visit(administrator, INSTANCES + "?version=-"), 1) == ["ele01"]


def test_many_choices_become_a_drop_down_that_needs_no_script(
    administrator: Client,
) -> None:
    for number in range(13):
        factories.instance(f"herd{number}", "ele01")
    last = Herd.objects.get(herd_name="herd12")

    page = administrator.get(f"{INSTANCES}?role=primary&p=1").content.decode()

    assert '<select name="herd" aria-label="By herd">' in page
    assert '<input type="hidden" name="role" value="primary">' in page
    assert '<input type="hidden" name="p"' not in page
    chosen = visit(administrator, f"{INSTANCES}?role=primary&herd={last.pk}")
    assert column(chosen, 0) == ["herd12 prod"]
    everything = visit(administrator, f"{INSTANCES}?role=primary&herd=")
    assert len(rows(everything)) == 13


def test_counts_beside_the_filters_are_those_of_the_filters(
    administrator: Client, trade: dict[str, Instance]
) -> None:
    page = visit(administrator, f"{INSTANCES}?_facets=True")

    for link in ("Primary (1)", "Replica (2)", "Online (1)", "Stopped (1)"):
        assert link in page.links


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("q=quote", ["quote prod"]),
        ("q=5499", ["quote prod"]),
        ("q=pays-the-rent", ["trade prod"]),
        ("q=quote.lab.test", ["quote prod"]),
        ("db_port=5499", ["quote prod"]),
    ],
)
def test_herds_are_searched_by_name_description_port_and_vhost(
    administrator: Client, query: str, names: list[str]
) -> None:
    factories.herd("trade", herd_descr="pays-the-rent")
    factories.herd("quote", db_port=5499)

    assert column(visit(administrator, f"{LISTS['herd']}?{query}"), 0) == names


def test_herds_servers_and_pairs_are_filtered_by_environment(
    administrator: Client,
) -> None:
    fleet.build_small()
    dev = Environment.objects.get(env_name="dev").pk

    herds = visit(
        administrator, f"{LISTS['herd']}?environment__environment_id__exact={dev}"
    )
    homeless = visit(administrator, f"{LISTS['server']}?environment__isnull=True")
    pairs = visit(
        administrator,
        LISTS["disasterrecovery"] + f"?herd__environment__environment_id__exact={dev}",
    )

    assert column(herds, 0) == ["trade dev"]
    assert column(homeless, 0) == ["found-by-an-agent"]
    assert column(pairs, 2) == ["ele22"]


@pytest.mark.parametrize("query", ["q=quote", "q=ele03", "q=quote.prod.example.com"])
def test_pairs_are_searched_by_herd_host_and_vhost(
    administrator: Client, query: str
) -> None:
    fleet.build_small()

    assert column(visit(administrator, f"{LISTS['disasterrecovery']}?{query}"), 0) == [
        "quote prod"
    ]


# Order --------------------------------------------------------------------------


@pytest.mark.parametrize("number", range(1, 8))
def test_instances_are_sortable_on_every_column(
    administrator: Client, trade: dict[str, Instance], number: int
) -> None:
    up = rows(visit(administrator, f"{INSTANCES}?o={number}"))
    down = rows(visit(administrator, f"{INSTANCES}?o=-{number}"))

    assert len(up) == len(down) == 3


def test_sorting_brings_the_worst_to_one_end(
    administrator: Client, trade: dict[str, Instance]
) -> None:
    by_state = column(visit(administrator, f"{INSTANCES}?o=6"), 1)
    by_role = column(visit(administrator, f"{INSTANCES}?o=5.-2"), 1)
    by_lag = column(visit(administrator, f"{INSTANCES}?o=-7"), 1)

    assert by_state == ["ele02", "ele03", "ele01"]
    assert by_role == ["ele01", "ele03", "ele02"]
    assert by_lag == ["ele02", "ele03", "ele01"]


# Cost ---------------------------------------------------------------------------


@pytest.mark.parametrize("model", LISTS)
@pytest.mark.parametrize("query", ["", "?q=e", "?_facets=True"])
def test_lists_run_as_many_queries_for_500_rows_as_for_5(
    administrator: Client, model: str, query: str
) -> None:
    address = LISTS[model] + query
    fleet.build_large(herds=5, members=2)
    few = queries_of(administrator, address)

    Instance.objects.all().delete()
    Herd.objects.all().delete()
    Server.objects.all().delete()
    Environment.objects.all().delete()
    fleet.build_large(herds=500, members=2)
    Environment.objects.bulk_create(
        Environment(env_name=f"environment{number:03}") for number in range(500)
    )
    many = queries_of(administrator, address)

    assert len(many) == len(few), "\n".join(many)
