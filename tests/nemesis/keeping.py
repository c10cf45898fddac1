"""Keeps what a run left that broke a rule: evidence, the operation, the hosts' logs."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from herds.models import Operation
from tests.nemesis.arena import Arena
from tests.nemesis.run import Result

_TAIL = 400  # lines of each log


def keep(directory: Path, made: Arena, result: Result) -> Path:
    """Write everything to a directory of the run's own, and give it."""
    place = directory / result.scenario.name.replace(":", "-")
    place.mkdir(parents=True, exist_ok=True)
    words = "\n".join(map(str, result.violations))
    (place / "violations.txt").write_text(f"{words}\n")
    _write(place / "scenario.json", asdict(result.scenario))
    _write(place / "evidence.json", asdict(result.evidence))
    with made.product(result.scenario.herd) as product:
        _write(place / "operations.json", _operations())
        log = product.directory / "worker.log"
        (place / "worker.log").write_text(_tail(log))
    _keep_logs(place, made, result.scenario.herd)
    return place


def _write(path: Path, data: Any) -> None:
    path.write_text(json.dumps(data, indent=1, default=_plain))


def _plain(value: Any) -> Any:
    return sorted(value) if isinstance(value, (set, frozenset)) else str(value)


def _operations() -> list[dict[str, Any]]:
    """Give the latest operations with their targets and steps, the newest first."""
    return [
        {
            "number": operation.pk,
            "action": operation.action,
            "state": operation.state,
            "confirmed": operation.confirmed_at,
            "targets": [
                {
                    "host": target.hostname,
                    "state": target.state,
                    "outcome": target.outcome,
                    "detail": target.detail,
                    "follow_ups": target.follow_ups,
                    "plan": target.plan,
                    "steps": list(target.steps.values()),
                }
                for target in operation.targets.all()
            ],
        }
        for operation in Operation.objects.order_by("-pk")[:12]
    ]


def _keep_logs(place: Path, made: Arena, herd: str) -> None:
    for host in made.lab.herds[herd].members:
        disk = made.lab.state.disk(host)
        logs: Iterable[Path] = [*disk.glob("log/*.log"), *disk.glob("tmp/*.log")]
        logs = [*logs, *_startup_logs(disk)]
        text = "".join(f"==> {log.name}\n{_tail(log)}\n" for log in logs)
        (place / f"{host}.log").write_text(text)


def _startup_logs(disk: Path) -> list[Path]:
    return list(disk.glob("postgresql/*/*/startup.log"))


def _tail(path: Path) -> str:
    tail = ["tail", "-n", str(_TAIL), str(path)]
    return subprocess.run(tail, capture_output=True, text=True, check=False).stdout
