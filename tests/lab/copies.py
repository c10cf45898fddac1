"""Diverged clusters of a lab, what it takes to copy one, and what proves the copy."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from herds.domain.probe import Probe
from herds.errors import ElephaasError
from herds.postgres import basebackup, files, replication, rewind, rsync
from herds.postgres.backup_session import (
    HeldBackup,
    hold_backup,
    hold_wal,
    write_backup_files,
)
from herds.postgres.basebackup import Copied
from herds.postgres.cluster import Cluster
from herds.postgres.commands import CommandTemplates
from herds.postgres.copy_source import CopySource
from herds.postgres.local_files import keep_local_files, restore_local_files
from herds.postgres.meter import Progress
from herds.postgres.pull import Synced
from herds.postgres.rewind import Rewound
from herds.postgres.streaming import await_streaming
from lab import HerdSpec, Layout
from lab.layout import Packaging
from tests.lab.polling import eventually
from tests.lab.replicas import Replicas, replicas_of

ROWS = 2000
NAME = "a test"
"""What a copy's session is called on its source."""

_PG_CTL = {
    "debian": (
        "/usr/lib/postgresql/{version[0]}/bin/pg_ctl -D {pgdata} -o '-c config_file="
        "/etc/postgresql/{version[0]}/{inst.herd.base_name}/postgresql.conf'"
    ),
    "plain": "/usr/lib/postgresql/{version[0]}/bin/pg_ctl -D {pgdata}",
    "rhel": "/usr/pgsql-{version[0]}/bin/pg_ctl -D {pgdata}",
}
"""Debian's own command sleeps for two seconds at every start."""

_SUMS = """
SELECT count(*), sum(hashtext(f::text)::bigint) FROM filler f;
SELECT count(*), sum(hashtext(w::text)::bigint) FROM written w;
"""


def herd(
    name: str,
    port: int,
    version: str = "15",
    packaging: Packaging = "debian",
    data_root: str = "",
    members: tuple[str, ...] = ("ele01", "ele02"),
) -> HerdSpec:
    """Describe a herd, of a primary and a standby unless told otherwise."""
    return HerdSpec(
        name=name,
        environment="prod",
        port=port,
        members=members,
        data_root=data_root or f"/var/lib/postgresql/{version}/{name}",
        packaging=packaging,
        version=version,
    )


@contextmanager
def copies_of(*herds: HerdSpec) -> Iterator[Copies]:
    """Make a lab of the hosts that some herds need, and end it afterwards."""
    hosts = tuple(sorted({host for spec in herds for host in spec.members}))
    with replicas_of(Layout(hosts=hosts, herds=herds)) as made:
        copies = Copies(made.lab)
        try:
            yield copies
        finally:
            copies.close()


class Copies(Replicas):
    """The clusters of a lab's herds, each started as its packaging needs."""

    def cluster(self, herd: str, host: str) -> Cluster:
        made, base = (
            super().cluster(herd, host),
            _PG_CTL[self.lab.herds[herd].packaging],
        )
        return Cluster(
            made.ref,
            made.shell,
            CommandTemplates(
                {
                    "base": base,
                    "start": "{COMMANDS[base]} -w -t 30 -l {pgdata}.log start",
                    "stop": "{COMMANDS[base]} -w -m fast stop",
                    "reload": "{COMMANDS[base]} reload",
                    "promote": "{COMMANDS[base]} -w promote",
                    "init": "false",
                }
            ),
            made.clock,
            command_timeout=60.0,
        )


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

    def catalog_directory(self) -> str:
        """What a tablespace's directory of this version is called."""
        seen = self.source.probe()
        assert seen.control is not None
        major = seen.seen.version.partition(".")[0]
        return rsync.catalog_directory(major, seen.control.catalog_version)

    def local_settings(self) -> str:
        """What the target's own configuration inside its data directory says."""
        shown = 'cd "$1" && cat postgresql.conf pg_hba.conf 2>/dev/null'
        argv = ["sh", "-c", shown, "sh", self.directory]
        return self.target.shell.run(argv, ok=(0, 1)).stdout

    def programs(self, cluster: Cluster) -> str:
        """Give the programs of a copy that run on a cluster's host."""
        names = "rsync|pg_rewind|pg_basebackup|psql"
        argv = ["pgrep", "-l", "-x", names]
        return cluster.shell.run(argv, ok=(0, 1)).stdout

    def sessions(self) -> int:
        """Count the source's sessions that hold it ready for a copy."""
        return int(
            self.source.psql(
                "SELECT count(*) FROM pg_stat_activity"
                f" WHERE application_name = '{NAME}';"
            )
        )

    def follow(self) -> None:
        """Have the target follow the source by its own name."""
        host = self.target.host
        upstream = self.replicas.upstream(self.herd, host, name=self.peer.host)
        replication.follow(self.target, upstream)

    def start_and_stream(self) -> None:
        """Start the target, see it stream from the source, and take the marker away."""
        files.enable(self.target.shell, self.directory)
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
    for cluster in (primary, standby):
        _sign_settings(cluster)
    return Pair(replicas, herd, target=primary, source=standby)


