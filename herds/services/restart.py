"""Restart instances: a herd's standbys one after the other, its primary last."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from herds.domain.cluster import Activity, Observation
from herds.domain.plan import PlannedTarget

from .actions import Action
from .lifecycle import (
    bring_down,
    bring_up,
    look_first,
    plan_each,
    primary_last,
    state_sentence,
)
from .target import Target

if TYPE_CHECKING:
    from herds.models import Instance


def _plan(members: Sequence[Instance]) -> list[PlannedTarget]:
    return plan_each(
        members,
        will="is stopped and started again; its sessions are ended",
        steps=("Stop PostgreSQL (fast)", "Start PostgreSQL"),
        waves=primary_last(members),
    )


def _run(target: Target) -> str:
    # An interrupted attempt may have done its work already: then the postmaster is
    # younger than the one that was seen before anything was done.
    before = target.steps.earlier("look")
    seen = look_first(target)
    if _restarted_since(before, seen):
        return f"Restarted already. {state_sentence(target.host, seen)}"
    # A cluster that is down half-way must come up again, whatever is asked then.
    target.steps.must_finish()
    was_running = seen.is_running
    if was_running:
        bring_down(target)
    up = bring_up(target)
    did = "Restarted" if was_running or before else "Started; it was not running"
    return f"{did}. {state_sentence(target.host, up)}"


def _restarted_since(before: object, seen: Observation) -> bool:
    if not isinstance(before, dict) or seen.activity is not Activity.RUNNING:
        return False
    if before.get("activity") != Activity.RUNNING or seen.started_at is None:
        return False
    return seen.started_at > datetime.fromisoformat(before["started_at"])


RESTART = Action(
    name="restart",
    verb="Restart",
    past="restarted",
    permission="herds.restart_instance",
    words="Stops and starts PostgreSQL; a herd's replicas first, its primary last.",
    afterwards="Every one of them runs with a new postmaster; sessions were ended.",
    plan=_plan,
    run=_run,
)
