"""A fleet of simulated clusters, and a worker that works on it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from herds.models import Herd
from herds.operations.worker import WorkerProcess
from tests.doubles.clusters import SimulatedFleet
from tests.doubles.engine import make_herd, working


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
