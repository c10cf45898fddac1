"""Watches a switchover from outside: who is primary, and who streams from it.

A question every few milliseconds, over connections that are kept, costs the nodes next
to nothing while they are measured.
"""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from typing import Self

import psycopg

from bench.cluster import Cluster

_EVERY = 0.02
_TIMELINE = "SELECT pg_walfile_name(pg_current_wal_lsn())"
_IS_PRIMARY = "SELECT NOT pg_is_in_recovery()"
_FOLLOWERS = "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'"
_FOLLOWS = "SELECT received_tli FROM pg_stat_wal_receiver WHERE status = 'streaming'"


def timeline_of(wal_file: str) -> int:
    """Return the timeline in the name of a WAL file."""
    return int(wal_file[:8], 16)


class Observer:
    """Asks the nodes, in a thread of its own, until all of them follow another primary.

    Args:
        cluster: whose nodes are watched.
        old: the primary that is to be followed no longer.
    """

    def __init__(self, cluster: Cluster, old: str) -> None:
        self.primary = ""
        self.streaming_at = 0
        self._cluster = cluster
        self._old = old
        self._connections: dict[str, psycopg.Connection] = {}
        self._stop = threading.Event()
        self._complete = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        """Begin to watch."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Watch no longer."""
        self._stop.set()
        self._thread.join()

    def await_followers(self, seconds: float) -> None:
        """Return when all nodes stream from one new primary on its timeline.

        ``streaming_at`` then says when that was seen: nanoseconds of the monotonic
        clock. Raises RuntimeError when it is not seen within ``seconds``.
        """
        if not self._complete.wait(seconds):
            who = self.primary or "nobody new"
            raise RuntimeError(
                f"Not all nodes stream after {seconds:g} s; {who} is primary."
            )

    def _watch(self) -> None:
        with self._cluster.lab.inside("control"):
            try:
                while not self._stop.wait(_EVERY):
                    with suppress(psycopg.Error):
                        self._look()
                    if self._complete.is_set():
                        return
            finally:
                for connection in self._connections.values():
                    connection.close()

    def _look(self) -> None:
        members = [host for host in self._cluster.members if host != self._old]
        if not self.primary:
            asked = {host: self._ask(host, _IS_PRIMARY) for host in members}
            self.primary = next((host for host, yes in asked.items() if yes), "")
        if not self.primary:
            return
        followers = [host for host in self._cluster.members if host != self.primary]
        if self._ask(self.primary, _FOLLOWERS) != len(followers):
            return
        timeline = timeline_of(str(self._ask(self.primary, _TIMELINE)))
        seen = time.monotonic_ns()
        if all(self._ask(host, _FOLLOWS) == timeline for host in followers):
            self.streaming_at = seen
            self._complete.set()

    def _ask(self, host: str, query: str) -> object:
        """Return the one value that a node answers, None when there is none."""
        connection = self._connections.get(host)
        try:
            if connection is None:
                connection = self._connect(host)
                self._connections[host] = connection
            row = connection.execute(query).fetchone()
        except psycopg.Error:
            if connection is not None:
                connection.close()
            self._connections.pop(host, None)
            return None
        return row[0] if row else None

    def _connect(self, host: str) -> psycopg.Connection:
        conninfo = self._cluster.conninfo(self._cluster.address(host))
        return psycopg.connect(conninfo, target_session_attrs="any", autocommit=True)
