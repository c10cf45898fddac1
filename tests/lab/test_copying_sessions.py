"""Held backups and held WAL: on primaries and standbys, their ends, and small files."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from herds.errors import (
    CommandFailed,
    OperationCancelled,
    OutcomeUnknown,
    PreconditionFailed,
)
from herds.postgres import files
from herds.postgres.backup_session import BackupLost, hold_backup, hold_wal
from herds.postgres.cluster import Cluster
from herds.postgres.local_files import keep_local_files, restore_local_files
from herds.postgres.streaming import await_streaming
from tests.lab.copies import (
    NAME,
    Copies,
    Pair,
    copies_of,
    copy_everything,
    copy_what_differs,
    herd,
    stop,
)
from tests.lab.polling import eventually

SESSIONS = f"SELECT count(*) FROM pg_stat_activity WHERE application_name = '{NAME}';"
MEMBERS = ("ele01", "ele02", "ele03")


@pytest.fixture(scope="module")
def copies() -> Iterator[Copies]:
    with copies_of(
        herd("trade", 5432, members=MEMBERS),
        herd("d14", 5433, "14", members=MEMBERS),
        herd("odd", 5434, "18", "plain", "/var/lib/postgresql/it's odd/data"),
    ) as made:
        yield made


@pytest.fixture(params=["trade", "d14"])
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def primary(copies: Copies, name: str) -> Cluster:
    return copies.cluster(name, "ele01")


def held_files(cluster: Cluster) -> tuple[str, str]:
    directory = cluster.ref.data_directory
    with hold_backup(cluster.shell, directory, label="it's a test\\") as backup:
        backup.check()
        given = backup.finish()
        label = given.label.decode()
        assert f"START WAL LOCATION: {backup.start} " in label
        assert f"START TIMELINE: {backup.timeline}\n" in label
        assert given.stop > backup.start
        assert given.tablespace_map == b""
        assert backup.keeps_wal
    return label, "standby" if backup.in_recovery else "primary"


@pytest.mark.parametrize("host", ["ele01", "ele02"])
def test_a_backup_is_held_and_ended_on_a_primary_and_on_a_standby(
    copies: Copies, name: str, host: str
) -> None:
    cluster = copies.cluster(name, host)

    label, role = held_files(cluster)

    assert "LABEL: it's a test\\\n" in label
    assert f"BACKUP FROM: {role}\n" in label
    assert label.endswith("\n")
    eventually(lambda: cluster.probe().slots == (), "the slot has gone")


def test_leaving_without_an_end_aborts_the_backup(primary: Cluster) -> None:
    directory = primary.ref.data_directory

    with hold_backup(primary.shell, directory, label=NAME):
        assert primary.psql(SESSIONS) == "1"
        assert [slot.is_temporary for slot in primary.probe().slots] == [True]

    eventually(lambda: primary.probe().slots == (), "the slot has gone")
    sessions = "SELECT count(*) FROM pg_stat_activity WHERE application_name = '{NAME}'"
    eventually(lambda: primary.psql(f"{sessions};") == "0", "the session has gone")


def test_wal_is_kept_while_it_is_held(primary: Cluster) -> None:
    oldest = (
        "SELECT min(name) FROM pg_ls_waldir() WHERE length(name) = 24"
        " AND name >= pg_walfile_name('{}');"
    )
    churn = "SELECT pg_switch_wal(); CHECKPOINT;"
    churn = f"CREATE TABLE IF NOT EXISTS c (); {churn} DROP TABLE c;"
    primary.psql("ALTER SYSTEM SET wal_keep_size = 0; SELECT pg_reload_conf();")
    directory = primary.ref.data_directory

    with hold_wal(primary.shell, directory, name=NAME) as held:
        here = primary.psql("SELECT pg_current_wal_lsn();")
        first = primary.psql(oldest.format(here))
        for _ in range(20):
            primary.psql(churn)
        assert primary.psql(oldest.format(here)) == first
        held.check()
        assert held.keeps_wal
        assert not held.in_recovery

    primary.psql("ALTER SYSTEM RESET wal_keep_size; SELECT pg_reload_conf();")


def test_a_server_without_a_free_slot_is_held_without_one(copies: Copies) -> None:
    primary = copies.cluster("odd", "ele01")
    primary.psql("ALTER SYSTEM SET max_replication_slots = 1;")
    stop(primary)
    primary.act("start")
    primary.psql("SELECT pg_create_physical_replication_slot('only');")

    with hold_backup(primary.shell, primary.ref.data_directory, label=NAME) as backup:
        assert not backup.keeps_wal
        assert backup.finish().stop > backup.start

    primary.psql(
        "SELECT pg_drop_replication_slot('only');"
        "ALTER SYSTEM RESET max_replication_slots;"
    )


def test_a_long_checkpoint_can_be_given_up(copies: Copies) -> None:
    primary = copies.cluster("trade", "ele01")
    pid = primary.psql(
        "SELECT pid FROM pg_stat_activity WHERE backend_type = 'checkpointer';"
    )
    cancel = threading.Event()
    timer = threading.Timer(1.0, cancel.set)
    primary.shell.run(["kill", "-STOP", pid])
    timer.start()

    try:
        with (
            pytest.raises(OperationCancelled),
            hold_backup(
                primary.shell, primary.ref.data_directory, label=NAME, cancel=cancel
            ),
        ):
            pytest.fail("it cannot have begun")
    finally:
        timer.cancel()
        # What was waiting for the checkpoint has gone before it goes on.
        waiting = (
            "SELECT count(*) FROM pg_stat_activity"
            f" WHERE application_name = '{NAME}' AND state = 'active';"
        )
        eventually(lambda: primary.psql(waiting) == "0", "nobody waits any more")
        primary.shell.run(["kill", "-CONT", pid])

    eventually(lambda: primary.probe().slots == (), "the slot has gone")


def test_a_server_that_does_not_run_is_told(copies: Copies, primary: Cluster) -> None:
    with (
        pytest.raises(OutcomeUnknown, match="there is no data directory"),
        hold_backup(primary.shell, "/var/lib/postgresql/none", label=NAME),
    ):
        pytest.fail("it cannot have begun")
    standby = copies.cluster(primary.ref.herd_name, "ele03")
    stop(standby)
    with (
        pytest.raises(OutcomeUnknown, match="no server runs there"),
        hold_backup(standby.shell, standby.ref.data_directory, label=NAME),
    ):
        pytest.fail("it cannot have begun")
    standby.act("start")


@pytest.mark.parametrize("bring_back", [copy_what_differs, copy_everything])
def test_a_standby_gives_copies_too(
    copies: Copies, name: str, bring_back: object
) -> None:
    primary, source, target = (copies.cluster(name, host) for host in MEMBERS)
    await_streaming(source, primary, f"{name}_ele02", patience=30.0)
    primary.psql(
        "DROP TABLE IF EXISTS filler, written;"
        "CREATE TABLE written (at timestamptz DEFAULT now(), what text);"
        "CREATE TABLE filler AS SELECT n, md5(n::text) AS pad"
        " FROM generate_series(1, 5000) n;"
    )
    stop(target)
    primary.psql("UPDATE filler SET pad = pad || 'x';")
    pair = Pair(copies, name, target=target, source=source)
    eventually(
        lambda: (
            source.psql("SELECT count(*) FROM filler WHERE pad LIKE '%x';") == "5000"
        ),
        "the source has what is to be copied",
    )

    bring_back(pair)  # type: ignore[operator]

    pair.prove_equal()
    assert source.probe().slots == ()


def test_a_standby_that_is_promoted_gives_no_backup(copies: Copies) -> None:
    standby = copies.cluster("odd", "ele02")

    with hold_backup(standby.shell, standby.ref.data_directory, label=NAME) as backup:
        assert backup.in_recovery
        standby.act("promote")
        eventually(lambda: standby.look().in_recovery is False, "it is promoted")
        with pytest.raises(BackupLost, match="the standby was promoted"):
            backup.finish()


def test_small_files_are_written_whole_or_not_at_all(copies: Copies) -> None:
    shell = copies.cluster("trade", "ele01").shell
    shell.run(["mkdir", "-p", "/var/lib/postgresql/it's small"])
    path = "/var/lib/postgresql/it's small/$(id).conf"

    assert files.read_small(shell, path) is None
    files.write_atomically(shell, path, b"\0old\r\n\xff", mode=0o640)
    assert files.read_small(shell, path) == b"\0old\r\n\xff"
    large = bytes(range(256)) * 2000
    files.write_atomically(shell, path, large)
    assert files.read_small(shell, path) == large
    assert shell.run(["stat", "-c", "%a", path]).stdout == "600\n"
    link = f"{path}.link"
    shell.run(["ln", "-s", path, link])
    files.write_atomically(shell, link, b"through\n")
    assert files.read_small(shell, path) == b"through\n"
    assert shell.run(["test", "-L", link]).status == 0
    with pytest.raises(CommandFailed):
        files.write_atomically(shell, "/nowhere/x", b"y")
    files.remove(shell, path)
    files.remove(shell, path)
    assert files.read_small(shell, path) is None
    assert (
        shell.run(["ls", "/var/lib/postgresql/it's small"]).stdout
        == "$(id).conf.link\n"
    )


def test_a_running_cluster_keeps_its_control_file(primary: Cluster) -> None:
    with pytest.raises(PreconditionFailed, match="PostgreSQL runs in"):
        files.remove_control(primary.shell, primary.ref.data_directory)

    assert primary.probe().control is not None


def test_what_a_node_has_of_its_own_survives_interruptions(copies: Copies) -> None:
    shell = copies.cluster("trade", "ele01").shell
    directory = "/var/lib/postgresql/it's own"
    begin = (
        'mkdir -p "$1/conf.d" "$1/global" && cd "$1" && touch global/pg_control &&'
        " echo mine >postgresql.conf && echo mine >conf.d/a.conf &&"
        " echo key >server.key && chmod 400 server.key && ln -s /etc/hosts pg_hba.conf"
    )
    shell.run(["sh", "-c", begin, "sh", directory])
    keep_local_files(shell, directory)
    # A copy comes half-way, and the next run begins with what it left.
    spoil = (
        'cd "$1" && rm -rf -- * && mkdir conf.d && echo theirs >postgresql.conf &&'
        " echo theirs >conf.d/b.conf && touch elephaas.incomplete"
    )
    shell.run(["sh", "-c", spoil, "sh", directory])

    keep_local_files(shell, directory)
    restore_local_files(shell, directory)

    show = (
        'cd "$1" && cat postgresql.conf conf.d/* && stat -c %a server.key'
        " && readlink pg_hba.conf"
    )
    shown = shell.run(["sh", "-c", show, "sh", directory]).stdout
    assert shown == "mine\nmine\n400\n/etc/hosts\n"
    restore_local_files(shell, directory)
    again = shell.run(["sh", "-c", show, "sh", directory]).stdout
    assert again == shown, "there is nothing set aside any more"


def test_a_session_that_was_left_behind_makes_way(primary: Cluster) -> None:
    directory = primary.ref.data_directory

    with (
        hold_backup(primary.shell, directory, label=NAME) as left,
        hold_backup(primary.shell, directory, label=NAME) as held,
    ):
        eventually(lambda: primary.psql(SESSIONS) == "1", "the older one has gone")
        with pytest.raises(BackupLost):
            eventually(lambda: bool(left.check()), "it is lost")
        assert held.finish().stop > held.start
