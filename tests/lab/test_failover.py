"""Primaries that are lost: stopped, crashed, powered off, or only out of our reach."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from herds.errors import PreconditionFailed
from herds.models import Fence
from lab import Lab
from tests.lab.product import said, until
from tests.lab.switching import Moving, confirmed


@pytest.fixture
def cut(switch_lab: Lab) -> Iterator[Lab]:
    """The lab, whose network is mended after the test."""
    yield switch_lab
    switch_lab.heal()


def test_a_crashed_primary_is_fenced_and_replaced(herd: Moving) -> None:
    old = herd.primary
    with herd.write() as writer:
        until(lambda: len(writer.acknowledged) > 100)
        herd.crash(old)
        operation = herd.move("failover")

    row = operation.targets.get()
    herd.has_moved(operation, row.hostname)
    assert herd.lost(writer) == set()
    assert [each["action"] for each in row.follow_ups] == ["rebuild"]
    # By whatever means it is started, it is a standby.
    herd.product.start(f"{herd.herd}@{old}")
    assert not herd.takes_writes(old)
    done = herd.move("rebuild", old)
    assert done.state == "succeeded", said(done)
    assert herd.follows(old, row.hostname)
    assert not Fence.objects.exists()


def test_a_host_without_power_is_fenced_when_it_returns(herd: Moving, cut: Lab) -> None:
    old = herd.primary
    cut.kill(old)
    plan = herd.plan("failover")
    with pytest.raises(PreconditionFailed, match="choose"):
        confirmed(plan)

    operation = herd.move("failover", fence="power_off")

    row = operation.targets.get()
    herd.has_moved(operation, row.hostname)
    (fence,) = Fence.objects.all()
    assert (fence.instance, fence.applied_at) == (herd.member(old), None)
    cut.boot(old)
    until(lambda: Fence.objects.get().applied_at is not None, 30, "it is fenced")
    assert herd.writers() == [row.hostname]


def test_a_primary_that_only_we_cannot_reach_is_not_replaced(
    herd: Moving, cut: Lab
) -> None:
    cut.partition(["control"], [herd.primary])

    plan = herd.plan("failover")

    row = plan.targets.get()
    assert row.state == "refused", said(plan)
    assert f"it answers {row.hostname}" in row.outcome
    assert herd.writers() == [herd.primary]


def test_a_standby_of_a_lost_primary_tells_the_timeline_it_received_last(
    herd: Moving,
) -> None:
    """Its pg_control still names the one before, and no receiver names a newer one."""
    herd.move(old_primary="rejoin")
    (primary,) = herd.writers()
    timeline = herd.timeline(primary)
    herd.crash(primary)

    plan = herd.plan("failover")

    (row,) = plan.targets.all()
    assert row.state == "planned", said(plan)
    (check,) = [each for each in row.plan["checks"] if each["name"] == "Timeline"]
    assert check["observed"] == str(timeline)
