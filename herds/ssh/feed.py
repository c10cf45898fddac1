"""Standard input that is written while the command already runs."""

from __future__ import annotations

import tempfile
import threading
from collections import deque
from collections.abc import Callable
from typing import IO

_CHUNK = 64 * 1024  # bytes that are read back from a file at once


class Feed:
    """Bytes on their way to a command: one thread puts them, the command takes them.

    Args:
        room: bytes that may wait; who puts more waits until the command has taken
            some. None lets any number wait.
        spills: what finds no room waits in a temporary file, and nobody else does.
    """

    def __init__(self, room: int | None = None, *, spills: bool = False) -> None:
        self._room = room
        self._chunks: deque[bytes] = deque()
        self._waiting = 0
        self._spilt = _Spill() if spills else None
        self._closed = False
        self._abandoned = False
        self._changed = threading.Condition()
        self._wake: Callable[[], None] = lambda: None

    def put(self, chunk: bytes) -> bool:
        """Hand bytes to the command.

        Returns:
            False where the command takes no more: the bytes are lost.

        Raises:
            OSError: there is no room for the temporary file.
        """
        with self._changed:
            while self._is_full() and self._spilt is None and not self._abandoned:
                self._changed.wait()
            if self._abandoned:
                return False
            # Once something is in the file, the order leads all that follows there.
            if self._spilt is not None and (self._spilt.size or self._is_full()):
                self._spilt.append(chunk)
            else:
                self._chunks.append(chunk)
                self._waiting += len(chunk)
        self._wake()
        return True

    def _is_full(self) -> bool:
        return self._room is not None and self._waiting >= self._room

    def close(self) -> None:
        """Let the command read the end of its input after what was put."""
        with self._changed:
            self._closed = True
        self._wake()

    def taken_by(self, wake: Callable[[], None]) -> None:
        """Name what is called when something was put; for the command's side."""
        self._wake = wake

    def take(self) -> bytes:
        """Take the next bytes, or none; for the command's side."""
        with self._changed:
            if self._chunks:
                chunk = self._chunks.popleft()
                self._waiting -= len(chunk)
                self._changed.notify_all()
                return chunk
            return self._spilt.take() if self._spilt is not None else b""

    def is_over(self) -> bool:
        """Tell whether nothing waits and nothing will come."""
        with self._changed:
            spilt = self._spilt is not None and self._spilt.size > 0
            return self._closed and not self._chunks and not spilt

    def abandon(self) -> None:
        """Take nothing any more: the command has ended or reads no further."""
        with self._changed:
            self._abandoned = True
            self._chunks.clear()
            if self._spilt is not None:
                self._spilt.clear()
            self._changed.notify_all()


class _Spill:
    """Bytes in a nameless file, first in, first out; none is open while it is empty."""

    def __init__(self) -> None:
        self._file: IO[bytes] | None = None
        self._read = 0
        self._written = 0

    @property
    def size(self) -> int:
        """How many bytes wait."""
        return self._written - self._read

    def append(self, chunk: bytes) -> None:
        """Add bytes at the end."""
        if self._file is None:
            self._file = tempfile.TemporaryFile()  # noqa: SIM115 - clear() closes it
        self._file.seek(self._written)
        self._file.write(chunk)
        self._written += len(chunk)

    def take(self) -> bytes:
        """Take bytes from the beginning, or none."""
        if self._file is None:
            return b""
        self._file.seek(self._read)
        chunk = self._file.read(min(_CHUNK, self.size))
        self._read += len(chunk)
        if not self.size:
            self.clear()
        return chunk

    def clear(self) -> None:
        """Forget all bytes, and give their room back."""
        if self._file is not None:
            self._file.close()
        self._file = None
        self._read = self._written = 0
