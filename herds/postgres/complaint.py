"""Finds the words that say why one of PostgreSQL's programs failed."""

from __future__ import annotations

import re

from herds.errors import CommandFailed

# "pg_rewind: error: could not …", "psql:<stdin>:5: FATAL:  …", "postgres: could not …"
_SAYS = re.compile(
    r"\b(error|fatal|detail|hint|ERROR|FATAL|PANIC): |could not|not found"
)
_WHY = re.compile(r"\b(error|fatal|ERROR|FATAL|PANIC): |could not|not found")


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
