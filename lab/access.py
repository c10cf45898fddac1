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

    They get the host's name and network, and its /etc to read, thus its resolv.conf;
    other files, processes and memory stay the machine's. Sockets opened before keep
    their network. Other threads are not touched.
    """
    init = init_of(state, host)
    here = os.getcwd()
    with contextlib.ExitStack() as stack:
        homes = [
            (stack.enter_context(_opened(f"/proc/thread-self/ns/{kind}")), flag)
            for kind, flag in _KINDS
        ]
        try:
            for kind, flag in _KINDS:
                if flag != syscalls.CLONE_NEWNS:
                    with _opened(init.namespace(kind)) as there:
                        syscalls.setns(there, flag)
            _see_etc_of(state, host)
            yield
        finally:
            # A thread may change its mount namespace only while it shares its working
            # directory with no other (setns(2)), and those it started do share it.
            syscalls.unshare(syscalls.CLONE_FS)
            for home, flag in homes:
                syscalls.setns(home, flag)
            os.chdir(here)


@contextlib.contextmanager
def _opened(path: str) -> Iterator[int]:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _see_etc_of(state: LabState, host: str) -> None:
    """Give the calling thread a view of the machine's files with a host's /etc.

    The host's own view would do for names, but its /proc shows other processes under
    the numbers of ours, which is dangerous for whoever ends processes.
    """
    syscalls.unshare(syscalls.CLONE_NEWNS)
    syscalls.mount("none", "/", flags=syscalls.MS_REC | syscalls.MS_PRIVATE)
    syscalls.mount(
        "overlay",
        "/etc",
        "overlay",
        flags=syscalls.MS_RDONLY,
        options=f"lowerdir={state.disk(host)}/etc:{state.directory}/etc",
    )
