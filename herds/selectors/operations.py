"""What is known of operations: progress, who holds a herd, steps and their output."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db.models import (
    Case,
    Count,
    Exists,
    F,
    Func,
    IntegerField,
    Max,
    OuterRef,
    Q,
    QuerySet,
    Subquery,
    Sum,
    When,
)
from django.db.models.functions import Coalesce, Now, Right

from herds.domain.states import (
    ACTIVE_OPERATIONS,
    ACTIVE_TARGETS,
    StepState,
    TargetState,
)
from herds.models import (
    Herd,
    Instance,
    Operation,
    OperationOutput,
    OperationStep,
    OperationTarget,
    Worker,
)

WORKER_SILENCE = timedelta(seconds=15)
"""A worker that was silent for longer than this is taken to be gone."""

TAIL_CHARACTERS = 4000
"""How much of the end of a step's output is read for a page."""

_TAIL_CHUNKS = 16


class _ByteLength(Func):
    """``octet_length``: PostgreSQL knows it without reading a large text."""

    function = "octet_length"
    output_field = IntegerField()


@dataclass(frozen=True, kw_only=True)
class Holder:
    """The operation that has to let go of a herd first."""

    operation_id: int
    who: str
    is_working: bool  # False: it is queued before, and has not begun there


@dataclass(frozen=True, kw_only=True)
class RunningOperation:
    """One line of the front page: an operation that has not ended."""

    operation: Operation
    total: int
    ended: int
    failed: int


@dataclass(frozen=True, kw_only=True)
class HerdOperation:
    """An operation, and what it does to the members of one herd."""

    operation: Operation
    targets: tuple[OperationTarget, ...]


@dataclass(frozen=True, kw_only=True)
class Output:
    """A stretch of what a command printed to one of its streams."""

    stream: str
    text: str


@dataclass(frozen=True, kw_only=True)
class StepRecord:
    """A step with the end of what its command printed."""

    step: OperationStep
    tail: tuple[Output, ...]
    printed_bytes: int

    @property
    def is_cut(self) -> bool:
        """Whether more was printed than the tail shows."""
        return self.printed_bytes > sum(
            len(stretch.text.encode()) for stretch in self.tail
        )


def workers_alive() -> QuerySet[Worker]:
    """Give the workers that gave a sign of life lately, by the database's clock."""
    return Worker.objects.filter(
        stopped_at__isnull=True, heartbeat_at__gt=Now() - WORKER_SILENCE
    )


def running_operations() -> list[RunningOperation]:
    """Give what is queued or runs now, the oldest first, in one query."""
    ended = ~Q(targets__state__in=ACTIVE_TARGETS)
    failed = Q(targets__state=TargetState.FAILED)
    operations = (
        Operation.objects.filter(state__in=ACTIVE_OPERATIONS)
        .annotate(
            total=Count("targets"),
            ended=Count("targets", filter=ended),
            failed=Count("targets", filter=failed),
        )
        .order_by("operation_id")
    )
    return [
        RunningOperation(
            operation=operation,
            total=operation.total,
            ended=operation.ended,
            failed=operation.failed,
        )
        for operation in operations
    ]


def recent_operations(most: int = 5) -> list[Operation]:
    """Give what ended last, the latest first, in one query."""
    ended = Operation.objects.filter(
        confirmed_at__isnull=False, finished_at__isnull=False
    ).exclude(state__in=ACTIVE_OPERATIONS)
    return list(ended.order_by("-operation_id")[:most])


def count_targets(operation_id: int) -> dict[TargetState, int]:
    """Count an operation's targets by state; states without any are left out."""
    counted = (
        OperationTarget.objects.filter(operation_id=operation_id)
        .order_by()
        .values_list("state")
        .annotate(Count("target_id"))
    )
    counts = {TargetState(state): count for state, count in counted}
    return {state: counts[state] for state in TargetState if state in counts}


def holders_of(operation_id: int, herd_keys: Collection[str]) -> dict[str, Holder]:
    """Tell which other operation each of these herds waits for.

    An operation that works on the herd comes before one that is queued earlier.
    """
    if not herd_keys:
        return {}
    others = (
        OperationTarget.objects.filter(herd_key__in=herd_keys, state__in=ACTIVE_TARGETS)
        .exclude(operation_id=operation_id)
        .filter(~Q(state=TargetState.QUEUED) | Q(operation_id__lt=operation_id))
        .order_by("operation_id")
        .values_list(
            "herd_key", "operation_id", "operation__requested_by_name", "state"
        )
        .distinct()
    )
    holders: dict[str, Holder] = {}
    for herd_key, number, who, state in others:
        is_working = state != TargetState.QUEUED
        known = holders.get(herd_key)
        if known is None or (is_working and not known.is_working):
            holders[herd_key] = Holder(
                operation_id=number, who=who, is_working=is_working
            )
    return holders


