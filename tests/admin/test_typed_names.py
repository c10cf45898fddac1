"""What cannot be undone goes only once the herd's name was typed."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from herds.models import Instance, Operation, OperationTarget
from herds.operations import registry, requests
from tests import factories
from tests.doubles.crossing import CROSSING

from .pages import Page


@pytest.fixture(autouse=True)
def crossing(monkeypatch: pytest.MonkeyPatch) -> None:
    """An action like a switchover is known to the engine."""
    monkeypatch.setitem(registry._ACTIONS, CROSSING.name, CROSSING)


@pytest.fixture
def plan(client: Client, db: None) -> Operation:
    """Herds trade of prod and of stage are to cross over; anna waits to say yes."""
    person = factories.user("anna", "herds.view_operation", "herds.promote_instance")
    client.force_login(person)
    for env, host in (("prod", "ele"), ("stage", "sta")):
        primary = factories.instance("trade", f"{host}01", env)
        factories.instance("trade", f"{host}02", env, master=primary)
    return draft(person)


def draft(person: User) -> Operation:
    chosen = Instance.objects.values_list("pk", flat=True)
    requester = requests.Requester(name="anna", source="admin", user=person)
    return requests.draft("crossing", chosen, requester)


def target_on(operation: Operation, host: str) -> OperationTarget:
    return operation.targets.get(hostname=host)


def address(operation: Operation) -> str:
    return reverse("admin:herds_operation_confirm", args=[operation.pk])


def answer(operation: Operation, **names: str) -> dict[str, str]:
    return {
        f"typed_{target_on(operation, host).pk}": name for host, name in names.items()
    }


def state_of(operation: Operation) -> str:
    return Operation.objects.get(pk=operation.pk).state


def test_every_herd_asks_for_its_name(client: Client, plan: Operation) -> None:
    html = client.get(address(plan)).content.decode()
    page = Page(html)

    assert page.text.count("Type trade to confirm") == 2
    assert "prod ele02 becomes the primary" in page.text
    assert "stage sta02 becomes the primary" in page.text
    assert 'value="Cross over 2 herds"' in html


def test_the_names_let_it_go(client: Client, plan: Operation) -> None:
    client.post(address(plan), answer(plan, ele02="trade", sta02=" trade "))

    assert state_of(plan) == "queued"


@pytest.mark.parametrize("typed", ["", "Trade", "quote", "trade stage"])
def test_a_wrong_name_does_nothing_and_loses_nothing(
    client: Client, plan: Operation, typed: str
) -> None:
    names = answer(plan, ele02="trade", sta02=typed)

    html = client.post(
        address(plan), {"reason": "ticket DB-7", "stop_at_first_failure": "on", **names}
    ).content.decode()

    assert state_of(plan) == "planned"
    kept = Page(html).inputs
    assert {name: kept[name] for name in names} == names
    assert kept["stop_at_first_failure"] == "on"
    assert "ticket DB-7" in html
    assert ("This is not trade." if typed else "Type trade to go on") in html


def test_a_herd_that_is_gone_is_asked_for_no_name(
    client: Client, plan: Operation
) -> None:
    Instance.objects.get(server__hostname="sta02").delete()

    page = Page(client.get(address(plan)).content.decode())
    assert page.text.count("Type trade to confirm") == 1
    client.post(address(plan), answer(plan, ele02="trade"))

    assert state_of(plan) == "queued"
    assert target_on(plan, "sta02").state == "refused"
