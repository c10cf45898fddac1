"""The one clock that ages are told by: the metadata server's.

Workers stamp what they see by it, the database stamps what agents report, and pages
count ages by it. So a worker or a web server whose own clock is an hour off neither
makes old facts look fresh nor fresh ones old.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db.backends.signals import connection_created
from django.db.backends.utils import CursorWrapper

_AGAIN = 60.0  # seconds until a process asks once more what time it is there

_NOTICED = timedelta(seconds=1)  # less does not matter


class _Offset:
    """How far this machine's clock is behind the metadata server's."""

    ahead = timedelta(0)
    measured_at: float | None = None


def metadata_now() -> datetime:
    """Tell the time of day on the metadata server, aware, in UTC."""
    return datetime.now(UTC) + _Offset.ahead


def measure(cursor: CursorWrapper) -> timedelta:
    """Ask the metadata server for its time; tell how far this clock is behind it."""
    before = datetime.now(UTC)
    cursor.execute("SELECT clock_timestamp()")
    there: datetime = cursor.fetchone()[0]
    _Offset.ahead = difference(before, there, datetime.now(UTC))
    _Offset.measured_at = time.monotonic()
    return _Offset.ahead


def difference(before: datetime, there: datetime, after: datetime) -> timedelta:
    """Tell how far one clock is ahead of another that was read before and after it.

    A question may take long on a busy machine: what can be explained by that, or is
    too little to matter, is none.
    """
    if before - _NOTICED < there < after + _NOTICED:
        return timedelta(0)
    return there - (before + (after - before) / 2)


def _measure_now_and_then(*, connection: Any, **_: Any) -> None:
    """Compare the clocks when a connection is made, if that was not done just now."""
    now = time.monotonic()
    if _Offset.measured_at is None or now - _Offset.measured_at > _AGAIN:
        with connection.cursor() as cursor:
            measure(cursor)


connection_created.connect(_measure_now_and_then, dispatch_uid="herds.clock")
