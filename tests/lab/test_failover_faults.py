"""Failovers in which something more goes wrong, and what they leave."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest
from django.utils import timezone

from herds.domain.states import ACTIVE_OPERATIONS
from herds.models import Fence, Operation, Worker
from herds.operations import requests
from lab import Lab
from tests.lab.product import ANNA, RunningWorker, ended, refreshed, said, until
from tests.lab.switching import SETTINGS, Moving, Writer, confirmed

_POSITIONS = "SELECT pg_last_wal_receive_lsn() {0} pg_last_wal_replay_lsn()"


@pytest.fixture
def herd(idle_herd: Moving) -> Iterator[Moving]:
    """The herd, which has no worker yet, and no fence."""
    Fence.objects.all().delete()
    yield idle_herd
    idle_herd.lab.heal()


def lose(worker: RunningWorker) -> None:
    """Kill a worker, and let the time pass after which it counts as lost."""
    worker.kill()
    silent = timezone.now() - timedelta(minutes=1)
    Worker.objects.filter(pk=worker.row.pk).update(heartbeat_at=silent)


def comes_to_an_end(operation: Operation) -> None:
    until(
        lambda: refreshed(operation).state not in ACTIVE_OPERATIONS, 60, "it is noticed"
    )


@contextmanager
def compared(herd: Moving, writer: Writer, candidate: str) -> Iterator[Operation]:
    """Give a failover that waits, until the block is left, for its candidate's replay.

    By then the lost primary is fenced, and the standbys receive nothing more.
    """
    herd.signal(candidate, "startup", "STOP")
    try:
        until(lambda: herd.sql(candidate, _POSITIONS.format(">")) == "t", 20, "it lags")
        herd.crash(herd.primary)
        operation = herd.begin("failover", candidate)
        herd.comes_to(operation, "compare")
        yield operation
    finally:
        herd.signal(candidate, "startup", "CONT")


def test_one_that_lags_gets_the_rest_first_and_loses_nothing(
    herd: Moving, switch_lab: Lab
) -> None:
    old, candidate, third = herd.hosts_from_primary()
    with herd.product.worker(**SETTINGS), herd.write() as writer:
        switch_lab.partition([candidate], [old])
        before = len(writer.acknowledged)
        until(lambda: len(writer.acknowledged) > before + 200, 30, "it writes on")
        # What is on its way arrives even after a crash, unless the cut lasts.
        herd.crash(old)
        plan = herd.plan("failover", candidate)
        operation = ended(confirmed(plan, candidate=candidate))

        herd.has_moved(operation, candidate)
        assert "bytes more; they are fetched" in herd.step(operation, "compare").message
        assert herd.follows(third, candidate)
    assert herd.lost(writer) == set()


def test_a_worker_lost_in_a_failover_is_gone_on_from(herd: Moving) -> None:
    _, candidate, third = herd.hosts_from_primary()
    with (
        herd.product.worker(**SETTINGS) as worker,
        herd.write() as writer,
        compared(herd, writer, candidate) as operation,
    ):
        lose(worker)
    with herd.product.worker(**SETTINGS):
        comes_to_an_end(operation)
        assert refreshed(operation).state == "interrupted", said(operation)
        assert herd.writers() == []

        requests.resume(operation.pk, ANNA)
        ended(operation)

        herd.has_moved(operation, candidate)
        assert herd.follows(third, candidate)
    assert herd.lost(writer) == set()


def test_one_that_cannot_go_on_has_the_standbys_follow_as_before(
    herd: Moving,
) -> None:
    old, candidate, third = herd.hosts_from_primary()
    with (
        herd.product.worker(**SETTINGS) as worker,
        herd.write() as writer,
        compared(herd, writer, candidate) as operation,
    ):
        lose(worker)
    with herd.product.worker(**SETTINGS):
        comes_to_an_end(operation)
        herd.crash(candidate)
        requests.resume(operation.pk, ANNA)
        ended(operation)

        row = operation.targets.get()
        assert row.state == "rolled back", said(operation)
        assert f"{candidate} is no running standby any more" in row.outcome
        assert "nobody.invalid" not in herd.sql(third, "SHOW primary_conninfo")
        # Another one takes over, and has all that was acknowledged.
        herd.has_moved(herd.move("failover", third), third)
    assert herd.lost(writer) == set()
    assert [fence.instance for fence in Fence.objects.all()] == [herd.member(old)]


def test_a_promotion_that_hangs_is_given_up_for_another(herd: Moving) -> None:
    _, candidate, third = herd.hosts_from_primary()
    with herd.product.worker(**SETTINGS):
        with herd.write() as writer:
            pass
        # A primary writes WAL by itself now and then: it is down before it is compared.
        herd.crash(herd.primary)
        until(lambda: herd.sql(candidate, _POSITIONS.format("=")) == "t", 20)
        herd.signal(candidate, "startup", "STOP")

        operation = herd.move("failover", candidate)

        row = operation.targets.get()
        assert row.state == "rolled back", said(operation)
        assert f"{candidate} to leave recovery" in row.outcome
        assert herd.writers() == []
        done = herd.move("failover", third)
        herd.has_moved(done, third)
        until(lambda: herd.follows(candidate, third), 30, "it was started again")
    assert herd.lost(writer) == set()


def test_a_cascaded_standby_can_take_over_from_a_lost_primary(herd: Moving) -> None:
    _, candidate, third = herd.hosts_from_primary()
    herd.follow(third, candidate)
    with herd.product.worker(**SETTINGS):
        with herd.write() as writer:
            pass
        herd.crash(herd.primary)

        herd.has_moved(herd.move("failover", third), third)

        assert herd.follows(candidate, third)
    assert herd.lost(writer) == set()


def test_what_was_promoted_and_crashed_is_not_taken_over_from_blindly(
    herd: Moving,
) -> None:
    """The one that was promoted took writes: it is waited for, or failed over from."""
    _, candidate, third = herd.hosts_from_primary()
    with herd.product.worker(**SETTINGS) as worker, herd.write() as writer:
        herd.crash(herd.primary)
        plan = herd.plan("failover", candidate)
        herd.signal(third, "startup", "STOP")
        operation = confirmed(plan)
        herd.comes_to(operation, "followers")
        until(lambda: herd.takes_writes(candidate), 20, "it takes writes")
        before = len(writer.acknowledged)
        until(lambda: len(writer.acknowledged) > before, 20, "rows come")
        lose(worker)
        herd.signal(third, "startup", "CONT")
        herd.crash(candidate)
        with herd.product.worker(**SETTINGS):
            comes_to_an_end(operation)
            requests.resume(operation.pk, ANNA)
            ended(operation)
            assert refreshed(operation).state == "interrupted", said(operation)
            assert "may have taken writes" in operation.targets.get().outcome
            herd.product.start(f"{herd.herd}@{candidate}")
            until(lambda: herd.takes_writes(candidate), 20, "it is back")
            requests.resume(operation.pk, ANNA)
            ended(operation)
            herd.has_moved(operation, candidate)
    assert herd.lost(writer) == set()
