"""Faults of the service itself: its worker, its metadata, its other users."""

from __future__ import annotations

import contextlib
import random
from datetime import timedelta

from django.db import connection
from django.utils import timezone

from herds.errors import ElephaasError
from herds.models import Worker
from herds.operations import reaper, requests
from tests.lab.product import RunningWorker, until
from tests.nemesis.faults.fault import Fault
from tests.nemesis.scene import BERT, Scene


class WorkerKilled(Fault):
    """The worker dies without a word; its silence is noticed at once."""

    def __init__(self, scene: Scene, dice: random.Random) -> None:
        super().__init__(scene, dice)
        self._row: Worker | None = None

    def strike(self) -> None:
        """Kill it."""
        self._row = self.scene.arena.kill_worker(self.scene.herd)

    def mend(self) -> None:
        """Let its silence have lasted, and start another one."""
        row, self._row = self._row, None
        if row is not None:
            declare_lost(row)
            self.scene.arena.start_worker(self.scene.herd)


class WorkerFrozen(Fault):
    """The worker stands still, is given up, and wakes up where it stood."""

    def __init__(self, scene: Scene, dice: random.Random) -> None:
        super().__init__(scene, dice)
        self._worker: RunningWorker | None = None

    def strike(self) -> None:
        """Stop it (SIGSTOP)."""
        self._worker = self.scene.arena.give_up_worker(self.scene.herd)
        self._worker.freeze()

    def mend(self) -> None:
        """Wait until it is lost, wake it up, and have another one, in any order."""
        worker, self._worker = self._worker, None
        if worker is None:
            return
        try:
            _await_loss(worker.row)
        finally:
            woken_last = self.dice.random() < 0.5
            if woken_last:
                self.scene.arena.start_worker(self.scene.herd)
            worker.wake()
            if not woken_last:
                self.scene.arena.start_worker(self.scene.herd)


def _await_loss(worker: Worker) -> None:
    """Wait until a worker is given up: until then it may rely on what it wrote last."""
    given_up = Worker.objects.filter(pk=worker.pk, stopped_at__isnull=False)
    until(
        lambda: reaper.reap() or given_up.exists(),
        reaper.LOST_AFTER.total_seconds() + 10,
        "the frozen worker is given up",
    )


def declare_lost(worker: Worker) -> None:
    """Let a dead worker's silence have lasted until it is noticed."""
    Worker.objects.filter(pk=worker.pk).update(
        heartbeat_at=timezone.now() - timedelta(seconds=30)
    )
    reaper.reap()


class Cancelled(Fault):
    """Somebody cancels the operation."""

    def strike(self) -> None:
        """Ask it to stop; too late is fine."""
        if self.scene.operation is not None:
            with contextlib.suppress(ElephaasError):
                requests.cancel(self.scene.operation, BERT)


class MetadataRestarted(Fault):
    """The metadata server is away for a while."""

    def strike(self) -> None:
        """Stop it."""
        connection.close()
        self.scene.arena.metadata.postgres.stop()

    def mend(self) -> None:
        """Start it, where it is down."""
        self.scene.arena.metadata.postgres.start()


class SecondOperation(Fault):
    """Somebody else asks for something on the same herd at the same time."""

    def strike(self) -> None:
        """Ask for a restart of a standby, or for a switchover to another one."""
        self.scene.ask_besides(self.dice.choice(("restart", "switchover")))
