"""Looks at both ends of a rejoin: what is possible, what it takes, and why not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from herds.domain.divergence import Divergence, Remedy, judge
from herds.domain.plan import Check, Verdict
from herds.domain.probe import Probe
from herds.errors import ElephaasError, PreconditionFailed
from herds.postgres import files, rewind, rsync, wal
from herds.postgres.copy_source import bin_directory as binaries
from herds.postgres.copy_source import connection_trouble, replication_trouble

from .ends import (
    copy_source,
    has_cluster,
    refuse_unfit_source,
    refuse_unfit_target,
    refuse_unfit_upstream,
)
from .target import Member, Target


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


@dataclass(frozen=True, kw_only=True)
class Outlook:
    """Both ends as they were seen, and the rungs between them.

    ``divergence`` is None where the target holds no whole cluster, or where its end
    cannot be told; ``undecided`` says why.
    """

    mine: Probe
    theirs: Probe
    divergence: Divergence | None
    undecided: str = ""
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


def look_at_both(target: Target, source: Member, upstream: Member) -> Outlook:
    """Probe both ends and tell which rungs are possible; change nothing.

    Args:
        target: the member that is to follow.
        source: the member that data would come from.
        upstream: the primary that it is to follow.

    Raises:
        PreconditionFailed: nothing can be done here, with the reason.
        ElephaasError: a host could not be looked at.
    """
    mine, theirs = target.cluster.probe(), source.cluster.probe()
    refuse_unfit_source(source, theirs)
    refuse_unfit_target(target, source, mine, theirs)
    refuse_unfit_upstream(target, upstream, mine)
    judged = _judge_histories(target, source, mine, theirs)
    outlook = Outlook(
        mine=mine,
        theirs=theirs,
        divergence=judged if isinstance(judged, Divergence) else None,
        undecided=judged if isinstance(judged, str) else "",
    )
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


def _judge_histories(
    target: Target, source: Member, mine: Probe, theirs: Probe
) -> Divergence | str:
    """Judge how the two histories stand, or say why that cannot be told."""
    if not has_cluster(mine):
        return "there is no cluster yet"
    if mine.is_incomplete:
        return "an earlier copy into it did not end, so it is no whole cluster"
    try:
        end = wal.end_of_wal(target.cluster, mine)
        return judge(
            end,
            wal.seen_from(source.cluster, theirs, end),
            has_archive=bool(mine.settings.get("restore_command")),
        )
    except PreconditionFailed as unknown:
        return unknown.message


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
        return outlook.undecided
    if outlook.divergence.kind is not Remedy.FOLLOW:
        return outlook.divergence.reason
    if _takes_writes(outlook.mine):
        return "it takes writes, and its history parts from the source's as it stops"
    behind = 0
    if outlook.theirs.seen.position and outlook.divergence.fork:
        behind = max(0, outlook.theirs.seen.position - outlook.divergence.fork)
    return _Size(behind)


def _takes_writes(probe: Probe) -> bool:
    return probe.seen.answers and probe.seen.in_recovery is False


def _rewind(target: Target, source: Member, outlook: Outlook) -> _Size | str:
    mine = outlook.mine
    if outlook.divergence is None:
        return outlook.undecided
    if outlook.divergence.kind is Remedy.COPY:
        return outlook.divergence.reason
    if outlook.divergence.kind is Remedy.FOLLOW and not _takes_writes(mine):
        return "there is nothing to rewind"
    major = mine.seen.version.split(".")[0]
    reasons = rewind.reasons_against(mine, major=major, config_file=mine.config_file)
    if reasons:
        return "; ".join(reasons)
    directory = target.cluster.ref.data_directory
    if obstacles := files.obstacles(target.cluster.shell, directory):
        return f"it would break off half-way: {'; '.join(obstacles)}"
    trouble = connection_trouble(
        target.cluster.shell, copy_source(source), bin_directory=mine.bin_directory
    )
    if trouble:
        return f"{target.host} cannot connect to {source.host}: {trouble}"
    return _Size(_rewind_bytes(target, source, outlook))


def _rewind_bytes(target: Target, source: Member, outlook: Outlook) -> int | None:
    """Tell what a rewind would bring; None where that cannot be told.

    Raises:
        CommandFailed: pg_rewind's own words for why it cannot.
    """
    mine = outlook.mine
    if mine.seen.is_running or mine.control is None or not mine.control.is_shut_down:
        return _foreseen_rewind(outlook)
    foreseen = rewind.estimate(
        target.cluster.shell,
        bin_directory=mine.bin_directory,
        data_directory=target.cluster.ref.data_directory,
        source=copy_source(source),
    )
    # Up to 15 it sees a promotion only after the checkpoint that comes before a rewind.
    return foreseen.bytes if foreseen.needed else None


def _foreseen_rewind(outlook: Outlook) -> int | None:
    """Tell about what a rewind brings while only a stopped target could tell exactly.

    It brings the source's WAL, and each block that the target has changed since the
    histories parted. The first change of a block after a checkpoint writes the whole
    block to the WAL (full_page_writes), so its WAL is about as large as they are.
    """
    divergence, wal_bytes = outlook.divergence, outlook.theirs.wal_bytes
    if divergence is None or divergence.bytes_after_fork is None or wal_bytes is None:
        return None
    return divergence.bytes_after_fork + wal_bytes


def _rsync(target: Target, source: Member, outlook: Outlook) -> _Size | str:
    mine, theirs = outlook.mine, outlook.theirs
    if not mine.has_rsync or not theirs.has_rsync:
        lacking = target.host if not mine.has_rsync else source.host
        return f"{lacking} has no rsync"
    if not mine.is_writable:
        return f"{target.cluster.ref.data_directory} cannot be written to"
    if not has_cluster(mine):
        return "there is nothing yet that a part of could stay"
    directory = target.cluster.ref.data_directory
    obstacles = files.obstacles(target.cluster.shell, directory, kinds=("foreign",))
    if obstacles:
        return f"it would break off half-way: {'; '.join(obstacles)}"
    return _Size(_differing(target, source, outlook), at_most=True)


def _differing(target: Target, source: Member, outlook: Outlook) -> int:
    """Tell how large the files are that differ, tablespaces among them."""
    mine, theirs = outlook.mine, outlook.theirs
    here = {(each.oid, each.path) for each in mine.tablespaces}
    common = [each for each in theirs.tablespaces if (each.oid, each.path) in here]
    paths = [f"{each.path}/{tablespace_directory(theirs)}" for each in common]
    differing = rsync.estimate(
        target.cluster.shell,
        source.cluster.shell,
        source_directory=source.cluster.ref.data_directory,
        target_directory=target.cluster.ref.data_directory,
        tablespaces=[(path, path) for path in paths],
    ).differing
    return differing + sum(
        each.size for each in theirs.tablespaces if each not in common
    )


def tablespace_directory(probe: Probe) -> str:
    """Name the directory that a cluster's tablespaces have for its version.

    Raises:
        PreconditionFailed: its control file cannot be read.
    """
    if probe.control is None:
        raise PreconditionFailed("The source's control file cannot be read.")
    major = probe.seen.version.split(".")[0]
    return rsync.catalog_directory(major, probe.control.catalog_version)


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
                observed=f"streaming from {target.host}: {names}",
                threshold="they wait; after a copy it may lack the WAL they need",
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
