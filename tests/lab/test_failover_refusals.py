"""Failovers that must not be, that others were quicker with, or that lose DNS."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from herds.models import Fence, Operation
from lab import Lab
from tests.lab.product import ended, said, until
from tests.lab.switching import Moving, confirmed
from tests.lab.zones import Zones

_POSITIONS = "SELECT pg_last_wal_receive_lsn() {0} pg_last_wal_replay_lsn()"


@pytest.fixture(autouse=True)
def cut(switch_lab: Lab) -> Iterator[Lab]:
    """The lab, whose network is mended and whose ledger is empty after the test."""
    yield switch_lab
    switch_lab.heal()
    Fence.objects.all().delete()


def check_of(operation: Operation, name: str) -> dict[str, Any]:
    row = operation.targets.get()
    found = [each for each in row.plan["checks"] if each["name"] == name]
    assert found, said(operation)
    return dict(found[0])


def test_a_primary_that_only_stopped_is_better_started(herd: Moving) -> None:
    old, candidate, _ = herd.hosts_from_primary()
    with herd.write() as writer:
        pass
    herd.product.stop(f"{herd.herd}@{old}")

    plan = herd.plan("failover", candidate)

    assert plan.targets.get().state == "planned", said(plan)
    check = check_of(plan, "Primary lost")
    assert check["verdict"] == "warn"
    assert "starting it loses nothing" in check["threshold"]
    assert check_of(plan, "Possible loss")["verdict"] == "ok"
    done = herd.move("start", old)
    assert done.state == "succeeded", said(done)
    assert herd.writers() == [old]
    assert herd.lost(writer) == set()


def test_one_whose_replay_is_paused_does_not_take_over(herd: Moving) -> None:
    old, candidate, third = herd.hosts_from_primary()
    herd.sql(candidate, "SELECT pg_wal_replay_pause()")
    try:
        with herd.write() as writer:
            pass
        herd.crash(old)
        plan = herd.plan("failover", candidate)
        row = plan.targets.get()
        assert row.state == "refused", said(plan)
        assert "Replay: paused" in row.outcome
        plan = herd.plan("failover", third)
        assert plan.targets.get().state == "planned", said(plan)
        assert herd.writers() == []
    finally:
        herd.sql(candidate, "SELECT pg_wal_replay_resume()")
    herd.has_moved(ended(confirmed(plan)), third)
    assert herd.lost(writer) == set()


def test_nobody_takes_over_beside_one_that_was_promoted_by_hand(herd: Moving) -> None:
    old, candidate, third = herd.hosts_from_primary()
    with herd.write() as writer:
        pass
    herd.crash(old)
    read = herd.plan("failover", candidate)
    assert read.targets.get().state == "planned", said(read)
    herd.sql(third, "SELECT pg_promote()")

    for operation in (ended(confirmed(read)), herd.plan("failover", candidate)):
        row = operation.targets.get()
        assert row.state in {"failed", "refused"}, said(operation)
        assert f"{third} takes writes" in row.outcome, row.outcome
        assert herd.writers() == [third]
    assert "nobody.invalid" not in herd.sql(candidate, "SHOW primary_conninfo")
    assert not Fence.objects.exists()
    assert herd.lost(writer) == set()


def test_a_candidate_that_dies_in_the_middle_leaves_it_to_the_other(
    herd: Moving,
) -> None:
    old, candidate, third = herd.hosts_from_primary()
    with herd.write() as writer:
        herd.signal(candidate, "startup", "STOP")
        until(lambda: herd.sql(candidate, _POSITIONS.format(">")) == "t", 20, "it lags")
        herd.crash(old)
        operation = herd.begin("failover", candidate)
        herd.comes_to(operation, "compare")
        herd.crash(candidate)
        ended(operation)

        row = operation.targets.get()
        assert row.state == "rolled back", said(operation)
        assert f"Nothing was promoted; {old} stays fenced" in row.outcome
        assert herd.writers() == []
        assert "nobody.invalid" not in herd.sql(third, "SHOW primary_conninfo")
        herd.has_moved(herd.move("failover", third), third)
    assert herd.lost(writer) == set()


def test_name_servers_out_of_reach_do_not_keep_a_herd_from_being_saved(
    herd: Moving, cut: Lab
) -> None:
    old, candidate, third = herd.hosts_from_primary()
    with herd.write() as writer:
        herd.crash(old)
        plan = herd.plan("failover", candidate)
        cut.partition(["control"], ["dns"])
        operation = ended(confirmed(plan))
    cut.heal()

    row = operation.targets.get()
    assert row.state == "follow-ups", said(operation)
    assert [each["action"] for each in row.follow_ups] == ["refresh_dns", "rebuild"]
    assert herd.writers() == [candidate]
    assert herd.vhost() == old
    assert herd.follows(third, candidate)
    assert f"host={candidate}" in herd.sql(third, "SHOW primary_conninfo")
    assert herd.lost(writer) == set()
    herd.primary = candidate
    herd.carries_out(operation)


def test_names_that_are_not_found_tell_nothing_of_a_primary(
    herd: Moving, cut: Lab
) -> None:
    """Standbys that cannot look their primary up may stream from it all the same."""
    old, candidate, third = herd.hosts_from_primary()
    cut.partition(["control"], [old])
    with Zones(cut, "dns").hung("dns"):
        plan = herd.plan("failover", candidate)

    for host in (candidate, third):
        assert check_of(plan, f"Seen from {host}")["verdict"] != "ok", said(plan)
    assert herd.writers() == [old]
