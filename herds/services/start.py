"""Start instances that are stopped."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from herds.domain.cluster import Activity
from herds.domain.plan import PlannedTarget
from herds.errors import PreconditionFailed

from .actions import Action
from .company import hosts, look_at_others
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
    if not seen.is_running and "recovery" not in seen.control_state:
        _refuse_second_primary(target)
    return f"Started. {state_sentence(target.host, bring_up(target))}"


def _refuse_second_primary(target: Target) -> None:
    """Refuse to start what would take writes beside another member that does.

    Raises:
        PreconditionFailed: naming the other one; nothing was done.
    """
    writing = [sight for sight in look_at_others(target) if sight.takes_writes]
    if not writing:
        return
    if "standby.signal" in target.cluster.probe(sizes=False).files:
        return
    raise PreconditionFailed(
        f"{target.host} was a primary when it stopped, and {hosts(writing)} takes the "
        "herd's writes now: started, both would. Nothing was done.",
        host=target.host,
        hint="Rebuild it, to have it follow.",
    )


START = Action(
    name="start",
    verb="Start",
    past="started",
    permission="herds.start_instance",
    words="Starts PostgreSQL where it is stopped; a primary before its replicas.",
    afterwards="Every one of them runs and accepts connections.",
    of_running=False,
    plan=_plan,
    run=_run,
    needs_members=True,
)
