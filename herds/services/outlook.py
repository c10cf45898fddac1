"""Looks at both ends of a rejoin: what is possible, what it takes, and why not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from herds.domain.cluster import Activity
from herds.domain.divergence import Divergence, Remedy, judge
from herds.domain.plan import Check, Verdict
from herds.domain.probe import Probe
from herds.errors import ElephaasError, PreconditionFailed
from herds.postgres import replication, rewind, rsync, wal
from herds.postgres.copy_source import (
    CopySource,
    connection_trouble,
    replication_trouble,
)
from herds.postgres.copy_source import bin_directory as binaries

from .target import Member, Target

ASSUMED_RATE = 50e6
"""Bytes a second that an estimate takes for granted where nothing was measured."""


class Method(StrEnum):
    """The rungs of the ladder, from the one that brings least to the whole copy."""

    FOLLOW = "follow"
    REWIND = "rewind"
    RSYNC = "rsync"
    BASEBACKUP = "basebackup"


@dataclass(frozen=True, kw_only=True)
class Rung:
    """One way back: whether it is possible, what it brings, or why it is not.

    ``size`` is in bytes, None where it cannot be told beforehand; ``at_most`` tells
    that less may have to come.
    """

    method: Method
    words: str
    size: int | None = None
    at_most: bool = False
    why_not: str = ""

    @property
    def seconds(self) -> float | None:
        """How long the bytes take at the assumed rate."""
        return None if self.size is None else self.size / ASSUMED_RATE


@dataclass(frozen=True, kw_only=True)
class Outlook:
    """Both ends as they were seen, and the rungs between them.

    ``divergence`` is None where the target holds no cluster yet.
    """

    mine: Probe
    theirs: Probe
    divergence: Divergence | None
    rungs: tuple[Rung, ...] = ()
    checks: tuple[Check, ...] = field(default_factory=tuple)

    def rung(self, method: Method) -> Rung:
        """Give one rung."""
        return next(rung for rung in self.rungs if rung.method is method)

    @property
    def first(self) -> Method:
        """The rung that brings the least of those that are possible.

        Raises:
            PreconditionFailed: none is, with the reason of each.
        """
        possible = [rung for rung in self.rungs if not rung.why_not]
        if not possible:
            reasons = "; ".join(f"{each.words}: {each.why_not}" for each in self.rungs)
            raise PreconditionFailed(f"There is no way to do it. {reasons}")
        if possible[0].method is Method.FOLLOW:
            return Method.FOLLOW
        # What cannot be told is not taken for small. A block-wise copy brings only a
        # part of the files that differ, so its upper bound is not held against it.
        unknown = float("inf")

        def bytes_of(rung: Rung) -> float:
            if rung.size is None:
                return unknown
            return rung.size / 4 if rung.at_most else rung.size

        return min(possible, key=bytes_of).method


def look_at_both(target: Target, source: Member) -> Outlook:
    """Probe both ends and tell which rungs are possible; change nothing.

    Raises:
        PreconditionFailed: nothing can be done here, with the reason.
        ElephaasError: a host could not be looked at.
    """
    mine, theirs = target.cluster.probe(), source.cluster.probe()
    refuse_unfit_source(source, theirs)
    refuse_unfit_target(target, source, mine, theirs)
    has_cluster = mine.seen.activity not in {Activity.ABSENT, Activity.FOREIGN}
    divergence = _diverged(target, source, mine, theirs) if has_cluster else None
    outlook = Outlook(mine=mine, theirs=theirs, divergence=divergence)
    rungs = tuple(
        _judged(Rung(method=method, words=words), judge_rung, target, source, outlook)
        for method, words, judge_rung in (
            (Method.FOLLOW, "Follow as it is", _follow),
            (Method.REWIND, "Rewind (pg_rewind)", _rewind),
            (Method.RSYNC, "Copy what differs (rsync)", _rsync),
            (Method.BASEBACKUP, "Copy everything (pg_basebackup)", _basebackup),
        )
    )
    return replace(outlook, rungs=rungs, checks=tuple(_checks(target, source, outlook)))


def copy_source(source: Member) -> CopySource:
    """Say how the target reaches the source: by its real host name, never the vhost."""
    return CopySource(
        host=source.host, port=source.cluster.ref.port, user=replication.USER
    )


def refuse_unfit_source(source: Member, theirs: Probe) -> None:
    """Refuse a source that cannot give anything.

    Raises:
        PreconditionFailed: with what is wrong.
    """
    if not theirs.seen.answers:
        raise PreconditionFailed(
            f"{source.host} cannot be the source: it is {theirs.seen.activity.value}"
            + (f" ({theirs.seen.trouble})." if theirs.seen.trouble else "."),
            host=source.host,
            hint="Start it, or choose another source.",
        )
    if theirs.is_incomplete:
        raise PreconditionFailed(
            f"{source.host} cannot be the source: a rebuild of it did not end.",
            host=source.host,
            hint="Rebuild that one first.",
        )


def refuse_unfit_target(
    target: Target, source: Member, mine: Probe, theirs: Probe
) -> None:
    """Refuse a target whose data is not this herd's to replace.

    Raises:
        PreconditionFailed: with what is there.
    """
    where = target.cluster.ref.data_directory
    if source.instance_id == target.instance_id:
        raise PreconditionFailed(f"{target.host} cannot be rebuilt from itself.")
    if mine.seen.activity is Activity.FOREIGN and mine.is_occupied:
        raise PreconditionFailed(
            f"{where} on {target.host} is not empty and is no PostgreSQL data "
            "directory; it was not touched.",
            host=target.host,
            hint="Look at what lies there; move it away if it is not needed.",
        )
    ours, other = theirs.system_identifier, mine.system_identifier
    if other and ours and other != ours:
        raise PreconditionFailed(
            f"{where} on {target.host} holds another cluster (system identifier "
            f"{other}, this herd's is {ours}); it was not touched.",
            host=target.host,
            hint="Check herd and data root; move the data away if it is not needed.",
        )
    if mine.seen.answers and not mine.seen.in_recovery and _is_only_writer(theirs):
        raise PreconditionFailed(
            f"{target.host} takes writes, and {source.host} is a standby: this is the "
            "herd's primary.",
            host=target.host,
            hint="Promote another member first.",
        )


def _is_only_writer(theirs: Probe) -> bool:
    return theirs.seen.in_recovery is True


def _diverged(
    target: Target, source: Member, mine: Probe, theirs: Probe
) -> Divergence | None:
    """Judge how the two histories stand; None where the target's cannot be read."""
    if mine.control is None or mine.is_incomplete:
        return None
    try:
        end = wal.end_of_wal(target.cluster, mine)
        return judge(end, wal.seen_from(source.cluster, theirs, end))
    except ElephaasError:
        return None


