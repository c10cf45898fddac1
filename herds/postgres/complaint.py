"""Words errors about programs: what ran, not its script, and why it failed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from herds.errors import (
    CommandFailed,
    CommandTimedOut,
    OperationCancelled,
    OutcomeUnknown,
)

# "pg_rewind: error: could not …", "psql:<stdin>:5: FATAL:  …", "postgres: could not …"
_SAYS = re.compile(
    r"\b(error|fatal|detail|hint|ERROR|FATAL|PANIC): |could not|not found"
)
_WHY = re.compile(r"\b(error|fatal|ERROR|FATAL|PANIC): |could not|not found")


@contextmanager
def called(program: str) -> Iterator[None]:
    """Have the errors of a shell name a program and not the script that runs it.

    Args:
        program: as people know it, such as ``"pg_rewind"``.
    """
    try:
        yield
    except CommandTimedOut as late:
        raise CommandTimedOut(
            late.host, program, late.seconds, late.output, stopped=late.stopped
        ) from late
    except OutcomeUnknown as lost:
        raise OutcomeUnknown(lost.host, program, lost.reason, lost.output) from lost
    except OperationCancelled as asked:
        if not asked.command:
            raise
        raise OperationCancelled.of_command(
            asked.host, program, asked.output, stopped=asked.stopped
        ) from asked


def program_failed(
    host: str, program: str, status: int, output: str, *, hint: str = ""
) -> CommandFailed:
    """Give the error of a program that ended badly, which names the first complaint.

    What comes after that is clearing up.

    Args:
        host: where it ran.
        program: its name.
        status: its exit status.
        output: all that it printed, progress and all.
        hint: what to do next, where that is known.
    """
    lines = [line.strip() for line in output.splitlines() if _SAYS.search(line)]
    why = [line for line in lines if _WHY.search(line)][:1]
    said = "\n".join([*lines, *why]) or output.strip()
    return CommandFailed(host, program, status, said, hint=hint)
