"""An installation of ElepHaaS for measuring: metadata, inventory, workers.

Everything lies in one directory and ends with the context that made it. Workers run on
the lab's control host, as in the demonstration; plans and confirmations are made in
this process, through the same services that the pages call.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import django

from bench.figures import Run, busy_seconds, cpu_of, descendants
from bench.fleet import Fleet
from lab.private_server import PrivateServer

PROJECT = Path(__file__).resolve().parent.parent

_SETTINGS = """\
DEBUG = False
SECRET_KEY = "bench"
ALLOWED_HOSTS = ["testserver"]
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = False
DATABASES = {{
    "default": {{
        "ENGINE": "django.db.backends.postgresql",
        "NAME": "admin",
        "HOST": {socket_directory!r},
        "USER": "postgres",
        "OPTIONS": {{"options": "-c search_path=utility"}},
    }}
}}
PUBLIC_KEY = {public_key!r}
STATIC_ROOT = {static_root!r}
STORAGES = {{
    "default": {{"BACKEND": "django.core.files.storage.InMemoryStorage"}},
    "staticfiles": {{
        "BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"
    }},
}}
COMMANDS = {commands!r}
SSH = {ssh!r}
DNS = {dns!r}
REFRESH = {{"INTERVAL": 0, "NAMES_INTERVAL": 0}}
"""


class Worker:
    """A worker process on the control host, and the server of its metadata."""

    def __init__(
        self, process: subprocess.Popen[bytes], metadata: PrivateServer
    ) -> None:
        self._process = process
        self._metadata = metadata

    def pids(self) -> list[int]:
        """Return the numbers of its processes as this machine counts them."""
        return descendants(self._process.pid)

    def cpu(self) -> float:
        """Return the CPU seconds it has used."""
        return cpu_of(self.pids())

    def cpu_beside(self) -> float:
        """Return the CPU seconds of its metadata's server and of this process."""
        server = self._metadata.pid()
        return time.process_time() + (cpu_of(descendants(server)) if server else 0.0)


class Installation:
    """A migrated metadata database with a fleet's inventory in it.

    Args:
        fleet: the hosts of the inventory.
        directory: where everything lies.
        moves_names: whether virtual hosts follow the primary, with the lab's own key.
    """

    def __init__(
        self, fleet: Fleet, directory: Path, *, moves_names: bool = False
    ) -> None:
        self.fleet = fleet
        self._dns = {"KEY_FILE": str(fleet.lab.dns_key)} if moves_names else {}
        self.directory = directory
        self.server = PrivateServer(directory / "metadata")
        self._settings = 0
        (directory / "static").mkdir()

    def make(self, commands: Mapping[str, str]) -> None:
        """Start the metadata server, make the tables, set Django up here."""
        self.server.start()
        self.server.psql("CREATE DATABASE admin")
        settings = self.settings(commands)
        subprocess.run(
            [sys.executable, "manage.py", "migrate", "--verbosity", "0"],
            cwd=PROJECT,
            env=os.environ | self._environment(settings),
            check=True,
        )
        os.environ.update(self._environment(settings))
        django.setup()

    def settings(
        self, commands: Mapping[str, str], ssh: Mapping[str, Any] | None = None
    ) -> Path:
        """Write local settings with these COMMANDS and additions to SSH."""
        key = self.fleet.lab.ssh_key
        self._settings += 1
        path = self.directory / f"settings{self._settings}.py"
        path.write_text(
            _SETTINGS.format(
                socket_directory=str(self.server.directory),
                public_key=key.with_suffix(".pub").read_text().strip(),
                static_root=str(self.directory / "static"),
                commands=dict(commands),
                ssh={"PRIVATE_KEY_FILE": str(key), "CONNECT_TIMEOUT": 30.0}
                | dict(ssh or {}),
                dns=self._dns,
            )
        )
        return path

    def enter_fleet(self) -> None:
        """Add the lab's herds and hosts, with the host keys that the lab gave them."""
        for name, herd in self.fleet.lab.herds.items():
            self.enter_herd(
                name,
                environment=herd.environment,
                port=herd.port,
                data_root=herd.data_root,
                host_keys={
                    member: self.fleet.lab.host_key(member) for member in herd.members
                },
            )

    def enter_herd(
        self,
        name: str,
        *,
        environment: str,
        port: int,
        data_root: str,
        host_keys: Mapping[str, str],
    ) -> None:
        """Add one herd with members on hosts that have these keys."""
        from herds.models import Environment, Herd, Instance, Server

        home, _ = Environment.objects.get_or_create(env_name=environment)
        added = Herd.objects.create(
            environment=home,
            base_name=name,
            herd_name=name,
            db_port=port,
            pgdata=data_root,
            vhost=f"{name}.{self.fleet.lab.domain}",
        )
        for host, key in host_keys.items():
            server, _ = Server.objects.get_or_create(
                hostname=host, defaults={"environment": home, "host_key": key}
            )
            Instance.objects.create(herd=added, server=server)

    @contextmanager
    def worker(self, settings: Path) -> Iterator[Worker]:
        """Run a worker on the control host until the context ends."""
        from herds.selectors.operations import workers_alive

        command = self.fleet.lab.control.command(
            [sys.executable, "manage.py", "worker", "--end-with-stdin"],
            environment=self._environment(settings),
            directory=str(PROJECT),
        )
        with (self.directory / "worker.log").open("ab") as log:
            process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=log, stderr=log
            )
        try:
            wait_until(workers_alive().exists, "the worker is alive", 60)
            yield Worker(process, self.server)
        finally:
            assert process.stdin is not None
            process.stdin.close()
            process.wait()

    def _environment(self, settings: Path) -> dict[str, str]:
        return {
            "ELEPHAAS_SETTINGS_FILE": str(settings),
            "DJANGO_SETTINGS_MODULE": "elephaas.settings",
        }


