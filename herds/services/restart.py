"""Restart instances: a herd's standbys one after the other, its primary last."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from herds.domain.cluster import Activity
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
    # An interrupted attempt may have done its work already: then another postmaster
    # runs than the one that was seen before anything was done.
    before = target.steps.earlier("look")
    seen = look_first(target)
    is_new = (
        before is not None
        and seen.is_running
        and _postmaster(before) != (_postmaster(seen.evidence()))
    )
    if is_new and seen.activity is Activity.RUNNING:
        return f"Restarted already. {state_sentence(target.host, seen)}"
    # A cluster that is down half-way must come up again, whatever is asked then.
    target.steps.must_finish()
    goes_down = seen.is_running and not is_new
    if goes_down:
        bring_down(target)
    up = bring_up(target)
    did = "Restarted" if goes_down or before else "Started; it was not running"
    return f"{did}. {state_sentence(target.host, up)}"


def _postmaster(evidence: Mapping[str, Any]) -> tuple[object, object]:
    """Tell which postmaster was seen: a number alone is used again after a boot."""
    return evidence.get("pid"), evidence.get("started_at")


RESTART = Action(
    name="restart",
    verb="Restart",
    past="restarted",
    permission="herds.restart_instance",
    destroys=True,
    words="Stops and starts PostgreSQL; a herd's replicas first, its primary last.",
    afterwards="Every one of them runs with a new postmaster; sessions were ended.",
    of_running=True,
    plan=_plan,
    run=_run,
)
