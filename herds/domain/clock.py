"""Time as it is handed to the verbs, so that tests need not wait for it."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Protocol, TypeVar

T = TypeVar("T")


class Clock(Protocol):
    """What a verb may know of time."""

    def now(self) -> datetime:
        """Tell the time of day, aware, in UTC."""

    def monotonic(self) -> float:
        """Tell seconds that never run backwards."""

    def sleep(self, seconds: float) -> None:
        """Wait."""


class SystemClock:
    """The machine's own time."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


class ToldClock(SystemClock):
    """The machine's own time, corrected by what another clock tells.

    Args:
        time_there: tells the time on the other clock, aware.
    """

    def __init__(self, time_there: Callable[[], datetime]) -> None:
        self._time_there = time_there

    def now(self) -> datetime:
        return self._time_there()


def watch(
    look: Callable[[], T],
    until: Callable[[T], bool],
    *,
    clock: Clock,
    timeout: float,
    interval: float = 0.05,
) -> tuple[bool, T]:
    """Look again and again until a state is seen or the deadline has passed.

    Args:
        look: gives one observation.
        until: tells whether it is the awaited one.
        clock: where time comes from.
        timeout: seconds to go on looking; the first look is always made.
        interval: seconds between the end of a look and the next.

    Returns:
        Whether the state came, and the last observation.
    """
    deadline = clock.monotonic() + timeout
    while True:
        seen = look()
        if until(seen):
            return True, seen
        if clock.monotonic() >= deadline:
            return False, seen
        clock.sleep(interval)
