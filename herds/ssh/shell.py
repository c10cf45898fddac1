"""A command on a host as a value: what is asked for and what comes back.

This is all that the layers above need to know; it imports no SSH library.
"""

from __future__ import annotations

import enum
import shlex
import threading
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

from herds.ssh.feed import Feed

MAX_COMMAND_BYTES = 100_000
"""Longest command line sent to a host, in bytes.

Linux passes it to the login shell as one argument, which it limits to 128 KiB
(MAX_ARG_STRLEN, execve(2)). Longer input belongs on standard input.
"""


class Stream(enum.Enum):
    """Which of a command's two outputs a chunk came from."""

    STDOUT = "stdout"
    STDERR = "stderr"


OnOutput = Callable[[Stream, bytes], None]
"""Called with every chunk of output as it arrives, in the thread that runs the command.

While it works, the host's output is held back, so a slow reader needs no buffer.
"""


@dataclass(frozen=True, kw_only=True)
class Completed:
    """A command that has ended: its exit status and what it printed.

    Of a stream longer than 128 KiB the beginning and the end are kept, with a line in
    between that says how many bytes were left out; ``truncated`` is then true. Bytes
    that are not UTF-8 appear as ``\\xNN``. ``seconds`` runs from sending the command
    to its end.
    """

    argv: tuple[str, ...]
    status: int
    stdout: str
    stderr: str
    seconds: float
    truncated: bool


class Shell(Protocol):
    """Runs commands on one host."""

    @property
    def host(self) -> str:
        """The host's name, as people know it."""
        ...

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
        """Run a program with its arguments and return what became of it.

        ``argv`` is a program and its arguments, quoted here and nowhere else; for
        shell syntax pass ``["sh", "-c", script, "sh", *values]``. ``ok`` are the
        allowed exit statuses, None allows all; text on standard error is no failure.
        ``timeout`` is in seconds from sending the command; connecting has its own
        bound. Without ``stdin`` the command reads nothing; a Feed can be written to
        while it runs. Setting ``cancel`` stops the command's whole process group.
        ``tethered`` is for long work that must not go on without us: the host itself
        stops it when the connection is gone; its ``stdin`` is at most a short text.

        Raises HostUnreachable, HostKeyUnknown, HostKeyChanged or LoginRefused when
        nothing was run; CommandFailed for a status not in ``ok``; CommandTimedOut and
        OperationCancelled after stopping what was running; OutcomeUnknown when the
        connection was lost meanwhile or the command ended without an exit status.
        """
        ...


def quoted(argv: Sequence[str]) -> str:
    """Return the one shell command line that means exactly these arguments.

    Raises ValueError for what no command line can say: no program, a NUL character,
    or more than MAX_COMMAND_BYTES.
    """
    if not argv or not argv[0]:
        raise ValueError("A command needs a program to run.")
    line = shlex.join(argv)
    if "\0" in line:
        raise ValueError("A command cannot contain a NUL character.")
    if len(line.encode("utf-8", "surrogateescape")) > MAX_COMMAND_BYTES:
        raise ValueError(
            f"A command of more than {MAX_COMMAND_BYTES} bytes cannot be sent; "
            "pass the values on its standard input."
        )
    return line
