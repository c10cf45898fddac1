"""Finds the work of lost workers and marks it interrupted, to be resumed."""

from __future__ import annotations

from datetime import timedelta

from django.db import connection, transaction
from django.db.models.functions import Now
from django.utils import timezone

from herds.domain.states import ACTIVE_TARGETS, StepState, TargetState
from herds.models import Operation, OperationJob, OperationStep, OperationTarget, Worker

from . import dispatch, requests

LOST_AFTER = timedelta(seconds=20)
"""A worker silent for longer is lost: it beats every 2 s (``worker.HEARTBEAT``)."""


_SETTLED_AFTER = timedelta(seconds=10)
"""By then every worker that lives has given a sign of life to a server that began."""


def notice_losses() -> int:
    """Do as ``reap`` for pages and terminals: they notice losses when nobody else does.

    They do not know what was before. After an outage of the metadata every worker
    looks silent, so nothing is taken from any while their server is young.

    Returns:
        How many workers were found lost.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_postmaster_start_time() < now() - make_interval(secs => %s)",
            [_SETTLED_AFTER.total_seconds()],
        )
        is_settled = cursor.fetchone() == (True,)
    return reap() if is_settled else 0


def reap() -> int:
    """Take their work from workers that were silent for too long.

    A worker that is taken for lost by mistake writes nothing from then on (see
    ``journal.Disowned``), so marking and resuming are safe.

    Returns:
        How many workers were found lost.
    """
    silent = Worker.objects.filter(
        stopped_at__isnull=True, heartbeat_at__lt=Now() - LOST_AFTER
    )
    lost = [worker for worker in silent if _take_from(worker)]
    _free_orphans()
    return len(lost)


def _take_from(worker: Worker) -> bool:
    """Disown one worker and mark what it was doing."""
    with transaction.atomic():
        # The condition is looked at again under the row's lock: the worker may have
        # beaten meanwhile, or another process may have been quicker.
        disowned = Worker.objects.filter(
            pk=worker.pk,
            stopped_at__isnull=True,
            heartbeat_at__lt=Now() - LOST_AFTER,
        ).update(stopped_at=timezone.now())
        if not disowned:
            return False
        release(worker)
    return True


def release(worker: Worker) -> None:
    """Mark what a worker that is gone was doing, and free the herds it held.

    The caller holds a transaction in which the worker was marked as stopped.
    """
    targets = OperationTarget.objects.filter(worker=worker, state__in=ACTIVE_TARGETS)
    jobs = OperationJob.objects.filter(worker=worker, is_done=False)
    operations = sorted(
        {
            *targets.values_list("operation_id", flat=True),
            *jobs.values_list("operation_id", flat=True),
        }
    )
    # An operation is locked before its targets, here as everywhere.
    locked = Operation.objects.select_for_update().filter(pk__in=operations)
    list(locked.order_by("pk").values_list("pk"))
    OperationStep.objects.filter(target__in=targets, state=StepState.RUNNING).update(
        state=StepState.INTERRUPTED, finished_at=timezone.now()
    )
    targets.update(
        state=TargetState.INTERRUPTED,
        finished_at=timezone.now(),
        current_step="",
        outcome=(
            f"The worker {worker.pid} on {worker.hostname} was lost. What is true of "
            "this target now is not known; resume looks first and then goes on."
        ),
    )
    _finish_in_queue([job.queue_id for job in jobs if job.queue_id])
    jobs.update(is_done=True, worker=None)
    for operation_id in operations:
        dispatch.settle_by_number(operation_id)
    for operation in Operation.objects.filter(pk__in=operations).order_by("pk"):
        requests.take_back(operation)


def _free_orphans() -> None:
    """Free the herds of jobs that a lost process had fetched, and queue them anew.

    The queue's own worker rows end with their process's heartbeat; a job marked
    "doing" whose herd nobody of ours works on would hold the herd's lock for ever.
    One that has left the queue although its herd was never begun, as after a worker
    that was disowned between the two, would be waited for for ever.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT queued.id
              FROM procrastinate_jobs queued
              LEFT JOIN procrastinate_workers process ON process.id = queued.worker_id
              LEFT JOIN ele_operation_job job ON job.queue_id = queued.id
             WHERE queued.status = 'doing' AND queued.queue_name = %s
               AND (process.id IS NULL
                    OR process.last_heartbeat < now() - make_interval(secs => %s))
               AND (job.job_id IS NULL OR job.is_done OR job.worker_id IS NULL)
            UNION
            SELECT job.queue_id
              FROM ele_operation_job job
              LEFT JOIN procrastinate_jobs queued ON queued.id = job.queue_id
                    AND queued.status IN ('todo', 'doing')
             WHERE job.queue_id IS NOT NULL AND queued.id IS NULL
               AND NOT job.is_done AND job.worker_id IS NULL
            """,
            [dispatch.QUEUE, LOST_AFTER.total_seconds()],
        )
        stuck = [row[0] for row in cursor.fetchall()]
    if not stuck:
        return
    with transaction.atomic():
        jobs = OperationJob.objects.select_for_update().filter(queue_id__in=stuck)
        operations = {job.operation_id for job in jobs if not job.is_done}
        _finish_in_queue(stuck)
        jobs.filter(is_done=False).update(queue_id=None)
    for operation_id in sorted(operations):
        dispatch.settle_by_number(operation_id)


def _finish_in_queue(numbers: list[int]) -> None:
    """End jobs of the queue as failed, which frees the locks they hold."""
    if not numbers:
        return
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT procrastinate_finish_job_v1(id, 'failed', false)"
            "  FROM procrastinate_jobs WHERE id = ANY(%s) AND status = 'doing'",
            [numbers],
        )
