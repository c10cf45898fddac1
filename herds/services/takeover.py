"""Takes over from a lost primary: fence it, compare the standbys, promote one.

Until the promotion, whatever fails has the standbys follow as before.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import NoReturn

from herds.errors import (
    ElephaasError,
    Interrupted,
    NotObserved,
    PreconditionFailed,
    RolledBack,
)
from herds.postgres import promotion
from herds.postgres.armed import Armed, arm
from herds.postgres.session import Session, hold_session

from . import fence
from .freeze import await_replayed, fast_forward, freeze, thaw
from .scene import Scene, View, fed_by_others, look_at_herd
from .standings import furthest, position_of
from .target import Member, Target
from .undo import end_standby, start_standby

FENCE_IT = "fence"
ATTESTED = {
    "power_off": "I have powered it off",
    "isolated": "I have cut it off from network and storage",
    "unfenced": "nothing does; it may come back and take writes until it is seen",
}
"""What a person can say that keeps a lost primary from coming back."""


@dataclass(frozen=True, kw_only=True)
class Course:
    """A failover while it goes on."""

    scene: Scene
    old: View
    new: View

    @property
    def below(self) -> dict[int, Member]:
        """By instance id, the standby that feeds another one and stays."""
        return fed_by_others(self.scene, self.old.member, self.new.member)

    @property
    def standbys(self) -> list[Member]:
        """Those that have to receive nothing more: who is fed by one gets no more."""
        return [
            view.member
            for view in self.scene.without(self.old.member)
            if view.is_standby and view.member.instance_id not in self.below
        ]


def take_over(target: Target, course: Course) -> None:
    """Fence the lost primary, compare the standbys, and promote the chosen one.

    Raises:
        RolledBack: it did not come to a promotion.
        Interrupted: it was not seen to come about.
    """
    old, new, standbys = course.old, course.new, course.standbys
    fenced = _fence_old(target, old)
    with ExitStack() as held:
        try:
            _freeze_all(target, standbys, new)
            _compare(target, course)
            promote, standby = _armed(target, new.member, held)
            target.steps.refuse_lost()
        except Interrupted:
            raise
        except ElephaasError as error:
            go_back(target, old, standbys, error, fenced=fenced)
        if not _promote(target, new.member, promote, standby):
            late = _abandon(target, new.member)
            go_back(target, old, standbys, late, fenced=fenced)


def _fence_old(target: Target, old: View) -> bool:
    """Keep the lost primary from coming back, or write down who said what does.

    Returns:
        Whether it was done, and not only said.
    """
    chosen = target.chosen("fence")
    words = f"Keep {old.host} from coming back"
    with target.steps.step("fence", words) as step:
        attested = ATTESTED.get(chosen, "")
        done = False
        if old.probe is not None:
            was = fence.apply_fence(target.at(old.member))
            step.note(f"It was {was}; it can only start as a standby now.")
            done = True
        else:
            step.note(f"Somebody said: {attested}. It is fenced once it is seen.")
        target.keep(
            partial(
                fence.enter, old.member.instance_id, None, attested, is_applied=done
            )
        )
    return done


def _freeze_all(target: Target, standbys: Sequence[Member], new: View) -> None:
    with target.steps.step("freeze", "Have the standbys receive nothing more") as step:
        reasons = freeze(target, standbys)
        for host, why in reasons.items():
            step.note(f"{host}: {why}")
        if new.host in reasons:
            raise PreconditionFailed(
                f"{new.host} was not seen to stop receiving: {reasons[new.host]}",
                host=new.host,
            )


def _compare(target: Target, course: Course) -> None:
    """See that nobody has more than the new primary, or get it that first."""
    new = course.new
    with target.steps.step("compare", "Compare what they have") as step:
        scene = look_at_herd(target, without=[course.old.member])
        best = furthest(scene, scene.of(course.old.member))
        have, most = position_of(scene.of(new.member)), position_of(best)
        if best.known.timeline != scene.of(new.member).known.timeline:
            raise PreconditionFailed(
                f"{best.host} is on timeline {best.known.timeline} by now.",
                host=best.host,
            )
        if most > have:
            step.note(f"{best.host} has {most - have:,} bytes more; they are fetched.")
            fast_forward(target, new.member, best.member, most)
        await_replayed(target, new.member)
        step.note(f"{new.host} has everything up to {max(most, have)}.")


def _armed(target: Target, new: Member, held: ExitStack) -> tuple[Armed, Session]:
    """Put in place what promotes and what sees it; leave it with ``held``."""
    cluster = new.cluster
    name = f"elephaas failover of {cluster.ref.herd_name}"
    standby = held.enter_context(
        hold_session(cluster.shell, cluster.ref.data_directory, name)
    )
    promote = held.enter_context(arm(cluster, "promote", seconds=target.patience))
    standby.ask("SELECT 1;", timeout=15.0)
    return promote, standby


def _promote(target: Target, new: Member, promote: Armed, standby: Session) -> bool:
    """Promote the standby, and tell whether it takes writes.

    Raises:
        Interrupted: nothing is known of it.
    """
    target.steps.must_finish()
    with target.steps.step("promote", f"Promote {new.host}", urgent=True) as step:
        promote.go()
        try:
            came = promotion.await_promoted(standby, seconds=target.patience)
        except ElephaasError as lost:
            step.lost(lost)
            came = _is_promoted(target, new)
        step.ran(promote.command, promote.status, promote.printed())
        if came:
            step.note(f"{new.host} takes writes.")
    return came


def _is_promoted(target: Target, new: Member) -> bool:
    """See by other means whether a standby was promoted.

    Raises:
        Interrupted: nothing is known of it.
    """
    try:
        came, _ = target.at(new).await_state(lambda now: now.in_recovery is False)
    except ElephaasError as error:
        raise Interrupted(
            f"{new.host} was told to promote, and whether it did is not known "
            f"({error.message.rstrip('.')}).",
            host=new.host,
            hint="Resume once it can be reached: what is true is looked at first.",
        ) from error
    return came


def _abandon(target: Target, new: Member) -> NotObserved:
    """Keep a standby that does not promote from doing it later; give what went wrong.

    Raises:
        Interrupted: it may still be promoted.
    """
    there = target.at(new)
    late = NotObserved(
        f"{new.host} to leave recovery",
        observed="a standby",
        seconds=target.patience,
        host=new.host,
        hint="See in its log why, or fail over to another one.",
    )
    words = f"Stop {new.host}, which does not promote"
    try:
        with target.steps.step("abandon", words, urgent=True) as step:
            step.note(end_standby(there, step))
    except ElephaasError as trouble:
        raise Interrupted(
            f"{late.message} Whether it may still be promoted is not clear "
            f"({trouble.message.rstrip('.')}).",
            host=new.host,
            hint="Resume once it is: what is true is looked at first.",
        ) from trouble
    start_standby(there)
    return late


def go_back(
    target: Target,
    old: View,
    standbys: Sequence[Member],
    why: ElephaasError,
    *,
    fenced: bool,
) -> NoReturn:
    """Take back what came before the promotion; the herd is as it was found.

    Raises:
        RolledBack: always.
    """
    target.steps.must_finish()
    with target.steps.step("undo", "Have the standbys follow as before") as step:
        step.note(why.message)
        thaw(target, old.member, standbys)
    state = (
        f"{old.host} stays fenced: start it by hand only if it is to be the primary"
        if fenced
        else f"{old.host} is {old.words()}"
    )
    raise RolledBack(
        f"{why.message} Nothing was promoted; {state}.",
        host=why.host,
        output=why.output,
        hint=why.hint,
    ) from why
