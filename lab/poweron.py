"""Starts hosts: ``python -m lab.poweron LAB HOST…``, a program the lab runs for itself.

The lab's switch is started too when it does not run. This is a process of its own
because it forks, which a program with threads must not, and because what it starts
shall be nobody's child when it has ended. Each host is recorded before it is wired and
let go, so that a host without a record never runs on.
"""

import os
import select
import sys
import traceback
from collections.abc import Sequence

from lab import network, syscalls
from lab.errors import LabError
from lab.guest import become_host, wait_for_ever
from lab.processes import Process
from lab.state import LabState

_NAMESPACES = (
    syscalls.CLONE_NEWNS
    | syscalls.CLONE_NEWUTS
    | syscalls.CLONE_NEWIPC
    | syscalls.CLONE_NEWPID
    | syscalls.CLONE_NEWNET
)
_BOOT_SECONDS = 60.0


def power_on(state: LabState, hosts: Sequence[str], at_once: int) -> None:
    """Start the hosts, ``at_once`` at a time; say each one on standard output.

    Raises LabError when a host cannot be set up.
    """
    waiting = list(reversed(hosts))
    starting: dict[int, str] = {}
    while waiting or starting:
        while waiting and len(starting) < at_once:
            host = waiting.pop()
            starting[_spawn(state, host)] = host
        readable, _, _ = select.select(list(starting), [], [], _BOOT_SECONDS)
        if not readable:
            stuck = ", ".join(starting.values())
            raise LabError(f"Still starting after {_BOOT_SECONDS:.0f} s: {stuck}.")
        for descriptor in readable:
            host = starting.pop(descriptor)
            with open(descriptor) as stream:
                answer = stream.read()
            if answer != "up":
                console = state.disk(host) / "console.log"
                raise LabError(f"Host {host} did not start; {console} says why.")
            print(host, flush=True)


def _spawn(state: LabState, host: str) -> int:
    """Start one host; return the descriptor on which it says that it is up."""
    said_read, said_write = os.pipe()
    go_read, go_write = os.pipe()
    pid_read, pid_write = os.pipe()
    if os.fork() == 0:
        # This middle process only leaves its namespaces and forks the host's first
        # process, because a process cannot move itself into a new PID namespace.
        try:
            os.setsid()
            _open_console(state, host)
            syscalls.unshare(_NAMESPACES)
            child = os.fork()
            if child == 0:
                for descriptor in (go_write, pid_read, pid_write, said_read):
                    os.close(descriptor)
                _run_host(state, host, go_read, said_write)
            os.write(pid_write, str(child).encode())
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    for descriptor in (said_write, go_read, pid_write):
        os.close(descriptor)
    os.wait()
    with open(pid_read) as stream:
        pid = stream.read()
    if not pid:
        raise LabError(f"The kernel refused new namespaces for host {host}.")
    init = Process.of(int(pid))
    init.write(state.disk(host) / "init")
    network.plug(state, host, init)
    os.write(go_write, b"go")
    os.close(go_write)
    return said_read


def _open_console(state: LabState, host: str) -> None:
    """Send all further output to the host's console.

    This is done outside of the host's namespaces: a file open for writing inside would
    keep the file system it is on from becoming read-only there.
    """
    console = state.disk(host) / "console.log"
    log = os.open(console, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    null = os.open("/dev/null", os.O_RDONLY)
    for source, target in ((null, 0), (log, 1), (log, 2)):
        os.dup2(source, target)
    os.chdir("/")


def _run_host(state: LabState, host: str, go: int, said: int) -> None:
    """Live as the first process of a host; never returns."""
    try:
        if os.read(go, 2) == b"go":  # Empty when whoever starts us has died.
            become_host(state, host)
            os.write(said, b"up")
            wait_for_ever(state, host)
    except BaseException:
        traceback.print_exc()
    os._exit(1)


def main(arguments: Sequence[str]) -> int:
    """Start the named hosts of the named lab."""
    name, *hosts = arguments
    state = LabState.load(name)
    if state is None:
        print(f"There is no lab {name}.", file=sys.stderr)
        return 1
    try:
        if network.find_switch(state) is None:
            network.start_switch(state)
        power_on(state, hosts, at_once=2 * (os.cpu_count() or 1))
    except LabError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
