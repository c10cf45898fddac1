"""A double of Shell for the tests of what is built on it: scripted, strict, recorded.

::

    shell = ScriptedShell("ele02")
    shell.answer(["pg_lsclusters", "-h"], stdout="15 main 5432 online …")
    shell.answer(["pg_ctlcluster", ...], status=2, stderr="already running")
    shell.fail(["true"], OutcomeUnknown("ele02", "true", "the connection was lost"))
    …
    shell.assert_all_used()
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from types import EllipsisType

from herds.errors import CommandFailed, ElephaasError, OperationCancelled
from herds.ssh.feed import Feed
from herds.ssh.shell import Completed, OnOutput, Stream, quoted

ArgvPattern = Sequence[str | EllipsisType] | Callable[[tuple[str, ...]], bool]
"""What a command must look like: its words, ``...`` at the end for any further ones,
or a function that decides."""


@dataclass(frozen=True, kw_only=True)
class Call:
    """A command that the code under test ran."""

    argv: tuple[str, ...]
    stdin: bytes | Feed | None
    timeout: float
    tethered: bool


@dataclass(kw_only=True)
class _Answer:
    pattern: ArgvPattern
    always: bool
    status: int = 0
    stdout: str = ""
    stderr: str = ""
    error: ElephaasError | None = None
    used: bool = field(default=False)

    def fits(self, argv: tuple[str, ...]) -> bool:
        if self.used and not self.always:
            return False
        if callable(self.pattern):
            return self.pattern(argv)
        words = tuple(self.pattern)
        if words and words[-1] is ...:
            return argv[: len(words) - 1] == words[:-1]
        return argv == words


class ScriptedShell:
    """A shell that gives the answers it was told, and fails a test for any other ask.

    Each answer serves one command, the first that fits, unless it is given with
    ``always``. Safe to use from several threads.
    """

    def __init__(self, host: str = "ele01") -> None:
        self.host = host
        self.calls: list[Call] = []
        self._answers: list[_Answer] = []
        self._lock = threading.Lock()

    def answer(
        self,
        argv: ArgvPattern,
        *,
        status: int = 0,
        stdout: str = "",
        stderr: str = "",
        always: bool = False,
    ) -> None:
        """Answer a command with an exit status and output."""
        self._answers.append(
            _Answer(
                pattern=argv, status=status, stdout=stdout, stderr=stderr, always=always
            )
        )

    def fail(
        self, argv: ArgvPattern, error: ElephaasError, *, always: bool = False
    ) -> None:
        """Answer a command with an error of the host, the login or the connection."""
        self._answers.append(_Answer(pattern=argv, error=error, always=always))

    def assert_all_used(self) -> None:
        """Fail unless every answer was asked for."""
        unused = [answer.pattern for answer in self._answers if not answer.used]
        if unused:
            raise AssertionError(f"Never run on {self.host}: {unused}")

    def run(
        self,
        argv: Sequence[str],
        *,
        ok: Collection[int] | None = (0,),
        timeout: float = 60.0,
        stdin: bytes | Feed | None = None,
        on_output: OnOutput | None = None,
        cancel: threading.Event | None = None,
        tethered: bool = False,
    ) -> Completed:
        """Behave as herds.ssh.shell.Shell.run says, with the answer that fits."""
        words, line = tuple(argv), quoted(argv)
        if cancel is not None and cancel.is_set():
            raise OperationCancelled.before_command(self.host, line)
        answer = self._take(words, stdin, timeout, tethered)
        if answer.error is not None:
            raise answer.error
        if on_output is not None:
            for stream, text in (
                (Stream.STDOUT, answer.stdout),
                (Stream.STDERR, answer.stderr),
            ):
                if text:
                    on_output(stream, text.encode())
        if ok is not None and answer.status not in ok:
            said = answer.stderr.strip() or answer.stdout.strip()
            raise CommandFailed(self.host, line, answer.status, said)
        return Completed(
            argv=words,
            status=answer.status,
            stdout=answer.stdout,
            stderr=answer.stderr,
            seconds=0.0,
            truncated=False,
        )

    def _take(
        self,
        argv: tuple[str, ...],
        stdin: bytes | Feed | None,
        timeout: float,
        tethered: bool,
    ) -> _Answer:
        with self._lock:
            self.calls.append(
                Call(argv=argv, stdin=stdin, timeout=timeout, tethered=tethered)
            )
            for answer in self._answers:
                if answer.fits(argv):
                    answer.used = True
                    return answer
        raise AssertionError(f"Not scripted for {self.host}: {quoted(argv)}")
