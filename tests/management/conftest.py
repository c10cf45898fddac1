"""A herd on simulated clusters, and manage.py in this process or one of its own."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from herds.models import Herd
from herds.operations.worker import WorkerProcess
from lab.private_server import PrivateServer
from tests.doubles.clusters import SimulatedFleet
from tests.doubles.engine import make_herd, working

ROOT = Path(__file__).parent.parent.parent


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How a command ended: its exit status and what it printed."""

    status: int
    out: str
    err: str


@pytest.fixture
def fleet() -> SimulatedFleet:
    """Simulated clusters for all instances."""
    return SimulatedFleet()


@pytest.fixture
def trade(transactional_db: None) -> Herd:
    """A herd with a primary on ele01 and standbys on ele02 and ele03."""
    return make_herd("trade", ["ele01", "ele02", "ele03"])


@pytest.fixture
def worker(fleet: SimulatedFleet, transactional_db: None) -> Iterator[WorkerProcess]:
    """A worker in a thread of its own; the rows of a test are seen by its threads."""
    with working(fleet) as process:
        yield process


@pytest.fixture
def operate(transactional_db: None) -> Callable[..., Ended]:
    """Runs ``manage.py operate`` in this process, whose input is no terminal."""

    def run(*arguments: str) -> Ended:
        out, err = io.StringIO(), io.StringIO()
        status = 0
        try:
            call_command("operate", *arguments, stdout=out, stderr=err)
        except CommandError as error:
            # As BaseCommand.run_from_argv does.
            err.write(f"{type(error).__name__}: {error}")
            status = error.returncode
        except SystemExit as end:
            status = int(end.code or 0)
        return Ended(status=status, out=out.getvalue(), err=err.getvalue())

    return run


@pytest.fixture
def site(tmp_path: Path, private_server: PrivateServer, transactional_db: None) -> Path:
    """Local settings, as shipped, that lead to the metadata of the tests."""
    key = tmp_path / "key"
    key.touch(mode=0o600)
    settings = tmp_path / "local_settings.py"
    database = {
        "NAME": connection.settings_dict["NAME"],
        "HOST": str(private_server.directory),
        "PORT": str(private_server.port),
        "USER": private_server.superuser,
    }
    example = ROOT / "elephaas" / "local_settings.example.py"
    settings.write_text(
        "import runpy\n"
        f"globals().update(runpy.run_path({str(example)!r}))\n"
        f"DATABASES['default'].update({database!r})\n"
        f"SSH['PRIVATE_KEY_FILE'] = {str(key)!r}\n"
    )
    return settings


Manage = Callable[..., "subprocess.Popen[Any]"]


@pytest.fixture
def manage(site: Path) -> Iterator[Manage]:
    """Starts ``manage.py`` in a process of its own; what is left of them is killed."""
    started: list[subprocess.Popen[Any]] = []

    def start(*arguments: str, **options: Any) -> subprocess.Popen[Any]:
        process = subprocess.Popen(
            [sys.executable, str(ROOT / "manage.py"), *arguments],
            cwd=ROOT,
            env={
                **os.environ,
                "DJANGO_SETTINGS_MODULE": "elephaas.settings",
                "ELEPHAAS_SETTINGS_FILE": str(site),
                "PYTHONUNBUFFERED": "1",
                "TERM": "xterm",
            },
            **options,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream is not None:
                stream.close()
