"""Runs the targets of one herd: wave after wave, each target to its outcome."""

from __future__ import annotations

import logging
import threading
import traceback
import uuid
from collections import defaultdict
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from itertools import groupby

from django.db import InterfaceError, OperationalError
from django.utils import timezone

from herds.domain.clock import Clock
from herds.domain.cluster import Observation
from herds.domain.outcome import FollowUp, Outcome
from herds.domain.states import (
    ACTIVE_TARGETS,
    TargetState,
)
from herds.errors import (
    NOTHING_KNOWN,
    ElephaasError,
    Interrupted,
    OperationCancelled,
    RolledBack,
)
from herds.models import Operation, OperationTarget
from herds.services.actions import Action
from herds.services.recording import (
    Sighting,
    Unseen,
    VhostSight,
    record_sightings,
    record_vhost,
)
from herds.services.target import Member, Target
from herds.services.toolbox import Toolbox

from . import dispatch, registry
from .claims import Claim, Earlier, Share, claim_all, hand_on_all
from .journal import Disowned, Journal
from .records import TargetEnded
from .story import Dropped, Story

logger = logging.getLogger(__name__)

_ENDS: tuple[tuple[type[ElephaasError], TargetState], ...] = (
    (OperationCancelled, TargetState.CANCELLED),
    (RolledBack, TargetState.ROLLED_BACK),
    (Interrupted, TargetState.INTERRUPTED),
)
"""Errors that are ends of their own, and no failures."""


@dataclass(frozen=True, kw_only=True)
class Crew:
    """What a worker gives every herd it works on.

    Attributes:
        worker_id: whose work it is.
        journal: where the story is told.
        toolbox: makes the clusters.
        clock: where time comes from.
        pool: threads for the targets of a wave.
        stopping: set when the worker is to end: what has begun is finished, what
            has not is handed back.
        cancellations: gives the event that is set when an operation is cancelled.
    """

    worker_id: uuid.UUID
    journal: Journal
    toolbox: Toolbox
    clock: Clock
    pool: ThreadPoolExecutor
    stopping: threading.Event
    cancellations: Cancellations


class Cancellations:
    """Which operations this worker works on, and which of them were cancelled."""

    def __init__(self) -> None:
        self._events: dict[int, threading.Event] = {}
        self._users: dict[int, int] = defaultdict(int)
        self._lock = threading.Lock()

    def join(self, operation_id: int) -> threading.Event:
        """Begin to work on an operation."""
        with self._lock:
            self._users[operation_id] += 1
            return self._events.setdefault(operation_id, threading.Event())

    def leave(self, operation_id: int) -> None:
        """End to work on an operation."""
        with self._lock:
            self._users[operation_id] -= 1
            if not self._users[operation_id]:
                del self._users[operation_id], self._events[operation_id]

    def look(self) -> None:
        """See which of the operations worked on were cancelled."""
        with self._lock:
            working = [
                number for number, event in self._events.items() if not event.is_set()
            ]
        if not working:
            return
        cancelled = Operation.objects.filter(
            pk__in=working, cancel_requested_at__isnull=False
        ).values_list("pk", flat=True)
        with self._lock:
            for number in cancelled:
                if number in self._events:
                    self._events[number].set()


@dataclass(kw_only=True)
class _HerdRun:
    """One herd of one operation while it is worked on."""

    operation: Operation
    action: Action
    crew: Crew
    cancelled: threading.Event
    earlier: Earlier
    members: tuple[Member, ...]
    sightings: dict[int, Sighting] = field(default_factory=dict)
    vhost: VhostSight | None = None


def run_herd(operation_id: int, herd_key: str, crew: Crew) -> None:
    """Work on what is queued of one herd, and hand the operation on.

    Returns early, leaving the rest queued for another worker, when this worker is
    to stop; and silently when it was declared lost.
    """
    cancelled = crew.cancellations.join(operation_id)
    try:
        share = Share(operation_id, herd_key)
        claim = Claim(share, crew.worker_id, crew.toolbox)
        claimed = crew.journal.do_jointly(claim_all, claim)
        if claimed is not None:
            run = _HerdRun(
                operation=claimed.operation,
                action=registry.get(claimed.operation.action),
                crew=crew,
                cancelled=cancelled,
                earlier=claimed.earlier,
                members=claimed.members,
            )
            _run_waves(run, claimed.targets)
        crew.journal.do_jointly(hand_on_all, share)
    except Disowned:
        logger.warning("Operation %s was taken from this worker", operation_id)
    except (OperationalError, InterfaceError):
        # Only a worker that ends gives up; what it had begun is found interrupted.
        raise
    except Exception as error:
        crew.journal.do(partial(_break_off, operation_id, herd_key, error))
    finally:
        crew.cancellations.leave(operation_id)


def _break_off(operation_id: int, herd_key: str, error: Exception) -> None:
    """End what is left of a herd after an error outside of its targets."""
    outcome, detail = _told(error, "this herd")
    Operation.objects.select_for_update().filter(pk=operation_id).first()
    OperationTarget.objects.filter(
        operation=operation_id, herd_key=herd_key, state__in=ACTIVE_TARGETS
    ).update(
        state=TargetState.FAILED,
        outcome=outcome,
        detail=detail,
        current_step="",
        finished_at=timezone.now(),
    )
    hand_on_all([Share(operation_id, herd_key)])


