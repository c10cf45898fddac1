"""One psql held open on a host: statements go in, answers come out, until left."""

from __future__ import annotations

import queue
import re
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from herds.errors import ElephaasError, OperationCancelled, OutcomeUnknown
from herds.ssh.feed import Feed
from herds.ssh.shell import Completed, Shell, Stream

from .complaint import called
from .look import script

_WHAT = "psql"
_LONGEST = 7 * 86400.0  # seconds
_CLOSING = 10.0  # seconds until psql that was asked to leave is stopped

_NOT_RUNNING = {65: "there is no data directory", 69: "no server runs there"}
"""What session.sh says by its exit status (cluster.sh, ``need``)."""


# "psql:<stdin>:5: FATAL:  terminating connection due to administrator command"
_WORDS = re.compile(r"(?:ERROR|FATAL|PANIC|psql: error): +(.+)")


class Session:
    """One session of a server; made by ``hold_session``.

    ``version`` is the server's number, such as 150004, once somebody asked for it.
    """

    def __init__(self, shell: Shell, data_directory: str, name: str) -> None:
        self.host = shell.host
        self.version = 0
        self._shell = shell
        self._argv = ["sh", "-c", script("session.sh"), "elephaas"]
        self._argv += [data_directory, name]
        self._feed = Feed()
        self._stop = threading.Event()
        self._lines: queue.Queue[str | None] = queue.Queue()
        self._rest = b""
        self._ended: Completed | ElephaasError | None = None
        self._asking = threading.Lock()
        self._runner = threading.Thread(target=self._run, daemon=True)
        self._runner.start()

    @property
    def is_over(self) -> bool:
        """Whether psql has ended, for whatever reason."""
        return self._ended is not None

    def ask(
        self, sql: str, *, timeout: float, cancel: threading.Event | None = None
    ) -> list[str]:
        """Run statements and give the lines of their rows.

        Args:
            sql: complete statements.
            timeout: seconds to wait; afterwards the session is of no more use.
            cancel: ends the session when set.

        Raises:
            OutcomeUnknown: the session ended, or did not answer in time.
            OperationCancelled: cancel was set.
        """
        mark = secrets.token_hex(8)
        with self._asking:
            self._feed.put(f"{sql}\n\\echo {mark}\n".encode())
            return list(self._until(mark, time.monotonic() + timeout, cancel))

    def _until(
        self, mark: str, deadline: float, cancel: threading.Event | None
    ) -> Iterator[str]:
        while True:
            if cancel is not None and cancel.is_set():
                self._stop.set()
                raise OperationCancelled(host=self.host)
            try:
                line = self._lines.get(timeout=0.1)
            except queue.Empty:
                if time.monotonic() >= deadline:
                    self._stop.set()
                    raise self.lost("it did not answer in time") from None
                continue
            if line is None:
                self._lines.put(None)
                raise self.lost("it ended")
            if line == mark:
                return
            yield line

    def lost(self, reason: str) -> ElephaasError:
        """Give the error that says why the session is of no more use."""
        if isinstance(self._ended, ElephaasError):
            return self._ended
        said = self._ended.stderr if self._ended is not None else ""
        words = [
            line for line in said.splitlines() if "ERROR" in line or "FATAL" in line
        ]
        reason = words[0] if words else reason
        if isinstance(self._ended, Completed):
            reason = _NOT_RUNNING.get(self._ended.status, reason)
        return OutcomeUnknown(self.host, _WHAT, reason, said)

    def close(self) -> None:
        """Leave the session; what it held open on the server ends with it."""
        self._feed.close()
        self._runner.join(_CLOSING)
        self._stop.set()
        self._runner.join()

    def _run(self) -> None:
        ended: Completed | ElephaasError
        try:
            with called(_WHAT):
                ended = self._shell.run(
                    self._argv,
                    ok=None,
                    timeout=_LONGEST,
                    stdin=self._feed,
                    on_output=self._read,
                    cancel=self._stop,
                )
        except ElephaasError as error:
            ended = error
        self._ended = ended
        self._lines.put(None)

    def _read(self, stream: Stream, chunk: bytes) -> None:
        if stream is Stream.STDERR:
            return
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        for line in lines:
            self._lines.put(line.decode("utf-8", "replace"))


@contextmanager
def hold_session(shell: Shell, data_directory: str, name: str) -> Iterator[Session]:
    """Open psql on the server of a data directory, and close it in the end.

    Nothing is known of the server until the first answer.

    Args:
        shell: where the server runs.
        data_directory: what it serves.
        name: its application name. A session of the same name that an earlier run left
            behind is ended: whoever calls this has made sure that nobody uses it.
    """
    session = Session(shell, data_directory, name)
    try:
        yield session
    finally:
        session.close()
