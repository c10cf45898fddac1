"""Takes a handover back before it has happened: the old primary takes writes again."""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import NoReturn

from herds.domain.clock import watch
from herds.domain.cluster import Activity, Observation
from herds.domain.probe import Probe
from herds.errors import (
    ElephaasError,
    Interrupted,
    NotObserved,
    OperationCancelled,
    PreconditionFailed,
    RolledBack,
)
from herds.postgres import promotion

from .lifecycle import state_sentence
from .scene import View, at_once
from .steps import Step
from .target import Member, Target

UNDO_ONLY = "undo_only"
"""The parameter of an operation that the engine resumes by itself: only to go back."""

_ENDING = 5.0  # seconds that a standby gets to end fast, before it ends at once
_REATTACH = 20.0  # seconds; standbys are woken, and by themselves try every 5 s


@dataclass(frozen=True, kw_only=True)
class Undo:
    """A handover that is to be taken back, and who was to follow whom."""

    target: Target
    old: Member
    new: Member

    @property
    def there(self) -> Target:
        """The old primary as the target."""
        return self.target.at(self.old)


def roll_back(
    undo: Undo, why: ElephaasError, *, then: Callable[[], None] = lambda: None
) -> NoReturn:
    """Start the old primary again and see its followers attached.

    Args:
        undo: what is taken back.
        why: what went wrong.
        then: done once the old primary was started, or could not be.

    Raises:
        RolledBack: it takes writes again; with why, and who follows it.
        Interrupted: it does not; with what is true.
    """
    target, host = undo.target, undo.old.host
    target.steps.must_finish()
    began = target.clock.monotonic()
    try:
        with target.steps.step("undo", f"Start {host} again", urgent=True) as step:
            step.note(why.message)
            step.saw(_bring_back(undo, step))
            seconds = target.clock.monotonic() - began
    except ElephaasError as trouble:
        then()
        raise _half_way(undo, why, trouble) from trouble
    then()
    attached = _reattach(undo)
    reason = "It was cancelled." if isinstance(why, OperationCancelled) else why.message
    raise RolledBack(
        f"{reason} Nothing was promoted and nothing is lost: {host} takes writes again "
        f"({seconds:.1f} s later), and {attached}.",
        host=host,
        output=why.output,
        hint=why.hint,
    ) from why


def abandon(undo: Undo, why: ElephaasError) -> NoReturn:
    """Take back a promotion that does not come about, where that is safe.

    A server that was told to promote may still do it at any moment. Only one that was
    stopped as a standby never will.

    Raises:
        RolledBack: the old primary takes writes again.
        Interrupted: the standby may have been promoted.
    """
    target = undo.target
    words = f"Stop {undo.new.host}, which does not promote"
    try:
        with target.steps.step("abandon", words, urgent=True) as step:
            step.note(end_standby(undo.target.at(undo.new), step))
    except ElephaasError as trouble:
        raise Interrupted(
            f"{why.message} Whether it may still be promoted is not clear "
            f"({trouble.message.rstrip('.')}), so {undo.old.host} was not started.",
            hint="Resume once it is: what is true is looked at first.",
        ) from trouble
    roll_back(undo, why, then=lambda: start_standby(target.at(undo.new)))


def end_standby(there: Target, step: Step) -> str:
    """Stop a standby that was told to promote; say what it was stopped as.

    Raises:
        NotObserved: it does not end, or not as a standby.
        ElephaasError: nothing is known of its host.
    """
    for end, seconds in (
        (promotion.end_fast, _ENDING),
        (promotion.quit_at_once, there.patience),
    ):
        with suppress(PreconditionFailed):
            end(there.cluster)
        came, seen = replace(there, patience=seconds).await_state(
            lambda now: not now.is_running
        )
        step.saw(seen)
        if came:
            break
    probe = there.cluster.probe(sizes=False)
    state = probe.control.state if probe.control else "not known"
    if not is_standby_at_rest(probe):
        raise NotObserved(
            f"{there.host} to stop as a standby",
            observed=f"{seen.activity.value}, pg_control says {state!r}",
            seconds=round(_ENDING + there.patience, 1),
            host=there.host,
        )
    return f"pg_control says {state!r}."


def is_standby_at_rest(probe: Probe) -> bool:
    """Tell whether a stopped cluster was a standby to its end, and starts as one.

    ``standby.signal`` goes before anything of a new timeline is written, and a request
    to promote does not outlive its server.
    """
    return (
        not probe.seen.is_running
        and probe.control is not None
        and probe.control.state in {"shut down in recovery", "in archive recovery"}
        and "standby.signal" in probe.files
    )


