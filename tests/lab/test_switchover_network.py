"""Switchovers whose connections are cut, one at a time."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from lab import Lab
from tests.lab.product import ended, said
from tests.lab.switching import Moving


@pytest.fixture
def cut(switch_lab: Lab) -> Iterator[Lab]:
    """The lab, whose network is mended after the test."""
    yield switch_lab
    switch_lab.heal()


def test_hosts_that_cannot_be_reached_are_told_before_anything_is_done(
    herd: Moving, cut: Lab
) -> None:
    old, candidate, third = herd.hosts_from_primary()
    for host, words in (
        (old, f"No member of {herd.herd} is seen to take writes"),
        (candidate, f"{candidate} is unknown ({candidate} could not be reached"),
        ("dns", ""),
    ):
        cut.partition(["control"], [host])
        plan = herd.plan("switchover", candidate)
        cut.heal()
        assert plan.targets.get().state == "refused", said(plan)
        assert words in plan.targets.get().outcome
    assert herd.writers() == [old]
    assert herd.follows(third, old)


def test_an_old_primary_that_is_out_of_reach_after_its_stop_changes_nothing(
    herd: Moving, cut: Lab
) -> None:
    old, candidate, _ = herd.hosts_from_primary()
    with herd.write() as writer:
        with herd.stopped(candidate, old_primary="rejoin") as operation:
            cut.partition(["control"], [old])
        ended(operation)

    herd.has_moved(operation, candidate)
    row = operation.targets.get()
    assert row.state == "follow-ups"
    assert f"{old} does not follow: {old} could not be reached" in row.outcome
    assert herd.lost(writer) == set()
    cut.heal()
    herd.carries_out(operation)


def test_a_candidate_that_is_out_of_reach_after_the_stop_takes_nothing_over(
    herd: Moving, cut: Lab
) -> None:
    _, candidate, _ = herd.hosts_from_primary()
    with herd.write() as writer:
        with herd.stopped(candidate) as operation:
            cut.partition(["control"], [candidate])
        ended(operation)
    cut.heal()

    herd.was_rolled_back(operation, candidate)
    assert herd.lost(writer) == set()


def test_name_servers_out_of_reach_after_the_stop_leave_the_name_for_later(
    herd: Moving, cut: Lab
) -> None:
    old, candidate, third = herd.hosts_from_primary()
    with herd.write() as writer:
        with herd.stopped(candidate, old_primary="rejoin") as operation:
            cut.partition(["control"], ["dns"])
        ended(operation)
    cut.heal()

    row = operation.targets.get()
    assert row.state == "follow-ups", said(operation)
    assert [each["action"] for each in row.follow_ups] == ["refresh_dns"]
    assert herd.writers() == [candidate]
    assert herd.vhost() == old
    for host in (old, third):
        assert herd.follows(host, candidate), host
    assert herd.lost(writer) == set()
    herd.primary = candidate
    herd.carries_out(operation)