def _judged(
    rung: Rung,
    judge_rung: Callable[[Target, Member, Outlook], _Size | str],
    target: Target,
    source: Member,
    outlook: Outlook,
) -> Rung:
    """Say of a rung what it brings, or why it is not possible."""
    try:
        judged = judge_rung(target, source, outlook)
    except ElephaasError as error:
        judged = error.message
    if isinstance(judged, str):
        return replace(rung, why_not=judged.rstrip("."))
    return replace(rung, size=judged.size, at_most=judged.at_most)


@dataclass(frozen=True)
class _Size:
    """What a rung brings, in bytes."""

    size: int | None
    at_most: bool = False


def _follow(target: Target, source: Member, outlook: Outlook) -> _Size | str:
    if outlook.divergence is None:
        return "there is no complete cluster of this herd to go on with"
    if outlook.divergence.kind is not Remedy.FOLLOW:
        return outlook.divergence.reason
    behind = 0
    if outlook.theirs.seen.position and outlook.divergence.fork:
        behind = max(0, outlook.theirs.seen.position - outlook.divergence.fork)
    return _Size(behind)


def _rewind(target: Target, source: Member, outlook: Outlook) -> _Size | str:
    mine = outlook.mine
    if outlook.divergence is None:
        return "there is no complete cluster of this herd to rewind"
    if outlook.divergence.kind is Remedy.FOLLOW:
        return "there is nothing to rewind"
    if outlook.divergence.kind is not Remedy.REWIND:
        return outlook.divergence.reason
    major = mine.seen.version.split(".")[0]
    reasons = rewind.reasons_against(mine, major=major, config_file=mine.config_file)
    if reasons:
        return "; ".join(reasons)
    trouble = connection_trouble(
        target.cluster.shell, copy_source(source), bin_directory=mine.bin_directory
    )
    if trouble:
        return f"{target.host} cannot connect to {source.host}: {trouble}"
    return _Size(_rewind_bytes(target, source, outlook))


