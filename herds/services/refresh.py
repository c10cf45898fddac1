"""Refresh: see what instances are doing now and keep it in the inventory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from herds.domain.plan import PlannedTarget

from . import vhost
from .actions import Action
from .lifecycle import look_first, plan_each, state_sentence
from .target import Target

if TYPE_CHECKING:
    from herds.models import Instance


def _plan(members: Sequence[Instance]) -> list[PlannedTarget]:
    return plan_each(
        members,
        will="is looked at; nothing is changed",
        steps=(),
        waves=[0] * len(members),
    )


def _run(target: Target) -> str:
    seen = look_first(target)
    if target.plan.get("facts", {}).get("primary"):
        vhost.note(target, target.host)
    return state_sentence(target.host, seen)


REFRESH = Action(
    name="refresh",
    verb="Refresh",
    past="refreshed",
    permission="herds.refresh_instance",
    words="Looks at PostgreSQL on its host and notes what is true; changes nothing.",
    afterwards="The inventory shows what was seen, and when.",
    plan=_plan,
    run=_run,
    confirm=False,
)
