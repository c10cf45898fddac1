"""A client that commits all the time and keeps what it was told had been committed."""

from __future__ import annotations

import os
import random
import socket
import threading
import time
from contextlib import suppress

import psycopg

from lab import Lab
from tests.nemesis.arena import CLIENT, PASSWORD, TABLE, USER
from tests.nemesis.evidence import Commit

_INSERT = f"""
INSERT INTO {TABLE} VALUES (%s, %s)
RETURNING pg_current_wal_insert_lsn() - '0/0'::pg_lsn
"""
_PACE = (0.004, 0.009)  # seconds between commits
_AGAIN = 0.01  # seconds between attempts to connect


class Writer(threading.Thread):
    """Writes a number, waits for the word that it is kept, writes the next one.

    It knows all members of the herd and asks for the one that takes writes, as libpq
    does it (``target_session_attrs``); DNS is not asked. A number whose word does not
    come may be kept or not, and is not sent again.
    """

    def __init__(self, lab: Lab, herd: str, run: int) -> None:
        super().__init__(name="writer", daemon=True)
        spec, hosts = lab.herds[herd], lab.hosts
        self._lab = lab
        self._run = run
        self._by_address = {hosts[host].address: host for host in spec.members}
        self._conninfo = psycopg.conninfo.make_conninfo(
            hostaddr=",".join(self._by_address),
            host=",".join(spec.members),
            port=spec.port,
            dbname="postgres",
            user=USER,
            password=PASSWORD,
            target_session_attrs="read-write",
            connect_timeout=2,
            tcp_user_timeout=1500,
        )
        self._number = 0
        self._random = random.Random(run)
        self._stop_writing = threading.Event()
        self._connection: psycopg.Connection | None = None
        self._commits: list[Commit] = []

    def __enter__(self) -> Writer:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def commits(self) -> tuple[Commit, ...]:
        """Give what was acknowledged so far."""
        return tuple(self._commits)

    def stop(self) -> None:
        """Write no more; a commit that nobody answers is left without a word."""
        self._stop_writing.set()
        self.join(timeout=1)
        deadline = time.monotonic() + 20
        while self.is_alive() and time.monotonic() < deadline:
            # Not cancelled: a cancelled wait for a standby ends as if it had been one.
            self._hang_up()
            self.join(timeout=0.5)

    def run(self) -> None:
        """Write until told to stop."""
        with self._lab.inside(CLIENT):
            while not self._stop_writing.is_set():
                with suppress(psycopg.Error):
                    self._write_to_whoever_takes_it()
                self._stop_writing.wait(_AGAIN)

    def _write_to_whoever_takes_it(self) -> None:
        with psycopg.connect(self._conninfo, autocommit=True) as connection:
            self._connection = connection
            host = self._by_address.get(connection.info.hostaddr, "?")
            cursor = connection.cursor()
            while not self._stop_writing.is_set():
                self._number += 1
                cursor.execute(_INSERT, (self._run, self._number))
                row = cursor.fetchone()
                assert row is not None
                self._commits.append(
                    Commit(
                        number=self._number,
                        at=time.monotonic(),
                        position=int(row[0]),
                        host=host,
                    )
                )
                self._stop_writing.wait(self._random.uniform(*_PACE))

    def _hang_up(self) -> None:
        connection = self._connection
        with suppress(psycopg.Error, OSError):
            if connection is not None and not connection.closed:
                copy = socket.socket(fileno=os.dup(connection.fileno()))
                with copy:
                    copy.shutdown(socket.SHUT_RDWR)
