"""Diverged clusters of a lab, what it takes to copy one, and what proves the copy."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from herds.domain.probe import Probe
from herds.errors import ElephaasError
from herds.postgres import files, replication, rsync
from herds.postgres.backup_session import hold_backup, write_backup_files
from herds.postgres.cluster import Cluster
from herds.postgres.copy_source import CopySource
from herds.postgres.pull import Synced
from herds.postgres.streaming import await_streaming
from tests.lab.polling import eventually
from tests.lab.replicas import Replicas

ROWS = 2000

_SUMS = """
SELECT count(*), sum(hashtext(f::text)::bigint) FROM filler f;
SELECT count(*), sum(hashtext(w::text)::bigint) FROM written w;
"""


@dataclass
class Pair:
    """A target that has to be brought back, and the primary it is brought back from."""

    replicas: Replicas
    herd: str
    target: Cluster
    source: Cluster

    @property
    def peer(self) -> CopySource:
        """The source as pg_rewind and pg_basebackup connect to it."""
        return CopySource(
            host=f"{self.source.host}.{self.replicas.lab.domain}",
            port=self.source.ref.port,
            user=replication.USER,
        )

    @property
    def name(self) -> str:
        """The target's application name."""
        return replication.application_name(self.herd, self.target.host)

    @property
    def directory(self) -> str:
        """Where the data is, on both hosts."""
        return self.target.ref.data_directory

    def follow(self) -> None:
        """Have the target follow the source by its own name."""
        host = self.target.host
        upstream = self.replicas.upstream(self.herd, host, name=self.peer.host)
        replication.follow(self.target, upstream)

    def start_and_stream(self) -> None:
        """Start the target, see it stream from the source, and take the marker away."""
        self.target.act("start")
        await_streaming(self.target, self.source, self.name, patience=30.0)
        files.clear_incomplete(self.target.shell, self.directory)

    def prove_equal(self) -> None:
        """See that the target has what the source has, and every block is whole."""
        sums = self.source.psql(_SUMS)
        eventually(lambda: self.target.psql(_SUMS) == sums, "the tables are equal")
        stop(self.target)
        tools = self.target.probe().bin_directory
        self.target.shell.run(
            [f"{tools}/pg_checksums", "--check", "-D", self.directory], timeout=300.0
        )
        self.target.act("start")
        await_streaming(self.target, self.source, self.name, patience=30.0)


def stop(cluster: Cluster) -> Probe:
    """Stop a cluster and tell what it is then."""
    assert not cluster.act("stop").seen.is_running
    return cluster.probe()


def write(cluster: Cluster, what: str, rows: int = 50) -> None:
    """Commit some rows."""
    cluster.psql(
        "INSERT INTO written (what)"
        f" SELECT '{what}' || n FROM generate_series(1, {rows}) n;"
    )


def diverge(replicas: Replicas, herd: str, *, rows: int = ROWS) -> Pair:
    """Make of a standby a second primary that writes too; the old one is stopped.

    Both change blocks of the same table after the histories have parted.
    """
    primary, standby = (
        replicas.cluster(herd, host) for host in replicas.lab.herds[herd].members[:2]
    )
    if primary.look().in_recovery:
        primary, standby = standby, primary
    primary.psql(
        "DROP TABLE IF EXISTS filler, written;"
        "CREATE TABLE written (at timestamptz DEFAULT now(), what text);"
        "CREATE TABLE filler AS SELECT n, repeat(md5(n::text), 30) AS pad"
        f" FROM generate_series(1, {rows}) n; CHECKPOINT;"
    )
    name = replication.application_name(herd, standby.host)
    await_streaming(standby, primary, name, patience=30.0)
    write(primary, "before ")
    behind = "SELECT count(*) FROM written;"
    eventually(lambda: standby.psql(behind) == "50", "the standby has all rows")
    standby.act("promote")
    eventually(lambda: standby.look().in_recovery is False, "it is promoted")
    for cluster, what in ((primary, "lost"), (standby, "kept")):
        write(cluster, what)
        cluster.psql(
            f"UPDATE filler SET pad = pad || '{what}' WHERE n % 100 < 2; CHECKPOINT;"
        )
    stop(primary)
    return Pair(replicas, herd, target=primary, source=standby)


@contextmanager
def written_to(cluster: Cluster) -> Iterator[None]:
    """Write to a cluster all the time."""
    over = threading.Event()

    def go_on() -> None:
        while not over.is_set():
            with suppress(ElephaasError):
                write(cluster, "meanwhile ")
                cluster.psql("UPDATE filler SET pad = pad || 'm' WHERE n % 50 = 7;")

    writer = threading.Thread(target=go_on)
    writer.start()
    try:
        yield
    finally:
        over.set()
        writer.join()


def copy_what_differs(
    pair: Pair,
    *,
    cancel: threading.Event | None = None,
    bandwidth: int = 0,
    on_progress: rsync.Progress = lambda done, total, rate: None,
) -> Synced:
    """Go the whole way of the block-wise copy, as far as a start."""
    target, source = pair.target.shell, pair.source.shell
    directory, from_directory = pair.directory, pair.source.ref.data_directory
    files.mark_incomplete(target, directory, "a test")
    files.remove_control(target, directory)
    with hold_backup(source, from_directory, label="a test", cancel=cancel) as backup:
        synced = rsync.sync_data_directory(
            target,
            source,
            source_directory=from_directory,
            target_directory=directory,
            bandwidth=bandwidth,
            on_progress=on_progress,
            cancel=cancel,
        )
        backup.check()
        control = rsync.read_control(source, from_directory)
        write_backup_files(target, directory, backup.finish())
        pair.follow()
        rsync.put_control(target, directory, control)
        pair.start_and_stream()
    return synced
