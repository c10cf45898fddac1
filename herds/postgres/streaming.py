"""Sees whether a standby streams from its upstream, and if not, why."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass

from herds.domain.lsn import Lsn
from herds.errors import (
    CommandFailed,
    CommandTimedOut,
    ElephaasError,
    HostUnreachable,
    NotObserved,
    OperationCancelled,
    OutcomeUnknown,
    PreconditionFailed,
)

from . import replication
from .cluster import Cluster
from .look import script, sql
from .wal import position_now, read_position

_SENDERS = "SELECT state FROM pg_stat_replication WHERE application_name = :'name';"
_LOOK_EVERY = 0.1  # seconds between two looks at a standby that comes up


@dataclass(frozen=True, kw_only=True)
class Streaming:
    """A standby as it says of itself; None where it does not know.

    ``is_held`` tells that it replays late on purpose: it is paused or delayed.
    """

    in_recovery: bool
    status: str
    timeline: int | None
    received: Lsn | None
    replayed: Lsn | None
    is_held: bool = False

    def has_reached(self, goal: Lsn) -> bool:
        """Tell whether it has all up to a position, in the way that it can."""
        reached = self.received if self.is_held else self.replayed
        return reached is not None and reached >= goal

    def words(self) -> str:
        """Say what it does, as the end of a sentence."""
        if not self.in_recovery:
            return "a primary"
        if self.timeline is None:
            return f"in recovery without an upstream, replayed to {self.replayed}"
        return (
            f"{self.status or 'connected'} on timeline {self.timeline}, "
            f"received {self.received}, replayed {self.replayed}"
        )


OnProgress = Callable[[int, int], None]
"""Is given the bytes replayed since the first look, and how many were missing then."""


def await_streaming(
    standby: Cluster,
    upstream: Cluster,
    application_name: str,
    *,
    patience: float,
    on_progress: OnProgress | None = None,
    cancel: threading.Event | None = None,
) -> Streaming:
    """Wait until a standby streams on its upstream's timeline and has what that has.

    It counts as following once all of this is seen: it receives on the upstream's live
    timeline, the upstream streams to it by its name, and it has replayed all that was
    there when the waiting began (received, where it replays late on purpose). That it
    runs and is in recovery says nothing: a diverged one does too.

    Args:
        standby: a started one.
        upstream: whom it is to follow, running.
        application_name: its name in ``pg_stat_replication`` there.
        patience: seconds without any progress until the waiting ends.
        on_progress: told about the replay of what is missing.
        cancel: ends the waiting when set.

    Raises:
        NotObserved: it does not follow; with what it does and the reason, as far as
            a connection from its host and its log tell.
        OperationCancelled: ``cancel`` was set.
        ElephaasError: nothing is known of the upstream.
    """
    clock = standby.clock
    timeline, goal = position_now(upstream)
    log_size = _log(standby, None)[0]
    began = progressed = clock.monotonic()
    first, furthest, segment = None, Lsn(0), ""
    while True:
        seen = _look(standby)
        if not isinstance(seen, Streaming):
            recovering = _recovering(standby)
            if recovering != segment:
                segment, progressed = recovering, clock.monotonic()
        else:
            if seen.timeline is not None and seen.has_reached(goal):
                timeline, serves = serves_standby(upstream, application_name)
                if seen.timeline == timeline and serves:
                    return seen
            # Beyond the goal only the upstream's word counts: WAL that comes another
            # way, as from a sibling under a name that leads astray, comes for ever.
            if seen.replayed is not None and min(seen.replayed, goal) > furthest:
                first = first or seen.replayed
                furthest, progressed = min(seen.replayed, goal), clock.monotonic()
                if on_progress is not None and goal > first:
                    on_progress(furthest - first, goal - first)
        if cancel is not None and cancel.is_set():
            raise OperationCancelled(host=standby.host)
        if clock.monotonic() - progressed >= patience or _is_down(seen):
            raise NotObserved(
                f"{standby.host} to stream from {upstream.host} on timeline {timeline}",
                observed=seen.words() if isinstance(seen, Streaming) else str(seen),
                seconds=round(clock.monotonic() - began, 1),
                host=standby.host,
                hint=_why_not(standby, log_size),
            )
        clock.sleep(_LOOK_EVERY)


def _look(standby: Cluster) -> Streaming | ElephaasError:
    try:
        told = json.loads(standby.psql(sql("standby.sql"), words="look at the standby"))
    except _NOT_YET as trouble:
        return trouble
    return Streaming(
        in_recovery=told["recovery"],
        status=told["status"] or "",
        timeline=told["timeline"],
        received=_lsn(told["received"]),
        replayed=_lsn(told["replayed"]),
        is_held=bool(told["held"]),
    )


_NOT_YET = (
    CommandFailed,
    CommandTimedOut,
    HostUnreachable,
    OutcomeUnknown,
    PreconditionFailed,
)
"""A standby that comes up answers no connection at first; a host may be slow."""


def _is_down(seen: Streaming | ElephaasError) -> bool:
    return isinstance(seen, PreconditionFailed)


def _lsn(text: str | None) -> Lsn | None:
    return Lsn.parse(text) if text else None


def _recovering(standby: Cluster) -> str:
    """Name the WAL that a standby replays until it accepts connections, if it does."""
    argv = ["sh", "-c", script("recovering.sh"), "elephaas", standby.ref.data_directory]
    try:
        return standby.run_script(argv, "look at the recovery").stdout.strip()
    except _NOT_YET:
        return ""


def serves_standby(upstream: Cluster, application_name: str) -> tuple[int, bool]:
    """Tell the upstream's live timeline, and whether it streams to a standby."""
    position, *states = upstream.psql(
        ";\n".join([sql("position.sql"), _SENDERS]),
        values={"name": application_name},
        words="look at pg_stat_replication",
    ).splitlines()
    timeline, _ = read_position(upstream, position)
    return timeline, "streaming" in states


def _why_not(standby: Cluster, log_size: int) -> str:
    """Find the reason: first the connection that it is to make, then its log."""
    try:
        connection = standby.psql("SHOW primary_conninfo;", words="SHOW")
        if not connection or replication.NOBODY in connection:
            return "Its primary_conninfo leads nowhere: it is told to follow nobody."
        replication.identify(standby, connection)
    except PreconditionFailed as refused:
        if refused.command == "IDENTIFY_SYSTEM":
            return refused.sentence()
    except ElephaasError:
        pass
    complaint = _log(standby, log_size)[1]
    if complaint:
        return f"Its log says: {complaint}"
    return f"Read the server's log on {standby.host}."


def _log(standby: Cluster, skip: int | None) -> tuple[int, str]:
    """Tell the length of the server's log, and its last complaint after a point.

    Where there is no log to be found, it is empty.
    """
    argv = ["sh", "-c", script("server_log.sh"), "elephaas"]
    argv += [standby.ref.data_directory, standby.ref.base_name]
    try:
        done = standby.run_script(
            [*argv, "" if skip is None else str(skip)], "read the server's log"
        )
    except ElephaasError:
        return 0, ""
    size, _, complaints = done.stdout.partition("\n")
    lines = complaints.strip().splitlines()
    return int(size or 0), lines[-1].strip() if lines else ""
