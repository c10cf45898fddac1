"""``manage.py runserver``: Django's development server, with a worker beside it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.contrib.staticfiles.management.commands.runserver import (
    Command as DjangoRunserver,
)
from django.core.management.base import CommandParser


class Command(DjangoRunserver):
    """Serve the pages and execute what is asked for on them, in one terminal."""

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--noworker",
            action="store_true",
            help="do not run a worker; one runs elsewhere (manage.py worker)",
        )

    def inner_run(self, *args: Any, **options: Any) -> None:
        if options["noworker"]:
            super().inner_run(*args, **options)
            return
        with _worker_beside(options.get("settings")):
            super().inner_run(*args, **options)


@contextmanager
def _worker_beside(settings: str | None) -> Iterator[None]:
    """Run a worker that ends when this process does, however it ends."""
    command = [sys.executable, sys.argv[0], "worker", "--end-with-stdin"]
    if settings:
        command += ["--settings", settings]
    # The pipe is the tie: it closes even if this process is killed.
    with subprocess.Popen(command, stdin=subprocess.PIPE) as worker:
        try:
            yield
        finally:
            if worker.stdin is not None:
                worker.stdin.close()
