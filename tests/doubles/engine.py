"""Helpers of the engine's tests: herds, requests, and a worker in this process."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from herds.domain.states import ACTIVE_OPERATIONS
from herds.models import Herd, Instance, Operation, OperationTarget, Worker
from herds.operations import requests
from herds.operations.requests import Requester
from herds.operations.worker import WorkerProcess
from tests import factories
from tests.doubles.clusters import SimulatedCluster, SimulatedFleet

ANNA = Requester(name="anna", source="terminal")


def make_herd(name: str, hosts: list[str], env: str = "prod") -> Herd:
    """Make a herd whose first host carries the primary."""
    primary = factories.instance(name, hosts[0], env)
    for host in hosts[1:]:
        factories.instance(name, host, env, master=primary)
    return primary.herd


def members(*herds: Herd) -> list[int]:
    """Give the ids of all members of some herds."""
    return list(Instance.objects.filter(herd__in=herds).values_list("pk", flat=True))


def on(herd: Herd, host: str) -> Instance:
    """Give the member of a herd on a host."""
    return Instance.objects.select_related("herd__environment", "server").get(
        herd=herd, server__hostname=host
    )


def ask(action: str, *herds: Herd, requester: Requester = ANNA) -> Operation:
    """Plan an action for all members of some herds and say yes to it."""
    operation = requests.draft(action, members(*herds), requester)
    return requests.confirm(operation.pk, requester, acknowledged=True)


def refreshed(operation: Operation) -> Operation:
    """Read an operation again."""
    return Operation.objects.get(pk=operation.pk)


def target_on(operation: Operation, host: str) -> OperationTarget:
    """Read the target of an operation on a host."""
    return operation.targets.get(hostname=host)


def states(operation: Operation) -> dict[str, str]:
    """Read the state of each target by its host."""
    return dict(operation.targets.values_list("hostname", "state"))


def outcomes(operation: Operation) -> dict[str, str]:
    """Read the outcome of each target by its host."""
    return dict(operation.targets.values_list("hostname", "outcome"))


def until(holds: Callable[[], object], seconds: float = 20.0) -> None:
    """Wait until something holds, or fail."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "what was awaited did not come"
        time.sleep(0.02)


def ended(operation: Operation, seconds: float = 20.0) -> Operation:
    """Wait until an operation has ended."""
    until(lambda: refreshed(operation).state not in ACTIVE_OPERATIONS, seconds)
    return refreshed(operation)


class Gate:
    """Holds acts on clusters at their beginning until it is opened.

    Set it as ``before`` of a simulated cluster; ``names`` are the acts it holds, all
    where none is given.
    """

    def __init__(self, *names: str) -> None:
        self.reached = threading.Event()
        self.opened = threading.Event()
        self._names = names

    def __call__(self, cluster: SimulatedCluster, name: str) -> None:
        if self._names and name not in self._names:
            return
        self.reached.set()
        assert self.opened.wait(timeout=30), "the gate was never opened"


@contextmanager
def working(fleet: SimulatedFleet, threads: int = 8) -> Iterator[WorkerProcess]:
    """Run a worker in a thread until the block is left."""
    process = WorkerProcess(threads=threads, toolbox=fleet)  # type: ignore[arg-type]
    running = Worker.objects.filter(stopped_at__isnull=True)
    before = running.count()
    thread = threading.Thread(
        target=process.run, kwargs={"handle_signals": False}, name="worker"
    )
    thread.start()
    try:
        until(lambda: running.count() > before or not thread.is_alive())
        yield process
    finally:
        process.stop()
        thread.join(timeout=30)
        assert not thread.is_alive(), "the worker did not end"
