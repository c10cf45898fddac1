"""A plan says when somebody else was changing what it has seen."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from herds.models import Herd, Operation
from herds.operations import requests
from tests.doubles.clusters import SimulatedFleet
from tests.doubles.engine import ANNA, Gate, ended, on, refreshed, until

pytestmark = pytest.mark.usefixtures("worker")


@pytest.fixture
def at_work(fleet: SimulatedFleet, trade: Herd) -> Iterator[Operation]:
    """An operation that is in the middle of its work on the herd."""
    gate = Gate()
    fleet[on(trade, "ele03")].before = gate
    operation = requests.draft("reload", [on(trade, "ele03").pk], ANNA)
    operation = requests.confirm(operation.pk, ANNA, acknowledged=True)
    assert gate.reached.wait(20)
    yield operation
    gate.opened.set()
    ended(operation)


def planned(trade: Herd, host: str) -> Operation:
    operation = requests.draft("promote", [on(trade, host).pk], ANNA)
    until(lambda: refreshed(operation).state != "planning")
    return refreshed(operation)


def test_a_plan_warns_of_who_is_at_work(
    fleet: SimulatedFleet, trade: Herd, at_work: Operation
) -> None:
    fleet[on(trade, "ele01")].running = False

    checks = planned(trade, "ele02").targets.get().plan["checks"]

    (check,) = (each for each in checks if each["name"] == "Nobody else at work")
    assert check["verdict"] == "warn"
    assert check["observed"] == f"operation {at_work.pk} by anna works on the herd"


def test_a_refusal_tells_of_who_is_at_work(
    fleet: SimulatedFleet, trade: Herd, at_work: Operation
) -> None:
    fleet[on(trade, "ele02")].running = False

    target = planned(trade, "ele02").targets.get()

    assert target.state == "refused"
    assert target.outcome.endswith(
        f"While this was seen, operation {at_work.pk} by anna works on the herd. Plan "
        "again once that has ended."
    )


def test_a_plan_beside_nobody_says_nothing(fleet: SimulatedFleet, trade: Herd) -> None:
    fleet[on(trade, "ele01")].running = False

    checks = planned(trade, "ele02").targets.get().plan["checks"]

    assert [each["name"] for each in checks] == ["Other primary"]
