"""Reads postmaster.pid and the lock files beside sockets; tells who is alive.

Both kinds hold the same lines (src/include/utils/pidfile.h): process number, data
directory, start time, port, socket directory, and in postmaster.pid also the address
listened on, a shared memory key, and a word for the server's state.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from pgutil_report import files

_POSTMASTERS = ("postgres", "postmaster")


@dataclass(frozen=True)
class LockFile:
    """The contents of a lock file; ``pid`` is negative for a single-user server."""

    pid: int
    data_directory: str
    port: int | None = None
    socket_directory: str = ""
    listen: str = ""


def parse(text: str, path: str = "The lock file") -> LockFile:
    """Return what a lock file says.

    Raises:
        Unfit: when it does not begin with a process number and an absolute path.
    """
    lines = [line.strip("\r") for line in text.split("\n")] + [""] * 6
    try:
        pid = int(lines[0])
    except ValueError:
        raise files.Unfit(f"{path} does not begin with a process number.") from None
    if pid == 0 or abs(pid) > 2**31 or not lines[1].startswith("/"):
        raise files.Unfit(f"{path} names no process and data directory.")
    port = int(lines[3]) if lines[3].strip().isdecimal() else 0
    return LockFile(
        pid=pid,
        data_directory=lines[1],
        port=port if 0 < port < 65536 else None,
        socket_directory=lines[4].strip(),
        listen=lines[5].strip(),
    )


def of_directory(data_directory: str) -> LockFile | None:
    """Return what postmaster.pid says, None where there is none.

    Raises OSError and Unfit as ``files.read`` and ``parse`` do.
    """
    path = os.path.join(data_directory, "postmaster.pid")
    try:
        return parse(files.read(path), path)
    except FileNotFoundError:
        return None


def is_postmaster(pid: int, data_directory: str, proc: str = "/proc") -> bool:
    """Tell whether a process is the postmaster of a data directory.

    A postmaster works in its data directory. A number in a file that was left behind
    may be another program's by now.
    """
    if pid <= 0:
        return False
    try:
        return os.readlink(f"{proc}/{pid}/cwd") == data_directory
    except PermissionError:
        pass  # Another user's; what it is called can be seen all the same.
    except OSError:
        return False
    try:
        return files.read(f"{proc}/{pid}/comm").strip() in _POSTMASTERS
    except OSError:
        return False
