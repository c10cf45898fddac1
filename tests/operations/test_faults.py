"""Whatever fails in the engine itself, an operation comes to an end that says so."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import Any

import pytest

from herds.errors import HostKeyUnknown
from herds.models import Herd, Worker
from herds.operations import registry, runner
from herds.operations import worker as worker_module
from herds.operations.worker import WorkerProcess
from herds.services.restart import RESTART
from tests.doubles.clusters import SimulatedFleet
from tests.doubles.engine import ask, ended, outcomes, states, until, working


@pytest.fixture
def needs_members(monkeypatch: pytest.MonkeyPatch) -> None:
    """An action called restart that wants to see the whole herd."""
    action = replace(RESTART, needs_members=True)
    monkeypatch.setitem(registry._ACTIONS, "restart", action)


@pytest.mark.usefixtures("needs_members")
def test_a_herd_that_cannot_be_reached_as_a_whole_fails_with_the_reason(
    fleet: SimulatedFleet,
    trade: Herd,
    worker: WorkerProcess,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def members(herd_id: int | None) -> tuple[Any, ...]:
        raise HostKeyUnknown("ele03")

    monkeypatch.setattr(fleet, "members", members)

    operation = ended(ask("restart", trade))

    assert operation.state == "failed"
    assert set(states(operation).values()) == {"failed"}
    assert outcomes(operation)["ele01"].startswith(
        "The SSH host key of ele03 was never accepted"
    )
    assert fleet.log == []


@pytest.mark.usefixtures("needs_members")
def test_a_bug_before_the_first_target_ends_them_all(
    fleet: SimulatedFleet,
    trade: Herd,
    worker: WorkerProcess,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def members(herd_id: int | None) -> tuple[Any, ...]:
        raise RuntimeError("boom")

    monkeypatch.setattr(fleet, "members", members)

    operation = ended(ask("restart", trade))

    assert operation.state == "failed"
    target = operation.targets.get(hostname="ele02")
    assert target.outcome.startswith("The program itself failed")
    assert "boom" in target.detail
    monkeypatch.undo()
    assert ended(ask("reload", trade)).state == "succeeded", "the herd is free again"


def test_what_was_seen_and_cannot_be_kept_hinders_no_target(
    fleet: SimulatedFleet,
    trade: Herd,
    worker: WorkerProcess,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def burst(*args: object) -> None:
        raise RuntimeError("boom")

    monkeypatch.setattr(runner, "record_sightings", burst)

    operation = ended(ask("restart", trade))

    assert operation.state == "succeeded"
    assert len(fleet.log) == 6


def test_a_bug_in_the_housekeeping_does_not_silence_a_worker(
    fleet: SimulatedFleet,
    trade: Herd,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bursts = threading.Semaphore(0)

    def burst() -> None:
        bursts.release()
        raise RuntimeError("boom")

    monkeypatch.setattr(worker_module, "HEARTBEAT", 0.1)
    monkeypatch.setattr(worker_module, "_REAP", 0.1)
    monkeypatch.setattr(worker_module, "reap", burst)
    with working(fleet):
        assert bursts.acquire(timeout=10)
        before = Worker.objects.get().heartbeat_at
        assert bursts.acquire(timeout=10)

        until(lambda: Worker.objects.get().heartbeat_at > before)
