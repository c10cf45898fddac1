"""A worker that is lost leaves targets that say so, and that can be gone on with."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.db import connection

from herds.domain.cluster import Activity
from herds.errors import NotAllowed, PreconditionFailed
from herds.models import Herd, Operation, OperationStep, OperationTarget, Worker
from herds.operations import dispatch, reaper, requests
from herds.operations import worker as worker_module
from herds.operations.requests import Requester
from lab.private_server import PrivateServer
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
from tests.doubles.filed_fleet import FiledFleet

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture
def filed(tmp_path: Path) -> FiledFleet:
    """A fleet in files, for workers in processes of their own."""
    return FiledFleet(tmp_path)


StartWorker = Callable[[], "subprocess.Popen[bytes]"]


@pytest.fixture
def start_worker(
    filed: FiledFleet,
    tmp_path: Path,
    private_server: PrivateServer,
    transactional_db: None,
) -> Iterator[StartWorker]:
    """Starts workers in processes of their own; those left over are killed."""
    processes: list[subprocess.Popen[bytes]] = []

    def start() -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "tests.doubles.worker_process"),
                *(connection.settings_dict["NAME"], str(tmp_path)),
            ],
            cwd=ROOT,
            env={**os.environ, **private_server.environment},
        )
        processes.append(process)
        return process

    yield start
    for process in processes:
        process.kill()
        process.wait()


def time_passes() -> None:
    """Let every worker have been silent for longer than a living one is."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE ele_worker SET heartbeat_at = heartbeat_at - interval '21 s'"
            " WHERE stopped_at IS NULL"
        )
        cursor.execute(
            "UPDATE procrastinate_workers"
            " SET last_heartbeat = last_heartbeat - interval '21 s'"
        )


def locks_held() -> int:
    """Count the herds that the queue holds for somebody."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM procrastinate_jobs WHERE status = 'doing'")
        return int(cursor.fetchone()[0])


def test_a_killed_worker_leaves_interrupted_targets_and_resume_finishes_them(
    filed: FiledFleet, start_worker: StartWorker
) -> None:
    herds = [make_herd(f"herd{n}", [f"a{n}", f"b{n}", f"c{n}"]) for n in range(4)]
    # In one herd the standby is down, in one the primary; one herd is through.
    filed.hold("b0", "start")
    filed.hold("a1", "start")
    filed.hold("c2", "stop")
    operation = ask("restart", *herds)
    process = start_worker()
    until(lambda: filed.is_held("b0", "start") and filed.is_held("a1", "start"))
    until(lambda: filed.is_held("c2", "stop"))
    until(lambda: "queued" not in {states(operation)[h] for h in ("a3", "b3", "c3")})
    until(lambda: set(states(operation).values()) == {"succeeded", "running", "queued"})
    until(lambda: locks_held() == 3)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    done_before = filed.acts()
    time_passes()

    assert reaper.reap() == 1

    operation = refreshed(operation)
    assert operation.state == "interrupted"
    assert operation.outcome == "6 of 12 restarted; 6 interrupted. Resume to go on."
    assert states(operation) == {
        **{"a0": "interrupted", "b0": "interrupted", "c0": "interrupted"},
        **{"a1": "interrupted", "b1": "succeeded", "c1": "succeeded"},
        **{"a2": "interrupted", "b2": "succeeded", "c2": "interrupted"},
        **{"a3": "succeeded", "b3": "succeeded", "c3": "succeeded"},
    }
    assert f"The worker {process.pid} on " in outcomes(operation)["a0"]
    half_way = target_on(operation, "b0").steps.get(name="start")
    assert half_way.state == "interrupted"
    assert half_way.finished_at is not None
    assert locks_held() == 0
    for host, act in (("b0", "start"), ("a1", "start"), ("c2", "stop")):
        filed.let_go(host, act)
    with working(filed):
        requests.resume(operation.pk, ANNA)
        operation = ended(operation)

    assert operation.state == "succeeded"
    assert operation.outcome == "All 12 instances were restarted."
    assert sorted(filed.acts()) == sorted(
        (f"{host}{n}", act)
        for n in range(4)
        for host in ("a", "b", "c")
        for act in ("stop", "start")
    ), "nothing was done twice"
    assert filed.acts()[: len(done_before)] == done_before
    assert outcomes(operation)["b0"].startswith("Restarted. b0 runs PostgreSQL")
    assert target_on(operation, "b0").attempt == 2
    assert target_on(operation, "b3").attempt == 1


def test_a_killed_workers_herds_are_free_for_other_operations(
    filed: FiledFleet, start_worker: StartWorker, transactional_db: None
) -> None:
    herd = make_herd("trade", ["ele01"])
    filed.hold("ele01", "stop")
    first = ask("restart", herd)
    process = start_worker()
    until(lambda: filed.is_held("ele01", "stop"))
    second = ask("reload", herd)
    process.kill()
    process.wait()
    filed.let_go("ele01", "stop")
    with working(filed):
        time_passes_for_the_lost(process.pid)
        reaper.reap()
        assert ended(second).state == "succeeded"

    assert refreshed(first).state == "interrupted"


def time_passes_for_the_lost(pid: int) -> None:
    """Let one worker have been silent for long; the living ones beat."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE ele_worker SET heartbeat_at = heartbeat_at - interval '21 s'"
            " WHERE pid = %s",
            [pid],
        )


