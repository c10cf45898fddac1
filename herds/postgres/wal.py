"""Tells how far a cluster's own WAL goes, and what a source has of it."""

from __future__ import annotations

import re

from herds.domain.control import ControlData
from herds.domain.divergence import EndOfWal, HistoryLine, SourceWal, parse_history
from herds.domain.lsn import Lsn
from herds.domain.probe import Probe
from herds.errors import PreconditionFailed

from .cluster import Cluster
from .look import script, sql

DUMP_TIMEOUT = 300.0  # seconds; after a crash, all WAL since the last checkpoint
STRETCH = 1024 * 1024  # bytes before an end of WAL that are compared

_PAGE = 8192  # XLOG_BLCKSZ: the size that distributions build with
_SHORT_HEADER, _LONG_HEADER = 24, 40  # of a page; the long one begins a segment

_RECORD = re.compile(
    r"len \(rec/tot\): +\d+/ *(?P<length>\d+),.* lsn: (?P<start>[0-9A-Fa-f/]+),"
    r".* desc: (?P<what>\w+)"
)


def end_of_wal(cluster: Cluster, probe: Probe) -> EndOfWal:
    """Tell how far the WAL of a cluster goes, running or not.

    Of a stopped one this is the end of the last record in ``pg_wal``, also of one
    that crashed, or that had received more than it replayed. Of a running one it is
    what the probe saw, and may be further by now.

    Args:
        cluster: the cluster.
        probe: what was seen of it just before.

    Raises:
        PreconditionFailed: its end cannot be told: no control file, no WAL.
        ElephaasError: nothing is known of the host.
    """
    control = _control(cluster, probe)
    if probe.seen.is_running:
        timeline, end = _position(cluster, probe)
    else:
        timeline, end = _last_record(cluster, control)
    history, digest = _tell(cluster, timeline, end, control.wal_segment_bytes)
    return EndOfWal(timeline=timeline, end=end, history=history, digest=digest)


def seen_from(source: Cluster, probe: Probe, target: EndOfWal) -> SourceWal:
    """Tell what a running source has, as far as the target's end of WAL goes.

    Its position is asked for anew: a standby that still receives may have passed the
    one that was seen before.

    Args:
        source: the cluster to follow or to copy.
        probe: what was seen of it before.
        target: the end of WAL of the cluster that is to follow.

    Raises:
        PreconditionFailed: the source does not run, or has no position to tell.
        ElephaasError: nothing is known of the host.
    """
    segment_bytes = _control(source, probe).wal_segment_bytes
    timeline, position = position_now(source)
    history, digest = _tell(source, timeline, target.end, segment_bytes)
    return SourceWal(
        timeline=timeline,
        position=position,
        history=history,
        digest=digest if target.end <= position else "",
    )


