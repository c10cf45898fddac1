"""Gives a worker the queued targets of herds, and takes back what it leaves.

A busy worker asks for many herds at once, and most of what a question to the metadata
costs it does not depend on how many rows it is about.
"""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from django.db import connection
from django.db.models import F
from django.utils import timezone

from herds.domain.states import ACTIVE_OPERATIONS, OperationState, TargetState
from herds.models import Operation, OperationStep, OperationTarget
from herds.services.target import Member
from herds.services.toolbox import Toolbox

from . import dispatch, leave, registry

Earlier = Mapping[int, Mapping[str, Mapping[str, Any]]]
"""What earlier attempts saw: by target, by the name of the step."""

_TAKE_JOBS = """
    UPDATE ele_operation_job j SET worker_id = %s
      FROM unnest(%s::bigint[], %s::text[]) AS share (operation_id, herd_key)
     WHERE j.operation_id = share.operation_id AND j.herd_key = share.herd_key
    """

_GIVE_JOBS_BACK = """
    WITH share AS (
        SELECT s.operation_id, s.herd_key,
               (SELECT count(*) FROM ele_operation_target t
                 WHERE t.operation_id = s.operation_id AND t.herd_key = s.herd_key
                   AND t.state = 'queued') AS targets_left
          FROM unnest(%s::bigint[], %s::text[]) AS s (operation_id, herd_key)),
    freed AS (
        UPDATE ele_operation_target t SET worker_id = NULL
          FROM share
         WHERE t.operation_id = share.operation_id AND t.herd_key = share.herd_key
           AND t.state = 'queued')
    UPDATE ele_operation_job j
       SET worker_id = NULL,
           queue_id = CASE WHEN targets_left = 0 THEN queue_id END,
           is_done = targets_left = 0 OR is_done
      FROM share
     WHERE j.operation_id = share.operation_id AND j.herd_key = share.herd_key
    """


class Share(NamedTuple):
    """The targets of one herd in one operation: what one job of the queue is about."""

    operation_id: int
    herd_key: str

    @classmethod
    def of(cls, target: OperationTarget) -> Share:
        """Give the share that a target belongs to."""
        return cls(target.operation_id, target.herd_key)


class Claim(NamedTuple):
    """A worker asks for a share."""

    share: Share
    worker_id: uuid.UUID
    toolbox: Toolbox


@dataclass(frozen=True, kw_only=True)
class Claimed:
    """What a worker gets: targets that are its own now, in the order to be run."""

    operation: Operation
    targets: Sequence[OperationTarget]
    earlier: Earlier
    members: tuple[Member, ...]


def claim_all(claims: Sequence[Claim]) -> list[Claimed | None]:
    """Make the queued targets of some herds a worker's own.

    Args:
        claims: all of the same worker; the caller has a transaction.

    Returns:
        For each claim what it got, None where nothing is queued.
    """
    operations = _locked(claim.share for claim in claims)
    queued: dict[Share, list[OperationTarget]] = defaultdict(list)
    for target in (
        OperationTarget.objects.select_for_update(of=("self",))
        .filter(
            operation__in=list(operations),
            herd_key__in=[claim.share.herd_key for claim in claims],
            state=TargetState.QUEUED,
        )
        .select_related("instance__server", "instance__herd__environment")
        .annotate(frozen_by=leave.freezing_now())
        .order_by("wave", "position")
    ):
        queued[Share.of(target)].append(target)
    _hold_frozen(operations, queued)
    shares = {claim.share: queued[claim.share] for claim in claims}
    claimed = [target for targets in shares.values() for target in targets]
    if claimed:
        _take(claimed, claims[0].worker_id)
        _begin(operations[target.operation_id] for target in claimed)
    earlier = _earlier(claimed)
    return [
        Claimed(
            operation=operations[claim.share.operation_id],
            targets=targets,
            earlier=earlier,
            members=_members(
                operations[claim.share.operation_id], targets, claim.toolbox
            ),
        )
        if (targets := shares.pop(claim.share, None))
        else None
        for claim in claims
    ]


