"""Disaster Recovery Pairs: what is asked of a pair is asked of its listed replica."""

from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse

from herds.domain.states import OperationState, TargetState
from herds.models import Instance, Operation
from herds.operations import registry
from tests import factories
from tests.doubles.crossing import CROSSING

from .pages import LISTS, column, queries_of, visit

PAIRS = LISTS["disasterrecovery"]
MB = 2**20


@pytest.fixture(autouse=True)
def crossing(monkeypatch: pytest.MonkeyPatch) -> None:
    """An action like a switchover is known to the engine."""
    monkeypatch.setitem(registry._ACTIONS, CROSSING.name, CROSSING)


@pytest.fixture
def trade(db: None) -> Instance:
    """The listed replica of herd trade: ele03, which has received most."""
    primary = factories.instance("trade", "ele01", xlog_pos=100 * MB)
    factories.instance("trade", "ele02", master=primary, xlog_pos=90 * MB)
    return factories.instance("trade", "ele03", master=primary, xlog_pos=99 * MB)


def choose(client: Client, action: str, *pairs: int, **more: str) -> str:
    data = {"action": action, "_selected_action": pairs, **more}
    response = client.post(PAIRS, data)
    return str(response.headers.get("Location", ""))


def test_the_list_offers_what_can_be_done_with_a_pair_by_its_own_name(
    administrator: Client, trade: Instance
) -> None:
    page = administrator.get(PAIRS).content.decode()

    assert ">Cross over to listed replica</option>" in page
    assert ">Rebuild listed replica</option>" in page
    assert ">Switch over to listed replica</option>" in page
    assert ">Fail over to listed replica (primary lost)</option>" in page
    assert "Restart selected instances" not in page
    assert "delete_selected" not in page


def test_a_bulk_action_plans_the_listed_replica(
    administrator: Client, trade: Instance
) -> None:
    location = choose(administrator, "rebuild", trade.herd_id)

    operation = Operation.objects.get()
    assert [each.instance for each in operation.targets.all()] == [trade]
    assert location == reverse("admin:herds_operation_confirm", args=[operation.pk])


def test_select_all_across_pages_plans_one_target_for_every_listed_pair(
    administrator: Client, trade: Instance
) -> None:
    for index in range(110):
        primary = factories.instance(f"herd{index:03}", f"a{index:03}", xlog_pos=5)
        factories.instance(
            f"herd{index:03}", f"b{index:03}", master=primary, xlog_pos=5
        )

    choose(administrator, "crossing", trade.herd_id, select_across="1")

    operation = Operation.objects.get()
    assert operation.headline == "Cross over 111 herds in prod"
    assert operation.targets.count() == 111


def test_a_person_is_offered_what_they_may_ask_for_and_nothing_else(
    client: Client, trade: Instance
) -> None:
    client.force_login(
        factories.user("anna", "herds.view_disasterrecovery", "herds.view_operation")
    )
    assert 'name="action"' not in client.get(PAIRS).content.decode()

    choose(client, "rebuild", trade.herd_id)
    button = reverse(
        "admin:herds_disasterrecovery_operate", args=[trade.herd_id, "rebuild"]
    )
    assert client.post(button).status_code == 403

    assert not Operation.objects.exists()


def test_the_page_of_a_pair_has_buttons_that_plan(
    administrator: Client, trade: Instance
) -> None:
    page = administrator.get(f"{PAIRS}{trade.herd_id}/change/").content.decode()
    button = reverse(
        "admin:herds_disasterrecovery_operate", args=[trade.herd_id, "rebuild"]
    )
    assert button in page
    assert ">Cross over to listed replica…</button>" in page

    administrator.post(button)

    assert [each.hostname for each in Operation.objects.get().targets.all()] == [
        "ele03"
    ]


def test_the_page_of_a_herd_offers_it_too(
    administrator: Client, trade: Instance
) -> None:
    page = administrator.get(f"{LISTS['herd']}{trade.herd_id}/change/").content.decode()
    assert ">Cross over…</button>" in page

    administrator.post(
        reverse("admin:herds_herd_operate", args=[trade.herd_id, "crossing"])
    )

    assert Operation.objects.get().headline == "Cross over 1 herd in prod"


def test_the_history_of_a_pair_tells_of_its_operations(
    administrator: Client, trade: Instance
) -> None:
    choose(administrator, "rebuild", trade.herd_id)
    Operation.objects.update(state="succeeded", confirmed_at="2026-11-25 02:31:07Z")

    page = visit(administrator, f"{PAIRS}{trade.herd_id}/history/")

    assert "Rebuild 1 instance of 1 herd in prod" in page.text


def test_the_list_says_which_herds_could_be_switched_over(
    administrator: Client, trade: Instance
) -> None:
    Instance.objects.update(timeline=4, is_streaming=None)
    Instance.objects.exclude(master=None).update(is_streaming=True)
    quote = factories.instance("quote", "ele01", xlog_pos=5)
    factories.instance("quote", "ele02", master=quote, xlog_pos=5)
    busy = factories.instance("zebra", "ele01", xlog_pos=5)
    follower = factories.instance("zebra", "ele02", master=busy, xlog_pos=5)
    running = factories.operation(state=OperationState.RUNNING)
    factories.target(running, follower, TargetState.RUNNING)

    page = visit(administrator, PAIRS)

    assert column(page, -1) == ["? unknown", "✔ ready", "▲ not ready"]


def test_the_page_of_a_pair_says_why_its_herd_could_not_move(
    administrator: Client, trade: Instance
) -> None:
    Instance.objects.filter(pk=trade.pk).update(is_streaming=False)
    Instance.objects.filter(server__hostname="ele02").update(is_online=False)

    page = visit(administrator, f"{PAIRS}{trade.herd_id}/change/")

    assert "Not ready to switch over: ele03 receives no WAL." in page.text


def test_more_pairs_take_no_more_queries(
    administrator: Client, trade: Instance
) -> None:
    few = len(queries_of(administrator, PAIRS))
    for index in range(30):
        primary = factories.instance(f"herd{index:03}", "a", xlog_pos=5)
        factories.instance(f"herd{index:03}", "b", master=primary, xlog_pos=5)

    assert len(queries_of(administrator, PAIRS)) == few
