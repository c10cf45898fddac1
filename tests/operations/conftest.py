"""A fleet of simulated clusters, and a worker that works on it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import pytest

from herds.domain.states import ACTIVE_OPERATIONS
from herds.models import Herd, Instance, Operation, Worker
from herds.operations import requests
from herds.operations.requests import Requester
from herds.operations.worker import WorkerProcess
from tests.db.conftest import Inventory
from tests.doubles.clusters import SimulatedFleet

ANNA = Requester(name="anna", source="terminal")


@pytest.fixture
def inventory(transactional_db: None) -> Inventory:
    """Rows that the worker's own connections see too."""
    return Inventory()


@pytest.fixture
def fleet() -> SimulatedFleet:
    """Simulated clusters for all instances."""
    return SimulatedFleet()


@pytest.fixture
def trade(inventory: Inventory) -> Herd:
    """A herd with a primary on ele01 and standbys on ele02 and ele03."""
    return make_herd(inventory, "trade", ["ele01", "ele02", "ele03"])


def make_herd(inventory: Inventory, name: str, hosts: list[str]) -> Herd:
    """Make a herd whose first host carries the primary."""
    herd = inventory.herd(name)
    primary = inventory.instance(herd, hosts[0], is_online=True)
    for host in hosts[1:]:
        inventory.instance(herd, host, is_online=True, master=primary)
    return herd


def members(*herds: Herd) -> list[int]:
    """Give the ids of all members of some herds."""
    return list(Instance.objects.filter(herd__in=herds).values_list("pk", flat=True))


def on(herd: Herd, host: str) -> Instance:
    """Give the member of a herd on a host."""
    return Instance.objects.select_related("herd__environment", "server").get(
        herd=herd, server__hostname=host
    )


def ask(action: str, *herds: Herd) -> Operation:
    """Plan an action for all members of some herds and say yes to it."""
    operation = requests.draft(action, members(*herds), ANNA)
    return requests.confirm(operation.pk, ANNA, acknowledged=True)


def ended(operation: Operation, seconds: float = 20.0) -> Operation:
    """Wait until an operation has ended."""
    until(lambda: refreshed(operation).state not in ACTIVE_OPERATIONS, seconds)
    return refreshed(operation)


def refreshed(operation: Operation) -> Operation:
    """Read an operation again."""
    return Operation.objects.get(pk=operation.pk)


def until(holds: Callable[[], object], seconds: float = 20.0) -> None:
    """Wait until something holds, or fail."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "what was awaited did not come"
        time.sleep(0.02)


@pytest.fixture
def worker(fleet: SimulatedFleet, transactional_db: None) -> Iterator[WorkerProcess]:
    """A worker in a thread of its own."""
    yield from run_worker(fleet)


def run_worker(fleet: SimulatedFleet, threads: int = 8) -> Iterator[WorkerProcess]:
    """Run a worker in a thread until the generator is closed."""
    process = WorkerProcess(threads=threads, toolbox=fleet)  # type: ignore[arg-type]
    alive = Worker.objects.filter(stopped_at__isnull=True).count()
    thread = threading.Thread(
        target=process.run, kwargs={"handle_signals": False}, name="worker"
    )
    thread.start()
    try:
        until(
            lambda: Worker.objects.filter(stopped_at__isnull=True).count() > alive
        )
        yield process
    finally:
        process.stop()
        thread.join(timeout=30)
        assert not thread.is_alive()
