"""Runs things inside a host: a program, or a stretch of the caller's own code."""

import contextlib
import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence

from lab import syscalls
from lab.accounts import account
from lab.errors import LabError
from lab.processes import Process
from lab.state import LabState

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_KINDS = (
    ("uts", syscalls.CLONE_NEWUTS),
    ("net", syscalls.CLONE_NEWNET),
    ("mnt", syscalls.CLONE_NEWNS),
)


def init_of(state: LabState, host: str) -> Process:
    """Return the running first process of ``host``; LabError when there is none."""
    if host not in state.hosts:
        known = ", ".join(state.hosts)
        raise LabError(f"There is no host {host} in lab {state.name}; it has {known}.")
    init = state.running(host)
    if init is None:
        raise LabError(f"Host {host} is off. Start it with: boot {host}")
    return init


def entering(
    init: Process,
    argv: Sequence[str],
    *,
    user: str = "root",
    environment: Mapping[str, str] | None = None,
    directory: str = "/",
) -> list[str]:
    """Return the command line that runs ``argv`` inside a host as ``user``.

    The program sees a login's bare environment plus ``environment``.
    """
    entry = account(user)
    variables = {
        "PATH": _PATH,
        "HOME": entry.pw_dir,
        "USER": user,
        "LOGNAME": user,
        "LANG": "C.UTF-8",
        "TERM": os.environ.get("TERM", "dumb"),
    } | dict(environment or {})
    command = ["nsenter", "--target", str(init.pid)]
    command += ["--mount", "--uts", "--ipc", "--net", "--pid", f"--wdns={directory}"]
    if user != "root":
        command += ["--", "setpriv", f"--reuid={entry.pw_uid}"]
        command += [f"--regid={entry.pw_gid}", "--init-groups"]
    command += ["--", "env", "-i"]
    command += [f"{name}={value}" for name, value in variables.items()]
    return [*command, *argv]


def run(
    state: LabState,
    host: str,
    argv: Sequence[str],
    *,
    user: str = "root",
    stdin: str = "",
    timeout: float = 60.0,
    check: bool = True,
) -> subprocess.CompletedProcess[str]:
    """Run a program inside a host and return what it said.

    ``timeout`` is in seconds. Raises LabError when the host is off, when the program
    takes too long, or, with ``check``, when its status is not 0.
    """
    command = entering(init_of(state, host), argv, user=user)
    try:
        done = subprocess.run(
            command,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise LabError(f"{argv[0]} on {host} was cut off after {timeout} s.") from None
    if check and done.returncode != 0:
        said = (done.stderr or done.stdout).strip()
        raise LabError(f"{argv[0]} on {host} ended with {done.returncode}:\n{said}")
    return done


@contextlib.contextmanager
def inside(state: LabState, host: str) -> Iterator[None]:
    """Let the calling thread, and threads and programs it starts, live on ``host``.

    They get the host's name, network and files (thus its resolv.conf); processes and
    memory stay the machine's. Sockets opened before keep their network. Other threads
    are not touched. On the control host the machine's files are all in their places.
    """
    init = init_of(state, host)
    here = os.getcwd()
    with contextlib.ExitStack() as stack:
        moves = []
        for kind, flag in _KINDS:
            home = os.open(f"/proc/thread-self/ns/{kind}", os.O_RDONLY)
            stack.callback(os.close, home)
            there = os.open(init.namespace(kind), os.O_RDONLY)
            stack.callback(os.close, there)
            moves.append((home, there, flag))
        # A thread may change its mount namespace only when it shares its working
        # directory with no other thread (setns(2)).
        syscalls.unshare(syscalls.CLONE_FS)
        try:
            for _, there, flag in moves:
                syscalls.setns(there, flag)
            with contextlib.suppress(OSError):
                os.chdir(here)
            yield
        finally:
            for home, _, flag in moves:
                syscalls.setns(home, flag)
            os.chdir(here)
