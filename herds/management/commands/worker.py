"""``manage.py worker``: execute operations until told to end."""

from __future__ import annotations

import sys
import threading
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from herds import conf
from herds.operations.worker import WorkerProcess


class Command(BaseCommand):
    """Run one worker in the foreground; several may run, on several hosts."""

    help = (
        "Execute operations until told to end (SIGINT or SIGTERM): what has begun is "
        "finished, what has not is left to other workers."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--threads",
            type=int,
            default=None,
            help="herds to work on at once (default: OPERATIONS['WORKER_THREADS'])",
        )
        parser.add_argument(
            "--end-with-stdin",
            action="store_true",
            help="end when standard input is closed, as for runserver",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        threads = options["threads"]
        if threads is None:
            threads = conf.operations().worker_threads
        if threads < 1:
            raise CommandError("A worker needs at least one thread.")
        self.stdout.write(f"Worker started; it works on {threads} herds at once.")
        worker = WorkerProcess(threads=threads)
        if options["end_with_stdin"]:
            threading.Thread(target=_end_with_stdin, args=[worker], daemon=True).start()
        if not worker.run():
            raise CommandError(
                "The worker was silent for so long that it was declared lost. Its "
                "targets are marked as interrupted; start a worker and resume them."
            )
        self.stdout.write("Worker ended.")


def _end_with_stdin(worker: WorkerProcess) -> None:
    sys.stdin.read()
    worker.stop()
