"""Joins two commands on two hosts: what one prints the other reads, both ways.

Hosts need not trust each other, nor reach each other: the bytes pass through here.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass

from herds.errors import ElephaasError, OperationCancelled
from herds.ssh.feed import Feed
from herds.ssh.shell import Completed, Shell, Stream

_ROOM = 4 * 1024 * 1024
"""Bytes that may wait in memory on their way to either host.

What comes from the far host is then held back. The other way nobody is: the near
command's messages share its way, and a command that cannot write a message reads
nothing either. The rest waits in a file: it is small (block sums: a thousandth of the
files).
"""

_LONGEST_LINE = 64 * 1024  # bytes; a near command that names nothing is not waited for


@dataclass(frozen=True, kw_only=True)
class Relayed:
    """Two joined commands that have ended, and the bytes that went each way.

    ``far`` is None where the near command named none.
    """

    near: Completed
    far: Completed | None
    to_near: int
    to_far: int


class Relay:
    """A near command that names, in its first line, the far command it talks to.

    Args:
        near: where the first command runs.
        far: where the command runs that it names.
        accept: is given the near command's first line, without its end; gives the
            far command's argv, or raises what refuses it.
        on_message: is given what the near command writes to standard error; an error
            that it raises stops both commands.
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
        self._to_far = Feed(room=_ROOM, spills=True)
        self._line = b""
        self._argv: Future[Sequence[str] | None] = Future()
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
            ElephaasError: as ``Shell.run``, of the command that was the first not to
                come to its own end; the other one was stopped. Exit statuses are not
                judged.
        """
        self._stop = _Stop(cancel)
        far_ended: Future[Completed | None] = Future()
        far = threading.Thread(target=self._run_far, args=[far_ended, timeout])
        far.start()
        try:
            near = self._run_near(argv, timeout)
        except OperationCancelled as stopped:
            # Stopped for the far command's sake, unless somebody asked for it.
            self._end_far(far)
            trouble = far_ended.exception()
            if trouble is None or _is_stopped(trouble):
                raise
            raise trouble from stopped
        except BaseException:
            self._stop.set()
            raise
        finally:
            self._end_far(far)
        return Relayed(
            near=near,
            far=far_ended.result(),
            to_near=self.bytes_to_near,
            to_far=self.bytes_to_far,
        )

    def _run_near(self, argv: Sequence[str], timeout: float) -> Completed:
        return self._near.run(
            argv,
            ok=None,
            timeout=timeout,
            stdin=self._to_near,
            on_output=self._from_near,
            cancel=self._stop,
        )

    def _end_far(self, far: threading.Thread) -> None:
        """Let the far command see the end of its input, and wait for its own end."""
        self._to_far.close()
        if not self._argv.done():
            self._argv.set_result(None)
        far.join()

    def _from_near(self, stream: Stream, chunk: bytes) -> None:
        if stream is Stream.STDERR:
            self._on_message(chunk)
            return
        if not self._argv.done():
            self._line += chunk
            line, end, chunk = self._line.partition(b"\n")
            if not end and len(line) <= _LONGEST_LINE:
                return
            self._argv.set_result(self._accept(line))
        if chunk:
            self.bytes_to_far += len(chunk)
            self._pass_on(chunk)

    def _pass_on(self, chunk: bytes) -> None:
        try:
            self._to_far.put(chunk)
        except OSError as error:
            raise ElephaasError(
                "This service's own machine could not store what waits for "
                f"{self._far.host} ({error.strerror}).",
                hint="Make room in its directory for temporary files, then try again.",
            ) from error

    def _run_far(self, ended: Future[Completed | None], timeout: float) -> None:
        def from_far(stream: Stream, chunk: bytes) -> None:
            if stream is Stream.STDOUT:
                self.bytes_to_near += len(chunk)
                self._to_near.put(chunk)

        try:
            argv = self._argv.result()
            ended.set_result(
                None
                if argv is None
                else self._far.run(
                    argv,
                    ok=None,
                    timeout=timeout,
                    stdin=self._to_far,
                    on_output=from_far,
                    cancel=self._stop,
                )
            )
        except BaseException as error:
            ended.set_exception(error)
            self._stop.set()
        finally:
            # The near command reads the end of its input, and ends.
            self._to_near.close()


class _Stop(threading.Event):
    """Set by hand, or by somebody who asked to cancel."""

    def __init__(self, asked: threading.Event) -> None:
        super().__init__()
        self._asked = asked

    def is_set(self) -> bool:
        return super().is_set() or self._asked.is_set()


def _is_stopped(trouble: BaseException) -> bool:
    """Tell whether a command was cancelled and is seen to be gone."""
    return isinstance(trouble, OperationCancelled) and trouble.stopped
