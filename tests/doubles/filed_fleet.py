"""Simulated clusters that live in files, so that a worker on them can be killed."""

from __future__ import annotations

import contextlib
import json
import time
from datetime import datetime
from pathlib import Path
from typing import Any

from herds.models import Instance
from tests.doubles.clusters import SimulatedCluster, SimulatedFleet


class FiledFleet(SimulatedFleet):
    """A fleet whose clusters outlive every process that works on them.

    An act is held for as long as there is a file ``hold.HOST.ACT``; a file
    ``held.HOST.ACT`` tells that somebody waits there.
    """

    def __init__(self, directory: Path) -> None:
        super().__init__()
        self._directory = directory

    def __getitem__(self, instance: Instance) -> SimulatedCluster:
        cluster = super().__getitem__(instance)
        cluster.before = self._arrive
        cluster.before_look = lambda: self._load(cluster)
        if not self._file(cluster).exists():
            self._save(cluster)
        self._load(cluster)
        return cluster

    def hold(self, host: str, act: str) -> None:
        """Let nobody get past this act on a host."""
        (self._directory / f"hold.{host}.{act}").touch()

    def is_held(self, host: str, act: str) -> bool:
        """Tell whether somebody waits at this act."""
        return (self._directory / f"held.{host}.{act}").exists()

    def let_go(self, host: str, act: str) -> None:
        """Let everybody get past this act again."""
        (self._directory / f"hold.{host}.{act}").unlink()

    def acts(self) -> list[tuple[str, str]]:
        """Tell what was done by all processes, in order."""
        with contextlib.suppress(FileNotFoundError):
            lines = (self._directory / "log").read_text().splitlines()
            return [(host, act) for host, act in map(str.split, lines)]
        return []

    def _arrive(self, cluster: SimulatedCluster, act: str) -> None:
        while (self._directory / f"hold.{cluster.host}.{act}").exists():
            (self._directory / f"held.{cluster.host}.{act}").touch()
            time.sleep(0.01)
        self._load(cluster)
        with (self._directory / "log").open("a") as log:
            log.write(f"{cluster.host} {act}\n")
        cluster.after = self._save

    def _load(self, cluster: SimulatedCluster) -> None:
        with contextlib.suppress(FileNotFoundError):
            state: dict[str, Any] = json.loads(self._file(cluster).read_text())
            cluster.running = state["running"]
            cluster.pid = state["pid"]
            cluster.started_at = datetime.fromisoformat(state["started_at"])

    def _save(self, cluster: SimulatedCluster) -> None:
        state = {
            "running": cluster.running,
            "pid": cluster.pid,
            "started_at": cluster.started_at.isoformat(),
        }
        fresh = self._file(cluster).with_suffix(".new")
        fresh.write_text(json.dumps(state))
        fresh.rename(self._file(cluster))

    def _file(self, cluster: SimulatedCluster) -> Path:
        return self._directory / f"{cluster.host}.json"
