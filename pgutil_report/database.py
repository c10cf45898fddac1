"""Connects to PostgreSQL by psycopg2, with a limit for all that may hang."""

from __future__ import annotations

import select
import threading
import time
from typing import Any

import psycopg2
import psycopg2.extensions

_patience = threading.local()


class TooSlow(Exception):
    """A server did not answer in time."""


def allow(seconds: float) -> None:
    """Let what this thread asks of servers from now on take so many seconds in all."""
    _patience.until = time.monotonic() + seconds


def _wait(connection: Any) -> None:
    """Wait for a server, as long as is allowed; psycopg2 calls this.

    connect_timeout and statement_timeout are the server's and libpq's own and need a
    server that does its part. A stopped process does not.
    """
    while True:
        state = connection.poll()
        if state == psycopg2.extensions.POLL_OK:
            return
        left = _patience.until - time.monotonic()
        waits_to_read = state == psycopg2.extensions.POLL_READ
        number = connection.fileno()
        sides = ([number], []) if waits_to_read else ([], [number])
        if left <= 0 or not any(select.select(*sides, [], left)):
            raise TooSlow


def connect(seconds: float, **parameters: Any) -> Any:
    """Return a connection in which every statement is a transaction.

    Args:
        seconds: that connecting and what follows may take; ``allow`` sets them anew.
        parameters: as of libpq.

    Raises:
        psycopg2.Error: when it is refused.
        TooSlow: when it takes too long.
    """
    psycopg2.extensions.set_wait_callback(_wait)
    allow(seconds)
    connection = psycopg2.connect(
        connect_timeout=max(2, int(seconds)),
        application_name="pgutil_report",
        **parameters,
    )
    connection.autocommit = True
    return connection


def words(error: BaseException) -> str:
    """Return an error as one line without a full stop: the first, not its hints."""
    if isinstance(error, TooSlow):
        return "it gives no answer"
    diagnosis = getattr(error, "diag", None)
    told = getattr(diagnosis, "message_primary", None) or str(error)
    lines = told.strip().splitlines() or [type(error).__name__]
    return " ".join(lines[0].split()).rstrip(".?")
