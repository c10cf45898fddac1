"""Standard input that is written while the command already runs."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable


class Feed:
    """Bytes on their way to a command: one thread puts them, the command takes them.

    Args:
        room: bytes that may wait; who puts more waits until the command has taken
            some. None lets any number wait.
    """

    def __init__(self, room: int | None = None) -> None:
        self._room = room
        self._chunks: deque[bytes] = deque()
        self._waiting = 0
        self._closed = False
        self._abandoned = False
        self._changed = threading.Condition()
        self._wake: Callable[[], None] = lambda: None

    def put(self, chunk: bytes) -> bool:
        """Hand bytes to the command.

        Returns:
            False where the command takes no more: the bytes are lost.
        """
        with self._changed:
            while (
                self._room is not None
                and self._waiting >= self._room
                and not self._abandoned
            ):
                self._changed.wait()
            if self._abandoned:
                return False
            self._chunks.append(chunk)
            self._waiting += len(chunk)
        self._wake()
        return True

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
            if not self._chunks:
                return b""
            chunk = self._chunks.popleft()
            self._waiting -= len(chunk)
            self._changed.notify_all()
        return chunk

    def is_over(self) -> bool:
        """Tell whether nothing waits and nothing will come."""
        with self._changed:
            return self._closed and not self._chunks

    def abandon(self) -> None:
        """Take nothing any more: the command has ended or reads no further."""
        with self._changed:
            self._abandoned = True
            self._chunks.clear()
            self._changed.notify_all()
