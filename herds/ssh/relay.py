"""Joins two commands on two hosts: what one prints the other reads, both ways.

Hosts need not trust each other, nor reach each other: the bytes pass through here.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass

from herds.errors import ElephaasError
from herds.ssh.feed import Feed
from herds.ssh.shell import Completed, Shell, Stream

_ROOM = 4 * 1024 * 1024
"""Bytes that may wait on their way to the near host; the far host is held back then.

The other way nobody is ever held back: two commands that wait for each other to read
would never end, and what goes that way (block sums) is small.
"""


@dataclass(frozen=True, kw_only=True)
class Relayed:
    """Two joined commands that have ended, and the bytes that went each way."""

    near: Completed
    far: Completed
    to_near: int
    to_far: int


class Relay:
    """A near command that names, in its first line, the far command it talks to.

    Args:
        near: where the first command runs.
        far: where the command runs that it names.
        accept: is given the near command's first line, without its end; gives the
            far command's argv, or raises what refuses it.
        on_message: is given what the near command writes to standard error.
    """

    def __init__(
        self,
        near: Shell,
        far: Shell,
        *,
        accept: Callable[[bytes], Sequence[str]],
        on_message: Callable[[bytes], None] = lambda chunk: None,
    ) -> None:
        self._near = near
        self._far = far
        self._accept = accept
        self._on_message = on_message
        self._to_near = Feed(room=_ROOM)
        self._to_far = Feed()
        self._line = b""
        self._argv: Future[Sequence[str]] = Future()
        self._stop = threading.Event()
        self.bytes_to_near = 0
        self.bytes_to_far = 0

    def run(
        self, argv: Sequence[str], *, timeout: float, cancel: threading.Event
    ) -> Relayed:
        """Run the near command, and with it the far one, to the end of both.

        Args:
            argv: the near command.
            timeout: seconds for the whole.
            cancel: stops both process groups when set.

        Raises:
            ElephaasError: as ``Shell.run``; where both ended badly, the near
                command's error. Exit statuses are not judged.
        """
        watcher = threading.Thread(target=self._watch, args=[cancel], daemon=True)
        watcher.start()
        ended: Future[Completed] = Future()
        far = threading.Thread(target=self._run_far, args=[ended, timeout])
        far.start()
        try:
            near = self._near.run(
                argv,
                ok=None,
                timeout=timeout,
                stdin=self._to_near,
                on_output=self._from_near,
                cancel=self._stop,
            )
        except BaseException:
            self._stop.set()
            raise
        finally:
            self._to_far.close()
            if not self._argv.done():
                self._argv.cancel()
            far.join()
            self._stop.set()
        return Relayed(
            near=near,
            far=ended.result(),
            to_near=self.bytes_to_near,
            to_far=self.bytes_to_far,
        )

    def _watch(self, cancel: threading.Event) -> None:
        """Pass a request to stop on, until both have ended."""
        while not self._stop.wait(0.1):
            if cancel.is_set():
                self._stop.set()

    def _from_near(self, stream: Stream, chunk: bytes) -> None:
        if stream is Stream.STDERR:
            self._on_message(chunk)
            return
        if not self._argv.done():
            self._line += chunk
            line, end, chunk = self._line.partition(b"\n")
            if not end:
                return
            self._argv.set_result(self._accept(line))
        if chunk:
            self.bytes_to_far += len(chunk)
            self._to_far.put(chunk)

    def _run_far(self, ended: Future[Completed], timeout: float) -> None:
        def from_far(stream: Stream, chunk: bytes) -> None:
            if stream is Stream.STDOUT:
                self.bytes_to_near += len(chunk)
                self._to_near.put(chunk)

        try:
            ended.set_result(
                self._far.run(
                    self._argv.result(),
                    ok=None,
                    timeout=timeout,
                    stdin=self._to_far,
                    on_output=from_far,
                    cancel=self._stop,
                )
            )
        except ElephaasError as error:
            ended.set_exception(error)
            self._stop.set()
        except BaseException as error:
            ended.set_exception(error)
        finally:
            # The near command reads the end of its input, and ends.
            self._to_near.close()
