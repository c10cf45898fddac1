"""What people ask of the engine: plan, confirm, cancel, retry, resume, discard."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.utils import timezone

from herds import conf
from herds.domain.states import (
    ACTIVE_OPERATIONS,
    RETRYABLE_TARGETS,
    OperationState,
    TargetState,
)
from herds.errors import NotAllowed, PlanOutdated, PreconditionFailed
from herds.models import Instance, Operation, OperationJob, OperationTarget
from herds.services.actions import Action
from herds.services.history import record_request
from herds.services.undo import UNDO_ONLY

from . import audit, dispatch, leave, plans, registry
from .leave import Requester

__all__ = ["Requester"]


def draft(
    action_name: str,
    instance_ids: Iterable[int],
    requester: Requester,
    parameters: Mapping[str, Any] | None = None,
    *,
    retry_of: Operation | None = None,
) -> Operation:
    """Write the plan of an action for the chosen instances; nothing is run.

    Returns:
        The operation, planned, with a target for every instance that exists.

    Raises:
        NotAllowed: the person lacks the action's permission.
        PreconditionFailed: no such action, or no instance was chosen.
    """
    action = registry.get(action_name)
    requester.require(action.permission, action.verb)
    chosen: Sequence[int] = list(instance_ids)
    if action.narrow is not None:
        chosen = action.narrow(chosen)
    members = list(
        Instance.objects.filter(pk__in=chosen)
        .select_related("herd__environment", "server")
        .order_by("herd__environment__env_name", "herd__herd_name", "server__hostname")
    )
    if not members:
        raise PreconditionFailed(
            "No instance was chosen.", hint="Tick at least one, then choose again."
        )
    refused = leave.refusals(action, members, requester)
    if len(refused) == len(members):
        raise NotAllowed(next(iter(refused.values())), hint="Nothing was planned.")
    planned = [
        *plans.plan_by_herd(action, [m for m in members if m.pk not in refused]),
        *((m, plans.refused(refused[m.pk])) for m in members if m.pk in refused),
    ]
    named: set[int] = set()
    with transaction.atomic():
        operation = Operation.objects.create(
            action=action.name,
            headline=plans.headline(action, members),
            afterwards=action.afterwards,
            requested_by=requester.user,
            requested_by_name=requester.name,
            source=requester.source,
            parameters=dict(parameters or {}),
            state=(
                OperationState.PLANNING if action.examine else OperationState.PLANNED
            ),
            concurrency=conf.operations().concurrency,
            expires_at=_new_expiry(),
            retry_of=retry_of,
        )
        OperationTarget.objects.bulk_create(
            [
                plans.planned_row(operation, action, position, member, plan, named)
                for position, (member, plan) in enumerate(planned)
            ],
            batch_size=1000,
        )
        if action.confirm:
            audit.record(requester, "planned", operation, words=operation.headline)
        if action.examine:
            dispatch.examine(operation)
    return operation


def confirm(
    operation_id: int,
    requester: Requester,
    *,
    reason: str = "",
    stop_at_first_failure: bool = False,
    acknowledged: bool = False,
    choices: Mapping[str, str] | None = None,
    typed: Mapping[int, str] | None = None,
) -> Operation:
    """Turn a plan into a running operation.

    Targets that are gone or have changed since the plan was written, and those on
    which this person may not act, are refused, each with why; the others go. Where a
    second person has to say yes, the first yes asks for theirs.

    Args:
        operation_id: the plan's number.
        requester: who says yes.
        reason: why, for the record.
        stop_at_first_failure: begin no further target once one has failed.
        acknowledged: whether the plan's warnings were read.
        choices: what was chosen other than planned: by ``<target id>.<name>`` for
            one target, by ``<name>`` for all of them.
        typed: what was typed where a plan asks for it, by the number of the target.

    Returns:
        The operation; still planned while it waits for a second person.

    Raises:
        NotAllowed: the person lacks the action's permission, or cannot be the second
            one, having been the first.
        PlanOutdated: it was confirmed or discarded already, or left too long.
        PreconditionFailed: it has warnings that nobody acknowledged, or asks for a
            word that was not typed.
    """
    with transaction.atomic():
        operation = _locked(operation_id)
        action = registry.get(operation.action)
        requester.require(action.permission, action.verb)
        _refuse_outdated(operation)
        targets = list(operation.targets.filter(state=TargetState.PLANNED))
        if not acknowledged and any(map(plans.warns, targets)):
            raise PreconditionFailed(
                "The plan has warnings that nobody has acknowledged.",
                hint="Read them, tick that you have, then confirm again.",
            )
        plans.refuse_untyped(targets, typed or {})
        if operation.asked_at is None:
            # A second person says yes to what the first one chose.
            plans.choose(targets, choices or {})
            operation.reason = reason.strip()[:2000]
            operation.stop_at_first_failure = stop_at_first_failure
        plans.refuse_changed(targets)
        going = [each for each in targets if each.state == TargetState.PLANNED]
        against = leave.refuse_forbidden(action, going, requester, operation.reason)
        going = [each for each in going if each.state == TargetState.PLANNED]
        if _waits_for_second(operation, action, going, requester):
            return operation
        operation.state = OperationState.QUEUED
        operation.confirmed_at = timezone.now()
        operation.save()
        _queue(operation, TargetState.PLANNED)
        record_request(operation, action.verb)
        words = operation.headline + (
            f", against the freeze of {against}" * bool(against)
        )
        event = "approved" if operation.approved_by_name else "confirmed"
        audit.record(requester, event, operation, words=words)
        dispatch.settle(operation)
    return operation


def wants_second_person(operation: Operation) -> str:
    """Name the environments of a plan in which a second person has to say yes."""
    targets = list(operation.targets.filter(state=TargetState.PLANNED))
    return leave.wants_second_person(registry.get(operation.action), targets)


def _waits_for_second(
    operation: Operation,
    action: Action,
    targets: Sequence[OperationTarget],
    requester: Requester,
) -> bool:
    """Ask for a second person where one is wanted; tell whether one is waited for.

    Raises:
        NotAllowed: this person asked.
    """
    where = leave.wants_second_person(action, targets)
    if not where or requester.source == "worker":
        return False
    if operation.asked_at is None:
        operation.asked_by_name = requester.name
        operation.asked_at = timezone.now()
        operation.expires_at = _new_expiry()
        operation.save()
        audit.record(requester, "asked for", operation, words=operation.headline)
        return True
    if operation.asked_by_name == requester.name:
        raise NotAllowed(
            f"{requester.name} asked for it; in {where} another person has to say yes.",
            hint=f"Somebody else opens operation {operation.pk} and says yes.",
        )
    operation.approved_by_name = requester.name
    return False


def _new_expiry() -> datetime:
    return timezone.now() + timedelta(seconds=conf.operations().plan_lifetime)


def _refuse_outdated(operation: Operation) -> None:
    if operation.state == OperationState.PLANNING:
        raise PlanOutdated(
            f"The plan of operation {operation.pk} is still being written.",
            hint="Wait until the hosts were looked at.",
        )
    if operation.state != OperationState.PLANNED:
        raise PlanOutdated(
            f"Operation {operation.pk} is {operation.state} and cannot be "
            "confirmed again.",
            hint="Open it to see what it did.",
        )
    if operation.expires_at < timezone.now():
        raise PlanOutdated(
            f"The plan of operation {operation.pk} was made at "
            f"{operation.created_at:%Y-%m-%d %H:%M} UTC and is too old to act on.",
            hint="Plan it again: what is true may have changed.",
        )


def _queue(operation: Operation, state: TargetState) -> None:
    """Queue the targets of a state, a job for each herd among them."""
    waiting = operation.targets.filter(state=state)
    keys = sorted(set(waiting.values_list("herd_key", flat=True)))
    waiting.update(
        state=TargetState.QUEUED, finished_at=None, outcome="", detail="", worker=None
    )
    OperationJob.objects.bulk_create(
        [OperationJob(operation=operation, herd_key=key) for key in keys],
        update_conflicts=True,
        unique_fields=["operation", "herd_key"],
        update_fields=["queue_id", "is_done"],
    )


def cancel(operation_id: int, requester: Requester) -> Operation:
    """Ask a running operation to stop: what has not begun is dropped.

    Targets that are being worked on come to a safe end first.

    Raises:
        NotAllowed: it is somebody else's, and the person may not cancel those.
        PreconditionFailed: it has ended already.
    """
    with transaction.atomic():
        operation = _locked(operation_id)
        if operation.requested_by_id is None or (
            requester.user is None or operation.requested_by_id != requester.user.pk
        ):
            _require_over_others(operation, "cancel other people's work", requester)
        if operation.state not in ACTIVE_OPERATIONS:
            raise PreconditionFailed(
                f"Operation {operation.pk} has ended already ({operation.state})."
            )
        operation.cancel_requested_at = timezone.now()
        operation.cancel_requested_by_name = requester.name
        operation.state = OperationState.CANCELLING
        operation.save()
        audit.record(requester, "cancelled", operation, words=operation.headline)
        dispatch.drop_waiting(operation, f"Not begun; cancelled by {requester.name}.")
        operation.targets.filter(state=TargetState.RUNNING).update(
            state=TargetState.CANCELLING
        )
        dispatch.settle(operation)
    return operation


def _require_over_others(operation: Operation, verb: str, requester: Requester) -> None:
    """Refuse who may not end other people's work where all of its targets lie.

    Raises:
        NotAllowed: naming an environment, and who may.
    """
    leave.require_all(leave.CANCEL, verb, list(operation.targets.all()), requester)


def retry(operation_id: int, requester: Requester) -> Operation:
    """Plan the targets that did not succeed once more, as a new operation.

    Raises:
        NotAllowed: the person lacks the action's permission.
        PreconditionFailed: it still runs, or nothing of it failed.
    """
    operation = found(operation_id)
    if operation.state in ACTIVE_OPERATIONS:
        raise PreconditionFailed(
            f"Operation {operation.pk} still runs.", hint="Wait for its end."
        )
    again = operation.targets.filter(
        state__in=RETRYABLE_TARGETS, instance__isnull=False
    ).values_list("instance_id", flat=True)
    if not again:
        raise PreconditionFailed(
            f"Operation {operation.pk} has no target left to try again."
        )
    return draft(
        operation.action,
        [number for number in again if number is not None],
        requester,
        {
            name: value
            for name, value in operation.parameters.items()
            if name != UNDO_ONLY
        },
        retry_of=operation,
    )


def resume(operation_id: int, requester: Requester) -> Operation:
    """Go on with the targets whose worker was lost.

    What is true is looked at first; what was done already is not done again.

    Raises:
        NotAllowed: the person lacks the action's permission.
        PreconditionFailed: nothing of it is interrupted.
    """
    with transaction.atomic():
        operation = _locked(operation_id)
        action = registry.get(operation.action)
        requester.require(action.permission, action.verb)
        interrupted = operation.targets.filter(state=TargetState.INTERRUPTED)
        if not interrupted:
            raise PreconditionFailed(
                f"Operation {operation.pk} has no interrupted target."
            )
        leave.require_all(action.permission, action.verb, list(interrupted), requester)
        audit.record(requester, "resumed", operation, words=operation.headline)
        # Whoever resumes wants it to go on, whatever was asked before.
        operation.cancel_requested_at = None
        operation.cancel_requested_by_name = ""
        operation.parameters.pop(UNDO_ONLY, None)
        _go_on(operation)
    return operation


def take_back(operation: Operation) -> None:
    """Have what a lost worker left half-way taken back, where nobody has to be asked.

    Args:
        operation: its row locked by the caller, inside a transaction.
    """
    if not registry.get(operation.action).goes_back:
        return
    if operation.targets.filter(state=TargetState.INTERRUPTED).exists():
        operation.parameters[UNDO_ONLY] = True
        _go_on(operation)


def _go_on(operation: Operation) -> None:
    """Queue the interrupted targets of an operation again."""
    operation.state = OperationState.RUNNING
    operation.finished_at = None
    operation.outcome = ""
    operation.save()
    _queue(operation, TargetState.INTERRUPTED)
    dispatch.settle(operation)


def discard(operation_id: int, requester: Requester) -> None:
    """Put away a plan that nobody confirmed.

    Raises:
        NotAllowed: it is somebody else's, and the person may not cancel those.
        PlanOutdated: it is no plan any more.
    """
    with transaction.atomic():
        operation = _locked(operation_id)
        if requester.user is not None and operation.requested_by != requester.user:
            _require_over_others(operation, "discard other people's plans", requester)
        if operation.state not in {OperationState.PLANNED, OperationState.PLANNING}:
            raise PlanOutdated(f"Operation {operation.pk} is {operation.state}.")
        audit.record(requester, "discarded", operation, words=operation.headline)
        operation.delete()


def decline(operation_id: int, requester: Requester, reason: str) -> Operation:
    """Say no, as the second person, to what another one asked for.

    Raises:
        NotAllowed: the person may not act there either.
        PlanOutdated: nobody asks for it (any more).
        PreconditionFailed: no reason was given.
    """
    with transaction.atomic():
        operation = _locked(operation_id)
        action = registry.get(operation.action)
        targets = list(operation.targets.filter(state=TargetState.PLANNED))
        leave.require_all(action.permission, action.verb, targets, requester)
        if operation.state != OperationState.PLANNED or operation.asked_at is None:
            raise PlanOutdated(f"Nobody asks for a yes to operation {operation.pk}.")
        if not reason.strip():
            raise PreconditionFailed("Declining takes a reason.", hint="Write why not.")
        words = f"Declined by {requester.name}: {reason.strip()[:2000]}"
        operation.state = OperationState.CANCELLED
        operation.confirmed_at = operation.finished_at = timezone.now()
        operation.outcome = words
        operation.save()
        operation.targets.filter(state=TargetState.PLANNED).update(
            state=TargetState.CANCELLED, outcome=words, finished_at=timezone.now()
        )
        audit.record(requester, "declined", operation, words=words)
    return operation


def _locked(operation_id: int) -> Operation:
    operation = Operation.objects.select_for_update().filter(pk=operation_id).first()
    return _or_refuse(operation, operation_id)


def found(operation_id: int) -> Operation:
    """Find an operation by its number.

    Raises:
        PreconditionFailed: there is none.
    """
    return _or_refuse(Operation.objects.filter(pk=operation_id).first(), operation_id)


def _or_refuse(operation: Operation | None, operation_id: int) -> Operation:
    if operation is None:
        raise PreconditionFailed(f"There is no operation {operation_id}.")
    return operation