def progress_of_running(target_ids: Iterable[int]) -> dict[int, dict[str, Any]]:
    """Tell how far the long work has come that these targets are in the middle of."""
    wanted = list(target_ids)
    if not wanted:
        return {}
    steps = OperationStep.objects.filter(target__in=wanted, state=StepState.RUNNING)
    return {
        target_id: progress
        for target_id, progress in steps.values_list("target_id", "progress")
        if progress
    }


def steps_of(target_id: int) -> list[StepRecord]:
    """Give a target's steps in the order they were begun, each with its output's end.

    Two queries, however many steps there are.
    """
    printed = OperationOutput.objects.filter(step=OuterRef("pk")).order_by()
    steps = list(
        OperationStep.objects.filter(target_id=target_id)
        .annotate(
            last_chunk=Subquery(
                printed.values("step").annotate(last=Max("number")).values("last")
            ),
            printed_bytes=Coalesce(
                Subquery(
                    printed.values("step")
                    .annotate(size=Sum(_ByteLength("text")))
                    .values("size")
                ),
                0,
            ),
        )
        .order_by("attempt", "number")
    )
    tails = _tails({step.pk: step.last_chunk for step in steps})
    return [
        StepRecord(
            step=step, tail=tails.get(step.pk, ()), printed_bytes=step.printed_bytes
        )
        for step in steps
    ]


def _tails(last_chunks: dict[object, int | None]) -> dict[object, tuple[Output, ...]]:
    """Read the last chunks of several steps at once."""
    wanted = Q()
    for step_id, last in last_chunks.items():
        if last is not None:
            wanted |= Q(step_id=step_id, number__gt=last - _TAIL_CHUNKS)
    if not wanted:
        return {}
    chunks: dict[object, list[tuple[str, str]]] = {}
    for step_id, stream, text in (
        OperationOutput.objects.filter(wanted)
        .annotate(end=Right("text", TAIL_CHARACTERS))
        .order_by("step", "number")
        .values_list("step_id", "stream", "end")
    ):
        chunks.setdefault(step_id, []).append((stream, text))
    return {step_id: _last_part(parts) for step_id, parts in chunks.items()}


def _last_part(parts: list[tuple[str, str]]) -> tuple[Output, ...]:
    """Join neighbours of one stream, and keep ``TAIL_CHARACTERS`` from the end."""
    kept: list[Output] = []
    room = TAIL_CHARACTERS
    for stream, text in reversed(parts):
        if room <= 0:
            break
        end = text[-room:]
        room -= len(end)
        if kept and kept[-1].stream == stream:
            kept[-1] = Output(stream=stream, text=end + kept[-1].text)
        else:
            kept.append(Output(stream=stream, text=end))
    return tuple(reversed(kept))


def output_of(step_id: UUID) -> Iterator[str]:
    """Read all that a step's command printed, chunk by chunk, in order."""
    return (
        OperationOutput.objects.filter(step_id=step_id)
        .order_by("number")
        .values_list("text", flat=True)
        .iterator(chunk_size=50)
    )


def operations_on(instances: QuerySet[Instance]) -> QuerySet[OperationTarget]:
    """Give the targets that were these instances, the newest operation first."""
    return (
        OperationTarget.objects.filter(
            instance__in=instances, operation__confirmed_at__isnull=False
        )
        .select_related("operation")
        .order_by(F("operation_id").desc(), "position")
    )


def operations_of_herd(herd: Herd, most: int = 5) -> list[HerdOperation]:
    """Give what runs on a herd and what ran last, that first; two queries.

    Args:
        herd: whose.
        most: how many operations.
    """
    theirs = OperationTarget.objects.filter(herd=herd)
    is_active = Q(state__in=ACTIVE_OPERATIONS)
    operations = list(
        Operation.objects.filter(
            Exists(theirs.filter(operation=OuterRef("pk"))), confirmed_at__isnull=False
        )
        .defer("parameters")
        .order_by(Case(When(is_active, then=0), default=1), "-operation_id")[:most]
    )
    targets: dict[int, list[OperationTarget]] = {each.pk: [] for each in operations}
    found = theirs.filter(operation__in=operations).defer("plan").order_by("position")
    for target in found:
        targets[target.operation_id].append(target)
    return [
        HerdOperation(operation=each, targets=tuple(targets[each.pk]))
        for each in operations
    ]
