"""A real sshd on loopback for one test, without privileges and with its own keys."""

from __future__ import annotations

import contextlib
import getpass
import os
import random
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from herds.ssh.host_keys import HostKey

SSHD = shutil.which("sshd") or "/usr/sbin/sshd"
USER = getpass.getuser()


def eventually(true: Callable[[], bool], what: str, seconds: float = 20.0) -> None:
    """Wait until something is true, and fail the test where it does not come true."""
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            pytest.fail(f"Not within {seconds} s: {what}")
        time.sleep(0.01)


def lives(pid: int) -> bool:
    """Tell whether a process runs; one that only waits for its parent does not."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(")")[2].split()[0] not in "ZX"


def make_key(path: Path, kind: str = "ed25519") -> Path:
    """Make a private key file, with its public key beside it."""
    command = ["ssh-keygen", "-q", "-t", kind, "-N", "", "-f", str(path)]
    subprocess.run(command, check=True)
    return path


def free_port() -> int:
    """Return a port on which nothing listens at the moment.

    It is below those that Linux gives to outgoing connections, of which tests make
    many: one of them could have taken it by the time it is used.
    """
    while True:
        port = random.randrange(20_000, 32_000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


class LocalSshd:
    """An sshd in the foreground on one loopback address, with keys of its own."""

    def __init__(
        self, directory: Path, *options: str, port: int = 0, address: str = "127.0.0.1"
    ) -> None:
        if not os.access(SSHD, os.X_OK):
            pytest.skip(f"{SSHD} is not installed (Debian: openssh-server)")
        self.directory = directory
        self.address = address
        self.port = port or free_port()
        self.options = options
        self.log = directory / "sshd.log"
        self.private_key = directory / "user"
        self._process: subprocess.Popen[bytes] | None = None
        self._stopped: list[int] = []
        self._prepare()

    def _prepare(self) -> None:
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        self.directory.mkdir(parents=True, exist_ok=True)
        make_key(self.private_key)
        make_key(self.directory / "host")
        shutil.copy(f"{self.private_key}.pub", self.directory / "authorized_keys")

    def replace_host_key(self, kind: str = "ed25519") -> None:
        """Do what installing the host anew does; a restart makes it count."""
        for file in self.directory.glob("host*"):
            file.unlink()
        make_key(self.directory / "host", kind)

    def host_key(self) -> str:
        """Return the host's public key as it is pinned: "type base64"."""
        words = (self.directory / "host.pub").read_text().split()
        return str(HostKey(words[0], words[1]))

    def start(self) -> LocalSshd:
        """Start and wait until it listens."""
        config = self.directory / "sshd_config"
        lines = [
            *self.options,
            f"Port {self.port}",
            f"ListenAddress {self.address}",
            f"HostKey {self.directory}/host",
            f"AuthorizedKeysFile {self.directory}/authorized_keys",
            "PidFile none",
            "StrictModes no",
            "PasswordAuthentication no",
            "KbdInteractiveAuthentication no",
            "PermitRootLogin yes",
            "UsePAM no",
            # bash reads ~/.bashrc for every command; the developer's own is no part.
            f"SetEnv HOME={self.directory}",
            "LogLevel INFO",
        ]
        config.write_text("\n".join(lines) + "\n")
        command = [SSHD, "-D", "-e", "-f", str(config)]
        if shutil.which("setpriv"):
            # A test run that is killed leaves no sshd behind.
            command = ["setpriv", "--pdeathsig", "TERM", *command]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            eventually(self._listens, "sshd listens")
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """Stop it with every session; their commands go on, as real ones do."""
        if self._process is None:
            return
        self.thaw()
        sessions = self.sessions()
        self._process.kill()
        self._process.wait()
        self._process = None
        _kill(sessions)

    def end_sessions(self) -> None:
        """Kill the processes that serve the connections, as a crash would."""
        _kill(self.sessions())

    def freeze(self) -> None:
        """Let the host hang: the kernel answers, no process does."""
        assert self._process is not None
        self._stopped = [self._process.pid, *self.sessions()]
        for pid in self._stopped:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Let the host go on."""
        for pid in self._stopped:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
        self._stopped = []

    def sessions(self) -> list[int]:
        """Return the processes that serve a connection, not the commands they run."""
        if self._process is None:
            return []
        found = [self._process.pid]
        for parent in found:
            found += [pid for pid, of in _sshd_processes().items() if of == parent]
        return found[1:]

    def accepted_logins(self) -> int:
        """Return how often somebody logged in."""
        return self.log.read_text().count("Accepted publickey")

    def _listens(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            pytest.fail(f"sshd did not start: {self.log.read_text()}")
        with socket.socket() as probe:
            return probe.connect_ex((self.address, self.port)) == 0


def _kill(pids: list[int]) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _sshd_processes() -> dict[int, int]:
    """Return the parent of every process that is an sshd."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            before, _, after = stat.read_text().rpartition(")")
            pid, name = before.split(" (", 1)
            if name == "sshd":
                parents[int(pid)] = int(after.split()[1])
    return parents
