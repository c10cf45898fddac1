"""One point in time that several waits share."""

from __future__ import annotations

import time


class Deadline:
    """A moment ``seconds`` from now that everything done until then counts against."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._ends = time.monotonic() + seconds

    def remaining(self) -> float:
        """Return the seconds left, never less than zero."""
        return max(0.0, self._ends - time.monotonic())

    def passed(self) -> bool:
        """Tell whether the moment has come."""
        return self.remaining() == 0.0

    def elapsed(self) -> float:
        """Return the seconds since the deadline was set."""
        return time.monotonic() - self._ends + self.seconds
