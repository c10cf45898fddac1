"""A client that commits every few milliseconds and writes down what was acknowledged.

It runs on the lab's control host as a program of its own, so that nothing else that is
measured slows it down, and stops when its standard input ends. Every step has a
deadline: a server that neither answers nor dies cannot hold it up.

    with Writer(lab, conninfo, directory, "round1") as writer:
        writer.await_commits(100, seconds=10)
        …
    longest_pause(writer.commits())
"""

from __future__ import annotations

import itertools
import json
import select
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import psycopg
from psycopg import pq

from lab import Lab

INTERVAL = 0.005
"""Seconds from one commit to the next, and from a failed connection to the next try."""

PATIENCE = 5.0

TABLE = """
CREATE TABLE bench_writes (
    writer text NOT NULL,
    sequence bigint NOT NULL,
    PRIMARY KEY (writer, sequence)
)
"""
INSERT = b"INSERT INTO bench_writes (writer, sequence) VALUES ($1, $2)"
FOUND = "SELECT sequence FROM bench_writes WHERE writer = %s"

_PROJECT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True, slots=True)
class Commit:
    """A commit that was acknowledged; times are of the machine's monotonic clock, ns.

    ``server`` is the address of the server that acknowledged it.
    """

    sequence: int
    sent: int
    acknowledged: int
    server: str


@dataclass(frozen=True, slots=True)
class Pause:
    """The time from one acknowledgement to the next."""

    before: Commit
    after: Commit

    @property
    def milliseconds(self) -> float:
        """How long it was."""
        return (self.after.acknowledged - self.before.acknowledged) / 1e6


def parse(text: str) -> list[Commit]:
    """Return the commits of a journal; a line that is being written does not count."""
    complete, _, _ = text.rpartition("\n")
    return (
        [
            Commit(int(sequence), int(sent), int(acknowledged), server)
            for sequence, sent, acknowledged, server in map(
                str.split, complete.split("\n")
            )
        ]
        if complete
        else []
    )


def longest_pause(commits: Sequence[Commit], since: int = 0) -> Pause:
    """Return the longest time without an acknowledgement that ended after ``since``.

    ``since`` is a time of the same clock. Raises ValueError where no time between two
    commits ended then: there is no telling.
    """
    pauses = (Pause(*pair) for pair in itertools.pairwise(commits))
    later = [pause for pause in pauses if pause.after.acknowledged > since]
    return max(later, key=lambda pause: pause.milliseconds)


def lost(commits: Iterable[Commit], found: Iterable[int]) -> list[int]:
    """Return the acknowledged sequence numbers that are not in the database."""
    return sorted({commit.sequence for commit in commits} - set(found))


class Writer:
    """The client's program, from entering the context to leaving it.

    Args:
        lab: the lab on whose control host it runs.
        conninfo: how it connects. Several hosts are tried in their order by libpq
            itself, with its connect_timeout.
        directory: where its journal and its log are kept; it has to be the same path
            on the machine and on the control host.
        name: of this client in the table; no other has it.
        interval: seconds from one commit to the next.
        patience: seconds that a commit may take before its connection is given up.
    """

    def __init__(
        self,
        lab: Lab,
        conninfo: str,
        directory: Path,
        name: str,
        *,
        interval: float = INTERVAL,
        patience: float = PATIENCE,
    ) -> None:
        self.name = name
        self._patience = patience
        self._lab = lab
        self._journal = directory / f"{name}.journal"
        self._log = directory / f"{name}.log"
        self._request = {
            "conninfo": conninfo,
            "name": name,
            "journal": str(self._journal),
            "interval": interval,
            "patience": patience,
        }
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        """Start the program."""
        self._journal.touch()
        command = self._lab.control.command(
            [sys.executable, "-m", "bench.writer"], directory=str(_PROJECT)
        )
        # Whoever ends a connection says so here, beside what may be wrong.
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=log)
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(self._request).encode() + b"\n")
        self._process.stdin.flush()
        return self

    def __exit__(self, *_: object) -> None:
        """End the program, with what it has begun."""
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            # It may be waiting for a commit or for each of a few hosts.
            self._process.wait(self._patience + 15)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise RuntimeError(f"Writer {self.name} did not end by itself.") from None

    def commits(self) -> list[Commit]:
        """Return what was acknowledged up to now, oldest first."""
        return parse(self._journal.read_text())

    def await_commits(self, more: int, seconds: float) -> None:
        """Return when ``more`` commits were acknowledged from now on.

        Raises RuntimeError when that takes longer than ``seconds``.
        """
        wanted = self._count() + more
        deadline = time.monotonic() + seconds
        while (done := self._count()) < wanted:
            assert self._process is not None
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(
                    f"Writer {self.name}: {wanted - done} of {more} commits are lacking"
                    f" after {seconds:g} s.\n{self._log.read_text()[-2000:]}"
                )
            time.sleep(0.05)

    def _count(self) -> int:
        return self._journal.read_bytes().count(b"\n")


