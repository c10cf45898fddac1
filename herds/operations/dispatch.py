"""Hands herds to the queue, a few at a time, and closes an operation at its end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from django.db import transaction
from django.utils import timezone
from procrastinate.contrib.django import app
from procrastinate.jobs import Job

from herds.domain.states import (
    ACTIVE_OPERATIONS,
    ACTIVE_TARGETS,
    GOOD_TARGETS,
    OperationState,
    TargetState,
    summarise,
)
from herds.models import Operation, OperationJob

from . import registry

TASK = "herds.run_herd"
EXAMINE = "herds.examine"
QUEUE = "operations"


def settle(operation: Operation) -> None:
    """Bring an operation forward: close it, or queue herds up to its concurrency.

    Args:
        operation: its row locked by the caller, inside a transaction.
    """
    if not operation.targets.filter(state__in=ACTIVE_TARGETS).exists():
        _close(operation)
        return
    handed_out = operation.jobs.filter(queue_id__isnull=False, is_done=False).count()
    room = operation.concurrency - handed_out
    if room <= 0:
        return
    waiting = operation.jobs.filter(queue_id__isnull=True, is_done=False)
    if jobs := list(waiting.order_by("job_id")[:room]):
        _queue(jobs)


def _queue(jobs: Sequence[OperationJob]) -> None:
    """Hand herds to the queue, all in one statement, each under its own lock."""
    queued = app.job_manager.batch_defer_jobs(
        [
            Job(
                queue=QUEUE,
                lock=job.herd_key,
                queueing_lock=None,
                task_name=TASK,
                task_kwargs={
                    "operation_id": job.operation_id,
                    "herd_key": job.herd_key,
                },
            )
            for job in jobs
        ]
    )
    for job, in_queue in zip(jobs, queued, strict=True):
        job.queue_id = in_queue.id
    OperationJob.objects.bulk_update(jobs, ["queue_id"])


def examine(operation: Operation) -> None:
    """Have a worker write the plan of an operation from what it sees on the hosts."""
    app.configure_task(EXAMINE, queue=QUEUE).defer(operation_id=operation.pk)


def settle_by_number(operation_id: int) -> None:
    """Lock an operation, then ``settle`` it; one that is gone is left alone."""
    with transaction.atomic():
        operation = (
            Operation.objects.select_for_update().filter(pk=operation_id).first()
        )
        if operation is not None and operation.state in ACTIVE_OPERATIONS:
            settle(operation)


def drop_waiting(operation: Operation, outcome: str) -> None:
    """Cancel the targets that nobody has begun, with the reason.

    Args:
        operation: its row locked by the caller, inside a transaction.
        outcome: the reason, a sentence.
    """
    # Workers begin targets meanwhile; whoever locks several does so in this order.
    active = operation.targets.filter(state__in=ACTIVE_TARGETS).order_by("target_id")
    list(active.select_for_update(no_key=True).values_list("target_id"))
    operation.targets.filter(state=TargetState.QUEUED).update(
        state=TargetState.CANCELLED, outcome=outcome, finished_at=timezone.now()
    )
    OperationJob.objects.filter(operation=operation, queue_id__isnull=True).update(
        is_done=True
    )


def _close(operation: Operation) -> None:
    states = Counter(operation.targets.values_list("state", flat=True))
    final = [TargetState(state) for state in states.elements()]
    operation.state = summarise(final)
    operation.outcome = _outcome(operation, states)
    operation.finished_at = timezone.now()
    operation.save(update_fields=["state", "outcome", "finished_at"])


def _outcome(operation: Operation, states: Counter[str]) -> str:
    """Say in a sentence how an operation ended, for all of its targets together."""
    total = sum(states.values())
    good = sum(states[state] for state in GOOD_TARGETS)
    action = registry.get(operation.action)
    past = action.past
    if operation.state == OperationState.SUCCEEDED:
        noun = action.noun
        whole = f"The {noun} was" if total == 1 else f"All {total:,} {noun}s were"
        left = states[TargetState.FOLLOW_UPS]
        of = "" if left == total else f" of {left:,}"
        more = f" Something{of} is left to do." if left else ""
        return f"{whole} {past}.{more}"
    parts = [f"{good:,} of {total:,} {past}"]
    parts += [
        f"{states[state]:,} {state.value}"
        for state in TargetState
        if states[state] and state not in GOOD_TARGETS
    ]
    hint = {
        OperationState.INTERRUPTED: " Resume to go on.",
        OperationState.CANCELLED: "",
    }.get(OperationState(operation.state), " Each says why; then retry those.")
    return f"{'; '.join(parts)}.{hint}"
