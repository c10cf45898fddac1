"""Switchovers whose virtual host cannot be moved, or was moved by somebody else."""

from __future__ import annotations

import pytest

from herds.models import Operation
from lab import Lab
from tests.lab.product import ended, said, until
from tests.lab.switching import Moving, confirmed
from tests.lab.zones import Zones


@pytest.fixture
def zones(switch_lab: Lab) -> Zones:
    """The lab's own name server."""
    return Zones(switch_lab, "dns")


def left(operation: Operation) -> list[str]:
    return [each["action"] for each in operation.targets.get().follow_ups]


def test_a_name_server_that_hangs_after_the_stop_leaves_the_name_for_later(
    herd: Moving, zones: Zones
) -> None:
    old, candidate, third = herd.hosts_from_primary()
    with herd.write() as writer:
        plan = herd.plan("switchover", candidate)
        with herd.held(candidate):
            operation = confirmed(plan, old_primary="rejoin")
            herd.comes_to(operation, "compare")
            zones.signal("dns", "STOP")
        try:
            until(lambda: herd.takes_writes(candidate), 30, "it is promoted")
            herd.comes_to(operation, "followers")
        finally:
            zones.signal("dns", "CONT")
        ended(operation)

    row = operation.targets.get()
    assert row.state == "follow-ups", said(operation)
    assert left(operation)[0] == "refresh_dns"
    assert herd.writers() == [candidate]
    assert herd.lost(writer) == set()
    herd.primary = candidate
    herd.carries_out(operation)
    assert {herd.follows(host, candidate) for host in (old, third)} == {True}


def test_a_name_server_that_answers_servfail_after_the_stop_is_told(
    herd: Moving, zones: Zones
) -> None:
    old, candidate, third = herd.hosts_from_primary()
    with herd.write() as writer:
        with herd.stopped(candidate, old_primary="rejoin") as operation:
            # It answers questions, and cannot write down what is changed.
            zones.locked(True)
        try:
            ended(operation)
        finally:
            zones.locked(False)

    row = operation.targets.get()
    assert row.state == "follow-ups", said(operation)
    assert left(operation) == ["refresh_dns"], said(operation)
    assert "SERVFAIL" in row.outcome, row.outcome
    assert herd.vhost() == old
    assert herd.writers() == [candidate]
    for host in (old, third):
        assert herd.follows(host, candidate), host
    assert herd.lost(writer) == set()
    herd.primary = candidate
    herd.carries_out(operation)


def test_a_name_that_somebody_moves_meanwhile_is_left_to_be_looked_at(
    herd: Moving,
) -> None:
    _, candidate, third = herd.hosts_from_primary()
    # Where the plan shows that it points elsewhere, saying yes means to move it.
    herd.point_at(third)
    shown = herd.plan("switchover", candidate)
    rows = {each["name"]: each for each in shown.targets.get().plan["checks"]}
    assert rows["Virtual host"]["verdict"] == "warn", rows["Virtual host"]
    # Since then it has been moved once more, by somebody who knows something.
    herd.point_at(candidate)
    herd.point_at("dns")
    refused = ended(confirmed(shown))
    assert refused.targets.get().state in {"failed", "refused"}, said(refused)
    assert "neither at" in refused.targets.get().outcome
    assert herd.writers() == [herd.primary]
    herd.point_at(herd.primary)

    with herd.write() as writer:
        with herd.stopped(candidate, old_primary="rejoin") as operation:
            herd.point_at(third)
        ended(operation)

    row = operation.targets.get()
    assert left(operation) == ["refresh_dns"], said(operation)
    assert third in row.outcome, row.outcome
    assert herd.vhost() == third
    assert herd.writers() == [candidate]
    assert herd.lost(writer) == set()
    herd.primary = candidate
    herd.carries_out(operation)
