"""One data directory, one writer: what it means that its lock is taken.

Whatever copies into a directory holds flock(2) on the directory itself while it runs on
that host. So it is known even where the worker that started it is not there any more.
"""

from __future__ import annotations

from herds.errors import PreconditionFailed

BUSY = 75
"""The exit status of this package's scripts where the lock is taken."""


def busy(host: str, data_directory: str) -> PreconditionFailed:
    """Give the error that says that another copy goes into the same directory."""
    return PreconditionFailed(
        f"Something else copies into {data_directory} on {host} just now; nothing was "
        "changed.",
        host=host,
        hint="An earlier run whose connection was lost may still be at work; see what "
        "runs there, then try again.",
    )
