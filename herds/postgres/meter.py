"""Reads out of what a program prints how far it has come."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

from herds.ssh.shell import Stream

Progress = Callable[[int, int, float], None]
"""Is given the bytes done, the bytes in all (0: not known), and bytes a second."""


class Meter:
    """Reads progress out of what a program prints: bytes done, in all, a second.

    Args:
        pattern: its first group is what is done, a second one what there is in all.
        on_progress: told when a number was read.
        unit: bytes that the numbers count.
        total: bytes in all where the program does not tell; 0 if not known.
    """

    def __init__(
        self,
        pattern: re.Pattern[bytes],
        on_progress: Progress,
        *,
        unit: int = 1024,
        total: int = 0,
    ) -> None:
        self.done = 0
        self.total = total
        self._pattern = pattern
        self._unit = unit
        self._on_progress = on_progress
        self._rest = b""
        self._last = (0, time.monotonic())

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
        before, at = self._last
        now = time.monotonic()
        rate = (self.done - before) / max(now - at, 0.001)
        self._last = (self.done, now)
        self._on_progress(self.done, self.total, max(rate, 0.0))
