"""The outage: stop the primary, prove that nothing is missing, promote; or undo it.

Nothing in here waits for anything that could have been done before, and nothing for the
metadata. Until the standby is told to promote, whatever fails has the old primary
started again; from then on there is only forward.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
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
from herds.postgres.slots import drop_slots

from .scene import at_once
from .slots import make_slots, needed_slots
from .steps import Step
from .target import Member, Target
from .undo import Undo, abandon, roll_back

RECEIVE = 10.0
"""Seconds that the standby gets to receive the last WAL; it usually has it already."""

_SLOTS = "slots"  # the step whose evidence tells which were made
_FENCE = 10.0  # seconds until an empty file is written
_UNDOING = 120.0  # seconds that the end of the old primary is watched beyond patience
_SIGN_OF_LIFE = 1.0  # seconds between two records while the primary takes long to stop
_FUTILE = 3.0  # seconds after which a stop command that failed is believed


@dataclass(frozen=True, kw_only=True)
class Handover:
    """Who hands over to whom, and what follows the moment it has happened.

    ``on_promoted`` is called at once when the new primary takes writes; it raises
    nothing. ``followers`` are the members that stream from it then.
    """

    target: Target
    old: Member
    new: Member
    followers: Sequence[Member]
    on_promoted: Callable[[], None]

    @property
    def undo(self) -> Undo:
        """What takes it back."""
        return Undo(target=self.target, old=self.old, new=self.new)


@dataclass(frozen=True, kw_only=True)
class _Tools:
    """What waits on both hosts.

    ``spared`` are the old primary's processes that send the new one its WAL.
    """

    stop: Armed
    promote: Armed
    standby: Session
    spared: tuple[int, ...]


def hand_over(handover: Handover) -> float:
    """Move the herd's writes from the old primary to the new one, or nothing at all.

    Returns:
        Seconds from the word to stop until the new primary took writes.

    Raises:
        PreconditionFailed: it could not be prepared; nothing was done.
        RolledBack: it did not come about; the old primary takes writes again.
        Interrupted: it is half-way, and what is true has to be seen anew.
    """
    with _with_slots(handover), _prepared(handover) as tools:
        began = handover.target.clock.monotonic()
        with _undone_on_failure(handover, tools.stop):
            checkpoint = _stop(handover, tools)
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
    with slots_unless_undone(handover), ExitStack() as held:
        with _undone_on_failure(handover):
            _keep_down(handover)
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


def _keep_down(handover: Handover) -> None:
    """See that the old primary, stopped by an earlier attempt, comes back as none.

    Raises:
        PreconditionFailed: it runs.
        ElephaasError: nothing is known of its host.
    """
    host = handover.old.host
    with handover.target.steps.step("fence", f"Keep {host} from coming back") as step:
        promotion.fence(handover.old.cluster)
        step.note("It can only start as a standby now.")


@contextmanager
def _undone_on_failure(handover: Handover, stop: Armed | None = None) -> Iterator[None]:
    """Have the old primary started again if anything fails before the promotion.

    Args:
        handover: what is undone.
        stop: the command that stops it, which could stop or fence it meanwhile.

    Raises:
        RolledBack: it takes writes again.
        Interrupted: it does not, or this worker may not know.
    """
    try:
        yield
    except Interrupted:
        raise
    except ElephaasError as error:
        if stop is not None:
            stop.leave()
        roll_back(handover.undo, error)


@contextmanager
def _with_slots(handover: Handover) -> Iterator[None]:
    """Have the followers' slots on the new primary: they hold its WAL from now on.

    Raises:
        ElephaasError: it cannot have them; nothing was done.
    """
    new = handover.new
    if needed_slots(handover.followers, new):
        words = f"Have the followers' slots on {new.host}"
        with handover.target.steps.step(_SLOTS, words) as step:
            made = make_slots(new, handover.followers)
            step.measured(made=" ".join(made))
            step.note(f"Made {', '.join(made)}." if made else "They are there.")
        with slots_unless_undone(handover, made):
            yield
    else:
        yield


@contextmanager
def slots_unless_undone(handover: Handover, made: Sequence[str] = ()) -> Iterator[None]:
    """Drop the slots that were made on the new primary, should it not become one.

    Args:
        handover: what is undone or not.
        made: their names; those that an earlier attempt made are among them anyway.
    """
    earlier = handover.target.steps.earlier(_SLOTS) or {}
    names = {*made, *str(earlier.get("made", "")).split()}
    try:
        yield
    except Interrupted:
        raise
    except ElephaasError:
        if names:
            # A slot that stays holds WAL; the page of the herd shows it.
            with suppress(ElephaasError):
                drop_slots(handover.new.cluster, names)
        raise


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
                arm(old, "stop", seconds=target.patience + _UNDOING)
            )
            promote = held.enter_context(arm(new, "promote", seconds=target.patience))
            standby.ask("SELECT 1;", timeout=15.0)
            spared = promotion.sender_pids(old, handover.new.name)
            step.note("Checkpoints are taken; both commands wait on their hosts.")
        yield _Tools(stop=stop, promote=promote, standby=standby, spared=spared)


def _session(handover: Handover) -> AbstractContextManager[Session]:
    ref = handover.new.cluster.ref
    name = f"elephaas switchover of {ref.herd_name}"
    return hold_session(handover.new.cluster.shell, ref.data_directory, name)


def _stop(handover: Handover, tools: _Tools) -> Lsn:
    """Stop the old primary and see it shut down and unable to come back as one.

    Returns:
        Where the record of its shutdown begins: nothing is written after that.

    Raises:
        ElephaasError: it was not seen to shut down, or not to be fenced.
    """
    target, host, stop = handover.target, handover.old.host, tools.stop
    with target.steps.step("stop", f"Stop {host} (fast)") as step:
        stop.go(tools.spared)
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
        if stop.senders_ended:
            step.note(f"Ended, for it stood still: {', '.join(stop.senders_ended)}.")
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
