"""The outage: stop the primary, prove that nothing is missing, promote; or undo it.

Nothing in here waits for anything that could have been done before, and nothing for the
metadata. Until the standby is told to promote, whatever fails has the old primary
started again; from then on there is only forward.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass

from herds.domain.cluster import Activity, Observation
from herds.domain.lsn import Lsn
from herds.errors import (
    CommandFailed,
    ElephaasError,
    Interrupted,
    NotObserved,
    OperationCancelled,
    PreconditionFailed,
)
from herds.postgres import promotion
from herds.postgres.armed import Armed, Event, arm
from herds.postgres.rewind import checkpoint
from herds.postgres.session import Session, hold_session

from .scene import at_once
from .steps import Step
from .target import Member, Target
from .undo import Undo, abandon, roll_back

RECEIVE = 10.0
"""Seconds that the standby gets to receive the last WAL; it usually has it already."""

_FENCE = 10.0  # seconds until an empty file is written
_UNDOING = 120.0  # seconds that the end of the old primary is watched beyond patience
_SIGN_OF_LIFE = 1.0  # seconds between two records while the primary takes long to stop
_FUTILE = 3.0  # seconds after which a stop command that failed is believed


@dataclass(frozen=True, kw_only=True)
class Handover:
    """Who hands over to whom, and what follows the moment it has happened.

    ``address`` is where the old primary streams to the new one. ``on_promoted`` is
    called at once when the new primary takes writes; it raises nothing.
    """

    target: Target
    old: Member
    new: Member
    address: str
    on_promoted: Callable[[], None]

    @property
    def undo(self) -> Undo:
        """What takes it back."""
        return Undo(target=self.target, old=self.old, new=self.new)


@dataclass(frozen=True, kw_only=True)
class _Tools:
    """What waits on both hosts."""

    stop: Armed
    promote: Armed
    standby: Session


def hand_over(handover: Handover) -> float:
    """Move the herd's writes from the old primary to the new one, or nothing at all.

    Returns:
        Seconds from the word to stop until the new primary took writes.

    Raises:
        PreconditionFailed: it could not be prepared; nothing was done.
        RolledBack: it did not come about; the old primary takes writes again.
        Interrupted: it is half-way, and what is true has to be seen anew.
    """
    with _prepared(handover) as tools:
        began = handover.target.clock.monotonic()
        with _undone_on_failure(handover):
            checkpoint = _stop(handover, tools.stop)
            _compare(handover, tools.standby, checkpoint)
            handover.target.steps.refuse_lost()
        _promote(handover, tools.promote, tools.standby)
        seconds = handover.target.clock.monotonic() - began
        handover.on_promoted()
        _record_roles(handover)
    return seconds


def go_on(handover: Handover, checkpoint: Lsn) -> None:
    """Go on where an earlier attempt had stopped the old primary, or undo that.

    Args:
        handover: who hands over to whom.
        checkpoint: where the record of the old primary's shutdown begins.

    Raises:
        As ``hand_over``.
    """
    with ExitStack() as held:
        with _undone_on_failure(handover):
            promote = held.enter_context(
                arm(handover.new.cluster, "promote", seconds=handover.target.patience)
            )
            standby = held.enter_context(_session(handover))
            _compare(handover, standby, checkpoint)
            handover.target.steps.refuse_lost()
        _promote(handover, promote, standby)
        handover.on_promoted()
        _record_roles(handover)


def _record_roles(handover: Handover) -> None:
    """Have the inventory know who is the primary, whatever comes after."""
    target, now = handover.target, handover.target.clock.now()
    target.record_member(
        handover.new.instance_id,
        Observation(
            activity=Activity.RUNNING, observed_at=now, answers=True, in_recovery=False
        ),
    )
    target.record_member(
        handover.old.instance_id,
        Observation(
            activity=Activity.STOPPED,
            observed_at=now,
            facts={"upstream": handover.new.instance_id},
        ),
    )


@contextmanager
def _undone_on_failure(handover: Handover) -> Iterator[None]:
    """Have the old primary started again if anything fails before the promotion.

    Raises:
        RolledBack: it takes writes again.
        Interrupted: it does not, or this worker may not know.
    """
    try:
        yield
    except Interrupted:
        raise
    except ElephaasError as error:
        roll_back(handover.undo, error)


@contextmanager
def _prepared(handover: Handover) -> Iterator[_Tools]:
    """Put everything in place that can be before the outage."""
    target, old, new = handover.target, handover.old.cluster, handover.new.cluster
    with ExitStack() as held:
        with target.steps.step("prepare", "Prepare both ends") as step:
            at_once(lambda end: checkpoint(end, cancel=target.cancelled), [old, new])
            # The second has little to write, and the shutdown's own less still.
            checkpoint(old, cancel=target.cancelled)
            standby = held.enter_context(_session(handover))
            stop = held.enter_context(
                arm(
                    old,
                    "stop",
                    seconds=target.patience + _UNDOING,
                    spared=handover.address,
                )
            )
            promote = held.enter_context(arm(new, "promote", seconds=target.patience))
            standby.ask("SELECT 1;", timeout=15.0)
            step.note("Checkpoints are taken; both commands wait on their hosts.")
        yield _Tools(stop=stop, promote=promote, standby=standby)


def _session(handover: Handover) -> AbstractContextManager[Session]:
    ref = handover.new.cluster.ref
    name = f"elephaas switchover of {ref.herd_name}"
    return hold_session(handover.new.cluster.shell, ref.data_directory, name)


def _stop(handover: Handover, stop: Armed) -> Lsn:
    """Stop the old primary and see it shut down and unable to come back as one.

    Returns:
        Where the record of its shutdown begins: nothing is written after that.

    Raises:
        ElephaasError: it was not seen to shut down, or not to be fenced.
    """
    target, host = handover.target, handover.old.host
    with target.steps.step("stop", f"Stop {host} (fast)") as step:
        stop.go()
        event = _await_down(handover, stop, step)
        step.ran(stop.command, stop.status, stop.printed())
        if event.name == "crashed":
            raise PreconditionFailed(
                f"{host} ended without a shutdown checkpoint, so what "
                f"{handover.new.host} lacks cannot be told.",
                host=host,
            )
        fenced = stop.wait_for("fenced", "gone", seconds=_FENCE)
        if fenced.words.startswith("failed"):
            raise PreconditionFailed(
                f"standby.signal could not be written on {host} "
                f"({fenced.words.removeprefix('failed ')}), so it could come back as a "
                "primary.",
                host=host,
            )
        step.note(
            f"Shut down at {event.checkpoint} on timeline {event.timeline}; "
            "it can only start as a standby now."
        )
    return event.checkpoint


def _await_down(handover: Handover, stop: Armed, step: Step) -> Event:
    """Wait for the shutdown checkpoint, and say now and then that this goes on."""
    target, host = handover.target, handover.old.host
    began = target.clock.monotonic()
    while True:
        try:
            return stop.wait_for("down", "crashed", seconds=_SIGN_OF_LIFE)
        except NotObserved:
            waited = target.clock.monotonic() - began
        step.progress(f"waiting for its shutdown checkpoint for {waited:.0f} s")
        if target.cancelled.is_set():
            raise OperationCancelled("It was cancelled while it stopped.", host=host)
        if stop.status not in (None, 0) and waited > _FUTILE:
            raise CommandFailed(host, stop.command, stop.status or 0, stop.printed())
        if waited > target.patience:
            raise NotObserved(
                f"{host} to shut down", observed="still stopping", seconds=waited
            )


def _compare(handover: Handover, standby: Session, checkpoint: Lsn) -> None:
    """See that the new primary has all that the old one ever wrote.

    The record of the shutdown is the last one. Who has received beyond its beginning
    has all before it, and the old primary can follow without a rewind.

    Raises:
        PreconditionFailed: it lacks something; with how much.
        OutcomeUnknown: it does not answer.
    """
    new = handover.new.host
    words = f"Compare what {new} has received"
    with handover.target.steps.step("compare", words, urgent=True) as step:
        received = promotion.await_received(standby, checkpoint, seconds=RECEIVE)
        if received <= checkpoint:
            raise PreconditionFailed(
                f"{new} has received WAL up to {received} only, and "
                f"{handover.old.host} wrote up to {checkpoint} and its shutdown: "
                f"{checkpoint - received:,} bytes would be lost.",
                host=new,
            )
        step.note(f"It has everything: {received} is beyond {checkpoint}.")


def _promote(handover: Handover, promote: Armed, standby: Session) -> None:
    """Tell the standby to take writes, and see that it does.

    Raises:
        RolledBack: it did not, and was kept from it; the old primary is up again.
        Interrupted: whether it does is not known.
    """
    target, new = handover.target, handover.new.host
    target.steps.must_finish()
    with target.steps.step("promote", f"Promote {new}", urgent=True) as step:
        promote.go()
        try:
            promoted = promotion.await_promoted(standby, seconds=target.patience)
        except ElephaasError as lost:
            step.lost(lost)
            promoted = _is_promoted(handover)
        step.ran(promote.command, promote.status, promote.printed())
        if promoted:
            step.note(f"{new} takes writes.")
            return
    abandon(
        handover.undo,
        NotObserved(
            f"{new} to leave recovery",
            observed="a standby",
            seconds=target.patience,
            host=new,
        ),
    )


def _is_promoted(handover: Handover) -> bool:
    """See by other means whether a standby was promoted.

    Raises:
        Interrupted: nothing is known of it.
    """
    there = handover.target.at(handover.new)
    try:
        came, _ = there.await_state(lambda now: now.in_recovery is False)
    except ElephaasError as error:
        raise Interrupted(
            f"{handover.new.host} was told to promote, and whether it did is not known "
            f"({error.message.rstrip('.')}). {handover.old.host} is stopped and can "
            "only start as a standby.",
            hint="Resume once it can be reached: what is true is looked at first.",
        ) from error
    return came