@pytest.mark.parametrize(
    ("silent_for", "lost"), [("19 s", False), ("20.5 s", True)], ids=["19s", "20.5s"]
)
def test_a_worker_is_lost_after_twenty_silent_seconds(
    transactional_db: None, silent_for: str, lost: bool
) -> None:
    worker = factories.worker()
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE ele_worker SET heartbeat_at = now() - %s::interval", [silent_for]
        )

    assert reaper.reap() == lost
    assert (Worker.objects.get(pk=worker.pk).stopped_at is not None) is lost
    assert reaper.reap() == 0


def test_a_living_worker_notices_the_lost_one_by_itself(
    fleet: SimulatedFleet, trade: Herd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_module, "_REAP", 0.3)
    operation = ask("restart", trade)
    lost = factories.worker(pid=99)
    OperationTarget.objects.update(state="running", worker=lost)
    Operation.objects.update(state="running")
    operation.jobs.update(worker=lost)
    time_passes()

    with working(fleet):
        operation = ended(operation)

    assert operation.state == "interrupted"


def test_what_was_done_is_known_by_the_postmaster_and_not_done_again(
    fleet: SimulatedFleet, trade: Herd
) -> None:
    operation = interrupted(fleet, trade, "ele01", "started")

    with working(fleet):
        requests.resume(operation.pk, ANNA)
        operation = ended(operation)

    assert operation.state == "succeeded"
    assert outcomes(operation)["ele01"].startswith("Restarted already. ele01 runs")
    assert ("ele01", "stop") not in fleet.log


def test_an_instance_that_was_stopped_at_first_is_not_restarted_after_its_start(
    fleet: SimulatedFleet, trade: Herd
) -> None:
    fleet[on(trade, "ele01")].running = False
    operation = interrupted(fleet, trade, "ele01", "started")

    with working(fleet):
        requests.resume(operation.pk, ANNA)
        operation = ended(operation)

    assert outcomes(operation)["ele01"].startswith("Restarted already. ele01 runs")
    assert ("ele01", "stop") not in fleet.log


def test_a_new_postmaster_that_still_starts_is_waited_for(
    fleet: SimulatedFleet, trade: Herd
) -> None:
    operation = interrupted(fleet, trade, "ele01", "starting")

    with working(fleet):
        requests.resume(operation.pk, ANNA)
        operation = ended(operation)

    assert operation.state == "succeeded"
    assert ("ele01", "stop") not in fleet.log
    assert fleet[on(trade, "ele01")].running


def test_the_same_postmaster_is_restarted_even_if_it_did_not_answer_at_first(
    fleet: SimulatedFleet, trade: Herd
) -> None:
    operation = interrupted(fleet, trade, "ele01", "untouched")

    with working(fleet):
        requests.resume(operation.pk, ANNA)
        ended(operation)

    assert fleet.log.count(("ele01", "stop")) == 1


def interrupted(
    fleet: SimulatedFleet, herd: Herd, host: str, how_far: str
) -> Operation:
    """Make a restart whose worker was lost while it worked on one host.

    What it had come to there: "untouched", "starting" or "started".
    """
    operation = ask("restart", herd)
    operation.jobs.update(is_done=True)
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM procrastinate_jobs")
    Operation.objects.update(state="interrupted")
    operation.targets.update(state="succeeded", attempt=1)
    target = target_on(operation, host)
    target.state = "interrupted"
    target.save()
    cluster = fleet[on(herd, host)]
    before = cluster.look().evidence()
    OperationStep.objects.create(
        target=target,
        number=1,
        name="look",
        words="Look",
        state="succeeded",
        started_at=cluster.started_at,
        evidence=before,
    )
    if how_far != "untouched":
        cluster._obey("stop")
        cluster._obey("start")
    if how_far == "starting":
        cluster.activity = Activity.STARTING
    return operation


