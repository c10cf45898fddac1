"""Memory and idle work of a worker that keeps a thousand connections open."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager

from bench.figures import Limit, Report, resident_megabytes, threads_of
from bench.fleet import DEBIAN
from bench.installation import Installation, Worker, ended, requester, wait_until

CONNECTIONS = 1000
PORT = 2022
_IDLE = 20.0  # seconds in which an idle worker's processor time is counted

_CONFIG = """\
Port {port}
ListenAddress 0.0.0.0
HostKey {directory}/thousand
AuthorizedKeysFile {directory}/authorized_keys
PidFile {directory}/pid
StrictModes no
UsePAM no
UseDNS no
PasswordAuthentication no
MaxStartups 2000
"""


def measure(installed: Installation, report: Report) -> None:
    """Add what a worker takes that keeps one connection to each of many hosts.

    The hosts are addresses of the control host's own loopback, which one sshd serves:
    to the worker each is a server with a host key and a connection of its own.
    """
    from herds.models import Instance

    with _thousand_hosts(installed) as host_key:
        hosts = [f"127.0.{n // 250 + 1}.{n % 250 + 1}" for n in range(CONNECTIONS)]
        for number in range(0, CONNECTIONS, 10):
            installed.enter_herd(
                f"thousand{number}",
                environment="bench",
                port=5432,
                data_root="/nowhere",
                host_keys=dict.fromkeys(hosts[number : number + 10], host_key),
            )
        instances = Instance.objects.filter(herd__environment__env_name="bench")
        ids = list(instances.values_list("pk", flat=True))
        settings = installed.settings(DEBIAN, ssh={"PORT": PORT})
        with installed.worker(settings) as worker:
            _look_at(ids)
            # The worker itself is the largest of the processes that lead to it.
            used, pid = max((resident_megabytes(pid), pid) for pid in worker.pids())
            if threads_of(pid) < CONNECTIONS:
                raise RuntimeError(
                    "The worker does not keep a connection to each host."
                )
            idle = _idle_percent(worker)
        instances.delete()
    report.limits.append(
        Limit(
            name=f"Memory of a worker with {CONNECTIONS:,} open connections",
            value=used,
            unit="MB",
            bound=250,
        )
    )
    report.limits.append(
        Limit(
            name=f"Idle worker with {CONNECTIONS:,} open connections, of a processor",
            value=idle,
            unit="%",
            bound=5,
        )
    )


def _idle_percent(worker: Worker) -> float:
    """Tell how much of a processor a worker takes while nothing is asked of it."""
    time.sleep(2.0)  # what the operation left ends
    before = worker.cpu()
    time.sleep(_IDLE)
    return 100 * (worker.cpu() - before) / _IDLE


def _look_at(ids: list[int]) -> None:
    """Have the worker connect to every host; that nothing is there is no matter."""
    from herds.operations import requests

    operation = requests.draft("refresh", ids, requester())
    requests.confirm(operation.pk, requester(), acknowledged=True)
    ended(operation.pk)


@contextmanager
def _thousand_hosts(installed: Installation) -> Iterator[str]:
    """Run one sshd for all loopback addresses of the control host; give its key."""
    directory = installed.directory / "thousand-hosts"
    directory.mkdir(mode=0o755)
    key = directory / "thousand"
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True
    )
    login = installed.fleet.lab.ssh_key.with_suffix(".pub")
    shutil.copy(login, directory / "authorized_keys")
    (directory / "config").write_text(_CONFIG.format(port=PORT, directory=directory))
    control = installed.fleet.lab.control
    run_sshd = f"mkdir -p /run/sshd; exec /usr/sbin/sshd -D -f {directory}/config"
    server = subprocess.Popen(control.command(["sh", "-c", run_sshd]))
    probe = control.command(["ssh-keyscan", "-p", str(PORT), "127.0.0.1"])

    def answers() -> bool:
        found = subprocess.run(probe, capture_output=True, check=False)
        return b"ssh-ed25519" in found.stdout

    try:
        wait_until(answers, "the sshd of a thousand hosts answers", 30)
        yield " ".join(key.with_suffix(".pub").read_text().split()[:2])
    finally:
        # The number counts on the control host. What the sshd served has ended with the
        # worker's connections.
        pid = (directory / "pid").read_text().strip()
        subprocess.run(control.command(["kill", pid]), check=True)
        server.wait()