@contextmanager
def installation(
    fleet: Fleet, commands: Mapping[str, str], *, moves_names: bool = False
) -> Iterator[Installation]:
    """Give an installation that goes afterwards."""
    # Short, because the path of a socket is.
    directory = Path(tempfile.mkdtemp(prefix="bench-", dir="/tmp"))
    # The metadata server's own user has to come through.
    directory.chmod(0o711)
    made = Installation(fleet, directory, moves_names=moves_names)
    try:
        made.make(commands)
        yield made
    finally:
        if django.apps.apps.ready:
            from django.db import connections

            connections.close_all()
        made.server.destroy()
        shutil.rmtree(directory, ignore_errors=True)


def operate(
    worker: Worker,
    action: str,
    ids: Iterable[int],
    choices: Mapping[str, str] | None = None,
) -> Run:
    """Plan and confirm an action, and return what it took from the yes to the end.

    ``choices`` are what a person would choose on the plan's page. Raises RuntimeError
    unless every target succeeded.
    """
    operation = planned(action, ids)
    cpu, beside, busy = worker.cpu(), worker.cpu_beside(), busy_seconds()
    finished = confirmed(operation, choices)
    busy = busy_seconds() - busy
    wall = finished.finished_at - finished.confirmed_at
    return Run(
        wall=wall.total_seconds(),
        cpu=worker.cpu() - cpu,
        busy=busy,
        beside=worker.cpu_beside() - beside,
    )


def planned(action: str, ids: Iterable[int]) -> Any:
    """Plan an action; return the operation when a worker has seen what it has to see.

    Raises RuntimeError when it has not within two minutes.
    """
    from herds.domain.states import OperationState
    from herds.models import Operation
    from herds.operations import requests

    operation = requests.draft(action, ids, requester())
    written = Operation.objects.filter(pk=operation.pk).exclude(
        state=OperationState.PLANNING
    )
    wait_until(written.exists, f"operation {operation.pk} is planned", 120)
    return written.get()


def confirmed(operation: Any, choices: Mapping[str, str] | None = None) -> Any:
    """Say yes to a plan; return the operation when it has ended.

    Raises RuntimeError unless every target succeeded.
    """
    from herds.domain.states import TargetState
    from herds.operations import requests

    requests.confirm(operation.pk, requester(), acknowledged=True, choices=choices)
    finished = ended(operation.pk)
    wrong = finished.targets.exclude(state=TargetState.SUCCEEDED)
    first = wrong.first()
    if first is not None:
        raise RuntimeError(f"{wrong.count()} targets: {first.state}, {first.outcome}")
    return finished


def ended(operation_id: int, seconds: float = 600) -> Any:
    """Wait for the end of an operation, asking rarely so as not to disturb it."""
    from herds.models import Operation

    found = Operation.objects.filter(pk=operation_id, finished_at__isnull=False)
    wait_until(found.exists, f"operation {operation_id} has ended", seconds)
    return found.get()


def wait_until(true: Callable[[], bool], what: str, seconds: float) -> None:
    """Poll until something is true; RuntimeError when it does not come true."""
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            raise RuntimeError(f"Not within {seconds:g} s: {what}")
        time.sleep(0.05)


def requester() -> Any:
    """Return who asks for the measured operations."""
    from herds.operations.requests import Requester

    return Requester(name="bench", source="terminal")
