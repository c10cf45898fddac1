"""Knows a process by pid and start time, so that a reused pid is never touched."""

import contextlib
import os
import select
import signal
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from lab.errors import LabError

MARKER = "ELEPHAAS_LAB"
"""Environment variable that every long-lived process of a lab carries."""

TITLE = "elephaas-lab"
"""How such processes call themselves, followed by the lab and the part they are."""


@dataclass(frozen=True, slots=True)
class Process:
    """One process of the machine, as it was when it was started.

    ``start_time`` is field 22 of /proc/PID/stat, in clock ticks since boot (proc(5)).
    """

    pid: int
    start_time: int

    @classmethod
    def of(cls, pid: int) -> Self:
        """Return the identity of the running process ``pid``.

        Raises LabError when there is no such process.
        """
        stat = _stat(pid)
        if stat is None:
            raise LabError(f"Process {pid} ended before it could be recorded.")
        return cls(pid, stat[1])

    @classmethod
    def read(cls, path: Path) -> Self | None:
        """Return the process recorded in ``path``, None when there is no record."""
        try:
            pid, start_time = path.read_text().split()
        except (FileNotFoundError, ValueError):
            return None
        return cls(int(pid), int(start_time))

    def write(self, path: Path) -> None:
        """Record the process in ``path``, all at once."""
        temporary = path.with_suffix(".new")
        temporary.write_text(f"{self.pid} {self.start_time}\n")
        temporary.rename(path)

    def is_alive(self) -> bool:
        """Tell whether this very process still runs (a zombie does not)."""
        stat = _stat(self.pid)
        return stat is not None and stat[1] == self.start_time and stat[0] not in "ZX"

    def namespace(self, kind: str) -> str:
        """Return the path of its namespace: net, mnt, uts, ipc or pid."""
        return f"/proc/{self.pid}/ns/{kind}"


def _stat(pid: int) -> tuple[str, int] | None:
    """Return state and start time of a pid, None when it does not exist."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The command name is in parentheses and may itself hold spaces or parentheses.
    fields = text.rpartition(")")[2].split()
    return fields[0], int(fields[19])


def end(processes: Iterable[Process], *, seconds: float = 30.0) -> None:
    """Kill the processes and return when all of them have ended.

    Killing a host's init makes the kernel end every process of that host before the
    init itself ends (pid_namespaces(7)), so waiting for the init is waiting for all.
    Raises LabError when one is still there after ``seconds``.
    """
    _require_own_proc()
    with contextlib.ExitStack() as stack:
        descriptors: dict[int, Process] = {}
        for process in processes:
            with contextlib.suppress(ProcessLookupError):
                descriptor = os.pidfd_open(process.pid)
                stack.callback(os.close, descriptor)
                # The descriptor pins whoever has the pid now; only then is it
                # certain that the process looked at is the process signalled.
                if process.is_alive():
                    signal.pidfd_send_signal(descriptor, signal.SIGKILL)
                    descriptors[descriptor] = process
        _wait_all(descriptors, seconds)


def _require_own_proc() -> None:
    """Refuse to go on where /proc shows other processes under the numbers of ours.

    So it is in a host's view of files, where number 1 is the host's first process to
    /proc and the machine's to kill(2).
    """
    try:
        own = os.readlink("/proc/self") == str(os.getpid())
        first = Path("/proc/1/cmdline").read_bytes()
    except FileNotFoundError:
        own, first = False, b""
    if not own or first.startswith(TITLE.encode()):
        raise LabError("This is a host of a lab. Use the machine's own terminal.")


def _wait_all(descriptors: dict[int, Process], seconds: float) -> None:
    poll = select.poll()
    for descriptor in descriptors:
        poll.register(descriptor, select.POLLIN)
    left = dict(descriptors)
    while left:
        ready = poll.poll(seconds * 1000)
        if not ready:
            pids = ", ".join(str(process.pid) for process in left.values())
            raise LabError(f"Processes {pids} were killed and have not ended yet.")
        for descriptor, _ in ready:
            poll.unregister(descriptor)
            del left[descriptor]


def marked(value: str) -> list[Process]:
    """Return the processes whose environment carries ``MARKER`` with ``value``.

    This finds what a crash left behind even when its record is lost.
    """
    _require_own_proc()
    wanted = f"{MARKER}={value}".encode()
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        with contextlib.suppress(OSError, LabError):
            if wanted in (entry / "environ").read_bytes().split(b"\0"):
                found.append(Process.of(int(entry.name)))
    return found
