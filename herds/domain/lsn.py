"""A position in the write-ahead log, as PostgreSQL writes and compares it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import total_ordering

_TEXT = re.compile(r"([0-9A-Fa-f]{1,8})/([0-9A-Fa-f]{1,8})\Z")


@total_ordering
@dataclass(frozen=True)
class Lsn:
    """A log sequence number: bytes since the beginning of the log.

    The text form is two hexadecimal numbers around a slash
    (https://www.postgresql.org/docs/current/datatype-pg-lsn.html).
    """

    position: int

    @classmethod
    def parse(cls, text: str) -> Lsn:
        """Read the text form, zero-padded or not.

        Raises:
            ValueError: the text is no LSN.
        """
        match = _TEXT.match(text.strip())
        if match is None:
            raise ValueError(f"{text!r} is no LSN")
        return cls((int(match[1], 16) << 32) | int(match[2], 16))

    def __str__(self) -> str:
        return f"{self.position >> 32:X}/{self.position & 0xFFFFFFFF:X}"

    def __lt__(self, other: Lsn) -> bool:
        return self.position < other.position

    def __sub__(self, other: Lsn) -> int:
        """Give the distance in bytes, negative where this one is behind."""
        return self.position - other.position