def test_a_worker_declared_lost_by_mistake_writes_nothing_more_and_ends(
    fleet: SimulatedFleet, trade: Herd
) -> None:
    gate = fleet[on(trade, "ele02")].before = Gate("start")
    with working(fleet) as worker:
        operation = ask("restart", trade)
        assert gate.reached.wait(20)
        disown()
        before = written(operation)
        gate.opened.set()
        until(worker._disowned.is_set)

    assert worker._stopping.is_set()
    assert written(operation) == before
    assert states(operation) == dict.fromkeys(
        ("ele01", "ele02", "ele03"), "interrupted"
    )
    assert fleet.log == [("ele02", "stop"), ("ele02", "start")]
    # What was begun on the host came to its end there, and resume sees it.
    with working(fleet):
        requests.resume(operation.pk, ANNA)
        assert ended(operation).state == "succeeded"
    assert outcomes(operation)["ele02"].startswith("Restarted already.")
    assert fleet.log.count(("ele02", "stop")) == 1


def disown() -> None:
    """Declare every worker lost, whatever its heart does."""
    with connection.cursor() as cursor:
        cursor.execute("UPDATE ele_worker SET heartbeat_at = now() - interval '1 h'")
    assert reaper.reap() == 1


def written(operation: Operation) -> list[object]:
    """Read all that is recorded of an operation."""
    return [
        *Operation.objects.filter(pk=operation.pk).values(),
        *operation.targets.values(),
        *OperationStep.objects.filter(target__operation=operation).values(),
    ]


def test_a_job_that_nobody_began_after_taking_it_is_queued_anew(
    fleet: SimulatedFleet, trade: Herd
) -> None:
    operation = ask("reload", trade)
    # A process took the job and died before it wrote anything.
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO procrastinate_workers DEFAULT VALUES RETURNING id")
        lost = cursor.fetchone()[0]
        cursor.execute(
            "SELECT * FROM procrastinate_fetch_job_v2(ARRAY['operations'], %s)", [lost]
        )
    assert locks_held() == 1
    reaper.reap()
    assert locks_held() == 1, "the process is silent for a moment only"
    time_passes()

    reaper.reap()

    assert locks_held() == 0
    with working(fleet):
        assert ended(operation).state == "succeeded"


def test_a_job_that_left_the_queue_before_anybody_began_it_is_queued_anew(
    trade: Herd, fleet: SimulatedFleet
) -> None:
    """A worker that was disowned between taking a job and claiming its herd."""
    operation = ask("restart", trade)
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM procrastinate_jobs")

    reaper.reap()

    with working(fleet):
        assert ended(operation).state == "succeeded"


def test_a_job_that_was_handed_back_by_a_worker_that_died_then_holds_nothing(
    fleet: SimulatedFleet, trade: Herd
) -> None:
    operation = ask("reload", trade)
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO procrastinate_workers DEFAULT VALUES RETURNING id")
        lost = cursor.fetchone()[0]
        cursor.execute(
            "SELECT * FROM procrastinate_fetch_job_v2(ARRAY['operations'], %s)", [lost]
        )
    # It handed the herd back, to a new job, and died before it ended the old one.
    operation.jobs.update(queue_id=None)
    dispatch.settle_by_number(operation.pk)
    time_passes()

    reaper.reap()

    assert locks_held() == 0
    with working(fleet):
        assert ended(operation).state == "succeeded"


def test_resume_after_a_cancel_goes_on_to_the_end(
    fleet: SimulatedFleet, trade: Herd
) -> None:
    gate = fleet[on(trade, "ele02")].before = Gate("start")
    with working(fleet):
        operation = ask("restart", trade)
        assert gate.reached.wait(20)
        requests.cancel(operation.pk, ANNA)
        disown()
        gate.opened.set()
    assert states(operation) == {
        "ele01": "cancelled",
        "ele02": "interrupted",
        "ele03": "cancelled",
    }

    with working(fleet):
        requests.resume(operation.pk, ANNA)
        operation = ended(operation)

    assert states(operation)["ele02"] == "succeeded"
    assert operation.state == "partly"
    assert operation.cancel_requested_at is None


def test_resume_needs_the_permission_of_the_action(
    fleet: SimulatedFleet, trade: Herd
) -> None:
    operation = interrupted(fleet, trade, "ele01", "untouched")
    ben = Requester(name="ben", source="admin", user=factories.user("ben"))

    with pytest.raises(NotAllowed, match=r"herds.restart_instance is missing"):
        requests.resume(operation.pk, ben)

    assert states(operation)["ele01"] == "interrupted"


def test_what_is_not_interrupted_cannot_be_resumed(trade: Herd) -> None:
    operation = ask("restart", trade)

    with pytest.raises(PreconditionFailed, match="has no interrupted target"):
        requests.resume(operation.pk, ANNA)
