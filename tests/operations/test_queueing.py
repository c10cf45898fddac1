"""Who works on what, when: herd after herd, a few at once, on several workers."""

from __future__ import annotations

import itertools
import threading
import time
from datetime import timedelta

import pytest

from herds.models import Herd, Operation, OperationTarget, Worker
from herds.operations import reaper, requests
from herds.operations import worker as worker_module
from herds.operations.worker import WorkerProcess
from herds.selectors.operations import Holder, holders_of
from tests.doubles.clusters import SimulatedCluster, SimulatedFleet
from tests.doubles.engine import (
    ANNA,
    Gate,
    ask,
    ended,
    make_herd,
    members,
    on,
    outcomes,
    refreshed,
    states,
    until,
    working,
)


def test_two_operations_on_a_herd_run_one_after_the_other(
    fleet: SimulatedFleet, trade: Herd, worker: WorkerProcess
) -> None:
    gate = fleet[on(trade, "ele02")].before = Gate("start")
    first = ask("restart", trade)
    assert gate.reached.wait(20)
    second = ask("stop", trade)
    key = f"herd:{trade.pk}"

    assert holders_of(second.pk, [key]) == {
        key: Holder(operation_id=first.pk, who="anna", is_working=True)
    }
    assert holders_of(first.pk, [key]) == {}
    # Another herd is not held up by this one.
    quote = make_herd("quote", ["ele11"])
    assert ended(ask("stop", quote)).state == "succeeded"
    assert set(states(second).values()) == {"queued"}
    gate.opened.set()

    assert ended(first).state == "succeeded"
    assert ended(second).state == "succeeded"
    acts = [name for host, name in fleet.log if host != "ele11"]
    assert acts == 3 * ["stop", "start"] + 3 * ["stop"]


def test_an_operation_that_is_queued_before_is_named_as_the_one_to_wait_for(
    trade: Herd,
) -> None:
    first, second = ask("restart", trade), ask("reload", trade)

    key = f"herd:{trade.pk}"
    assert holders_of(second.pk, [key]) == {
        key: Holder(operation_id=first.pk, who="anna", is_working=False)
    }


def test_two_workers_share_an_operation_and_do_nothing_twice(
    fleet: SimulatedFleet, transactional_db: None
) -> None:
    herds = [make_herd(f"herd{n}", [f"a{n}", f"b{n}"]) for n in range(6)]
    both = threading.Barrier(2, timeout=20)
    acts = itertools.count()

    def meet(cluster: SimulatedCluster, name: str) -> None:
        # The first act, of one worker's only thread, waits for the other worker's.
        if next(acts) < 2:
            both.wait()

    for herd in herds:
        for host in ("a", "b"):
            number = herd.herd_name.removeprefix("herd")
            fleet[on(herd, f"{host}{number}")].before = meet
    with working(fleet, threads=1), working(fleet, threads=1):
        operation = ended(ask("restart", *herds))

    assert operation.state == "succeeded"
    assert sorted(fleet.log) == sorted(
        (f"{host}{n}", name)
        for n in range(6)
        for host in ("a", "b")
        for name in ("stop", "start")
    )
    workers = {
        tuple(sorted(set(ids)))
        for ids in (
            operation.targets.filter(herd=herd).values_list("worker_id", flat=True)
            for herd in herds
        )
    }
    assert all(len(ids) == 1 for ids in workers), "a herd is one worker's at a time"
    assert len(workers) == 2
    assert set(operation.targets.values_list("attempt", flat=True)) == {1}


def test_never_more_herds_at_once_than_the_operation_allows(
    fleet: SimulatedFleet, transactional_db: None
) -> None:
    herds = [make_herd(f"herd{n}", [f"a{n}"]) for n in range(9)]
    crowd = Crowd(3)
    for herd in herds:
        host = herd.herd_name.replace("herd", "a")
        fleet[on(herd, host)].before = crowd
    operation = requests.draft("restart", members(*herds), ANNA)
    Operation.objects.update(concurrency=3)

    with working(fleet), working(fleet):
        requests.confirm(operation.pk, ANNA)
        assert ended(operation).state == "succeeded"

    assert crowd.most == 3
    assert len(fleet.log) == 18


class Crowd:
    """Counts the threads that act at once; each stays until it was full once."""

    def __init__(self, full: int) -> None:
        self.most = 0
        self._now = 0
        self._was_full = threading.Event()
        self._full = full
        self._lock = threading.Lock()

    def __call__(self, cluster: SimulatedCluster, name: str) -> None:
        with self._lock:
            self._now += 1
            self.most = max(self.most, self._now)
        if self.most >= self._full:
            self._was_full.set()
        assert self._was_full.wait(20)
        time.sleep(0.02)  # room for one too many to show itself
        with self._lock:
            self._now -= 1


