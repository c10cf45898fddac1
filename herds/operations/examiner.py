"""Writes a plan from what is seen on the hosts, where the inventory is not enough."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import partial
from typing import Any

from django.utils import timezone

from herds import conf
from herds.domain.cluster import Observation
from herds.domain.plan import Check, PlannedTarget, Verdict
from herds.domain.states import OperationState, TargetState
from herds.errors import ElephaasError
from herds.models import Operation, OperationTarget
from herds.postgres.cluster import Acted
from herds.selectors.operations import Holder, holders_of
from herds.services.actions import Action
from herds.services.identity import asked_of
from herds.services.lifecycle import facts_of
from herds.services.recording import VhostSight, record_vhost
from herds.services.steps import Step
from herds.services.target import Member, Target

from . import registry
from .plans import stored
from .runner import Crew

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class _Reading:
    """What one examination needs, read from the metadata at once."""

    operation: Operation
    action: Action
    targets: Sequence[OperationTarget]
    members: Mapping[int, tuple[Member, ...]]
    holders: Mapping[str, Holder]
    vhosts: dict[int, VhostSight] = field(default_factory=dict)


def examine(operation_id: int, crew: Crew) -> None:
    """Look at every target of a plan in the making, all at once, and write the plan.

    A target that cannot be looked at is refused with the reason; the others go.
    """
    reading = crew.journal.do(lambda: _read(operation_id, crew))
    if reading is None:
        return
    plans = list(
        crew.pool.map(
            lambda target: _beside(
                reading.holders.get(target.herd_key), _look_at(target, reading, crew)
            ),
            reading.targets,
        )
    )
    crew.journal.do(lambda: _write(operation_id, reading.targets, plans))
    for herd_id, sight in reading.vhosts.items():
        crew.journal.do(partial(record_vhost, herd_id, sight))


def _read(operation_id: int, crew: Crew) -> _Reading | None:
    operation = Operation.objects.filter(
        pk=operation_id, state=OperationState.PLANNING
    ).first()
    if operation is None:
        return None
    targets = list(
        operation.targets.filter(
            state=TargetState.PLANNED, instance__isnull=False
        ).select_related("instance__server", "instance__herd__environment")
    )
    herds = {target.herd_id for target in targets if target.herd_id is not None}
    return _Reading(
        operation=operation,
        action=registry.get(operation.action),
        targets=targets,
        members={herd: crew.toolbox.members(herd) for herd in herds},
        holders=holders_of(operation_id, {target.herd_key for target in targets}),
    )


def _look_at(row: OperationTarget, reading: _Reading, crew: Crew) -> PlannedTarget:
    instance = row.instance
    look = reading.action.examine
    if instance is None or look is None:
        raise AssertionError("only targets of actions that examine are read")
    try:
        plan = look(
            Target(
                instance_id=instance.pk,
                cluster=crew.toolbox.cluster(instance),
                members=reading.members.get(instance.herd_id, ()),
                steps=_NoSteps(),
                clock=crew.clock,
                record=lambda seen: None,
                keep=crew.journal.do,
                plan={**row.plan, "facts": facts_of(instance)},
                parameters=reading.operation.parameters,
                patience=crew.toolbox.patience,
                nameserver=crew.toolbox.nameserver,
                record_vhost=partial(reading.vhosts.__setitem__, instance.herd_id),
            )
        )
        told = {} if plan.refusal else asked_of(crew.toolbox.cluster(instance))
        return replace(plan, identity={**told, **plan.identity})
    except ElephaasError as error:
        refusal = error.sentence()
    except Exception:
        logger.exception("Target %s could not be examined", row.pk)
        refusal = (
            f"The program itself failed while it looked at {row.hostname}; nothing "
            "was changed there. Its log says more."
        )
    return PlannedTarget(now=row.plan["now"], will="nothing", refusal=refusal)


def _beside(holder: Holder | None, plan: PlannedTarget) -> PlannedTarget:
    """Say in a plan that somebody else was changing what it has seen."""
    if holder is None or not holder.is_working:
        return plan
    words = f"operation {holder.operation_id} by {holder.who} works on the herd"
    if plan.refusal:
        hint = f"While this was seen, {words}. Plan again once that has ended."
        return replace(plan, refusal=f"{plan.refusal} {hint}")
    check = Check(
        name="Nobody else at work",
        how="the operations of the herd",
        observed=words,
        threshold="none: what was seen here may be over by then",
        verdict=Verdict.WARN,
        observed_at=timezone.now().isoformat(),
    )
    return replace(plan, checks=(*plan.checks, check))


def _write(
    operation_id: int,
    targets: Sequence[OperationTarget],
    plans: Sequence[PlannedTarget],
) -> None:
    operation = (
        Operation.objects.select_for_update()
        .filter(pk=operation_id, state=OperationState.PLANNING)
        .first()
    )
    if operation is None:
        return
    action, named = registry.get(operation.action), set[int]()
    for target, plan in zip(targets, plans, strict=True):
        facts = target.plan.get("facts", {})
        row = plan.as_json()
        if target.instance is not None:
            row = stored(action, target.instance, plan, named)
        target.plan = {**row, "facts": {**facts, **plan.facts}}
        target.wave = plan.wave
        if plan.refusal:
            target.state = TargetState.REFUSED
            target.outcome = plan.refusal
    OperationTarget.objects.bulk_update(
        targets, ["plan", "wave", "state", "outcome"], batch_size=200
    )
    operation.state = OperationState.PLANNED
    operation.expires_at = timezone.now() + timedelta(
        seconds=conf.operations().plan_lifetime
    )
    operation.save(update_fields=["state", "expires_at"])


class _NoSteps:
    """Nothing is told while a plan is written."""

    def step(
        self, name: str, words: str, *, urgent: bool = False
    ) -> AbstractContextManager[Step]:
        return nullcontext(_NoStep())

    def refuse_lost(self) -> None:
        """Nothing runs."""

    def earlier(self, name: str) -> Mapping[str, Any] | None:
        return None

    def began(self, name: str) -> bool:
        return False

    def must_finish(self) -> None:
        """Nothing runs."""


class _NoStep:
    def acted(self, acted: Acted) -> None:
        """Nothing is kept."""

    def ran(self, command: str, status: int | None, output: str) -> None:
        """Nothing is kept."""

    def lost(self, unclear: ElephaasError) -> None:
        """Nothing is kept."""

    def saw(self, seen: Observation) -> None:
        """Nothing is kept."""

    def note(self, message: str) -> None:
        """Nothing is kept."""

    def progress(
        self, words: str, *, done: int = 0, total: int = 0, rate: float = 0.0
    ) -> None:
        """Nothing is kept."""

    def measured(self, **figures: str | float) -> None:
        """Nothing is kept."""

    def skip(self, message: str) -> None:
        """Nothing is kept."""
