"""What comes after a promotion: everybody follows the new primary, and is seen to.

Clients write again by then, so nothing in here may fail the whole: what cannot be done
now is left as a follow-up, with why.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from herds.domain.cluster import Observation
from herds.domain.outcome import FollowUp, Outcome
from herds.errors import (
    ElephaasError,
    Interrupted,
    NotObserved,
    PreconditionFailed,
)
from herds.postgres import promotion, replication
from herds.postgres.rewind import checkpoint
from herds.postgres.streaming import Streaming, await_streaming
from herds.postgres.wal import position_now

from .ends import upstream_of
from .pointing import Pointing
from .scene import at_once
from .target import Member, Target

REJOIN, PREPARED = "rejoin", "prepared"
"""What becomes of the old primary: a follower at once, or an emergency copy."""

_FOLLOW = 20.0  # seconds without progress until a follower is left for later


@dataclass(frozen=True, kw_only=True)
class Aftermath:
    """A herd whose primary was moved just now.

    Attributes:
        target: whose story it is told in.
        new: the primary.
        old: the former one, where it is to follow.
        others: the members that follow too.
        old_primary: REJOIN or PREPARED.
        move: the virtual host on its way; where it was not moved, members follow the
            new primary by its own name.
        left: what is left to do already.
    """

    target: Target
    new: Member
    old: Member | None
    others: Sequence[Member]
    old_primary: str
    move: Pointing
    left: tuple[FollowUp, ...] = ()


def settle(aftermath: Aftermath) -> Outcome:
    """Have all others follow the new primary, look at the result, and say what is true.

    Raises:
        Interrupted: the new primary itself cannot be looked at.
    """
    target, new = aftermath.target, aftermath.new
    target.steps.must_finish()
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
        raise Interrupted(
            f"{new.host} was promoted, and cannot be seen now: {error.message}",
            host=new.host,
            output=error.output,
            hint="Resume once it can be reached. If it is lost for good, fail over.",
        ) from error
    names = [str(each) for each in followed if not isinstance(each, FollowUp)]
    sentence = f"{new.host} takes writes on timeline {timeline}"
    if names:
        follow = "follows" if len(names) == 1 else "follow"
        sentence += f"; {' and '.join(names)} {follow} it"
    if aftermath.move.words:
        sentence += f". {aftermath.move.words.rstrip('.')}"
    if left:
        sentence += f". Left to do: {' '.join(each.words for each in left)}"
    return Outcome(sentence=sentence.rstrip(".") + ".", follow_ups=tuple(left))


def _verify(aftermath: Aftermath) -> int:
    """See that the new primary takes writes; give its timeline."""
    target, new = aftermath.target, aftermath.new
    with target.steps.step("verify", f"See what {new.host} does") as step:
        late = _checkpoint(new)
        timeline, _ = position_now(new.cluster)
        step.saw(target.at(new).look())
        step.note(f"It writes on timeline {timeline}.{late}")
    return timeline


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
    members = [*aftermath.others, *([aftermath.old] if aftermath.old else [])]
    if not members:
        return []
    words = f"Have {_listed([each.host for each in members])} follow {new.host}"
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


def _make_follower(aftermath: Aftermath, member: Member) -> str | FollowUp:
    """Make a follower of the old primary once it has ended; start it if so chosen."""
    target = aftermath.target.at(member)
    came, seen = target.await_state(
        lambda now: not now.is_running or now.in_recovery is True
    )
    if not came:
        raise NotObserved(
            f"{member.host} to end",
            observed=f"{seen.activity.value}: its archiver or a WAL sender may hold it",
            seconds=target.patience,
            host=member.host,
        )
    seen = _tell_whom_to_follow(aftermath, target, seen)
    if aftermath.old_primary != REJOIN and not seen.is_running:
        _record(aftermath, target)
        return FollowUp(
            action="rebuild",
            instance_id=member.instance_id,
            words=(
                f"{member.host} is left stopped as an emergency copy, prepared to "
                f"follow {aftermath.new.host}."
            ),
        )
    if not seen.is_running:
        _start(target)
    _see_it_stream(aftermath, target)
    return member.host


def _tell_whom_to_follow(
    aftermath: Aftermath, target: Target, seen: Observation
) -> Observation:
    """Write the old primary's settings, running or not; give what it is then."""
    try:
        replication.follow(target.cluster, _aim(aftermath, target))
    except PreconditionFailed:
        # Somebody has started it meanwhile, and it could only become a standby.
        _, seen = target.await_state(lambda now: now.in_recovery is True)
        replication.follow(target.cluster, _aim(aftermath, target))
    return seen


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


def _see_it_stream(aftermath: Aftermath, target: Target) -> Streaming:
    """See a member stream from the new primary, and have the inventory know it."""
    aim = _aim(aftermath, target)
    patience = min(_FOLLOW, target.patience)
    try:
        seen = await_streaming(
            target.cluster,
            aftermath.new.cluster,
            aim.application_name,
            patience=patience,
        )
    except NotObserved:
        if aim.host == aftermath.new.host:
            raise
        # Its resolver may still hold the former address of the name.
        by_itself = replace(aim, host=aftermath.new.host)
        replication.follow(target.cluster, by_itself)
        promotion.nudge(target.cluster)
        seen = await_streaming(
            target.cluster,
            aftermath.new.cluster,
            aim.application_name,
            patience=patience,
        )
    _record(aftermath, target)
    return seen


def _aim(aftermath: Aftermath, target: Target) -> replication.Upstream:
    aim = upstream_of(target, aftermath.new)
    return aim if aftermath.move.is_moved else replace(aim, host=aftermath.new.host)


def _record(aftermath: Aftermath, target: Target) -> None:
    """Have the inventory name the new primary as the member's upstream."""
    seen = target.cluster.look()
    facts = {**seen.facts, "upstream": aftermath.new.instance_id}
    target.record(replace(seen, facts=facts))


def _listed(names: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))