def test_standbys_that_go_at_once_really_do(
    fleet: SimulatedFleet, trade: Herd, worker: WorkerProcess
) -> None:
    both = threading.Barrier(3, timeout=20)
    for host in ("ele01", "ele02", "ele03"):
        fleet[on(trade, host)].before = lambda cluster, name: both.wait() and None

    assert ended(ask("reload", trade)).state == "succeeded"


def test_stop_at_the_first_failure_holds_across_herds(
    fleet: SimulatedFleet, transactional_db: None, worker: WorkerProcess
) -> None:
    herds = [make_herd(f"herd{n}", [f"a{n}"]) for n in range(4)]
    fleet[on(herds[1], "a1")].ignores = {"stop"}
    operation = requests.draft("stop", members(*herds), ANNA)
    Operation.objects.update(concurrency=1)
    requests.confirm(operation.pk, ANNA, stop_at_first_failure=True, acknowledged=True)

    operation = ended(operation)

    assert states(operation) == {
        "a0": "succeeded",
        "a1": "failed",
        "a2": "cancelled",
        "a3": "cancelled",
    }
    assert operation.state == "partly"
    assert outcomes(operation)["a3"] == (
        "Not begun; another target failed, and the request was to stop then."
    )
    assert fleet.log == [("a0", "stop"), ("a1", "stop")]


def test_a_worker_that_is_told_to_end_finishes_what_it_began_and_hands_back_the_rest(
    fleet: SimulatedFleet, trade: Herd
) -> None:
    gate = fleet[on(trade, "ele02")].before = Gate("start")
    quote = make_herd("quote", ["ele11"])
    with working(fleet, threads=1) as first:
        operation = ask("restart", trade, quote)
        assert gate.reached.wait(20)
        first.stop()
        gate.opened.set()
    left = Worker.objects.get()
    assert left.stopped_at is not None
    assert states(operation) == {
        "ele01": "queued",
        "ele02": "succeeded",
        "ele03": "queued",
        "ele11": "queued",
    }
    assert refreshed(operation).state == "running"

    with working(fleet):
        operation = ended(operation)

    assert operation.state == "succeeded"
    assert operation.outcome == "All 4 instances were restarted."
    assert len(fleet.log) == 8
    assert fleet.log[:2] == [("ele02", "stop"), ("ele02", "start")]
    helpers = OperationTarget.objects.values_list("worker_id", flat=True)
    assert len(set(helpers)) == 2


def test_a_worker_that_finishes_before_it_ends_is_not_taken_for_lost(
    fleet: SimulatedFleet, trade: Herd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_module, "HEARTBEAT", 0.1)
    monkeypatch.setattr(worker_module, "_REAP", 0.1)
    monkeypatch.setattr(reaper, "LOST_AFTER", timedelta(seconds=1))
    gate = fleet[on(trade, "ele02")].before = Gate("start")
    with working(fleet) as first:
        operation = ask("restart", trade)
        assert gate.reached.wait(20)
        first.stop()
        with working(fleet):
            time.sleep(2.0)
            assert states(operation)["ele02"] == "running"
            gate.opened.set()
            assert ended(operation).state == "succeeded"


def test_a_worker_without_work_ends_at_once(
    fleet: SimulatedFleet, transactional_db: None
) -> None:
    with working(fleet):
        assert Worker.objects.get().stopped_at is None

    assert Worker.objects.get().stopped_at is not None


@pytest.mark.parametrize("milliseconds", [0, 1, 3, 10, 15, 20, 25, 30, 40, 60, 100])
def test_a_worker_ends_whenever_it_is_told_to(
    fleet: SimulatedFleet, transactional_db: None, milliseconds: int
) -> None:
    process = WorkerProcess(threads=1, toolbox=fleet)  # type: ignore[arg-type]
    thread = threading.Thread(
        target=process.run, kwargs={"handle_signals": False}, daemon=True
    )
    thread.start()
    until(Worker.objects.exists)
    time.sleep(milliseconds / 1000)

    process.stop()

    thread.join(20)
    assert not thread.is_alive()
    assert Worker.objects.get().stopped_at is not None


def test_a_worker_told_to_end_before_it_began_ends(
    fleet: SimulatedFleet, transactional_db: None
) -> None:
    process = WorkerProcess(threads=1, toolbox=fleet)  # type: ignore[arg-type]
    process.stop()
    thread = threading.Thread(target=process.run, kwargs={"handle_signals": False})
    thread.start()
    thread.join(20)

    assert not thread.is_alive()
    assert Worker.objects.get().stopped_at is not None
