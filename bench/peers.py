"""pssh and ansible, as Debian ships them, running the same jobs on the same hosts.

Both are told everything they would otherwise find out at some cost: the host keys, the
user, the key file, the remote Python. Each instance is a host of its own to them, an
alias with the instance's command in its variables.
"""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from bench.figures import Run, timed
from bench.fleet import Fleet, Job

AT_ONCE = 50
BEST_KEX = "curve25519-sha256"
"""A key exchange that costs OpenSSH's client a fraction of its default's CPU."""

# sshd accepts variables of these names by default; the remote shell expands it.
_VARIABLE = "LC_ELEPHAAS_JOB"


class Peers:
    """Files for both tools, and the control host to run them on."""

    def __init__(self, fleet: Fleet, jobs: Sequence[Job], directory: Path) -> None:
        self._fleet = fleet
        self._jobs = jobs
        self._directory = directory
        known = [f"{host} {key}" for host, key in fleet.host_keys().items()]
        self._write("known_hosts", known)
        self._write("names", [job.name for job in jobs])
        self._write(
            "inventory", [f"{job.name} elephaas_job='{job.line}'" for job in jobs]
        )

    def pssh(self, *, kex: str = "") -> Run:
        """Run every job once with parallel-ssh, which always connects anew."""
        config = self._ssh_config(kex)
        return self._run(
            [
                *("parallel-ssh", "--par", str(AT_ONCE), "--timeout", "300"),
                *("--hosts", str(self._directory / "names")),
                *("--extra-args", f"-F {config}", f"eval ${_VARIABLE}"),
            ],
            success="[SUCCESS]",
        )

    def ansible(self) -> Run:
        """Run every job once with ansible; what it connected before, it reuses."""
        config = self._ssh_config("")
        keep = "-C -o ControlMaster=auto -o ControlPersist=60s"
        return self._run(
            [
                *("ansible", "all", "--forks", str(AT_ONCE), "--one-line"),
                *("--inventory", str(self._directory / "inventory")),
                *("--module-name", "command", "--args", "{{ elephaas_job }}"),
            ],
            success="| CHANGED |",
            HOME=str(self._directory),
            ANSIBLE_SSH_ARGS=f"-F {config} {keep}",
            ANSIBLE_PYTHON_INTERPRETER="/usr/bin/python3",
            ANSIBLE_NOCOLOR="1",
        )

    def _run(self, argv: list[str], success: str, **environment: str) -> Run:
        """Run a tool on the control host, and make sure that it did the work."""
        command = self._fleet.lab.control.command(argv, environment=environment)
        printed = ""

        def work() -> None:
            nonlocal printed
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            printed = done.stdout + done.stderr

        run = timed(children_cpu, work)
        succeeded = printed.count(success)
        if succeeded != len(self._jobs):
            raise RuntimeError(
                f"{argv[0]} did {succeeded} of {len(self._jobs)} jobs:\n"
                + printed[-2000:]
            )
        return run

    def _ssh_config(self, kex: str) -> Path:
        lines = []
        for job in self._jobs:
            lines += [
                f"Host {job.name}",
                f"  HostName {job.host}",
                f"  HostKeyAlias {job.host}",
                f'  SetEnv {_VARIABLE}="{job.line}"',
            ]
        lines += [
            "Host *",
            "  User postgres",
            f"  IdentityFile {self._fleet.lab.ssh_key}",
            "  IdentitiesOnly yes",
            "  BatchMode yes",
            "  StrictHostKeyChecking yes",
            f"  UserKnownHostsFile {self._directory}/known_hosts",
            "  LogLevel ERROR",
            *([f"  KexAlgorithms {kex}"] if kex else []),
        ]
        return self._write(f"ssh_config{'-best' if kex else ''}", lines)

    def _write(self, name: str, lines: Sequence[str]) -> Path:
        path = self._directory / name
        path.write_text("\n".join(lines) + "\n")
        return path


@contextmanager
def peers(fleet: Fleet, jobs: Sequence[Job]) -> Iterator[Peers]:
    """Give the peers, with files that go afterwards."""
    missing = [tool for tool in ("parallel-ssh", "ansible") if not shutil.which(tool)]
    if missing:
        raise RuntimeError(
            f"{' and '.join(missing)} not found. Install: apt-get install pssh ansible"
        )
    # Short, because ansible keeps a socket's path in it.
    directory = Path(tempfile.mkdtemp(prefix="bench-", dir="/tmp"))
    os.chmod(directory, 0o700)
    try:
        yield Peers(fleet, jobs, directory)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def children_cpu() -> float:
    """Return the CPU seconds of the processes that this one has waited for."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