def _told(error: Exception, where: str) -> tuple[str, str]:
    """Say what an error means for a target: in a sentence, and in detail."""
    if isinstance(error, ElephaasError):
        return error.sentence(), error.output
    logger.error("Work on %s ended in an error of the program", where, exc_info=error)
    return (
        f"The program itself failed while it worked on {where} "
        f"({type(error).__name__}). What is true there now is not known; refresh it."
    ), "".join(traceback.format_exception(error))


def _run_waves(run: _HerdRun, targets: Sequence[OperationTarget]) -> None:
    herd_id = targets[0].herd_id
    for _, wave in groupby(targets, key=lambda target: target.wave):
        if run.crew.stopping.is_set():
            return
        states = _run_wave(run, list(wave))
        if herd_id is not None and run.sightings:
            _keep_sightings(run, herd_id)
        if herd_id is not None and run.vhost is not None:
            run.crew.journal.do(partial(record_vhost, herd_id, run.vhost))
            run.vhost = None
        if TargetState.FAILED in states and run.operation.stop_at_first_failure:
            run.crew.journal.do(partial(_drop_rest, run.operation.pk))


def _keep_sightings(run: _HerdRun, herd_id: int) -> None:
    """Note in the inventory what was seen; the operation goes on without that too."""
    try:
        run.crew.journal.do_jointly(_keep_all, (herd_id, run.sightings))
    except (Disowned, OperationalError, InterfaceError):
        raise
    except Exception:
        logger.exception("What was seen of herd %s could not be kept", herd_id)
    run.sightings = {}


def _keep_all(seen: Sequence[tuple[int, Mapping[int, Sighting]]]) -> list[None]:
    """Note what was seen of several herds, or of one in several operations."""
    herds: dict[int, dict[int, Sighting]] = defaultdict(dict)
    for herd_id, sightings in seen:
        herds[herd_id].update(sightings)
    record_sightings(herds)
    return [None] * len(seen)


def _drop_rest(operation_id: int) -> None:
    operation = Operation.objects.select_for_update().get(pk=operation_id)
    dispatch.drop_waiting(
        operation,
        "Not begun; another target failed, and the request was to stop then.",
    )


def _run_wave(run: _HerdRun, wave: Sequence[OperationTarget]) -> list[TargetState]:
    if len(wave) == 1:
        return [_run_target(run, wave[0])]
    running: list[Future[TargetState]] = [
        run.crew.pool.submit(_run_target, run, target) for target in wave
    ]
    return [each.result() for each in running]


def _run_target(run: _HerdRun, target: OperationTarget) -> TargetState:
    """Work on one target and write down how it ended."""
    if run.crew.stopping.is_set() or run.cancelled.is_set():
        return TargetState.QUEUED
    detail, follow_ups = "", tuple[FollowUp, ...]()
    try:
        done = _carry_out(run, target)
        outcome, follow_ups = done.sentence, done.follow_ups
        state = TargetState.FOLLOW_UPS if follow_ups else TargetState.SUCCEEDED
    except Dropped:
        return TargetState.CANCELLED
    except Disowned:
        raise
    except Exception as error:
        state = next(
            (end for kind, end in _ENDS if isinstance(error, kind)), TargetState.FAILED
        )
        outcome, detail = _told(error, target.hostname)
        if isinstance(error, NOTHING_KNOWN) and target.instance_id is not None:
            run.sightings[target.instance_id] = Unseen(
                at=run.crew.clock.now(), why=error.message
            )
    run.crew.journal.write(
        TargetEnded(
            target_id=target.pk,
            attempt=target.attempt,
            state=state,
            outcome=outcome,
            detail=detail,
            follow_ups=[each.as_json() for each in follow_ups],
            at=run.crew.clock.now(),
        )
    )
    return state


def _carry_out(run: _HerdRun, row: OperationTarget) -> Outcome:
    instance = row.instance
    if instance is None:
        raise ElephaasError(
            f"{row.herd_name} on {row.hostname} is no longer in the inventory; "
            "nothing was done to it."
        )

    def record(seen: Observation) -> None:
        run.sightings[instance.pk] = seen

    def keep_vhost(seen: VhostSight) -> None:
        run.vhost = seen

    crew = run.crew
    done = run.action.run(
        Target(
            instance_id=instance.pk,
            cluster=crew.toolbox.cluster(instance),
            members=run.members,
            steps=Story(
                target_id=row.pk,
                attempt=row.attempt,
                worker_id=crew.worker_id,
                journal=crew.journal,
                clock=crew.clock,
                cancelled=run.cancelled,
                earlier=run.earlier.get(row.pk, {}),
            ),
            clock=crew.clock,
            record=record,
            record_member=run.sightings.__setitem__,
            keep=crew.journal.do,
            plan=row.plan,
            parameters=run.operation.parameters,
            cancelled=run.cancelled,
            patience=crew.toolbox.patience,
            nameserver=crew.toolbox.nameserver,
            record_vhost=keep_vhost,
        )
    )
    return Outcome(sentence=done) if isinstance(done, str) else done
