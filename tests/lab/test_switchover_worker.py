"""Switchovers whose worker is killed or told to stop, and what comes of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest
from django.utils import timezone

from herds.domain.states import OperationState
from herds.models import Operation, Worker
from herds.operations import requests
from lab import LabError
from tests.lab.product import (
    ANNA,
    RunningWorker,
    ended,
    refreshed,
    said,
    until,
)
from tests.lab.switching import SETTINGS, Moving, confirmed


@pytest.fixture
def herd(idle_herd: Moving) -> Moving:
    """The herd, which has no worker yet."""
    return idle_herd


@contextmanager
def lost(worker: RunningWorker) -> Iterator[None]:
    """Kill a worker, and let the time pass after which it counts as lost."""
    worker.kill()
    silent = timezone.now() - timedelta(minutes=1)
    Worker.objects.filter(pk=worker.row.pk).update(heartbeat_at=silent)
    yield


def is_over(operation: Operation) -> Callable[[], bool]:
    states = {OperationState.QUEUED, OperationState.RUNNING, OperationState.CANCELLING}
    return lambda: refreshed(operation).state not in states


def test_a_worker_lost_before_the_stop_leaves_nothing_and_begins_nothing(
    herd: Moving,
) -> None:
    old, candidate, _ = herd.hosts_from_primary()
    with herd.product.worker(**SETTINGS) as worker, herd.write() as writer:
        plan = herd.plan("switchover", candidate)
        # The checkpoints before the stop wait for this.
        herd.signal(old, "checkpointer", "STOP")
        operation = confirmed(plan)
        herd.comes_to(operation, "prepare")
        with lost(worker):
            herd.signal(old, "checkpointer", "CONT")
            with herd.product.worker(**SETTINGS):
                until(is_over(operation), 60, "it is taken back")

                row = operation.targets.get()
                assert row.state == "rolled back", said(operation)
                assert "before it had stopped anything" in row.outcome
                assert herd.writers() == [old]
                herd.can_move()
    assert writer.outage < 1.0
    assert herd.lost(writer) == set()


def test_a_worker_lost_after_the_stop_has_the_old_primary_start_by_itself(
    herd: Moving,
) -> None:
    _, candidate, _ = herd.hosts_from_primary()
    with herd.product.worker(**SETTINGS) as worker, herd.write() as writer:
        with herd.stopped(candidate) as operation, lost(worker):
            pass
        with herd.product.worker(**SETTINGS):
            until(is_over(operation), 60, "it is taken back")

            herd.was_rolled_back(
                operation, f"The switchover to {candidate} was interrupted"
            )
            again = requests.retry(operation.pk, ANNA)
            until(
                lambda: refreshed(again).state != OperationState.PLANNING, 60, "a plan"
            )
            done = ended(confirmed(refreshed(again), old_primary="rejoin"))
            herd.has_moved(done, candidate)
    assert herd.lost(writer) == set()


def test_a_worker_lost_after_the_promotion_is_gone_on_from(herd: Moving) -> None:
    old, candidate, third = herd.hosts_from_primary()
    # Its way to follow takes long enough for the worker to be lost in it.
    with herd.product.worker(**SETTINGS) as worker, herd.write() as writer:
        plan = herd.plan("switchover", candidate)
        herd.signal(third, "startup", "STOP")
        operation = confirmed(plan, old_primary="rejoin")
        herd.comes_to(operation, "followers")
        with lost(worker):
            herd.signal(third, "startup", "CONT")
        with herd.product.worker(**SETTINGS):
            # There is only forward, and nobody has to be asked again.
            until(is_over(operation), 60, "it ends")
            herd.has_moved(operation, candidate)
            assert herd.follows(old, candidate), said(operation)
            assert herd.follows(third, candidate), said(operation)
            herd.can_move()
    assert herd.lost(writer) == set()


def test_what_was_promoted_and_does_not_run_is_not_taken_back(herd: Moving) -> None:
    old, candidate, third = herd.hosts_from_primary()
    with herd.product.worker(**SETTINGS) as worker, herd.write() as writer:
        plan = herd.plan("switchover", candidate)
        herd.signal(third, "startup", "STOP")
        operation = confirmed(plan, old_primary="rejoin")
        herd.comes_to(operation, "followers")
        with lost(worker):
            herd.signal(third, "startup", "CONT")
            herd.crash(candidate)
        with herd.product.worker(**SETTINGS):
            until(is_over(operation), 60, "it stops")

            assert refreshed(operation).state == "interrupted", said(operation)
            outcome = operation.targets.get().outcome
            assert f"{old} is not started" in outcome, outcome
            assert herd.writers() == []
            herd.product.start(f"{herd.herd}@{candidate}")
            until(lambda: herd.takes_writes(candidate), 20, "it is back")
            requests.resume(operation.pk, ANNA)
            until(is_over(operation), 60, "it ends")
            herd.has_moved(operation, candidate)
    assert herd.lost(writer) == set()


def test_a_stop_that_is_cancelled_leaves_nobody_who_fences_later(
    herd: Moving,
) -> None:
    old, candidate, _ = herd.hosts_from_primary()
    commands = herd.product.commands(stop="sleep 120")
    with (
        herd.product.worker(**SETTINGS, COMMANDS=commands),
        herd.write() as writer,
    ):
        operation = herd.begin("switchover", candidate)
        herd.comes_to(operation, "stop")
        requests.cancel(operation.pk, ANNA)
        until(is_over(operation), 60, "it is taken back")

        herd.was_rolled_back(operation, "It was cancelled.")
        # Whoever stops it by hand soon after finds a primary when it is started again.
        herd.product.stop(f"{herd.herd}@{old}")
        with pytest.raises(LabError):
            herd.shell(old, "test -e standby.signal")
        herd.product.start(f"{herd.herd}@{old}")
        assert herd.takes_writes(old)
    assert herd.lost(writer) == set()
