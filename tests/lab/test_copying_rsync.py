"""The block-wise copy under a held backup: what it leaves alone, and how it fails."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from herds.errors import (
    CommandFailed,
    OperationCancelled,
    OutcomeUnknown,
    PreconditionFailed,
)
from herds.postgres import backup_session, files, rsync
from herds.postgres.backup_session import BackupLost, HeldBackup
from herds.postgres.lock import end_orphaned_copies
from herds.postgres.pull import pull
from tests.lab.copies import (
    NAME,
    Copies,
    Pair,
    copies_of,
    copy_what_differs,
    diverge,
    herd,
    written_to,
)
from tests.lab.polling import eventually

SLOW = 200_000  # bytes a second: a copy that takes half a minute


@pytest.fixture(scope="module")
def copies() -> Iterator[Copies]:
    odd = "/var/lib/postgresql/O'Brien's box/spaces"
    with copies_of(
        herd("trade", 5432), herd("spaces", 5433, "15", "plain", odd)
    ) as made:
        yield made


@pytest.fixture
def pair(copies: Copies) -> Iterator[Pair]:
    """A stopped, diverged target and its source, which differ in megabytes.

    The target is brought back after a test that does not do so itself.
    """
    made = diverge(copies, "trade", rows=20_000)
    yield made
    if not made.target.look().answers:
        copy_what_differs(made)


def assert_clean(pair: Pair) -> None:
    """See that nothing of a copy runs on either host, nor waits on the source."""
    for cluster in (pair.target, pair.source):
        eventually(lambda c=cluster: not pair.programs(c), f"{cluster.host} is idle")  # type: ignore[misc]
    eventually(lambda: pair.source.probe().slots == (), "no slot is left")
    assert pair.sessions() == 0


def assert_cannot_start(pair: Pair) -> None:
    """See that the target is marked, and that no server comes up from it."""
    seen = pair.target.probe()
    assert seen.is_incomplete
    assert seen.control is None
    acted = pair.target.act("start")
    assert acted.status != 0
    assert not acted.seen.is_running


def test_a_cancelled_copy_leaves_nothing_behind_and_can_be_run_again(
    pair: Pair,
) -> None:
    cancel = threading.Event()

    with pytest.raises(OperationCancelled):
        copy_what_differs(
            pair,
            bandwidth=SLOW,
            cancel=cancel,
            on_progress=lambda done, total, rate: cancel.set(),
        )

    assert_clean(pair)
    assert_cannot_start(pair)
    with written_to(pair.source):
        copy_what_differs(pair)
    pair.prove_equal()


def test_a_lost_backup_ends_the_copy_at_once(pair: Pair) -> None:
    def lose(done: int, total: int, rate: float) -> None:
        pair.source.psql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            f" WHERE application_name = '{NAME}';"
        )

    with pytest.raises(BackupLost, match="terminating connection"):
        copy_what_differs(pair, bandwidth=SLOW, on_progress=lose)

    assert_clean(pair)
    assert_cannot_start(pair)
    copy_what_differs(pair)
    pair.prove_equal()


def test_a_restarted_source_ends_the_copy(pair: Pair) -> None:
    def restart(backup: HeldBackup) -> None:
        pair.source.act("stop")
        pair.source.act("start")
        with pytest.raises(BackupLost):
            eventually(lambda: bool(backup.check()), "the backup is lost")

    with pytest.raises(BackupLost, match=f"PostgreSQL runs on {pair.source.host}"):
        copy_what_differs(pair, on_backup=restart)

    assert_clean(pair)
    assert_cannot_start(pair)
    copy_what_differs(pair)
    pair.prove_equal()


WORKER = f"""
import sys
from lab import Lab
from tests.lab.copies import Copies, Pair, copy_what_differs
lab = Lab(sys.argv[1])
with lab.inside("control"):
    copies = Copies(lab)
    target, source = (copies.cluster("trade", host) for host in sys.argv[2:])
    copy_what_differs(Pair(copies, "trade", target, source), bandwidth={SLOW})
