"""The product in a lab: its metadata, its workers, its terminal and its requests.

Nothing here is a double: workers and the terminal are processes on the lab's hosts,
with local settings of their own. What a test reads of the metadata it reads by the
product's own models, in a database that these tests share with those processes.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.conf import settings

from herds.domain.states import ACTIVE_OPERATIONS
from herds.models import (
    Environment,
    Herd,
    Instance,
    Operation,
    OperationTarget,
    Server,
    Worker,
)
from herds.operations import requests
from herds.operations.requests import Requester
from herds.selectors.operations import workers_alive
from lab import HerdSpec, Lab, LabError, Layout
from lab.control import start
from tests.lab.metadata import MetadataServer
from tests.lab.truth import Truth

PROJECT = Path(__file__).resolve().parent.parent.parent
ANNA = Requester(name="anna", source="terminal")

DEBIAN_ODD_ROOT = "/var/lib/postgresql/O'Brien & sons/15 ledger"
PLAIN_ODD_ROOT = "/var/lib/postgresql/it's here/risk; data"


def _herd(
    name: str, environment: str, port: int, hosts: str, data_root: str = ""
) -> HerdSpec:
    return HerdSpec(
        name=name,
        environment=environment,
        port=port,
        members=tuple(f"ele{number}" for number in hosts.split()),
        data_root=data_root or f"/var/lib/postgresql/15/{name}",
        packaging="plain" if name in PLAIN_HERDS else "debian",
    )


PLAIN_HERDS = ("quote", "risk")
"""Herds that only pg_ctl knows; all others are as Debian packages them."""

LAYOUT = Layout(
    hosts=tuple(f"ele{number:02}" for number in range(1, 11)),
    herds=(
        _herd("trade", "prod", 5432, "01 02 03"),
        _herd("ledger", "prod", 5433, "02 03 01", DEBIAN_ODD_ROOT),
        _herd("billing", "stage", 5434, "04 05 06"),
        _herd("orders", "dev", 5435, "07 08 09"),
        _herd("quote", "stage", 5436, "04 05"),
        _herd("risk", "dev", 5437, "08 09", PLAIN_ODD_ROOT),
    ),
)
"""Twelve instances of four Debian herds, four of two plain ones, and a spare host."""

PLAIN_COMMANDS = {
    "base": "/usr/lib/postgresql/{version[0]}/bin/pg_ctl -D {pgdata}",
    "start": (
        "{COMMANDS[base]} -w -l {pgdata}/startup.log start"
        " || ! tail -n 5 {pgdata}/startup.log >&2"
    ),
    "stop": "{COMMANDS[base]} -w -m fast stop",
    "reload": "{COMMANDS[base]} reload",
    "promote": "{COMMANDS[base]} -w promote",
    "init": "/usr/lib/postgresql/{version[0]}/bin/initdb -D {pgdata}",
}
"""What the example of the local settings says for systems other than Debian."""


def until(holds: Callable[[], Any], seconds: float = 30.0, what: str = "") -> Any:
    """Wait until something holds and give it, or fail by naming it."""
    deadline = time.monotonic() + seconds
    while not (found := holds()):
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what or holds}"
        time.sleep(0.05)
    return found


class RunningWorker:
    """A worker process on a host of the lab."""

    def __init__(
        self, lab: Lab, host: str, process: subprocess.Popen[bytes], row: Worker
    ) -> None:
        self.row = row
        self._lab = lab
        self._host = host
        self._process = process

    def kill(self) -> None:
        """End it as a power cut would: it gets no chance to say anything."""
        self._signal("KILL")
        self._process.wait(timeout=10)

    def freeze(self) -> None:
        """Have it stand still where it is (SIGSTOP)."""
        self._signal("STOP")

    def wake(self) -> None:
        """Have it go on; one that has ended already is fine."""
        with contextlib.suppress(LabError):
            self._signal("CONT")
        # Who entered the host with it has stopped too, and is to see its end.
        self._process.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        """Ask it to end, and wait until it has; one that has ended already is fine."""
        if self._process.poll() is None:
            with contextlib.suppress(LabError):
                self._signal("TERM")
            self._process.wait(timeout=90)

    def peak_memory(self) -> int:
        """Give the most memory it ever had, in bytes (proc(5): VmHWM)."""
        status = Path(f"/proc/{self.row.pid}/status")
        text = self._lab.exec(self._host, ["cat", str(status)]).stdout
        (line,) = [line for line in text.splitlines() if line.startswith("VmHWM:")]
        return int(line.split()[1]) * 1024

    def _signal(self, name: str) -> None:
        # Its number is one of its host's own numbering.
        self._lab.exec(self._host, ["kill", f"-{name}", str(self.row.pid)])


class Product(Truth):
    """One installation: a metadata database, some of the lab's herds, a setting."""

    def __init__(
        self,
        lab: Lab,
        metadata: MetadataServer,
        name: str,
        herds: tuple[str, ...],
        commands: Mapping[str, str] | None = None,
        *,
        manages_dns: bool = False,
    ) -> None:
        super().__init__(lab)
        self.name = name
        self.herds = herds
        self.directory = metadata.directory / name
        self._metadata = metadata
        self._commands = commands
        self.manages_dns = manages_dns
        self._settings_written = 0
        self.directory.mkdir()
        # The lab's own directory of keys is not seen from its database hosts.
        self._key = self.directory / "id_ed25519"
        shutil.copyfile(lab.ssh_key, self._key)
        self._key.chmod(0o600)
        self._dns_key = self.directory / "dns.key"
        shutil.copyfile(lab.dns_key, self._dns_key)
        self._dns_key.chmod(0o600)
        metadata.make(name)
        with self.used_here():
            self._register()

    def used_here(self) -> contextlib.AbstractContextManager[None]:
        """Lead this process's models to this installation's metadata."""
        return self._metadata.used_here(self.name)

    def commands(self, **templates: str) -> dict[str, str]:
        """Give the installation's COMMANDS with some of them replaced."""
        return {**(self._commands or settings.COMMANDS), **templates}

    def dns(self) -> dict[str, str]:
        """Give the installation's setting DNS."""
        return {"KEY_FILE": str(self._dns_key)} if self.manages_dns else {}

    def settings(self, **values: Any) -> dict[str, str]:
        """Write local settings and give the environment that leads to them.

        ``values`` replace the keys of the settings SSH, OPERATIONS, REFRESH and
        COMMANDS, or whole settings; an empty one replaces all of its keys.
        """
        postgres = self._metadata.postgres
        local: dict[str, Any] = {
            "SECRET_KEY": "tests-in-the-lab-use-a-key-that-is-long-enough-to-please",
            "ALLOWED_HOSTS": ["localhost"],
            "SESSION_COOKIE_SECURE": False,
            "CSRF_COOKIE_SECURE": False,
            "PASSWORD_HASHERS": list(settings.PASSWORD_HASHERS),
            "STATIC_ROOT": str(self.directory / "static"),
            "PUBLIC_KEY": self.lab.ssh_key.with_suffix(".pub").read_text(),
            "DATABASES": {
                "default": {
                    "ENGINE": "django.db.backends.postgresql",
                    "NAME": self.name,
                    "HOST": str(postgres.directory),
                    "PORT": str(postgres.port),
                    "USER": postgres.superuser,
                    "OPTIONS": {"options": "-c search_path=utility"},
                }
            },
            "SSH": {"PRIVATE_KEY_FILE": str(self._key)},
            "OPERATIONS": {},
            "REFRESH": {"INTERVAL": 0, "NAMES_INTERVAL": 0},
            "DNS": self.dns(),
        }
        if self._commands is not None:
            local["COMMANDS"] = dict(self._commands)
        for name, value in values.items():
            known = local.get(name)
            is_part = isinstance(known, dict) and value
            local[name] = {**known, **value} if is_part else value
        self._settings_written += 1
        path = self.directory / f"settings{self._settings_written}.py"
        path.write_text("".join(f"{name} = {local[name]!r}\n" for name in local))
        return {"ELEPHAAS_SETTINGS_FILE": str(path), "PYTHONUNBUFFERED": "1"}

    @contextlib.contextmanager
    def worker(
        self, host: str = "control", *, threads: int | None = None, **settings: Any
    ) -> Iterator[RunningWorker]:
        """Run a worker on a host of the lab until the block is left."""
        before = set(Worker.objects.values_list("pk", flat=True))
        argv = [sys.executable, "manage.py", "worker"]
        argv += ["--threads", str(threads)] if threads else []
        log = self.directory / "worker.log"
        process = start(self._command(host, argv, self.settings(**settings)), log)

        def registered() -> Worker | None:
            assert process.poll() is None, f"the worker ended: {log.read_text()}"
            return workers_alive().exclude(pk__in=before).filter(hostname=host).first()

        worker = RunningWorker(
            self.lab, host, process, until(registered, 60, "the worker begins")
        )
        try:
            yield worker
        finally:
            worker.stop()

    @contextlib.contextmanager
    def served(self) -> Iterator[str]:
        """Serve the pages from the control host, and give their address on this one."""
        environment = self.settings()
        collect = [sys.executable, "manage.py", "collectstatic", "--no-input"]
        subprocess.run(
            self._command("control", collect, environment),
            check=True,
            stdout=subprocess.DEVNULL,
        )
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        server = self.lab.control.serve_command(
            [
                *(sys.executable, "-m", "gunicorn", "--bind", "fd://{socket}"),
                *("--worker-class", "gthread", "--threads", "8"),
                *("--pid", str(self.directory / "web.pid"), "elephaas.wsgi"),
            ],
            port=port,
            log=self.directory / "web.log",
            environment=environment,
            directory=str(PROJECT),
        )
        try:
            until(lambda: server.poll() is not None or _answers(port), 30, "a page")
            yield f"http://localhost:{port}"
        finally:
            number = (self.directory / "web.pid").read_text().strip()
            self.lab.exec("control", ["kill", number])
            server.wait(timeout=30)

    def operate(
        self, *arguments: str, terminal: int | None = None
    ) -> subprocess.Popen[str]:
        """Start ``manage.py operate`` on the control host, in pipes or at a terminal.

        ``terminal`` is the descriptor of one, which becomes the controlling terminal.
        """
        argv = [sys.executable, "manage.py", "operate", *arguments]
        if terminal is not None:
            argv = ["setsid", "--ctty", *argv]
        return subprocess.Popen(
            self._command("control", argv, self.settings()),
            stdin=subprocess.DEVNULL if terminal is None else terminal,
            stdout=subprocess.PIPE if terminal is None else terminal,
            stderr=subprocess.PIPE if terminal is None else terminal,
            text=True,
        )

    def _command(
        self, host: str, argv: list[str], environment: Mapping[str, str]
    ) -> list[str]:
        from lab import access

        return access.entering(
            access.init_of(self.lab.state, host),
            argv,
            environment=environment,
            directory=str(PROJECT),
        )

    def draft(self, action: str, *names: str) -> Operation:
        """Plan an action for herds (``trade``) and instances (``trade@ele02``)."""
        return requests.draft(
            action, [member.pk for name in names for member in self.members(name)], ANNA
        )

    def ask(self, action: str, *names: str) -> Operation:
        """Plan an action and say yes to it."""
        operation = self.draft(action, *names)
        return requests.confirm(operation.pk, ANNA, acknowledged=True)

    def do(self, action: str, *names: str, seconds: float = 60.0) -> Operation:
        """Plan an action, say yes to it, and wait until it has ended."""
        return ended(self.ask(action, *names), seconds)

    def members(self, name: str) -> list[Instance]:
        """Give the instances of a herd, or the one named like ``trade@ele02``."""
        herd, _, host = name.partition("@")
        found = Instance.objects.select_related("server", "herd__environment").filter(
            herd__herd_name=herd, **({"server__hostname": host} if host else {})
        )
        assert found, f"{name} is not registered"
        return list(found)

    def instance(self, name: str) -> Instance:
        """Give the instance named like ``trade@ele02`` as the inventory has it now."""
        (found,) = self.members(name)
        return found

    def make_whole(self) -> None:
        """Power on, plug in, start and accept everything, and wait until it streams."""
        for host in self.lab.hosts:
            self.lab.boot(host)
        self.lab.heal()
        members = [f"{herd}@{host}" for herd in self.herds for host in self.hosts(herd)]
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(self.start, members))
            until(lambda: all(pool.map(self.streams, self.herds)), 60, "all stream")
        with self.used_here():
            self._register()

    def _register(self) -> None:
        """Enter the herds as they are, or set their rows right again."""
        for name in self.herds:
            spec = self.spec(name)
            environment, _ = Environment.objects.get_or_create(
                env_name=spec.environment
            )
            herd, _ = Herd.objects.get_or_create(
                herd_name=name,
                defaults={
                    "environment": environment,
                    "base_name": name,
                    "db_port": spec.port,
                    "pgdata": spec.data_root,
                    "vhost": self.lab.state.vhost(name),
                },
            )
            primary: Instance | None = None
            for host in spec.members:
                server, _ = Server.objects.update_or_create(
                    hostname=host,
                    defaults={
                        "environment": environment,
                        "host_key": self.lab.host_key(host),
                    },
                )
                instance, _ = Instance.objects.update_or_create(
                    herd=herd,
                    server=server,
                    defaults={
                        "master": primary,
                        "is_online": True,
                        "version": spec.version,
                        "unreachable_since": None,
                        "unreachable_why": "",
                    },
                )
                primary = primary or instance


