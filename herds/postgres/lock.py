"""One data directory, one writer: what it means that its lock is taken.

Whatever copies into a directory holds flock(2) on the directory itself while it runs on
that host. So it is known even where the worker that started it is not there any more.
"""

from __future__ import annotations

from herds.errors import PreconditionFailed
from herds.ssh.shell import Shell

from .look import script

BUSY = 75
"""The exit status of this package's scripts where the lock is taken."""


def busy(host: str, data_directory: str) -> PreconditionFailed:
    """Give the error that says that another copy goes into the same directory."""
    return PreconditionFailed(
        f"Something else copies into {data_directory} on {host} just now; nothing was "
        "changed.",
        host=host,
        hint="An earlier run whose connection was lost may still be at work there; "
        "try again in two minutes.",
    )


def end_orphaned_copies(target: Shell, data_directory: str) -> int:
    """End copies into a directory whose worker was cut off or killed.

    Whoever calls this has made sure that no worker still waits for them.

    Args:
        target: where the directory is.
        data_directory: what they write to.

    Returns:
        How many processes were found; they are gone.

    Raises:
        CommandFailed: they would not go.
        ElephaasError: the host could not be asked.
    """
    argv = ["sh", "-c", script("lock.sh"), "elephaas", data_directory]
    return len(target.run(argv).stdout.split())
