"""Keep the beginning and the end of an output of any length in bounded memory."""

from __future__ import annotations

KEPT_BYTES = 64 * 1024
"""How much is kept of the beginning, and again of the end, in bytes."""


class Capture:
    """Collects one stream of a command.

    ``keep`` bytes of the beginning and of the end are kept, what lies between them is
    counted and forgotten.
    """

    def __init__(self, keep: int = KEPT_BYTES) -> None:
        self._keep = keep
        self._head = bytearray()
        self._tail = bytearray()
        self._left_out = 0

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes of the stream."""
        room = self._keep - len(self._head)
        if room > 0:
            self._head += chunk[:room]
            chunk = chunk[room:]
        if not chunk:
            return
        self._tail += chunk
        # Trimming only at twice the size moves each byte once, not once a chunk.
        if len(self._tail) > 2 * self._keep:
            self._trim()

    @property
    def truncated(self) -> bool:
        """Whether anything was left out."""
        return self._left_out + len(self._tail) > self._keep

    def text(self) -> str:
        """Return what was kept, with a line in between that tells what was not."""
        self._trim()
        if not self._left_out:
            return _decoded(self._head + self._tail)
        gap = f"\n[… {self._left_out:,} bytes left out …]\n"
        return f"{_decoded(self._head)}{gap}{_decoded(self._tail)}"

    def _trim(self) -> None:
        excess = len(self._tail) - self._keep
        if excess > 0:
            del self._tail[:excess]
            self._left_out += excess


def _decoded(data: bytearray) -> str:
    """Return the text; bytes that are not UTF-8 stay readable as ``\\xNN``."""
    return data.decode("utf-8", "backslashreplace")