def may_be_promoted(view: View, timeline: int) -> bool:
    """Tell whether a standby may have become a primary, running or not.

    Args:
        view: what was seen of it.
        timeline: the one that it was on as a standby.
    """
    if view.probe is None or (view.probe.timeline or 0) > timeline:
        return True
    return not (view.is_standby or is_standby_at_rest(view.probe))


def start_standby(there: Target) -> None:
    """Start the standby again that was kept from promoting; no harm if it fails."""
    try:
        with there.steps.step(
            "standby", f"Start {there.host} again", urgent=True
        ) as step:
            there.act(step, "start")
            step.saw(there.look())
    except ElephaasError:
        # The step says so, and the page shows the member as stopped.
        return


def _bring_back(undo: Undo, step: Step) -> Observation:
    """Have the old primary take writes, whatever state it is in.

    Raises:
        NotObserved: it does not come up, or does not end.
        ElephaasError: nothing is known of its host.
    """
    there = undo.there
    _, seen = there.await_state(lambda now: True)
    if seen.in_recovery is False and seen.activity is Activity.RUNNING:
        step.note("It had not stopped.")
        return seen
    if seen.in_recovery:
        # Somebody started it meanwhile, and it could only become a standby.
        there.act(step, "stop")
    came, seen = there.await_state(lambda now: not now.is_running)
    if not came:
        with suppress(PreconditionFailed):
            promotion.quit_at_once(there.cluster)
        came, seen = there.await_state(lambda now: not now.is_running)
    if not came:
        raise _not_seen(undo, seen, "to end")
    promotion.unfence(there.cluster)
    there.act(step, "start")
    came, seen = there.await_state(
        lambda now: now.in_recovery is False and now.activity is Activity.RUNNING
    )
    if not came:
        raise _not_seen(undo, seen, "to take writes")
    return seen


def _not_seen(undo: Undo, seen: Observation, awaited: str) -> NotObserved:
    return NotObserved(
        f"{undo.old.host} {awaited}",
        observed=state_sentence(undo.old.host, seen).rstrip("."),
        seconds=round(undo.target.patience, 1),
        host=undo.old.host,
    )


def _half_way(undo: Undo, why: ElephaasError, trouble: ElephaasError) -> Interrupted:
    """Say what is true where the old primary could not be started again."""
    return Interrupted(
        f"{why.message} {undo.new.host} was not promoted, and {undo.old.host} could "
        f"not be seen to take writes again: {trouble.message}",
        host=undo.old.host,
        output=trouble.output,
        hint=(
            "The herd has no primary now. Resume: it looks first, then goes on or "
            f"starts {undo.old.host} again."
        ),
    )


def _reattach(undo: Undo) -> str:
    """See the standbys stream from the old primary again; say which do."""
    target = undo.target
    standbys = [
        member
        for member in target.members
        if member.instance_id != undo.old.instance_id
    ]
    words = "See the followers attached again"
    try:
        with target.steps.step("reattach", words, urgent=True) as step:
            at_once(_wake, standbys)
            missing = _missing(undo, standbys)
            attached = [each.host for each in standbys if each.host not in missing]
            said = f"{', '.join(attached) or 'nobody'} follows it"
            if missing:
                said += f"; {', '.join(sorted(missing))} was not seen to"
            step.note(f"{said}.")
    except ElephaasError as error:
        return f"who follows it was not seen ({error.message.rstrip('.')})"
    return said


def _wake(standby: Member) -> None:
    try:
        promotion.nudge(standby.cluster)
    except (ElephaasError, PreconditionFailed):
        return


def _missing(undo: Undo, standbys: Collection[Member]) -> set[str]:
    """Wait for the standbys, and give the hosts of those that did not come.

    One may follow another standby; nobody waits for one that does not run.
    """
    target = undo.target

    def left() -> tuple[set[str], set[str]]:
        seen = dict(zip(target.members, at_once(_look, target.members), strict=True))
        streaming = {
            follower.application_name
            for look in seen.values()
            for follower in (look.followers if look else ())
            if follower.state == "streaming"
        }
        missing = [each for each in standbys if each.name not in streaming]
        running = {
            each.host for each in missing if (look := seen[each]) and look.is_running
        }
        return running, {each.host for each in missing}

    _, (_, missing) = watch(
        left,
        lambda now: not now[0],
        clock=target.clock,
        timeout=_REATTACH,
        interval=0.2,
    )
    return missing


def _look(member: Member) -> Observation | None:
    try:
        return member.cluster.look()
    except ElephaasError:
        return None
