"""Start instances that are stopped."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from herds.domain.cluster import Activity
from herds.domain.plan import PlannedTarget

from .actions import Action
from .lifecycle import (
    bring_up,
    look_first,
    plan_each,
    primary_first,
    state_sentence,
)
from .target import Target

if TYPE_CHECKING:
    from herds.models import Instance


def _plan(members: Sequence[Instance]) -> list[PlannedTarget]:
    return plan_each(
        members,
        will="is started",
        steps=("Start PostgreSQL",),
        waves=primary_first(members),
    )


def _run(target: Target) -> str:
    seen = look_first(target)
    if seen.activity is Activity.RUNNING:
        return f"Nothing to do: {state_sentence(target.host, seen)}"
    return f"Started. {state_sentence(target.host, bring_up(target))}"


START = Action(
    name="start",
    verb="Start",
    past="started",
    permission="herds.start_instance",
    words="Starts PostgreSQL where it is stopped; a primary before its replicas.",
    afterwards="Every one of them runs and accepts connections.",
    plan=_plan,
    run=_run,
)
