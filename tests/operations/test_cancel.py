"""Cancel: what has not begun is dropped, what has begun comes to a safe end."""

from __future__ import annotations

import threading

import pytest
from django.db import connection

from herds.errors import NotAllowed, PreconditionFailed
from herds.models import Herd, OperationJob
from herds.operations import requests
from herds.operations.requests import Requester
from herds.operations.worker import WorkerProcess
from tests import factories
from tests.doubles.clusters import SimulatedFleet
from tests.doubles.engine import (
    ANNA,
    Gate,
    ask,
    ended,
    make_herd,
    on,
    outcomes,
    refreshed,
    states,
    target_on,
    until,
    working,
)

BEN = Requester(name="ben", source="terminal")


def test_what_nobody_has_begun_is_dropped_at_once(
    fleet: SimulatedFleet, trade: Herd
) -> None:
    operation = ask("restart", trade)

    requests.cancel(operation.pk, BEN)

    operation = refreshed(operation)
    assert operation.state == "cancelled"
    assert operation.outcome == "0 of 3 restarted; 3 cancelled."
    assert operation.cancel_requested_by_name == "ben"
    assert operation.finished_at is not None
    assert set(outcomes(operation).values()) == {"Not begun; cancelled by ben."}


def test_a_worker_that_comes_later_finds_nothing_to_do(
    fleet: SimulatedFleet, trade: Herd
) -> None:
    operation = ask("restart", trade)
    requests.cancel(operation.pk, ANNA)

    with working(fleet):
        until(lambda: OperationJob.objects.filter(is_done=True).count() == 1)
        until(lambda: waiting_in_queue() == 0)

    assert fleet.log == []
    assert refreshed(operation).state == "cancelled"


def waiting_in_queue() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM procrastinate_jobs")
        return int(cursor.fetchone()[0])


def test_a_restart_that_is_down_half_way_comes_up_again_and_the_rest_is_dropped(
    fleet: SimulatedFleet, trade: Herd, worker: WorkerProcess
) -> None:
    gate = fleet[on(trade, "ele02")].before = Gate("start")
    operation = ask("restart", trade)
    assert gate.reached.wait(20)

    requests.cancel(operation.pk, BEN)

    assert refreshed(operation).state == "cancelling"
    assert states(operation) == {
        "ele01": "cancelled",
        "ele02": "cancelling",
        "ele03": "cancelled",
    }
    gate.opened.set()
    operation = ended(operation)
    assert operation.state == "partly"
    assert operation.outcome.startswith("1 of 3 restarted; 2 cancelled.")
    assert states(operation)["ele02"] == "succeeded"
    assert fleet.log == [("ele02", "stop"), ("ele02", "start")]
    assert fleet[on(trade, "ele02")].running


def test_a_target_stops_at_the_next_safe_point(
    fleet: SimulatedFleet, worker: WorkerProcess, transactional_db: None
) -> None:
    herd = make_herd("quote", ["ele01"])
    reached, opened = threading.Event(), threading.Event()

    def hold() -> None:
        reached.set()
        assert opened.wait(20)

    fleet[on(herd, "ele01")].before_look = hold
    operation = ask("stop", herd)
    assert reached.wait(20)

    requests.cancel(operation.pk, ANNA)
    # The worker has to notice before the step between two safe points ends.
    until(lambda: cancelled_in(worker, operation.pk))
    opened.set()

    operation = ended(operation)
    assert operation.state == "cancelled"
    assert outcomes(operation)["ele01"] == (
        "Cancelled between two steps; what the steps before did stays done."
    )
    assert fleet.log == []
    steps = target_on(operation, "ele01").steps
    assert list(steps.values_list("name", "state")) == [("look", "succeeded")]


def cancelled_in(worker: WorkerProcess, operation_id: int) -> bool:
    """Tell whether a worker has noticed that an operation was cancelled."""
    return worker._crew.cancellations._events[operation_id].is_set()


def test_other_herds_that_are_being_worked_on_come_to_their_end_too(
    fleet: SimulatedFleet, trade: Herd, worker: WorkerProcess
) -> None:
    quote = make_herd("quote", ["ele11", "ele12"])
    gates = [Gate("start"), Gate("start")]
    fleet[on(trade, "ele02")].before, fleet[on(quote, "ele12")].before = gates
    operation = ask("restart", trade, quote)
    assert all(gate.reached.wait(20) for gate in gates)

    requests.cancel(operation.pk, ANNA)
    for gate in gates:
        gate.opened.set()

    operation = ended(operation)
    assert states(operation) == {
        "ele01": "cancelled",
        "ele02": "succeeded",
        "ele03": "cancelled",
        "ele11": "cancelled",
        "ele12": "succeeded",
    }
    assert sorted(fleet.log) == [
        ("ele02", "start"),
        ("ele02", "stop"),
        ("ele12", "start"),
        ("ele12", "stop"),
    ]


def test_the_next_operation_on_the_herd_goes_on_after_a_cancelled_one(
    fleet: SimulatedFleet, trade: Herd
) -> None:
    first, second = ask("restart", trade), ask("reload", trade)
    requests.cancel(first.pk, ANNA)

    with working(fleet):
        assert ended(second).state == "succeeded"

    assert {name for _, name in fleet.log} == {"reload"}


def test_an_operation_that_has_ended_cannot_be_cancelled(
    fleet: SimulatedFleet, trade: Herd, worker: WorkerProcess
) -> None:
    operation = ended(ask("reload", trade))

    with pytest.raises(PreconditionFailed, match=r"has ended already \(succeeded\)"):
        requests.cancel(operation.pk, ANNA)

    assert refreshed(operation).cancel_requested_at is None


def test_a_plan_cannot_be_cancelled(trade: Herd) -> None:
    operation = requests.draft("restart", [on(trade, "ele01").pk], ANNA)

    with pytest.raises(PreconditionFailed):
        requests.cancel(operation.pk, ANNA)


def test_ones_own_operation_can_be_cancelled_without_the_permission(
    trade: Herd,
) -> None:
    anna = person("anna", "herds.restart_instance")
    operation = ask("restart", trade, requester=anna)

    requests.cancel(operation.pk, anna)

    assert refreshed(operation).state == "cancelled"


def test_other_peoples_operations_need_the_permission(trade: Herd) -> None:
    anna = person("anna", "herds.restart_instance")
    ben = person("ben", "herds.restart_instance")
    chief = person("chief", "herds.cancel_operation")
    operation = ask("restart", trade, requester=anna)

    with pytest.raises(NotAllowed, match=r"members of dba may"):
        requests.cancel(operation.pk, ben)
    assert refreshed(operation).state == "queued"
    requests.cancel(operation.pk, chief)

    assert refreshed(operation).state == "cancelled"


def test_what_was_asked_for_at_the_terminal_is_nobodys_own_in_the_admin(
    trade: Herd,
) -> None:
    operation = ask("restart", trade)

    with pytest.raises(NotAllowed):
        requests.cancel(operation.pk, person("anna", "herds.restart_instance"))


def person(name: str, *permissions: str) -> Requester:
    return Requester(name=name, source="admin", user=factories.user(name, *permissions))