class _Client:
    """One connection at a time, made anew whenever something is wrong with it."""

    def __init__(self, conninfo: str, name: str, patience: float) -> None:
        self._patience = patience
        self._conninfo = conninfo.encode()
        self._name = name.encode()
        self._connection: pq.PGconn | None = None
        self._complaint = ""

    def commit(self, sequence: int) -> str | None:
        """Write one row; return who acknowledged it, None when nobody did."""
        try:
            connection = self._connection or self._connect()
            self._insert(connection, sequence)
        except (psycopg.Error, TimeoutError) as error:
            self._complain(repr(error))
            self.close()
            return None
        return connection.hostaddr.decode()

    def close(self) -> None:
        """Let go of the connection."""
        if self._connection is not None:
            self._connection.finish()
            self._connection = None

    def _complain(self, text: str) -> None:
        """Say once what is wrong, until it is something else."""
        if text != self._complaint:
            print(time.monotonic_ns(), text, file=sys.stderr, flush=True)
            self._complaint = text

    def _connect(self) -> pq.PGconn:
        self._connection = pq.PGconn.connect(self._conninfo)
        if self._connection.status != pq.ConnStatus.OK:
            raise psycopg.OperationalError(self._connection.error_message.decode())
        self._connection.nonblocking = 1
        return self._connection

    def _insert(self, connection: pq.PGconn, sequence: int) -> None:
        connection.send_query_params(INSERT, [self._name, str(sequence).encode()])
        deadline = time.monotonic() + self._patience
        while connection.flush():
            _wait(connection, deadline, to_write=True)
        while connection.is_busy():
            _wait(connection, deadline, to_write=False)
            connection.consume_input()
        result = connection.get_result()
        if result is None or result.status != pq.ExecStatus.COMMAND_OK:
            raise psycopg.OperationalError("The row was not written.")
        while connection.get_result() is not None:
            pass


def _wait(connection: pq.PGconn, deadline: float, *, to_write: bool) -> None:
    """Return when the server can be written to or has said something.

    Raises TimeoutError at the deadline.
    """
    sockets = [connection.socket]
    left = max(0.0, deadline - time.monotonic())
    ready = select.select(sockets, sockets if to_write else [], [], left)
    if not any(ready):
        raise TimeoutError
    if to_write and ready[0]:
        connection.consume_input()


def main() -> None:
    """Commit until standard input ends; its first line says what and where."""
    request = json.loads(sys.stdin.buffer.raw.readline())  # type: ignore[attr-defined]
    client = _Client(request["conninfo"], request["name"], request["patience"])
    due = time.monotonic()
    with Path(request["journal"]).open("ab", buffering=0) as journal:
        sequence = 0
        while not _ended(due):
            sequence += 1
            sent = time.monotonic_ns()
            server = client.commit(sequence)
            if server is not None:
                line = f"{sequence} {sent} {time.monotonic_ns()} {server}\n"
                journal.write(line.encode())
            # What a pause held up is not made up for in a hurry; and a connection
            # that failed at once is not tried again at once.
            due += request["interval"]
            if due < time.monotonic():
                due = time.monotonic() + (0 if server else request["interval"])
    client.close()


def _ended(due: float) -> bool:
    """Wait for the time that is due; tell whether standard input ended before."""
    left = max(0.0, due - time.monotonic())
    return bool(select.select([sys.stdin], [], [], left)[0])


if __name__ == "__main__":
    main()
