"""What comes after a promotion: everybody follows the new primary, and is seen to.

Clients write again by then, so nothing in here may fail the whole: what cannot be done
now is left as a follow-up, with why.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial

from herds.domain.outcome import FollowUp, Outcome
from herds.domain.words import listed
from herds.errors import (
    CommandFailed,
    ElephaasError,
    Interrupted,
    NotObserved,
    PreconditionFailed,
)
from herds.postgres import promotion, replication
from herds.postgres.rewind import checkpoint
from herds.postgres.streaming import await_streaming
from herds.postgres.wal import position_now

from .ends import upstream_of
from .lifecycle import state_sentence
from .pointing import Pointing
from .recording import note_succession
from .scene import at_once
from .slots import drop_idle_slots, make_slots, needed_slots
from .target import Member, Target

REJOIN, PREPARED, LOST = "rejoin", "prepared", "lost"
"""What becomes of the old primary: a follower at once, an emergency copy, or nothing
that could be done now."""

_FOLLOW = 20.0  # seconds without progress until a follower is left for later


@dataclass(frozen=True, kw_only=True)
class Aftermath:
    """A herd whose primary was moved just now.

    Attributes:
        target: whose story it is told in.
        new: the primary.
        old: the former one.
        others: the members that follow too.
        below: by instance id, the standby that feeds one of the others: who is fed by
            one that stays goes along with it, and is only seen to.
        old_primary: REJOIN, PREPARED or LOST.
        move: the virtual host on its way; where it was not moved, members follow the
            new primary by its own name.
        left: what is left to do already.
    """

    target: Target
    new: Member
    old: Member
    others: Sequence[Member]
    below: Mapping[int, Member]
    old_primary: str
    move: Pointing
    left: tuple[FollowUp, ...] = ()


def settle(aftermath: Aftermath) -> Outcome:
    """Have all others follow the new primary, look at the result, and say what is true.

    Raises:
        Interrupted: the new primary is not seen to take writes (any more).
    """
    target, new = aftermath.target, aftermath.new
    target.steps.must_finish()
    target.keep(
        partial(note_succession, aftermath.old.instance_id, new.instance_id),
    )
    _ensure_slots(aftermath)
    followed = _have_all_follow(aftermath)
    aftermath.move.confirm()
    # The name comes first: a rebuild follows it.
    left = [
        *aftermath.move.left,
        *(each for each in followed if isinstance(each, FollowUp)),
        *aftermath.left,
    ]
    try:
        timeline = _verify(aftermath)
    except ElephaasError as error:
        raise _lost_again(aftermath, error) from error
    names = [str(each) for each in followed if not isinstance(each, FollowUp)]
    sentence = f"{new.host} takes writes on timeline {timeline}"
    if names:
        follow = "follows" if len(names) == 1 else "follow"
        sentence += f"; {listed(names)} {follow} it"
    if aftermath.move.words:
        sentence += f". {aftermath.move.words.rstrip('.')}"
    if left:
        sentence += f". Left to do: {' '.join(each.words for each in left)}"
    return Outcome(sentence=sentence.rstrip(".") + ".", follow_ups=tuple(left))


def _verify(aftermath: Aftermath) -> int:
    """See the new primary take writes; give its timeline.

    Raises:
        NotObserved: it does not.
        ElephaasError: it cannot be looked at.
    """
    target, new = aftermath.target, aftermath.new
    with target.steps.step("verify", f"See what {new.host} does") as step:
        late = _checkpoint(new)
        timeline, _ = position_now(new.cluster)
        seen = target.at(new).look()
        step.saw(seen)
        if seen.in_recovery is not False:
            raise NotObserved(
                f"{new.host} to take writes",
                observed=state_sentence(new.host, seen).rstrip("."),
                seconds=0,
                host=new.host,
            )
        step.note(f"It writes on timeline {timeline}.{late}")
    return timeline


def _lost_again(aftermath: Aftermath, error: ElephaasError) -> Interrupted:
    """Say what is true where the new primary was lost right after its promotion."""
    new, old = aftermath.new.host, aftermath.old.host
    return Interrupted(
        f"{new} was promoted and took the herd's writes, and is not seen to take them "
        f"now: {error.message} {old} must not take writes again.",
        host=new,
        output=error.output,
        hint=(
            f"Resume once {new} is back: the rest is done then. If it is lost for "
            "good, fail over to one of its standbys."
        ),
    )


def _ensure_slots(aftermath: Aftermath) -> None:
    """Have the followers' slots on the new primary, where the herd uses any."""
    new, followers = aftermath.new, _followers(aftermath)
    if not needed_slots(followers, new):
        return
    with aftermath.target.steps.step(
        "new_slots", f"See the followers' slots on {new.host}"
    ) as step:
        try:
            made = make_slots(new, followers)
        except ElephaasError as error:
            step.note(error.message)
            return
        step.note(f"Made {', '.join(made)}." if made else "They are there.")


def _followers(aftermath: Aftermath) -> list[Member]:
    """Give the members that stream from the new primary once this is done."""
    direct = [
        each for each in aftermath.others if each.instance_id not in aftermath.below
    ]
    return [*direct, *([aftermath.old] if aftermath.old_primary == REJOIN else [])]


def _checkpoint(new: Member) -> str:
    """Have pg_control tell of the promotion: up to 15, a rewind needs that."""
    try:
        checkpoint(new.cluster)
    except ElephaasError as error:
        return f" Its first checkpoint is still to come ({error.message.rstrip('.')})."
    return ""


