"""Switchovers that fail between the stop and the promotion: all is as it was."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from lab import Lab
from tests.lab.product import ended, said, until
from tests.lab.switching import Moving


@pytest.fixture
def cut(switch_lab: Lab) -> Iterator[Lab]:
    """The lab, whose network and hosts are mended after the test."""
    yield switch_lab
    switch_lab.heal()


def test_a_standby_that_lacks_the_last_records_is_not_promoted(herd: Moving) -> None:
    _, candidate, _ = herd.hosts_from_primary()
    with herd.write() as writer:
        with herd.stopped(candidate) as operation:
            herd.comes_to(operation, "undo")
        ended(operation)
        before = len(writer.acknowledged)
        until(lambda: len(writer.acknowledged) > before, 20, "the client writes again")

    herd.was_rolled_back(operation, f"{candidate} has received WAL up to")
    assert "bytes would be lost" in operation.targets.get().outcome
    assert herd.lost(writer) == set()


def test_a_candidate_that_loses_power_after_the_stop_takes_nothing_over(
    herd: Moving, cut: Lab
) -> None:
    old, candidate, third = herd.hosts_from_primary()
    with herd.write() as writer, herd.stopped(candidate) as operation:
        cut.kill(candidate)
        ended(operation)

    row = operation.targets.get()
    assert row.state == "rolled back", said(operation)
    assert f"{old} takes writes again" in row.outcome
    assert f"{third} follows it; {candidate} was not seen to" in row.outcome
    assert herd.writers() == [old]
    assert herd.lost(writer) == set()
    assert herd.vhost() == old


def test_a_candidate_that_crashes_after_the_stop_takes_nothing_over(
    herd: Moving,
) -> None:
    old, candidate, _ = herd.hosts_from_primary()
    with herd.write() as writer, herd.stopped(candidate) as operation:
        herd.crash(candidate)
        ended(operation)

    row = operation.targets.get()
    assert row.state == "rolled back", said(operation)
    assert f"{old} takes writes again" in row.outcome
    assert herd.writers() == [old]
    assert herd.lost(writer) == set()


def test_a_promotion_that_hangs_is_taken_back(herd: Moving) -> None:
    old, candidate, _ = herd.hosts_from_primary()
    with herd.write() as writer:
        with herd.stopped(candidate) as operation:
            herd.signal(candidate, "startup", "STOP")
        ended(operation)

    herd.was_rolled_back(operation, f"{candidate} to leave recovery")
    until(lambda: herd.follows(candidate, old), 20, f"{candidate} follows again")
    assert herd.lost(writer) == set()