def end_of_record(start: Lsn, length: int, segment_bytes: int) -> Lsn:
    """Tell where a WAL record ends, page headers counted, as PostgreSQL reports it.

    Args:
        start: where the record begins.
        length: its total length in bytes, as ``pg_waldump`` gives it.
        segment_bytes: the size of a WAL segment.
    """
    position, left = start.position, length
    while left > (room := _PAGE - position % _PAGE):
        position, left = position + room, left - room
        begins_segment = position % segment_bytes == 0
        position += _LONG_HEADER if begins_segment else _SHORT_HEADER
    return Lsn(-(-(position + left) // 8) * 8)


def read_last_record(line: str, segment_bytes: int) -> Lsn | None:
    """Read where the record of a line of ``pg_waldump`` ends; None where it has none.

    A record that switches to the next segment fills its own to the end.
    """
    found = _RECORD.search(line)
    if found is None:
        return None
    end = end_of_record(Lsn.parse(found["start"]), int(found["length"]), segment_bytes)
    if found["what"] == "SWITCH":
        return Lsn(-(-end.position // segment_bytes) * segment_bytes)
    return end


def segment_of(end: Lsn, segment_bytes: int) -> tuple[str, int]:
    """Tell which segment holds the last byte before a position.

    Returns:
        What follows the timeline in the segment's file name
        (src/include/access/xlog_internal.h, XLogFileName), and how many of its bytes
        come before the position.
    """
    number, offset = divmod(max(end.position - 1, 0), segment_bytes)
    high, low = divmod(number, (1 << 32) // segment_bytes)
    return f"{high:08X}{low:08X}", offset + 1


def _control(cluster: Cluster, probe: Probe) -> ControlData:
    if probe.control is None:
        raise PreconditionFailed(
            f"{cluster.ref.data_directory} on {cluster.host} has no readable "
            "global/pg_control.",
            host=cluster.host,
        )
    return probe.control


def _position(cluster: Cluster, probe: Probe) -> tuple[int, Lsn]:
    if probe.timeline is None or probe.seen.position is None:
        raise PreconditionFailed(
            f"{cluster.host} does not tell its timeline and position: "
            f"{probe.seen.trouble or 'it does not run'}.",
            host=cluster.host,
        )
    return probe.timeline, probe.seen.position


def position_now(cluster: Cluster) -> tuple[int, Lsn]:
    told = cluster.psql(sql("position.sql"), words="ask for timeline and position")
    return read_position(cluster, told)


def read_position(cluster: Cluster, told: str) -> tuple[int, Lsn]:
    """Read what position.sql tells: the live timeline and how far it has come.

    Raises:
        PreconditionFailed: it has received nothing.
    """
    timeline, _, position = told.partition("|")
    if not timeline or not position:
        raise PreconditionFailed(
            f"{cluster.host} has received no WAL yet; it has no position to compare.",
            host=cluster.host,
        )
    return int(timeline), Lsn.parse(position)


def _last_record(cluster: Cluster, control: ControlData) -> tuple[int, Lsn]:
    """Read the WAL from the last position that pg_control vouches for to its end."""
    if control.state == "shut down":
        timeline, start = control.timeline, control.checkpoint
    else:
        timeline = max(control.timeline, control.min_recovery_end_timeline)
        start = max(control.redo, control.min_recovery_end)
    # The segment that holds the byte after it: a record begins there.
    segment, _ = segment_of(Lsn(start.position + 1), control.wal_segment_bytes)
    done = cluster.run_script(
        [
            *("sh", "-c", script("wal_end.sh"), "elephaas"),
            *(cluster.ref.data_directory, str(timeline), str(start), segment),
        ],
        "pg_waldump",
        timeout=DUMP_TIMEOUT,
    )
    end = read_last_record(done.stdout, control.wal_segment_bytes)
    if end is None and start == control.min_recovery_end:
        # A standby that was stopped in peace replayed all that it had.
        end = start
    if end is None:
        raise PreconditionFailed(
            f"Where the WAL of {cluster.host} ends cannot be told: pg_waldump finds "
            f"no record at {start} on timeline {timeline}.",
            host=cluster.host,
            command="pg_waldump",
            output=done.stderr,
        )
    return timeline, end


def _tell(
    cluster: Cluster, timeline: int, end: Lsn, segment_bytes: int
) -> tuple[tuple[HistoryLine, ...] | None, str]:
    """Ask for a timeline's history and the digest of the WAL before a position.

    Returns:
        The history, None where its file is gone; and the digest, empty where no file
        holds that WAL.
    """
    segment, until = segment_of(end, segment_bytes)
    length = min(until, STRETCH)
    done = cluster.run_script(
        [
            *("sh", "-c", script("wal_tell.sh"), "elephaas"),
            *(cluster.ref.data_directory, str(timeline), segment),
            *(str(until - length), str(length)),
        ],
        "read the timeline's history",
        timeout=60.0,
    )
    lines = [line.partition("=") for line in done.stdout.splitlines()]
    history = parse_history(
        "\n".join(value for name, _, value in lines if name == "history")
    )
    digests = [value for name, _, value in lines if name == "digest"]
    known = bool(history) or timeline == 1
    return history if known else None, "".join(digests[:1])
