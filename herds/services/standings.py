"""Compares how far the standbys of a lost primary got, and what would be missing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from herds.domain.lsn import Lsn
from herds.domain.plan import Check, Verdict
from herds.errors import ElephaasError, PreconditionFailed
from herds.postgres import wal

from .rebuild import size_words
from .scene import Scene, View
from .target import Target


@dataclass(frozen=True, kw_only=True)
class LastSeen:
    """How far the lost primary got, as far as anybody knows.

    ``is_exact`` tells that it was read from its own WAL.
    """

    position: Lsn | None
    at: datetime | None
    is_exact: bool


def position_of(view: View) -> Lsn:
    """Give how far a standby received or replayed WAL; 0/0 where it tells nothing."""
    probe = view.known
    return max(probe.received or Lsn(0), probe.replayed or Lsn(0))


def furthest(scene: Scene, old: View, preferred: str = "") -> View:
    """Find the standby that has most, on the highest timeline that any is on.

    Args:
        scene: the herd.
        old: the lost primary.
        preferred: the host to take where others have no more.

    Raises:
        PreconditionFailed: no standby is seen to run.
    """
    standbys = [view for view in scene.without(old.member) if view.is_standby]
    if not standbys:
        states = "; ".join(f"{view.host} is {view.words()}" for view in scene.views)
        raise PreconditionFailed(
            f"No standby is seen to run that could take over: {states}.",
            host=old.host,
            hint="Start one, then plan again.",
        )
    return max(
        standbys,
        key=lambda view: (
            view.known.timeline or 0,
            position_of(view),
            view.host == preferred,
        ),
    )


def last_seen(target: Target, old: View, recorded: LastSeen) -> LastSeen:
    """Tell how far the lost primary got: from its own WAL where its host lets us."""
    if old.probe is None or old.probe.seen.is_running:
        return recorded
    try:
        end = wal.end_of_wal(old.member.cluster, old.probe)
    except ElephaasError:
        return recorded
    return LastSeen(position=end.end, at=target.clock.now(), is_exact=True)


def loss_check(target: Target, new: View, last: LastSeen) -> Check:
    """Say in bytes and seconds what may be lost."""
    have = position_of(new)
    if last.position is None:
        observed = "not known: the primary's position was never seen"
    else:
        lost = max(0, last.position - have)
        if last.is_exact:
            observed = f"{lost:,} bytes of WAL ({size_words(lost)})"
        else:
            ago = (target.clock.now() - last.at).total_seconds() if last.at else 0.0
            observed = (
                f"{lost:,} bytes up to where the primary was last seen, {ago:.0f} s "
                "ago, and whatever it wrote after that"
            )
    nothing = last.is_exact and last.position is not None and last.position <= have
    return Check(
        name="Possible loss",
        how="the primary's own WAL"
        if last.is_exact
        else "the position of the primary as last seen",
        observed=observed,
        threshold=f"none: {new.host} has everything up to {have}",
        verdict=Verdict.OK if nothing else Verdict.WARN,
        observed_at=target.clock.now().isoformat(),
    )


def standing_checks(
    target: Target, scene: Scene, old: View, new: View
) -> Sequence[Check]:
    """Judge whether a standby is fit to take over from a lost primary."""
    at = target.clock.now().isoformat()
    best = furthest(scene, old)
    probe = new.known
    others = {
        view.host: view.known.system_identifier
        for view in scene.views
        if view.probe is not None and view.probe.system_identifier
    }
    strangers = [
        host for host, system in others.items() if system != probe.system_identifier
    ]
    behind = position_of(best) - position_of(new)
    paused = probe.is_replay_paused
    return (
        *_taken_over(scene, old, at),
        Check(
            name="Same cluster",
            how="system identifier of every member that can be read",
            observed=f"{', '.join(strangers)} has another one"
            if strangers
            else probe.system_identifier,
            threshold="all have the same",
            verdict=Verdict.STOP if strangers else Verdict.OK,
            observed_at=at,
        ),
        Check(
            name="Timeline",
            how="the live one of every standby",
            observed=str(probe.timeline),
            threshold=f"{best.known.timeline}, the highest",
            verdict=Verdict.OK
            if probe.timeline == best.known.timeline
            else Verdict.STOP,
            observed_at=at,
        ),
        Check(
            name="Position",
            how="what every standby has received and replayed",
            observed=f"{position_of(new)}, {size_words(max(0, behind))} behind "
            f"{best.host}"
            if behind > 0
            else f"{position_of(new)}, nobody has more",
            threshold="none has more; one that lags gets the rest from the best first",
            observed_at=at,
        ),
        Check(
            name="Replay",
            how="pg_is_wal_replay_paused()",
            observed="paused" if paused else "goes on",
            threshold="not paused",
            verdict=Verdict.STOP if paused else Verdict.OK,
            observed_at=at,
        ),
    )


def _taken_over(scene: Scene, old: View, at: str) -> Sequence[Check]:
    """Stop where somebody else has promoted a standby already."""
    return [
        Check(
            name="No other primary",
            how="a look at every member",
            observed=f"{view.host} takes writes, on timeline {view.known.timeline}",
            threshold="none: the herd would have two; a refresh makes this one known",
            verdict=Verdict.STOP,
            observed_at=at,
        )
        for view in scene.without(old.member)
        if view.takes_writes
    ]
