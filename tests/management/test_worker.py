"""``manage.py worker`` and the one that ``runserver`` runs beside itself."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from herds.management.commands import worker as command
from herds.models import Herd, Worker
from tests.doubles.engine import ask, ended, until

from .conftest import ROOT, Manage


class StandIn:
    """A worker that ends at once."""

    threads: list[int] = []
    ends_well = True

    def __init__(self, *, threads: int) -> None:
        self.threads.append(threads)

    def run(self) -> bool:
        return self.ends_well


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> type[StandIn]:
    """Puts a worker that ends at once in the place of the real one."""
    monkeypatch.setattr(command, "WorkerProcess", StandIn)
    monkeypatch.setattr(StandIn, "threads", [])
    return StandIn


@pytest.mark.parametrize(
    ("arguments", "threads"), [([], 7), (["--threads", "3"], 3)], ids=["set", "asked"]
)
def test_it_works_on_as_many_herds_as_the_settings_or_the_person_say(
    stand_in: type[StandIn], settings: Any, arguments: list[str], threads: int
) -> None:
    settings.OPERATIONS = {"WORKER_THREADS": 7}

    call_command("worker", *arguments)

    assert stand_in.threads == [threads]


@pytest.mark.parametrize("number", ["0", "-1"])
def test_it_does_not_work_on_no_herd_at_all(
    stand_in: type[StandIn], number: str
) -> None:
    with pytest.raises(CommandError, match="at least one thread"):
        call_command("worker", "--threads", number)

    assert stand_in.threads == []


def test_a_worker_declared_lost_fails_so_that_it_is_started_anew(
    stand_in: type[StandIn], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stand_in, "ends_well", False)

    with pytest.raises(CommandError, match="start a worker and resume them"):
        call_command("worker")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_well(manage: Manage, number: signal.Signals) -> None:
    process = manage("worker", stdout=subprocess.PIPE, text=True)
    until(Worker.objects.exists)
    row = Worker.objects.get()
    assert (row.pid, row.hostname) == (process.pid, socket.gethostname())
    assert row.concurrency == 32

    process.send_signal(number)

    out, _ = process.communicate(timeout=30)
    assert process.returncode == 0
    assert out.splitlines() == [
        "Worker started; it works on 32 herds at once.",
        "Worker ended.",
    ]
    row.refresh_from_db()
    assert row.stopped_at is not None


_TOLD_AT_ONCE = """
import os, signal, django
django.setup()
from herds.operations.worker import WorkerProcess
register = WorkerProcess._register
def register_and_be_told(worker):
    register(worker)
    os.kill(os.getpid(), signal.Signals[{name!r}])
WorkerProcess._register = register_and_be_told
assert WorkerProcess(threads=1).run()
print("ended well")
"""


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_a_signal_ends_it_well_from_the_moment_its_row_is_there(
    site: Path, name: str
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _TOLD_AT_ONCE.format(name=name)],
        cwd=ROOT,
        env={
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "elephaas.settings",
            "ELEPHAAS_SETTINGS_FILE": str(site),
        },
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )

    assert (done.returncode, done.stdout) == (0, "ended well\n"), done.stderr
    assert Worker.objects.get().stopped_at is not None


def test_a_worker_tells_why_a_host_cannot_be_worked_on(
    manage: Manage, trade: Herd
) -> None:
    manage("worker", stdout=subprocess.DEVNULL)

    operation = ended(ask("restart", trade), 30)

    # The key file of this site is empty, which is no reason to fall.
    assert operation.state == "failed"
    assert all(target.outcome for target in operation.targets.all())
    assert Worker.objects.get().stopped_at is None


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_the_development_server_runs_a_worker_beside_itself_that_ends_with_it(
    manage: Manage, transactional_db: None
) -> None:
    port = free_port()
    server = manage(
        *("runserver", "--noreload", f"127.0.0.1:{port}"),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    until(Worker.objects.exists)
    until(lambda: answers(port))
    row = Worker.objects.get()
    assert row.pid != server.pid

    server.kill()

    # However the server ends: its worker notices that nobody is there any more.
    until(lambda: Worker.objects.filter(stopped_at__isnull=False).exists())


def answers(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/admin/login/") as page:
            return bool(page.status == 200)
    except OSError:
        return False


def test_the_development_server_leaves_the_work_to_others_where_asked(
    manage: Manage, transactional_db: None
) -> None:
    port = free_port()
    manage(
        *("runserver", "--noreload", "--noworker", f"127.0.0.1:{port}"),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    until(lambda: answers(port))

    assert not Worker.objects.exists()