"""


def test_a_killed_worker_leaves_nothing_that_copies(copies: Copies, pair: Pair) -> None:
    argv = [sys.executable, "-c", WORKER, copies.lab.name]
    worker = subprocess.Popen([*argv, pair.target.host, pair.source.host])
    try:
        eventually(
            lambda: "rsync" in pair.programs(pair.source), "the copy is under way"
        )
    finally:
        worker.kill()
        worker.wait()

    assert_clean(pair)
    assert_cannot_start(pair)
    copy_what_differs(pair)
    pair.prove_equal()


@pytest.mark.parametrize("cut_off", ["source", "target"])
def test_a_host_that_is_cut_off_ends_the_copy(
    copies: Copies, pair: Pair, cut_off: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What the server does by itself with a session that gives no sign of life.
    monkeypatch.setitem(backup_session.SETTINGS, "idle_session_timeout", "5s")
    host = getattr(pair, cut_off).host

    def signal_sessions(name: str) -> None:
        argv = ["pkill", f"-{name}", "-f", "^sshd: postgres@"]
        copies.lab.exec(pair.target.host, argv)

    try:
        with pytest.raises((OutcomeUnknown, BackupLost), match="connection was lost"):
            copy_what_differs(
                pair,
                bandwidth=SLOW,
                on_progress=lambda done, total, rate: copies.lab.cut(host),
            )
    finally:
        if cut_off == "target":
            # It would learn that nobody listens with the first packet that gets
            # through again, which the kernel sends at a moment of its own choice.
            signal_sessions("STOP")
        copies.lab.heal(host)

    eventually(lambda: pair.sessions() == 0, "the source's session has ended")
    eventually(lambda: pair.source.probe().slots == (), "no slot is left")
    assert_cannot_start(pair)
    orphans = end_orphaned_copies(pair.target.shell, pair.directory)
    assert (orphans > 0) == (cut_off == "target"), "it does not know yet"
    if cut_off == "target":
        signal_sessions("CONT")
    eventually(lambda: not pair.programs(pair.target), "no copy is at work")
    copy_what_differs(pair)
    pair.prove_equal()


def test_a_second_copy_into_the_same_directory_is_refused(pair: Pair) -> None:
    cancel, refusals = threading.Event(), []

    def try_another(done: int, total: int, rate: float) -> None:
        if cancel.is_set():
            return
        with pytest.raises(PreconditionFailed) as refused:
            rsync.sync_data_directory(
                pair.target.shell,
                pair.source.shell,
                source_directory=pair.directory,
                target_directory=pair.directory,
            )
        refusals.append(refused.value.message)
        cancel.set()

    with pytest.raises(OperationCancelled):
        copy_what_differs(pair, bandwidth=SLOW, cancel=cancel, on_progress=try_another)

    assert "Something else copies into" in refusals[0]


def test_a_read_only_file_is_brought_up_to_date(pair: Pair) -> None:
    relation = pair.source.psql("SELECT pg_relation_filepath('filler');")
    pair.target.shell.run(["chmod", "0400", f"{pair.directory}/{relation}"])

    copy_what_differs(pair)

    pair.prove_equal()


def test_blocks_written_in_the_same_tick_of_a_clock_are_not_passed_over(
    pair: Pair,
) -> None:
    relation = pair.source.psql("SELECT pg_relation_filepath('filler');")
    path = f"{pair.directory}/{relation}"
    pair.source.psql("CHECKPOINT;")
    # The target's file is as long as the source's, of the same time, and another.
    size = pair.source.shell.run(["stat", "-c", "%s %.9Y", path]).stdout.split()
    spoil = (
        'truncate -s "$2" "$1" &&'
        ' printf spoilt | dd of="$1" bs=8192 seek=3 conv=notrunc'
    )
    pair.target.shell.run(["sh", "-c", spoil, "sh", path, size[0]])
    for cluster in (pair.source, pair.target):
        cluster.shell.run(["touch", "-d", f"@{size[1]}", path])

    copy_what_differs(pair)

    pair.prove_equal()


def test_a_full_disk_is_named_with_the_file(copies: Copies, pair: Pair) -> None:
    small = "/var/lib/postgresql/small"
    host = pair.target.host
    copies.lab.exec(host, ["mkdir", "-p", small])
    copies.lab.exec(
        host, ["mount", "-t", "tmpfs", "-o", "size=4m,uid=postgres", "tmpfs", small]
    )

    try:
        with pytest.raises(CommandFailed) as full:
            pull(
                pair.target.shell,
                pair.source.shell,
                source_directory=f"{pair.directory}/base",
                target_directory=small,
            )
    finally:
        copies.lab.exec(host, ["umount", small])

    assert full.value.host == host
    assert "No space left on device" in full.value.message
    assert small in full.value.message
    assert full.value.hint == f"Make room on {host}, then try again."


def test_what_the_source_cannot_read_is_named_with_its_host(pair: Pair) -> None:
    path = f"{pair.directory}/base/unreadable"
    pair.source.shell.run(["sh", "-c", 'echo x >"$1" && chmod 000 "$1"', "sh", path])

    try:
        with pytest.raises(CommandFailed) as failed:
            copy_what_differs(pair)
    finally:
        pair.source.shell.run(["rm", path])

    assert failed.value.host == pair.source.host
    assert path in failed.value.message
    assert "Permission denied" in failed.value.message
    assert_clean(pair)
    assert_cannot_start(pair)


def test_tablespaces_and_a_linked_wal_directory_are_followed(copies: Copies) -> None:
    for host in ("ele01", "ele02"):
        copies.cluster("spaces", host).shell.run(
            ["mkdir", "-p", "/var/lib/postgresql/fast disk", "/var/lib/postgresql/wal"]
        )
    primary = copies.cluster("spaces", "ele01")
    primary.psql("CREATE TABLESPACE fast LOCATION '/var/lib/postgresql/fast disk';")
    primary.psql(
        "CREATE TABLE far TABLESPACE fast AS SELECT repeat('x', 500) AS t"
        " FROM generate_series(1, 2000);"
    )
    pair = diverge(copies, "spaces")
    link_wal(pair)
    pair.source.psql("INSERT INTO far SELECT 'more' FROM generate_series(1, 500);")
    # As if it had never been there.
    pair.target.shell.run(
        [
            "sh",
            "-c",
            'rm -r "$1"/* && rm "$2"/pg_tblspc/*',
            "sh",
            "/var/lib/postgresql/fast disk",
            pair.directory,
        ]
    )

    with written_to(pair.source):
        copy_what_differs(pair)

    pair.prove_equal()
    count = "SELECT count(*) FROM far;"
    assert pair.target.psql(count) == pair.source.psql(count) == "2500"
    assert pair.target.probe().wal_link == "/var/lib/postgresql/wal"
    assert pair.source.probe().wal_link == ""


def link_wal(pair: Pair) -> None:
    move = (
        'cp -a "$1"/pg_wal/. /var/lib/postgresql/wal/ && rm -r "$1"/pg_wal &&'
        ' ln -s /var/lib/postgresql/wal "$1"/pg_wal'
    )
    pair.target.shell.run(["sh", "-c", move, "sh", pair.directory])


def test_an_estimate_foresees_what_differs_and_changes_nothing(pair: Pair) -> None:
    before = pair.target.probe()

    estimate = rsync.estimate(
        pair.target.shell,
        pair.source.shell,
        source_directory=pair.directory,
        target_directory=pair.directory,
    )

    after = pair.target.probe()
    assert (before.files, before.control) == (after.files, after.control)
    copied = copy_what_differs(pair)
    assert 0 < copied.literal < copied.received < estimate.differing <= estimate.total
    # What the backup itself writes on the source comes on top.
    assert copied.differing >= estimate.differing


def test_a_copy_without_its_label_never_gets_a_control_file(pair: Pair) -> None:
    control = rsync.read_control(pair.source.shell, pair.directory)
    files.remove_control(pair.target.shell, pair.directory)

    with pytest.raises(PreconditionFailed, match="has no backup_label"):
        rsync.put_control(pair.target.shell, pair.directory, control)

    assert pair.target.probe().control is None
