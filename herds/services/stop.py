"""Stop instances, fast: sessions are ended, and a checkpoint is written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from herds.domain.cluster import Activity
from herds.domain.plan import Check, PlannedTarget, Verdict

from .actions import Action
from .lifecycle import (
    bring_down,
    look_first,
    plan_each,
    primary_first,
    state_sentence,
)
from .target import Target

if TYPE_CHECKING:
    from herds.models import Instance


def _plan(members: Sequence[Instance]) -> list[PlannedTarget]:
    planned = plan_each(
        members,
        will="is stopped; its sessions are ended",
        steps=("Stop PostgreSQL (fast)",),
        # The primary goes first, so that its replicas receive everything it wrote.
        waves=primary_first(members),
    )
    return [
        replace(plan, checks=(_no_primary(member),)) if member.is_primary else plan
        for member, plan in zip(members, planned, strict=True)
    ]


def _no_primary(member: Instance) -> Check:
    return Check(
        name="Writable primary",
        how="role in the inventory",
        observed=f"{member.server.hostname} is the primary of {member.herd.herd_name}",
        threshold="a herd whose primary is stopped takes no writes",
        verdict=Verdict.WARN,
        observed_at=member.observed_at.isoformat() if member.observed_at else None,
    )


def _run(target: Target) -> str:
    seen = look_first(target)
    if seen.activity is Activity.STOPPED:
        return f"Nothing to do: {state_sentence(target.host, seen)}"
    return f"Stopped. {state_sentence(target.host, bring_down(target))}"


STOP = Action(
    name="stop",
    verb="Stop",
    past="stopped",
    permission="herds.stop_instance",
    destroys=True,
    words="Stops PostgreSQL; sessions are ended and unfinished transactions undone.",
    afterwards="None of them runs; clients cannot connect to them.",
    of_running=True,
    plan=_plan,
    run=_run,
)
