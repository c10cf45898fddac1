"""Judges what brings a cluster back under a source: follow, rewind, or a new copy."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from .lsn import Lsn


@dataclass(frozen=True, kw_only=True)
class HistoryLine:
    """A line of a timeline history: where a timeline was left for the next one."""

    timeline: int
    switch: Lsn


@dataclass(frozen=True, kw_only=True)
class EndOfWal:
    """How far a cluster's own WAL goes.

    ``history`` are the timelines before its last one, oldest first; None where the
    file that tells them is gone. ``digest`` stands for the bytes right before the end.
    """

    timeline: int
    end: Lsn
    history: tuple[HistoryLine, ...] | None = ()
    digest: str = ""


@dataclass(frozen=True, kw_only=True)
class SourceWal:
    """What a source has, as far as a certain end of WAL is concerned.

    ``digest`` stands for the same stretch of WAL as that of the end it is compared
    with; empty where the source has removed that WAL already. ``position`` is how far
    it has written or received. ``history`` is as in EndOfWal.
    """

    timeline: int
    position: Lsn
    history: tuple[HistoryLine, ...] | None = ()
    digest: str = ""


class Remedy(StrEnum):
    """The cheapest thing that brings a cluster back."""

    FOLLOW = "follow"
    REWIND = "rewind"
    COPY = "copy"


@dataclass(frozen=True, kw_only=True)
class Divergence:
    """The judgement, with its reason as a sentence.

    ``fork`` is where the two histories part, and ``bytes_after_fork`` what the target
    wrote (or received) after it: both None where that cannot be told.
    """

    kind: Remedy
    reason: str
    fork: Lsn | None = None
    bytes_after_fork: int | None = 0


_WRONG_WAY = (
    " Its timeline is the younger one: make sure that the source is the herd's true "
    "primary."
)

_Chain = Sequence[HistoryLine]
"""Timelines from the first to the last with the end of each; the last one's is open."""


def parse_history(text: str) -> tuple[HistoryLine, ...]:
    """Read a timeline history file, such as ``00000003.history``.

    Each line has the timeline, where it was left, and a reason, parted by white space;
    "#" begins a comment (src/backend/access/transam/timeline.c, readTimeLineHistory).

    Raises:
        ValueError: a line that is neither.
    """
    lines = []
    for line in text.splitlines():
        fields = line.partition("#")[0].split()
        if fields:
            timeline, switch = fields[:2]
            lines.append(HistoryLine(timeline=int(timeline), switch=Lsn.parse(switch)))
    return tuple(lines)


def judge(
    target: EndOfWal, source: SourceWal, *, has_archive: bool = False
) -> Divergence:
    """Tell what it takes until the target can stream from the source.

    Both are copies of one cluster: their system identifiers were compared before.

    Args:
        target: how far the WAL of the cluster goes that is to follow.
        source: the cluster it is to follow.
        has_archive: whether the target can fetch WAL elsewhere that the source has
            removed.
    """
    ours = _chain(target.history, target.timeline, target.end)
    theirs = _chain(source.history, source.timeline, source.position)
    if target.history is None or source.history is None:
        ours = _assumed(target, theirs)
        if not ours:
            return _unknown_history(target, source)
        theirs = theirs if source.history is not None else theirs[-1:]
    shared = _shared(ours, theirs)
    if not shared:
        return _unrelated(target, source)
    if shared < len(ours) or ours[shared - 1].switch > theirs[shared - 1].switch:
        return _forked(target, source, _fork(ours, theirs, shared))
    return _on_the_way(target, source, has_archive=has_archive)


def _chain(
    history: Iterable[HistoryLine] | None, timeline: int, end: Lsn
) -> list[HistoryLine]:
    return [*(history or ()), HistoryLine(timeline=timeline, switch=end)]


def _assumed(target: EndOfWal, theirs: _Chain) -> list[HistoryLine]:
    """Take the source's word for how the target came to its timeline."""
    for number, line in enumerate(theirs):
        if line.timeline == target.timeline:
            last = HistoryLine(timeline=target.timeline, switch=target.end)
            return [*theirs[:number], last]
    return []


def _shared(ours: _Chain, theirs: _Chain) -> int:
    """Count the timelines that both went through, the one they part in among them."""
    count = 0
    for mine, other in zip(ours, theirs, strict=False):
        if mine.timeline != other.timeline:
            break
        count += 1
        if mine.switch != other.switch:
            break
    return count


def _fork(ours: _Chain, theirs: _Chain, shared: int) -> Lsn:
    return min(ours[shared - 1].switch, theirs[shared - 1].switch)


def _unknown_history(target: EndOfWal, source: SourceWal) -> Divergence:
    return Divergence(
        kind=Remedy.COPY,
        reason=(
            f"It is on timeline {target.timeline}, which is no part of the source's "
            f"history (timeline {source.timeline}), and its own history file is gone."
        ),
        bytes_after_fork=None,
    )


def _unrelated(target: EndOfWal, source: SourceWal) -> Divergence:
    return Divergence(
        kind=Remedy.COPY,
        reason=(
            f"Its history (timeline {target.timeline}) and the source's (timeline "
            f"{source.timeline}) have no timeline in common."
        ),
        bytes_after_fork=None,
    )


def _forked(target: EndOfWal, source: SourceWal, fork: Lsn) -> Divergence:
    beyond = target.end - fork
    if target.timeline == source.timeline:
        # pg_rewind compares the numbers of the timelines only, and sees no difference.
        return Divergence(
            kind=Remedy.COPY,
            reason=(
                f"Both are on timeline {target.timeline}, but it has {beyond:,} bytes "
                f"of WAL after {fork} that the source does not have; pg_rewind cannot "
                "tell such clusters apart."
            ),
            fork=fork,
            bytes_after_fork=beyond,
        )
    return Divergence(
        kind=Remedy.REWIND,
        reason=(
            f"Its timeline {target.timeline} and the source's timeline "
            f"{source.timeline} parted at {fork}; it has {beyond:,} bytes of WAL "
            "after that." + _WRONG_WAY * (target.timeline > source.timeline)
        ),
        fork=fork,
        bytes_after_fork=beyond,
    )


def _on_the_way(
    target: EndOfWal, source: SourceWal, *, has_archive: bool
) -> Divergence:
    """Judge a target that ends where the source has passed, by the numbers."""
    if source.digest and target.digest and source.digest != target.digest:
        return Divergence(
            kind=Remedy.COPY,
            reason=(
                f"The WAL before its end at {target.end} is not the source's, although "
                "the timelines agree: both were written to. pg_rewind cannot tell such "
                "clusters apart."
            ),
            bytes_after_fork=None,
        )
    if not source.digest and not has_archive:
        return Divergence(
            kind=Remedy.COPY,
            reason=(
                f"The source no longer has the WAL at {target.end}, where it would "
                "have to go on."
            ),
        )
    behind = source.position - target.end
    return Divergence(
        kind=Remedy.FOLLOW,
        reason=(
            f"Its WAL ends at {target.end} on timeline {target.timeline}, within the "
            f"source's history; it is {behind:,} bytes behind."
        ),
        fork=target.end,
    )