def _have_all_follow(aftermath: Aftermath) -> list[str | FollowUp]:
    """Have every other member follow, all at once; each comes or is left for later."""
    target, new = aftermath.target, aftermath.new
    is_lost = aftermath.old_primary == LOST
    members = [*aftermath.others, *([] if is_lost else [aftermath.old])]
    if not members:
        return []
    words = f"Have {listed([each.host for each in members])} follow {new.host}"
    with target.steps.step("followers", words) as step:
        followed = at_once(lambda member: _have_follow(aftermath, member), members)
        for each in followed:
            step.note(each.words if isinstance(each, FollowUp) else f"{each} follows.")
    return followed


def _have_follow(aftermath: Aftermath, member: Member) -> str | FollowUp:
    """Have one member follow; give its host, or what is left to do."""
    try:
        if member is aftermath.old:
            return _make_follower(aftermath, member)
        if feeder := aftermath.below.get(member.instance_id):
            return _goes_along(aftermath, member, feeder)
        return _repoint(aftermath, member)
    except ElephaasError as error:
        return FollowUp(
            action="rebuild",
            instance_id=member.instance_id,
            words=f"{member.host} does not follow: {error.message}",
        )


def _repoint(aftermath: Aftermath, member: Member) -> str:
    """Point a running standby at the new primary, and see it stream from there."""
    target = aftermath.target.at(member)
    replication.follow(member.cluster, _aim(aftermath, target))
    promotion.nudge(member.cluster)
    _see_it_stream(aftermath, target)
    return member.host


def _goes_along(aftermath: Aftermath, member: Member, feeder: Member) -> str:
    """See a standby that another one feeds reach the new timeline with it."""
    target = aftermath.target
    await_streaming(
        member.cluster, feeder.cluster, member.name, patience=_patience(target)
    )
    _record(target.at(member), feeder)
    return f"{member.host} (below {feeder.host})"


def _make_follower(aftermath: Aftermath, member: Member) -> str | FollowUp:
    """Make a follower of the old primary once it has ended; start it if so chosen.

    It can only start as a standby by now, and a supervisor may do that at any moment:
    then it is told as one that runs.
    """
    target = aftermath.target.at(member)
    is_running = _settle_down(target)
    try:
        replication.follow(member.cluster, _aim(aftermath, target))
    except (PreconditionFailed, CommandFailed):
        if is_running or not (is_running := _settle_down(target)):
            raise
        replication.follow(member.cluster, _aim(aftermath, target))
    if aftermath.old_primary != REJOIN and not is_running:
        _record(target, aftermath.new)
        return FollowUp(
            action="rebuild",
            instance_id=member.instance_id,
            words=(
                f"{member.host} is left stopped as an emergency copy, prepared to "
                f"follow {aftermath.new.host}."
            ),
        )
    if is_running:
        promotion.nudge(member.cluster)
    else:
        _start(target)
    _see_it_stream(aftermath, target)
    with suppress(ElephaasError):
        # Those of its former followers would hold its WAL for ever.
        drop_idle_slots(member, aftermath.target.members)
    return member.host


def _settle_down(target: Target) -> bool:
    """Wait until the old primary has ended, or runs as a standby; tell which.

    Raises:
        NotObserved: neither comes about.
        ElephaasError: nothing is known of its host.
    """
    came, seen = target.await_state(
        lambda now: not now.is_running or now.in_recovery is True
    )
    if not came:
        raise NotObserved(
            f"{target.host} to end",
            observed=(
                f"{seen.activity.value}: its archiver, a WAL sender, or a client that "
                "has connected and says nothing may hold it"
            ),
            seconds=target.patience,
            host=target.host,
        )
    return seen.is_running


def _start(target: Target) -> None:
    """Start a cluster, and wait no longer for the command than for the server."""
    acted = target.cluster.act("start")
    came, seen = target.await_state(lambda now: now.is_running, first=acted.seen)
    if not came:
        raise NotObserved(
            f"{target.host} to start",
            observed=f"{seen.activity.value}: {acted.stderr or acted.stdout}",
            seconds=target.patience,
            host=target.host,
        )


def _see_it_stream(aftermath: Aftermath, target: Target) -> None:
    """See a member stream from the new primary, and have the inventory know it."""
    aim = _aim(aftermath, target)
    try:
        _await(aftermath, target, aim)
    except NotObserved:
        if aim.host == aftermath.new.host:
            raise
        # Its resolver may still hold the former address of the name.
        by_itself = replace(aim, host=aftermath.new.host)
        replication.follow(target.cluster, by_itself)
        promotion.nudge(target.cluster)
        _await(aftermath, target, by_itself)
    _record(target, aftermath.new)


def _await(aftermath: Aftermath, target: Target, aim: replication.Upstream) -> None:
    await_streaming(
        target.cluster,
        aftermath.new.cluster,
        aim.application_name,
        patience=_patience(target),
    )


def _patience(target: Target) -> float:
    return min(_FOLLOW, target.patience)


def _aim(aftermath: Aftermath, target: Target) -> replication.Upstream:
    aim = upstream_of(target, aftermath.new)
    is_old = target.instance_id == aftermath.old.instance_id
    if is_old and aftermath.old_primary == PREPARED:
        # A slot would hold the new primary's WAL until somebody starts it, for days.
        aim = replace(aim, slot="")
    return aim if aftermath.move.is_moved else replace(aim, host=aftermath.new.host)


def _record(target: Target, upstream: Member) -> None:
    """Have the inventory name a member's upstream."""
    seen = target.cluster.look()
    facts = {**seen.facts, "upstream": upstream.instance_id}
    target.record(replace(seen, facts=facts))
