"""What proc(5) tells of processes that need not be one's own children."""

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path


def runs_in(pid: int, directory: Path) -> bool:
    """Tell whether a process is a live postmaster whose data are in ``directory``.

    A postmaster's working directory is its data directory; only root and its own
    user may look, and both may. A process without one has ended.
    """
    try:
        return os.readlink(f"/proc/{pid}/cwd") == str(directory.resolve())
    except (FileNotFoundError, PermissionError):
        return False


def children_of(parent: int) -> list[int]:
    """Return the process numbers of a process's children (proc(5))."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            match = re.match(r"(\d+) \(.*\) \S (\d+)", stat.read_text(errors="replace"))
            if match and int(match[2]) == parent:
                found.append(int(match[1]))
    return found


def is_alive(pid: int) -> bool:
    """Tell whether a process exists and is no zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"
