"""Requests and workers touch the same rows at once, and none locks another out."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import connection, transaction
from django.utils import timezone

from herds.models import Herd, Operation, OperationTarget, Worker
from herds.operations import reaper, requests
from herds.operations.journal import Journal
from herds.operations.records import TargetBegun
from tests import factories
from tests.doubles.engine import ANNA, ask, refreshed, states, until


@pytest.fixture
def apart() -> Iterator[Callable[..., Future[Any]]]:
    """Runs calls in threads, each on a connection of its own to the metadata."""

    def call(work: Callable[[], Any]) -> Any:
        try:
            return work()
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        yield lambda work: pool.submit(call, work)


@contextmanager
def locked(target: OperationTarget) -> Iterator[None]:
    """Hold the lock of a target's row."""
    with transaction.atomic():
        OperationTarget.objects.select_for_update().get(pk=target.pk)
        yield


def waiting() -> int:
    """Count the sessions that wait for a lock."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(DISTINCT pid) FROM pg_locks WHERE NOT granted")
        return int(cursor.fetchone()[0])


@pytest.fixture
def operation(trade: Herd) -> Operation:
    """A queued operation whose targets a worker has claimed."""
    operation = ask("reload", trade)
    worker = factories.worker()
    operation.targets.update(worker=worker)
    operation.jobs.update(worker=worker)
    return operation


def test_a_cancel_waits_for_targets_that_begin_and_they_for_it(
    operation: Operation,
    apart: Callable[..., Future[Any]],
    caplog: pytest.LogCaptureFixture,
) -> None:
    first, second, third = operation.targets.order_by("pk")
    journal = Journal(Worker.objects.get().worker_id)
    journal.start()
    held, hold = threading.Event(), threading.Event()

    def hold_on() -> None:
        held.set()
        hold.wait(20)

    try:
        with locked(second):
            # The journal commits together what threads handed in, in any order.
            holding = apart(lambda: journal.do(hold_on))
            assert held.wait(20)
            begun = [journal.hand_in(begins(target)) for target in (third, first)]
            cancelled = apart(lambda: requests.cancel(operation.pk, ANNA))
            until(lambda: waiting() == 1)
            hold.set()
            until(lambda: waiting() == 2)
        cancelled.result(20)
        holding.result(20)
        found = [each.result(20)[0] for each in begun]
    finally:
        journal.stop()

    assert caplog.messages == []
    assert list(states(operation).values()).count("cancelling") == found.count(True)


def begins(target: OperationTarget) -> TargetBegun:
    assert target.worker_id is not None
    return TargetBegun(
        target_id=target.pk,
        attempt=target.attempt,
        worker_id=target.worker_id,
        at=timezone.now(),
    )


def test_a_cancel_and_the_loss_of_a_worker_come_one_after_the_other(
    operation: Operation, apart: Callable[..., Future[Any]]
) -> None:
    _, second, _ = operation.targets.order_by("pk")
    operation.targets.update(state="running")
    Worker.objects.update(heartbeat_at=timezone.now() - 2 * reaper.LOST_AFTER)
    with locked(second):
        reaped = apart(reaper.reap)
        until(lambda: waiting() == 1)
        cancelled = apart(lambda: requests.cancel(operation.pk, ANNA))
        until(lambda: waiting() == 2)

    assert reaped.result(20) == 1
    # Whoever was second found what the first had left.
    assert cancelled.exception(20) is None or "has ended already" in str(
        cancelled.exception()
    )
    assert set(states(operation).values()) <= {"interrupted", "cancelled"}
    assert refreshed(operation).state == "interrupted"