def _answers(port: int) -> bool:
    address = f"http://localhost:{port}/admin/login/"
    with contextlib.suppress(OSError), urllib.request.urlopen(address, timeout=5):
        return True
    return False


def refreshed(operation: Operation) -> Operation:
    """Read an operation again."""
    return Operation.objects.get(pk=operation.pk)


def ended(operation: Operation, seconds: float = 60.0) -> Operation:
    """Wait until an operation has ended."""
    until(
        lambda: refreshed(operation).state not in ACTIVE_OPERATIONS,
        seconds,
        f"operation {operation.pk} ends",
    )
    return refreshed(operation)


def target(operation: Operation, name: str) -> OperationTarget:
    """Read the target named like ``trade@ele02`` of an operation."""
    herd, _, host = name.partition("@")
    return operation.targets.get(herd_name=herd, hostname=host)


def states(operation: Operation) -> dict[str, str]:
    """Read the state of every target, named like ``trade@ele02``."""
    return {
        f"{each.herd_name}@{each.hostname}": each.state
        for each in operation.targets.all()
    }


def said(operation: Operation) -> str:
    """Read what every target says, for the message of a failing test."""
    return "\n".join(
        f"{each}: {each.state}. {each.outcome}" for each in operation.targets.all()
    )


@dataclass(frozen=True)
class Shown:
    """What a command of the terminal showed: exit status, and both of its outputs."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        """Everything on standard output, which has to be one JSON document."""
        found: dict[str, Any] = json.loads(self.out)
        return found


def finish(process: subprocess.Popen[str], seconds: float = 90.0) -> Shown:
    """Wait until a command of the terminal has ended."""
    try:
        out, err = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        out, err = process.communicate()
        raise AssertionError(f"the command did not end: {out}\n{err}") from None
    assert "Traceback" not in err, err
    return Shown(process.returncode, out, err)
