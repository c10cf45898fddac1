"""One look at all clusters of a host: what each does, and what is cut off."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from herds.domain.clock import SystemClock
from herds.domain.cluster import Activity, ClusterRef, Observation
from herds.errors import CommandTimedOut, HostUnreachable
from herds.postgres.host_look import look_at_host
from herds.ssh.shell import Completed, OnOutput, Shell, Stream
from lab.private_server import PrivateServer
from tests.doubles.local_shell import LocalShell
from tests.postgres.conftest import Clusters


def looked(shell: Shell, *clusters: ClusterRef) -> list[Observation]:
    return look_at_host(shell, clusters, SystemClock(), timeout=15.0)


def test_one_round_trip_tells_of_every_cluster_in_its_place(
    server: PrivateServer, shell: LocalShell, ref: ClusterRef, cluster: Clusters
) -> None:
    absent = replace(ref, data_directory="/no/such directory")
    foreign = replace(ref, data_directory="/usr")

    seen = looked(shell, absent, ref, foreign, ref)

    assert [each.activity for each in seen] == [
        Activity.ABSENT,
        Activity.RUNNING,
        Activity.FOREIGN,
        Activity.RUNNING,
    ]
    alone = cluster().look()
    assert seen[1].system_identifier == alone.system_identifier
    assert seen[3].pid == alone.pid
    assert (seen[1].timeline, seen[1].is_streaming) == (1, None)


def test_a_stopped_cluster_tells_its_timeline(
    server: PrivateServer, shell: LocalShell, ref: ClusterRef
) -> None:
    server.stop()

    (seen,) = looked(shell, ref)

    assert (seen.activity, seen.timeline) == (Activity.STOPPED, 1)
    assert seen.system_identifier


def test_more_clusters_than_fit_one_command_take_another(
    shell: LocalShell, ref: ClusterRef
) -> None:
    absent = [replace(ref, data_directory=f"/no/{number}") for number in range(35)]

    seen = looked(shell, *absent)

    assert len(seen) == 35


def test_a_slot_of_nobody_is_told_by_the_one_that_holds_most(
    server: PrivateServer, shell: LocalShell, ref: ClusterRef
) -> None:
    server.psql("SELECT pg_create_physical_replication_slot('first', true)")
    server.psql("CREATE TABLE filler AS SELECT generate_series(1, 1000)")
    server.psql("SELECT pg_create_physical_replication_slot('later', true)")
    try:
        (seen,) = looked(shell, ref)
    finally:
        server.psql("SELECT pg_drop_replication_slot('first')")
        server.psql("SELECT pg_drop_replication_slot('later')")
        server.psql("DROP TABLE filler")

    assert seen.slot_name == "first"
    assert seen.slot_octets is not None
    assert seen.slot_octets > 1000


class CutOff:
    """A host that says half of what it was asked, and then nothing."""

    host = "ele01"

    def __init__(self, shell: LocalShell, keeps: float) -> None:
        self._shell = shell
        self._keeps = keeps

    def run(
        self, argv: Sequence[str], *, on_output: OnOutput, **options: Any
    ) -> Completed:
        done = self._shell.run(argv, ok=None)
        text = done.stdout.encode()
        on_output(Stream.STDOUT, text[: int(len(text) * self._keeps)])
        raise CommandTimedOut(self.host, "look", 15.0, "", stopped=True)


@pytest.mark.parametrize(("keeps", "told"), [(0.0, 0), (0.6, 1), (0.99, 1), (1.0, 2)])
def test_what_came_before_the_deadline_counts(
    shell: LocalShell, ref: ClusterRef, keeps: float, told: int
) -> None:
    seen = looked(CutOff(shell, keeps), ref, ref)  # type: ignore[arg-type]

    assert [each.activity for each in seen] == [Activity.RUNNING] * told


def test_a_host_that_is_not_there_is_an_error(
    shell: LocalShell, ref: ClusterRef, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nobody(*_: Any, **__: Any) -> Completed:
        raise HostUnreachable("ele01", "no route to host")

    monkeypatch.setattr(shell, "run", nobody)

    with pytest.raises(HostUnreachable):
        looked(shell, ref)
