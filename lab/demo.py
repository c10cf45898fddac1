"""The demonstration: ElepHaaS itself, on the control host of a lab, for people."""

import contextlib
import json
import os
import pwd
import secrets
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from lab import agents, demo_settings, files
from lab.control import ManageHook, start
from lab.errors import LabError
from lab.lab import Lab
from lab.processes import Process
from lab.state import DEFAULT_NAME

FIRST_PORT = 8000
PROJECT = Path(__file__).resolve().parent.parent
LOGINS = {
    "admin": "may do everything",
    "viewer": "may look at everything and change nothing",
}
_PORTS_TRIED = 50
_READY_SECONDS = 60.0
_STEP_SECONDS = 300.0


@dataclass(frozen=True, slots=True)
class Facts:
    """What is decided once for a demonstration and kept with the lab."""

    port: int
    secret_key: str
    passwords: dict[str, str]


class Demo:
    """The demonstration in one lab; each of its parts is made only when missing."""

    def __init__(self, lab: Lab, say: Callable[[str], None]) -> None:
        self._lab = lab
        self._say = say

    @property
    def directory(self) -> Path:
        """Where everything of the demonstration lies; it goes with the lab."""
        return self._lab.control.directory / "demo"

    def up(self, port: int | None = None) -> None:
        """Bring up the lab, the metadata server, ElepHaaS, its worker and its page.

        ``port`` is the page's, by default the first free one from 8000 on. Raises
        LabError for the first part that does not come up.
        """
        if not self._lab.up(say=self._say):
            self._say(f"Lab {self._lab.name} is up already; it is used as it is")
        facts = self._decide(port)
        self._say("ElepHaaS: starting its private metadata server")
        self._start_metadata()
        if not self._is_running("web"):
            self._say("ElepHaaS: making its tables, registering the lab's hosts")
            self._fill(facts)
            self._say("ElepHaaS: serving its page")
            self._start_web(facts)
        if not self._is_running("worker"):
            self._say("ElepHaaS: starting its worker, looking at every instance")
            self._start_worker()
            self._manage(
                "operate", "refresh", "--all", "--yes", "--reason", "First look"
            )

    def summary(self) -> str:
        """Return what a person needs to begin: address, logins, what there is."""
        facts = self._known()
        state = self._lab.state
        herds = state.herds.values()
        environments = dict.fromkeys(herd.environment for herd in herds)
        lab = f"{_shown(Path(sys.executable))} -m lab"
        if self._lab.name != DEFAULT_NAME:
            lab += f" --name {self._lab.name}"
        lines = [
            "",
            f"  Page      http://localhost:{facts.port}/",
            *(
                f"  Login     {name} / {password}   ({LOGINS[name]})"
                for name, password in facts.passwords.items()
            ),
            f"  Herds     {len(herds)} in {', '.join(environments)}: "
            f"{', '.join(herd.name for herd in herds)}",
            f"  Servers   {len(state.database_hosts)} with "
            f"{sum(len(herd.members) for herd in herds)} instances of PostgreSQL "
            f"{state.postgres}",
            f"  Logs      {self.directory}/*.log",
            "",
            f"  {lab} status | kill HOST | boot HOST | cut HOST | heal",
            f"  {lab} exec HOST -- CMD…",
            f"  {lab} exec {state.database_hosts[0]} -- pgutil_report --once",
            f"  {lab} manage operate restart --herd {next(iter(state.herds))}",
            "",
        ]
        return "\n".join(lines)

    @property
    def address(self) -> str:
        """Where its page is; LabError when it is not up."""
        return f"http://localhost:{self._known().port}"

    def password(self, name: str) -> str:
        """Return the password of one of ``LOGINS``; LabError when it is not up."""
        return self._known().passwords[name]

    def watch(self) -> None:
        """Return when a part of the demonstration has ended; say which one."""
        while True:
            for part in ("web", "worker"):
                if not self._is_running(part):
                    log = self.directory / f"{part}.log"
                    self._say(f"ElepHaaS: its {part} has ended; {log} says why")
                    return
            time.sleep(0.5)

    # Parts, in the order in which they come up

    def _known(self) -> Facts:
        facts = self._kept()
        if facts is None:
            raise LabError("The demonstration is not up. Start it with: demo-up")
        return facts

    def _kept(self) -> Facts | None:
        with contextlib.suppress(FileNotFoundError):
            return Facts(**json.loads((self.directory / "facts.json").read_text()))
        return None

    def _decide(self, port: int | None) -> Facts:
        """Return the demonstration's facts, and write what follows from them."""
        kept = self._kept()
        if kept is not None and self._is_running("web"):
            if port not in (None, kept.port):
                raise LabError(
                    f"The page is on port {kept.port} already. "
                    "Take the demonstration down to have it elsewhere: demo-down"
                )
            return kept
        facts = Facts(
            port=_free_port() if port is None else port,
            secret_key=kept.secret_key if kept else secrets.token_urlsafe(50),
            passwords=kept.passwords if kept else _new_passwords(),
        )
        owner = _owner_of_the_code()
        files.directory(self.directory, owner=owner)
        content = json.dumps(asdict(facts), indent=1)
        files.write(self.directory / "facts.json", content, mode=0o600, owner=owner)
        settings = self.directory / "local_settings.py"
        text = demo_settings.text(
            secret_key=facts.secret_key,
            metadata=self.directory / "metadata",
            private_key_file=self._lab.ssh_key,
            dns_key_file=self._lab.dns_key,
            static_root=self.directory / "static",
        )
        files.write(settings, text, mode=0o600, owner=owner)
        self._lab.control.set_manage(
            ManageHook(
                argv=(sys.executable, str(PROJECT / "manage.py")),
                environment={
                    "ELEPHAAS_SETTINGS_FILE": str(settings),
                    "DJANGO_SETTINGS_MODULE": "elephaas.settings",
                    "PYTHONUNBUFFERED": "1",
                },
                directory=str(PROJECT),
                user=owner,
            )
        )
        return facts

    def _start_metadata(self) -> None:
        # As root: the server gives its files to postgres, and runs as postgres.
        command = [sys.executable, "-m", "lab.demo_metadata"]
        command += [str(self.directory / "metadata"), self._lab.state.network]
        self._run(
            self._lab.control.command(command, directory=str(PROJECT)),
            "The metadata server",
            agents.password(self._lab.state),
        )

    def _fill(self, facts: Facts) -> None:
        status = self._lab.status()
        told = {
            "herds": status["herds"],
            "passwords": facts.passwords,
            "host_keys": {
                host: self._lab.host_key(host)
                for host in self._lab.state.database_hosts
            },
        }
        self._run(
            self._python("-m", "lab.demo_fleet"),
            "Setting ElepHaaS up",
            json.dumps(told),
        )

    def _start_web(self, facts: Facts) -> None:
        hook = self._lab.control.manage_hook()
        argv = [sys.executable, "-m", "gunicorn", "elephaas.wsgi"]
        argv += ["--bind", "fd://{socket}", "--worker-class", "gthread"]
        argv += ["--threads", "8", "--worker-tmp-dir", str(self.directory)]
        argv += ["--no-control-socket"]  # It would be left in a home directory.
        self._keep(
            "web",
            self._lab.control.serve_command(
                argv,
                port=facts.port,
                log=self.directory / "web.log",
                user=hook.user,
                environment=hook.environment,
                directory=hook.directory,
            ),
        )
        self._await_page(facts.port)

    def _await_page(self, port: int) -> None:
        deadline = time.monotonic() + _READY_SECONDS
        address = f"http://127.0.0.1:{port}/admin/login/"
        while self._is_running("web") and time.monotonic() < deadline:
            with (
                contextlib.suppress(urllib.error.URLError, TimeoutError),
                urllib.request.urlopen(address, timeout=5) as answer,
            ):
                if answer.status == 200:
                    return
            time.sleep(0.1)
        raise LabError(
            f"The page does not answer at {address}; {self.directory}/web.log says why."
        )

    def _start_worker(self) -> None:
        command = self._lab.control.manage_command(["worker"])
        self._keep("worker", start(command, self.directory / "worker.log"))

    # Doing things on the control host

    def _keep(self, part: str, program: subprocess.Popen[bytes]) -> None:
        Process.of(program.pid).write(self.directory / f"{part}.process")
        # It is to outlive us: nobody waits for it here, so nobody shall warn of that.
        program.returncode = 0

    def _is_running(self, part: str) -> bool:
        process = Process.read(self.directory / f"{part}.process")
        return process is not None and process.is_alive()

    def _python(self, *arguments: str) -> list[str]:
        hook = self._lab.control.manage_hook()
        return self._lab.control.command(
            [sys.executable, *arguments],
            user=hook.user,
            environment=hook.environment,
            directory=hook.directory,
        )

    def _manage(self, *arguments: str) -> None:
        words = f"manage.py {' '.join(arguments)}"
        self._run(self._lab.control.manage_command(arguments), words)

    def _run(self, command: Sequence[str], words: str, stdin: str = "") -> None:
        """Run a step to its end; LabError with its last words when it fails."""
        try:
            done = subprocess.run(
                command,
                input=stdin,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=_STEP_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise LabError(f"{words}: no end after {_STEP_SECONDS:.0f} s.") from None
        if done.returncode != 0:
            last = "\n".join(done.stdout.strip().splitlines()[-15:])
            raise LabError(f"{words} failed with {done.returncode}:\n{last}")


def _shown(path: Path) -> str:
    """Return a path as one types it in the project's directory."""
    return str(path.relative_to(PROJECT) if path.is_relative_to(PROJECT) else path)


def _new_passwords() -> dict[str, str]:
    return {name: secrets.token_urlsafe(9) for name in LOGINS}


def _owner_of_the_code() -> str:
    """Return who runs ElepHaaS: a checkout in a home is often closed to others."""
    return pwd.getpwuid(os.stat(PROJECT).st_uid).pw_name


def _free_port() -> int:
    """Return the first port from 8000 on that nobody listens on."""
    for port in range(FIRST_PORT, FIRST_PORT + _PORTS_TRIED):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with contextlib.suppress(OSError):
                probe.bind(("127.0.0.1", port))
                return port
    raise LabError("No port from 8000 on is free. Choose one with --port.")