def _rewind_bytes(target: Target, source: Member, outlook: Outlook) -> int | None:
    """Tell what a rewind would bring; None where only a stopped target can tell."""
    mine = outlook.mine
    if mine.seen.is_running or mine.control is None or not mine.control.is_shut_down:
        return None
    try:
        return rewind.estimate(
            target.cluster.shell,
            bin_directory=mine.bin_directory,
            data_directory=target.cluster.ref.data_directory,
            source=copy_source(source),
        ).bytes
    except ElephaasError:
        return None


def _rsync(target: Target, source: Member, outlook: Outlook) -> _Size | str:
    mine, theirs = outlook.mine, outlook.theirs
    if not mine.has_rsync or not theirs.has_rsync:
        lacking = target.host if not mine.has_rsync else source.host
        return f"{lacking} has no rsync"
    if not mine.is_writable:
        return f"{target.cluster.ref.data_directory} cannot be written to"
    if mine.seen.activity is Activity.ABSENT:
        return "there is nothing yet that a part of could stay"
    differing = rsync.estimate(
        target.cluster.shell,
        source.cluster.shell,
        source_directory=source.cluster.ref.data_directory,
        target_directory=target.cluster.ref.data_directory,
    ).differing
    return _Size(differing, at_most=True)


def _basebackup(target: Target, source: Member, outlook: Outlook) -> _Size | str:
    mine, theirs = outlook.mine, outlook.theirs
    tools = binaries(mine, theirs.seen.version.split(".")[0])
    if not mine.is_writable:
        return f"{target.cluster.ref.data_directory} cannot be written to"
    trouble = replication_trouble(
        target.cluster.shell, copy_source(source), bin_directory=tools
    )
    if trouble:
        return f"{target.host} cannot connect to {source.host}: {trouble}"
    size, room = theirs.total_bytes, mine.free_bytes
    if size is not None and room is not None:
        room += mine.total_bytes or 0
        if size > room:
            return (
                f"{target.host} has room for {room:,} bytes once the old data is "
                f"gone, and {size:,} have to come"
            )
    return _Size(size)


def _checks(target: Target, source: Member, outlook: Outlook) -> Sequence[Check]:
    at = target.clock.now().isoformat()
    mine, theirs = outlook.mine, outlook.theirs
    role = "standby" if theirs.seen.in_recovery else "primary"
    checks = [
        Check(
            name="Source",
            how="connection on the host",
            observed=f"{source.host} is a {role} on timeline {theirs.timeline}",
            threshold="answers",
            observed_at=at,
        ),
        Check(
            name="Same cluster",
            how="system identifier of both",
            observed=mine.system_identifier or "no data yet",
            threshold=theirs.system_identifier,
            observed_at=at,
        ),
    ]
    if mine.senders:
        names = ", ".join(each.application_name for each in mine.senders)
        checks.append(
            Check(
                name="Followers",
                how="pg_stat_replication",
                observed=f"{names} stream from {target.host}",
                threshold="they wait until it is back",
                verdict=Verdict.WARN,
                observed_at=at,
            )
        )
    lost = outlook.divergence.bytes_after_fork if outlook.divergence else None
    if lost:
        checks.append(
            Check(
                name="Own writes",
                how="timeline histories and the end of its WAL",
                observed=f"{lost:,} bytes of WAL after the histories parted",
                threshold="they are discarded; there is no way back",
                verdict=Verdict.WARN,
                observed_at=at,
            )
        )
    return checks
