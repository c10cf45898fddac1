"""Sees which members take writes, and when, without a network that could blind it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable

import psycopg

from lab import Lab, LabError
from tests.nemesis.arena import PASSWORD, USER
from tests.nemesis.evidence import Stretch

_PERIOD = 0.003  # seconds between questions
_AGAIN = 0.01  # seconds between attempts to connect
_HOST_IS_OFF = 0.05


class Observer:
    """Asks every member of a herd all the time, each from inside of its own host."""

    def __init__(self, lab: Lab, herd: str) -> None:
        spec = lab.herds[herd]
        self._stop = threading.Event()
        self._pollers = [
            _Poller(lab, host, spec.port, self._stop) for host in spec.members
        ]

    def __enter__(self) -> Observer:
        for poller in self._pollers:
            poller.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for poller in self._pollers:
            poller.join(timeout=10)

    def stretches(self) -> tuple[Stretch, ...]:
        """Give what was seen so far."""
        return merged(each for poller in self._pollers for each in poller.seen())

    def questions(self) -> dict[str, int]:
        """Give how many answers each host gave."""
        return {poller.host: poller.answers for poller in self._pollers}


def merged(stretches: Iterable[Stretch]) -> tuple[Stretch, ...]:
    """Put stretches in order of time."""
    return tuple(sorted(stretches, key=lambda each: (each.since, each.host)))


class _Poller(threading.Thread):
    def __init__(self, lab: Lab, host: str, port: int, stop: threading.Event) -> None:
        super().__init__(name=f"observer of {host}", daemon=True)
        self.host = host
        self.answers = 0
        self._lab = lab
        self._port = port
        self._stop_asking = stop
        self._ended: list[Stretch] = []
        self._open: Stretch | None = None

    def seen(self) -> list[Stretch]:
        latest = self._open
        return [*self._ended, *([latest] if latest else [])]

    def run(self) -> None:
        while not self._stop_asking.is_set():
            try:
                with self._lab.inside(self.host):
                    self._live_there()
            except (LabError, OSError):
                self._stop_asking.wait(_HOST_IS_OFF)

    def _live_there(self) -> None:
        """Ask until the host is powered off: its successor has another network."""
        init = self._lab.state.running(self.host)
        while init and init.is_alive() and not self._stop_asking.is_set():
            try:
                with psycopg.connect(
                    host="127.0.0.1",
                    port=self._port,
                    dbname="postgres",
                    user=USER,
                    password=PASSWORD,
                    connect_timeout=2,
                    autocommit=True,
                ) as connection:
                    self._ask(connection)
            except psycopg.Error:
                self._stop_asking.wait(_AGAIN)
            finally:
                self._close()

    def _ask(self, connection: psycopg.Connection) -> None:
        cursor = connection.cursor()
        while not self._stop_asking.is_set():
            asked = time.monotonic()
            cursor.execute("SELECT pg_is_in_recovery()")
            row = cursor.fetchone()
            self.answers += 1
            if row == (False,):
                self._takes_writes(asked, time.monotonic())
            else:
                self._close()
            self._stop_asking.wait(_PERIOD)

    def _takes_writes(self, asked: float, answered: float) -> None:
        since = self._open.since if self._open else answered
        self._open = Stretch(host=self.host, since=since, until=max(since, asked))

    def _close(self) -> None:
        if self._open is not None:
            self._ended.append(self._open)
            self._open = None