def _sign_settings(cluster: Cluster) -> None:
    """Make each node's own configuration unlike all others."""
    sign = (
        'cd "$1" && for each in postgresql.conf pg_hba.conf; do'
        ' [ ! -e $each ] || echo "# of $2" >>$each; done'
    )
    argv = ["sh", "-c", sign, "sh", cluster.ref.data_directory, cluster.host]
    cluster.shell.run(argv)


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
    on_backup: Callable[[HeldBackup], None] = lambda backup: None,
    on_progress: Progress = lambda done, total, rate: None,
) -> Synced:
    """Go the whole way of the block-wise copy, until it streams."""
    target, source = pair.target.shell, pair.source.shell
    directory, from_directory = pair.directory, pair.source.ref.data_directory
    files.mark_incomplete(target, directory, NAME)
    files.remove_control(target, directory)
    keep_local_files(target, directory)
    restore_local_files(target, directory)
    with hold_backup(source, from_directory, label=NAME, cancel=cancel) as backup:
        on_backup(backup)

        def watch(done: int, total: int, rate: float) -> None:
            backup.check()
            on_progress(done, total, rate)

        synced = rsync.sync_data_directory(
            target,
            source,
            source_directory=from_directory,
            target_directory=directory,
            bandwidth=bandwidth,
            on_progress=watch,
            cancel=cancel,
        )
        for tablespace in pair.source.probe().tablespaces:
            rsync.sync_tablespace(
                target,
                source,
                oid=tablespace.oid,
                catalog_directory=pair.catalog_directory(),
                source_path=tablespace.path,
                target_path=tablespace.path,
                target_directory=directory,
            )
        backup.check()
        control = rsync.read_control(source, from_directory)
        write_backup_files(target, directory, backup.finish())
        pair.follow()
        rsync.put_control(target, directory, control)
        pair.start_and_stream()
    return synced


def rewind_it(
    pair: Pair,
    *,
    bin_directory: str = "",
    cancel: threading.Event | None = None,
) -> Rewound:
    """Go the whole way of the rewind, until it streams."""
    target, seen = pair.target.shell, pair.target.probe()
    keep_local_files(target, pair.directory)
    rewind.checkpoint(pair.source)
    source = pair.source
    with hold_wal(source.shell, source.ref.data_directory, name="a test"):
        rewound = rewind.rewind(
            target,
            bin_directory=bin_directory or seen.bin_directory,
            data_directory=pair.directory,
            source=pair.peer,
            config_file=seen.config_file,
            words=NAME,
            cancel=cancel,
        )
        restore_local_files(target, pair.directory)
        pair.follow()
        pair.start_and_stream()
    return rewound


def copy_everything(
    pair: Pair,
    *,
    bin_directory: str = "",
    max_rate: int = 0,
    cancel: threading.Event | None = None,
    on_progress: Progress = lambda done, total, rate: None,
) -> Copied:
    """Go the whole way of the base backup, until it streams."""
    target, seen = pair.target.shell, pair.target.probe()
    keep_local_files(target, pair.directory)
    files.clear_directory(target, pair.directory, pair.source.probe().system_identifier)
    files.make_empty_directory(target, pair.directory)
    copied = basebackup.base_backup(
        target,
        bin_directory=bin_directory or seen.bin_directory,
        data_directory=pair.directory,
        source=pair.peer,
        label=NAME,
        major=seen.seen.version.partition(".")[0],
        words=NAME,
        max_rate=max_rate,
        on_progress=on_progress,
        cancel=cancel,
    )
    restore_local_files(target, pair.directory)
    pair.follow()
    pair.start_and_stream()
    return copied
