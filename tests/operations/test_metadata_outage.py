"""The metadata server goes away in the middle: work goes on, and so does its record."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection
from procrastinate.exceptions import ConnectorException
from procrastinate.manager import JobManager

from herds.models import Herd, OperationOutput, OperationStep, Worker
from herds.operations import reaper
from herds.operations import worker as worker_module
from herds.operations.worker import WorkerProcess
from lab.private_server import PrivateServer
from tests.doubles.clusters import SimulatedFleet
from tests.doubles.engine import (
    Gate,
    ask,
    ended,
    make_herd,
    on,
    outcomes,
    target_on,
    until,
    working,
)


@pytest.fixture
def metadata(
    private_server: PrivateServer, transactional_db: None
) -> Iterator[PrivateServer]:
    """The metadata server, which keeps what is committed even when it is killed."""
    database = connection.settings_dict["NAME"]
    private_server.psql(f"ALTER DATABASE {database} SET synchronous_commit = on")
    connection.close()
    yield private_server
    private_server.start()
    connection.close()
    private_server.psql(f"ALTER DATABASE {database} RESET synchronous_commit")


def goes_away(metadata: PrivateServer) -> None:
    """Stop the server for longer than a first attempt to connect again lasts."""
    metadata.stop()
    time.sleep(1.5)


def comes_back(metadata: PrivateServer) -> None:
    """Start the server; this thread's own connection was lost with it."""
    metadata.start()
    connection.close()


@pytest.mark.parametrize("how", ["restarted", "killed"])
def test_an_operation_goes_on_and_nothing_is_lost_or_done_twice(
    metadata: PrivateServer,
    fleet: SimulatedFleet,
    trade: Herd,
    worker: WorkerProcess,
    how: str,
) -> None:
    cluster = fleet[on(trade, "ele02")]
    gate = cluster.before = Gate("start")
    cluster.prints = "".join(f"line {n}\n" for n in range(30_000))
    operation = ask("restart", trade)
    assert gate.reached.wait(20)

    if how == "killed":
        metadata.kill()
    else:
        metadata.stop()
    gate.opened.set()
    comes_back(metadata)

    operation = ended(operation, 40)
    assert operation.state == "succeeded", outcomes(operation)
    assert fleet.log == [
        ("ele02", "stop"),
        ("ele02", "start"),
        ("ele03", "stop"),
        ("ele03", "start"),
        ("ele01", "stop"),
        ("ele01", "start"),
    ]
    for host in ("ele01", "ele02", "ele03"):
        steps = target_on(operation, host).steps.order_by("number")
        assert [(step.name, step.state, step.attempt) for step in steps] == [
            ("look", "succeeded", 1),
            ("stop", "succeeded", 1),
            ("start", "succeeded", 1),
        ]
    for step in OperationStep.objects.filter(
        target=target_on(operation, "ele02"), name__in=["stop", "start"]
    ):
        chunks = OperationOutput.objects.filter(step=step).order_by("number")
        assert "".join(chunk.text for chunk in chunks) == cluster.prints


def test_nothing_is_done_off_the_record(
    metadata: PrivateServer, fleet: SimulatedFleet, trade: Herd, worker: WorkerProcess
) -> None:
    cluster = fleet[on(trade, "ele02")]
    gate = cluster.before = Gate("stop")
    operation = ask("restart", trade)
    assert gate.reached.wait(20)
    metadata.stop()
    gate.opened.set()
    until(lambda: not cluster.running)

    # The stop is done; the start waits until its intent can be written down.
    time.sleep(1.0)
    assert fleet.log == [("ele02", "stop")]
    comes_back(metadata)

    assert ended(operation, 40).state == "succeeded"
    assert len(fleet.log) == 6


def test_the_worker_takes_new_operations_afterwards(
    metadata: PrivateServer, fleet: SimulatedFleet, trade: Herd, worker: WorkerProcess
) -> None:
    quote = make_herd("quote", ["ele11"])
    assert ended(ask("reload", trade, quote)).state == "succeeded"
    goes_away(metadata)
    comes_back(metadata)

    assert ended(ask("restart", trade), 40).state == "succeeded"
    assert ended(ask("restart", quote), 40).state == "succeeded"
    assert Worker.objects.filter(stopped_at__isnull=True).count() == 1


