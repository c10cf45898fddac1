"""The benchmark's client and stop-watch, on the cluster that it measures on."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench import switchover, writer
from bench.cluster import ROLE, Cluster, cluster
from bench.contenders import Floor
from bench.writer import Writer

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module")
def nodes() -> Iterator[Cluster]:
    """Three nodes that replicate."""
    with cluster(f"bench-{os.getpid()}") as made:
        yield made


def test_a_commit_that_hangs_is_given_up(nodes: Cluster, tmp_path: Path) -> None:
    with Writer(nodes.lab, nodes.by_address, tmp_path, "hangs", patience=0.5) as client:
        client.await_commits(20, 20)
        asked = f"SELECT pid FROM pg_stat_activity WHERE usename = '{ROLE}'"
        process = nodes.sql(nodes.primary(), asked)
        nodes.run(nodes.primary(), "kill", "-STOP", process)
        client.await_commits(20, 20)
        nodes.run(nodes.primary(), "kill", "-CONT", process)

    assert 500 <= writer.longest_pause(client.commits()).milliseconds < 5000


def test_commits_that_are_gone_are_missed(nodes: Cluster, tmp_path: Path) -> None:
    with Writer(nodes.lab, nodes.by_address, tmp_path, "gone") as client:
        client.await_commits(20, 20)
    commits, primary = client.commits(), nodes.primary()
    assert writer.lost(commits, nodes.written(primary, "gone")) == []

    nodes.sql(
        primary, "DELETE FROM bench_writes WHERE writer = 'gone' AND sequence IN (3, 7)"
    )

    assert writer.lost(commits, nodes.written(primary, "gone")) == [3, 7]


def test_a_switchover_is_seen_from_outside(nodes: Cluster, tmp_path: Path) -> None:
    old = nodes.primary()
    with Floor(nodes) as floor:
        seen = switchover.switch(floor, nodes.by_address, tmp_path, "floor")

    assert nodes.primary() == nodes.successor(old)
    assert seen.outage > 10
    assert seen.following is None
    assert seen.lost == 0