def hand_on_all(shares: Sequence[Share]) -> list[None]:
    """Give jobs back in which targets are left, end the others, settle operations."""
    operations = _locked(shares)
    there = [share for share in shares if share.operation_id in operations]
    with connection.cursor() as cursor:
        cursor.execute(_GIVE_JOBS_BACK, _columns(there))
    for operation in operations.values():
        if operation.state in ACTIVE_OPERATIONS:
            dispatch.settle(operation)
    return [None] * len(shares)


def _locked(shares: Iterable[Share]) -> dict[int, Operation]:
    """Lock operations, always in the same order; those that are gone are left out."""
    numbers = {share.operation_id for share in shares}
    rows = Operation.objects.select_for_update().filter(pk__in=numbers).order_by("pk")
    return {operation.pk: operation for operation in rows}


def _hold_frozen(
    operations: Mapping[int, Operation], queued: dict[Share, list[OperationTarget]]
) -> None:
    """Refuse what a freeze has come before; herds that were begun are ended first."""
    held: dict[OperationTarget, int] = {}
    for share, targets in queued.items():
        action = registry.get(operations[share.operation_id].action)
        if not leave.is_held_by_freezes(action):
            continue
        for target in targets:
            freeze: int | None = getattr(target, "frozen_by", None)
            if freeze is not None and not leave.overrides(target, freeze):
                held[target] = freeze
    if not held:
        return
    steps = OperationStep.objects.filter(
        target__operation__in={each.operation_id for each in held},
        target__herd_key__in={each.herd_key for each in held},
    )
    begun = {
        Share(*each)
        for each in steps.values_list("target__operation", "target__herd_key")
    }
    held = {each: by for each, by in held.items() if Share.of(each) not in begun}
    leave.refuse_frozen(held)
    for share in {Share.of(each) for each in held}:
        queued[share] = [each for each in queued[share] if each not in held]


def _take(targets: Sequence[OperationTarget], worker_id: uuid.UUID) -> None:
    OperationTarget.objects.filter(pk__in=[target.pk for target in targets]).update(
        attempt=F("attempt") + 1, worker=worker_id
    )
    for target in targets:
        target.attempt += 1
    shares = {Share.of(target) for target in targets}
    with connection.cursor() as cursor:
        cursor.execute(_TAKE_JOBS, [worker_id, *_columns(shares)])


def _begin(operations: Iterable[Operation]) -> None:
    """Note that operations run, where that is news."""
    for operation in {each.pk: each for each in operations}.values():
        if operation.state == OperationState.QUEUED or operation.started_at is None:
            if operation.state == OperationState.QUEUED:
                operation.state = OperationState.RUNNING
            operation.started_at = operation.started_at or timezone.now()
            operation.save(update_fields=["state", "started_at"])


def _members(
    operation: Operation, targets: Sequence[OperationTarget], toolbox: Toolbox
) -> tuple[Member, ...]:
    herd_id = targets[0].herd_id
    if herd_id is None or not registry.get(operation.action).needs_members:
        return ()
    return toolbox.members(herd_id)


def _earlier(targets: Sequence[OperationTarget]) -> Earlier:
    """Give what earlier attempts saw in each step they began, the first sight of it."""
    again = [target.pk for target in targets if target.attempt > 1]
    seen: dict[int, dict[str, Mapping[str, Any]]] = defaultdict(dict)
    if again:
        steps = OperationStep.objects.filter(target__in=again)
        for step in steps.order_by("target", "attempt", "number"):
            if not seen[step.target_id].get(step.name):
                seen[step.target_id][step.name] = step.evidence
    return seen


def _columns(shares: Iterable[Share]) -> list[list[int] | list[str]]:
    """Give shares as the two arrays that SQL unnests."""
    pairs = list(shares)
    return [[pair.operation_id for pair in pairs], [pair.herd_key for pair in pairs]]