def test_a_herd_that_was_worked_on_is_free_again_afterwards(
    metadata: PrivateServer,
    fleet: SimulatedFleet,
    trade: Herd,
    worker: WorkerProcess,
) -> None:
    gate = fleet[on(trade, "ele02")].before = Gate("start")
    first = ask("restart", trade)
    assert gate.reached.wait(20)
    goes_away(metadata)
    comes_back(metadata)
    gate.opened.set()
    assert ended(first, 40).state == "succeeded"
    began = time.monotonic()

    assert ended(ask("reload", trade), 60).state == "succeeded"
    print("same herd again after", time.monotonic() - began)


def test_a_worker_in_the_middle_of_long_work_takes_other_herds_meanwhile(
    metadata: PrivateServer, fleet: SimulatedFleet, trade: Herd, worker: WorkerProcess
) -> None:
    gate = fleet[on(trade, "ele02")].before = Gate("start")
    quote = make_herd("quote", ["ele11"])
    first = ask("restart", trade)
    assert gate.reached.wait(20)
    goes_away(metadata)
    comes_back(metadata)

    other = ended(ask("restart", quote), 40)

    assert other.state == "succeeded"
    gate.opened.set()
    assert ended(first, 40).state == "succeeded"


def test_new_operations_are_heard_of_at_once_after_an_outage(
    metadata: PrivateServer,
    fleet: SimulatedFleet,
    trade: Herd,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(worker_module, "_POLL", 600.0)
    with working(fleet):
        assert ended(ask("reload", trade)).state == "succeeded"
        goes_away(metadata)
        comes_back(metadata)
        until(lambda: listening() == 1)
        # What was queued while nobody could hear of it is found too.
        assert ended(ask("reload", trade), 40).state == "succeeded"
        assert ended(ask("restart", trade), 40).state == "succeeded"


def listening() -> int:
    """Count the sessions that listen for notifications."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'LISTEN%%'"
        )
        return int(cursor.fetchone()[0])


def test_a_herd_is_free_again_though_its_end_was_not_told_to_the_queue(
    fleet: SimulatedFleet,
    trade: Herd,
    worker: WorkerProcess,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    finish, lost = JobManager.finish_job_by_id_async, []

    async def lose_once(self: JobManager, *args: Any, **options: Any) -> None:
        if not lost:
            lost.append(args)
            raise ConnectorException
        await finish(self, *args, **options)

    monkeypatch.setattr(JobManager, "finish_job_by_id_async", lose_once)
    assert ended(ask("reload", trade)).state == "succeeded"

    assert ended(ask("reload", trade)).state == "succeeded"

    assert len(lost) == 1


def test_a_listener_that_was_taken_for_dead_registers_anew(
    fleet: SimulatedFleet, trade: Herd, worker: WorkerProcess
) -> None:
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM procrastinate_workers")

    assert ended(ask("reload", trade)).state == "succeeded"


def test_a_worker_without_work_ends_while_the_metadata_are_away(
    metadata: PrivateServer, fleet: SimulatedFleet
) -> None:
    with working(fleet) as process:
        goes_away(metadata)
        process.stop()
    comes_back(metadata)

    # It could not sign off; it is found silent.
    assert Worker.objects.get().stopped_at is None


def test_connections_that_are_cut_again_and_again_lose_nothing(
    fleet: SimulatedFleet, transactional_db: None
) -> None:
    herds = [make_herd(f"herd{n}", [f"a{n}", f"b{n}"]) for n in range(8)]
    with working(fleet, threads=2), working(fleet, threads=2):
        operation = ask("restart", *herds)
        for _ in range(8):
            time.sleep(0.1)
            with connection.cursor() as cursor:
                cursor.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )
        # A job whose taking was not answered is found by the silence of its taker.
        operation = ended(operation, 60)

    assert operation.state == "succeeded"
    assert len(fleet.log) == len(set(fleet.log)) == 32
    steps = OperationStep.objects.values_list("state", "attempt")
    assert len(steps) == 48
    assert set(steps) == {("succeeded", 1)}


def test_no_living_worker_is_taken_for_lost_after_an_outage(
    metadata: PrivateServer, fleet: SimulatedFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_module, "HEARTBEAT", 0.2)
    monkeypatch.setattr(worker_module, "_REAP", 0.3)
    monkeypatch.setattr(reaper, "LOST_AFTER", reaper.timedelta(seconds=1.2))
    with working(fleet), working(fleet):
        goes_away(metadata)
        comes_back(metadata)

        def beaten() -> bool:
            return (
                Worker.objects.filter(
                    heartbeat_at__gt=reaper.timezone.now()
                    - reaper.timedelta(seconds=0.6)
                ).count()
                == 2
            )

        until(beaten)
        time.sleep(1.5)
        assert Worker.objects.filter(stopped_at__isnull=True).count() == 2
