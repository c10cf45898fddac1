"""Reads out of what a program prints how far it has come."""

from __future__ import annotations

import re
import time
from collections import deque
from collections.abc import Callable

from herds.ssh.shell import Stream

Progress = Callable[[int, int, float], None]
"""Is given the bytes done, the bytes in all (0: not known), and bytes a second."""

_INTERVAL = 0.25  # seconds between two reports
_WINDOW = 5.0  # seconds over which the rate is taken


class Meter:
    """Reads progress out of what a program prints: bytes done, in all, a second.

    Args:
        pattern: its first group is what is done, a second one what there is in all.
        on_progress: told when a number was read, but not all the time.
        unit: bytes that the numbers count.
        total: bytes in all where the program does not tell; 0 if not known.
        clock: tells seconds that never run backwards.
    """

    def __init__(
        self,
        pattern: re.Pattern[bytes],
        on_progress: Progress,
        *,
        unit: int = 1024,
        total: int = 0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.done = 0
        self.total = total
        self._pattern = pattern
        self._unit = unit
        self._on_progress = on_progress
        self._clock = clock
        self._rest = b""
        self._seen = deque([(clock(), 0)])

    def read(self, stream: Stream, chunk: bytes) -> None:
        """Take a piece of output, of either stream."""
        *lines, self._rest = re.split(rb"[\r\n]", self._rest + chunk)
        found = list(self._pattern.finditer(b"\n".join(lines)))
        if not found:
            return
        done, *total = (
            int(number.replace(b",", b"")) * self._unit for number in found[-1].groups()
        )
        self.done, self.total = done, total[0] if total else self.total
        now = self._clock()
        if now - self._seen[-1][0] >= _INTERVAL:
            self._report(now)

    def end(self) -> None:
        """Tell the last number too."""
        if self._seen[-1][1] != self.done:
            self._report(self._clock())

    def _report(self, now: float) -> None:
        while len(self._seen) > 1 and now - self._seen[0][0] > _WINDOW:
            self._seen.popleft()
        since, before = self._seen[0]
        self._seen.append((now, self.done))
        rate = (self.done - before) / max(now - since, _INTERVAL)
        self._on_progress(self.done, self.total, max(rate, 0.0))
