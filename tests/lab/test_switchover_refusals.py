"""Switchovers that do not begin, for what is seen or for what was read long ago."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from herds.errors import PlanOutdated
from tests.lab.product import ended, refreshed, said, until
from tests.lab.switching import Moving, confirmed

_SET = "ALTER SYSTEM SET {0} = '{1}'"
_RESET = "ALTER SYSTEM RESET {0}"
_RELOAD = "SELECT pg_reload_conf()"


def refused(herd: Moving, candidate: str) -> str:
    plan = herd.plan("switchover", candidate)
    row = plan.targets.get()
    assert row.state == "refused", said(plan)
    assert herd.writers() == [herd.primary]
    return str(row.outcome)


def test_a_candidate_that_would_not_serve_is_refused_with_the_reason(
    herd: Moving,
) -> None:
    _, candidate, third = herd.hosts_from_primary()

    herd.sql(candidate, "SELECT pg_wal_replay_pause()")
    try:
        assert "Replay: paused" in refused(herd, candidate)
        # Another one is fit, and can be chosen instead.
        plan = herd.plan("switchover", candidate)
        (choice,) = [
            each
            for each in plan.targets.get().plan["choices"]
            if each["name"] == "candidate"
        ]
        possible = {each["value"]: each["possible"] for each in choice["options"]}
        assert possible == {candidate: False, third: True}
    finally:
        herd.sql(candidate, "SELECT pg_wal_replay_resume()")

    for name, value, words in (
        ("recovery_min_apply_delay", "5min", "Replay: goes on, delayed by"),
        ("synchronous_standby_names", "FIRST 1 (elsewhere)", "Synchronous replication"),
        ("synchronous_standby_names", f"FIRST 2 (quote_{third}, other)", "Synchronous"),
    ):
        herd.sql(candidate, _SET.format(name, value))
        herd.sql(candidate, _RELOAD)
        try:
            until(lambda n=name: herd.sql(candidate, f"SHOW {n}"), 10)  # type: ignore[misc]
            assert words in refused(herd, candidate)
        finally:
            herd.sql(candidate, _RESET.format(name))
            herd.sql(candidate, _RELOAD)


def test_a_standby_of_a_standby_is_not_moved_to(herd: Moving) -> None:
    _, candidate, third = herd.hosts_from_primary()
    herd.follow(third, candidate)
    try:
        assert "directly from the primary" in refused(herd, third)
    finally:
        herd.follow(third, herd.primary)


def test_another_cluster_that_was_entered_by_mistake_is_not_touched(
    herd: Moving,
) -> None:
    _, candidate, _ = herd.hosts_from_primary()
    with herd.stranger_below(herd.primary) as stranger:
        mine = herd.sql(
            herd.primary, "SELECT system_identifier FROM pg_control_system()"
        )
        argv = ["cat", f"{herd.spec.data_root}/postgresql.auto.conf"]
        before = herd.lab.exec(stranger, argv).stdout

        as_candidate = refused(herd, stranger)
        as_sibling = refused(herd, candidate)

        assert "Same cluster: " in as_candidate, as_candidate
        assert f"(wanted: {mine}, PostgreSQL 15)" in as_candidate, as_candidate
        assert f"Members of this herd: {stranger} holds another cluster" in as_sibling
        assert "delete its instance here" in as_sibling, as_sibling
        assert herd.lab.exec(stranger, argv).stdout == before
    herd.can_move()


def test_a_plan_that_was_overtaken_is_not_acted_on(herd: Moving) -> None:
    old, candidate, third = herd.hosts_from_primary()
    stale = herd.plan("switchover", candidate)
    waiting = herd.plan("switchover", third)
    late = herd.plan("switchover", candidate)
    type(late).objects.filter(pk=late.pk).update(
        expires_at=timezone.now() - timedelta(minutes=1)
    )
    with pytest.raises(PlanOutdated, match="too old to act on"):
        confirmed(late)

    # Two at once: the herd is moved by the first, and the second sees that.
    with herd.write() as writer:
        first = confirmed(stale, old_primary="rejoin")
        second = confirmed(waiting, old_primary="rejoin")
        herd.has_moved(ended(first), candidate)
        outcome = ended(second).targets.get()
    assert outcome.state == "failed", said(second)
    assert f"{candidate} takes the writes now, and not {old}" in outcome.outcome
    assert herd.writers() == [candidate]
    assert herd.lost(writer) == set()

    # By hand: the primary is stopped, and the chosen one promoted.
    plan = herd.plan("switchover", old)
    herd.product.stop(f"{herd.herd}@{candidate}")
    herd.sql(old, "SELECT pg_promote()")
    done = ended(confirmed(refreshed(plan)))
    assert done.targets.get().state == "failed", said(done)
    assert f"{old} takes the writes now, and not {candidate}" in (
        done.targets.get().outcome
    )
    assert herd.writers() == [old]
    assert not herd.runs(candidate)
