"""Faults of the service itself: its worker, its metadata, its other users."""

from __future__ import annotations

import random
from datetime import timedelta

from django.db import connection
from django.utils import timezone

from herds.models import Worker
from herds.operations import reaper
from tests.nemesis.faults.fault import Fault
from tests.nemesis.scene import Scene


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
            Worker.objects.filter(pk=row.pk).update(
                heartbeat_at=timezone.now() - timedelta(seconds=30)
            )
            reaper.reap()
            self.scene.arena.start_worker(self.scene.herd)


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
