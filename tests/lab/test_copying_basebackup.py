"""Base backups: what an interrupted one leaves, tablespaces, and why they fail."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace

import pytest

from herds.errors import (
    CommandFailed,
    OperationCancelled,
    OutcomeUnknown,
    PreconditionFailed,
)
from herds.postgres import basebackup, files
from herds.postgres.copy_source import CopySource, bin_directory
from tests.lab.copies import (
    Copies,
    Pair,
    copies_of,
    copy_everything,
    copy_what_differs,
    diverge,
    herd,
)
from tests.lab.polling import eventually

SLOW = 100_000  # bytes a second: a copy that takes minutes


@pytest.fixture(scope="module")
def copies() -> Iterator[Copies]:
    with copies_of(herd("trade", 5432), herd("spaces", 5433, "18", "plain")) as made:
        yield made


@pytest.fixture
def pair(copies: Copies) -> Iterator[Pair]:
    """A stopped, diverged target and its source; brought back after the test."""
    made = diverge(copies, "trade")
    yield made
    if not made.target.look().answers:
        copy_everything(made)


def assert_nothing_left(pair: Pair) -> None:
    """See that nothing of a copy runs on either host, nor waits on the source."""
    eventually(lambda: not pair.programs(pair.target), "the target is idle")
    eventually(lambda: pair.source.probe().slots == (), "no slot is left")
    going_on = "SELECT count(*) FROM pg_stat_progress_basebackup;"
    eventually(lambda: pair.source.psql(going_on) == "0", "no backup is under way")


def assert_incomplete(pair: Pair) -> None:
    """See that what lies there is known for what it is, and does not start."""
    seen = pair.target.probe()
    assert seen.is_incomplete
    assert seen.control is None
    assert "standby.signal" in seen.files
    assert not pair.target.act("start").seen.is_running


def test_a_cancelled_copy_is_known_for_what_it_is_and_can_be_run_again(
    pair: Pair,
) -> None:
    cancel = threading.Event()

    with pytest.raises(OperationCancelled):
        copy_everything(
            pair,
            max_rate=SLOW,
            cancel=cancel,
            on_progress=lambda done, total, rate: cancel.set(),
        )

    assert_nothing_left(pair)
    assert_incomplete(pair)
    copy_everything(pair)
    pair.prove_equal()


def test_an_interrupted_copy_can_be_gone_on_with_by_what_differs(pair: Pair) -> None:
    cancel = threading.Event()
    with pytest.raises(OperationCancelled):
        copy_everything(
            pair,
            max_rate=SLOW,
            cancel=cancel,
            on_progress=lambda done, total, rate: cancel.set(),
        )

    copy_what_differs(pair)

    pair.prove_equal()


def test_a_host_that_dies_during_a_copy_comes_up_without_a_primary(
    copies: Copies, pair: Pair
) -> None:
    started, failures = threading.Event(), []

    def run() -> None:
        try:
            copy_everything(
                pair,
                max_rate=SLOW,
                on_progress=lambda done, total, rate: started.set(),
            )
        except OutcomeUnknown as unknown:
            failures.append(unknown)

    copying = threading.Thread(target=run)
    copying.start()
    assert started.wait(30)
    copies.lab.kill(pair.target.host)
    copying.join()
    copies.lab.boot(pair.target.host)

    assert len(failures) == 1
    assert_nothing_left(pair)
    assert_incomplete(pair)


IMPATIENT = {
    "tcp_user_timeout": "2000",
    "keepalives_idle": "1",
    "keepalives_interval": "1",
    "keepalives_count": "2",
    "options": (
        "-c tcp_user_timeout=2000 -c tcp_keepalives_idle=1"
        " -c tcp_keepalives_interval=1 -c tcp_keepalives_count=2"
    ),
}


def test_hosts_that_lose_each_other_notice_it_on_both_sides(
    copies: Copies, pair: Pair
) -> None:
    lab, target = copies.lab, pair.target.host
    directory = "/var/lib/postgresql/15/parted"
    files.make_empty_directory(pair.target.shell, directory)
    going_on = "SELECT count(*) FROM pg_stat_progress_basebackup;"

    try:
        with pytest.raises(CommandFailed, match="pg_basebackup"):
            basebackup.base_backup(
                pair.target.shell,
                bin_directory=pair.target.probe().bin_directory,
                data_directory=directory,
                source=replace(pair.peer, options=IMPATIENT),
                label="a test",
                major="15",
                max_rate=SLOW,
                on_progress=lambda done, total, rate: lab.partition(
                    [target], [pair.source.host]
                ),
            )
        eventually(lambda: pair.source.psql(going_on) == "0", "the backup has ended")
        eventually(lambda: pair.source.probe().slots == (), "its slot has gone")
    finally:
        lab.heal()


# Copies as the real one does, and then takes for ever to have all of it on disk.
NEVER_ON_DISK = """\
#!/bin/sh
$0.real "$@" && exec sleep 600
"""


def test_a_copy_that_is_not_yet_on_disk_cannot_be_started(pair: Pair) -> None:
    target, programs = pair.target.shell, "/var/lib/postgresql/endless"
    make = (
        'mkdir "$1" && cd "$1" && ln -s "$2/pg_basebackup" pg_basebackup.real'
        " && cat >pg_basebackup && chmod 755 pg_basebackup"
    )
    tools = pair.target.probe().bin_directory
    target.run(["sh", "-c", make, "sh", programs, tools], stdin=NEVER_ON_DISK.encode())
    cancel = threading.Event()

    def run() -> None:
        with pytest.raises(OperationCancelled):
            copy_everything(pair, bin_directory=programs, cancel=cancel)

    copying = threading.Thread(target=run)
    copying.start()

    def has_all() -> bool:
        seen = pair.target.probe()
        return seen.is_incomplete and seen.control is not None

    eventually(has_all, "all has come")

    acted = pair.target.act("start")
    assert acted.status != 0
    assert not acted.seen.is_running
    assert pair.target.probe().is_incomplete
    cancel.set()
    copying.join()

    assert_nothing_left(pair)
    assert_incomplete(pair)


def test_progress_tells_bytes_of_all_bytes(pair: Pair) -> None:
    told: list[tuple[int, int]] = []

    copied = copy_everything(
        pair, on_progress=lambda done, total, rate: told.append((done, total))
    )

    assert told[-1] == (copied.bytes, copied.bytes)
    size = int(pair.source.psql("SELECT sum(pg_database_size(oid)) FROM pg_database;"))
    assert copied.bytes > size
    pair.prove_equal()


def test_a_password_that_is_wrong_is_told_and_nothing_is_there(pair: Pair) -> None:
    directory = "/var/lib/postgresql/15/new"
    target = pair.target.shell
    files.make_empty_directory(target, directory)
    peer = pair.peer
    wrong = CopySource(host=peer.host, port=peer.port, user=peer.user, password="no")

    with pytest.raises(CommandFailed, match="password authentication failed"):
        basebackup.base_backup(
            target,
            bin_directory=pair.target.probe().bin_directory,
            data_directory=directory,
            source=wrong,
            label="a test",
            major="15",
        )

    files.make_empty_directory(target, directory)


def test_a_directory_that_holds_something_is_not_touched(pair: Pair) -> None:
    before = pair.target.probe()

    with pytest.raises(PreconditionFailed, match="is not empty"):
        files.make_empty_directory(pair.target.shell, pair.directory)
    with pytest.raises(PreconditionFailed, match="is not empty"):
        basebackup.base_backup(
            pair.target.shell,
            bin_directory=before.bin_directory,
            data_directory=pair.directory,
            source=pair.peer,
            label="a test",
            major="15",
        )

    after = pair.target.probe()
    assert (after.control, after.files) == (before.control, before.files)


def test_only_the_cluster_that_is_meant_is_deleted(pair: Pair) -> None:
    before = pair.target.probe()

    with pytest.raises(PreconditionFailed, match="belongs to another cluster"):
        files.clear_directory(pair.target.shell, pair.directory, "7000000000000000000")
    with pytest.raises(PreconditionFailed, match="PostgreSQL runs in"):
        files.clear_directory(
            pair.source.shell, pair.directory, before.system_identifier
        )
    with pytest.raises(PreconditionFailed, match="has no PG_VERSION"):
        files.clear_directory(
            pair.target.shell, "/var/lib/postgresql", before.system_identifier
        )

    assert pair.target.probe().control == before.control


def test_a_full_disk_is_told_and_what_was_written_is_marked(
    copies: Copies, pair: Pair
) -> None:
    small, host = "/var/lib/postgresql/small", pair.target.host
    options = "size=8m,uid=postgres,mode=0700"
    copies.lab.exec(host, ["mkdir", "-p", small])
    copies.lab.exec(host, ["mount", "-t", "tmpfs", "-o", options, "tmpfs", small])
    tools = bin_directory(pair.target.probe(), "15")

    try:
        files.make_empty_directory(pair.target.shell, f"{small}/data")
        with pytest.raises(CommandFailed, match="No space left on device"):
            basebackup.base_backup(
                pair.target.shell,
                bin_directory=tools,
                data_directory=f"{small}/data",
                source=pair.peer,
                label="a test",
                major="15",
            )
        marker = f"{small}/data/{files.INCOMPLETE}"
        assert files.read_small(pair.target.shell, marker) is not None
        files.clear_directory(pair.target.shell, f"{small}/data", "1")
        files.make_empty_directory(pair.target.shell, f"{small}/data")
        pair.target.shell.run(
            ["sh", "-c", f"rm -r {small}/data; echo 15 >{small}/PG_VERSION"]
        )
        with pytest.raises(PreconditionFailed, match="root of a mounted file system"):
            files.clear_directory(pair.target.shell, small, "1")
    finally:
        copies.lab.exec(host, ["umount", small])


def test_tablespaces_can_go_elsewhere(copies: Copies) -> None:
    for host in ("ele01", "ele02"):
        copies.cluster("spaces", host).shell.run(
            ["mkdir", "-p", "/var/lib/postgresql/old = fast"]
        )
    copies.cluster("spaces", "ele01").psql(
        "CREATE TABLESPACE fast LOCATION '/var/lib/postgresql/old = fast';"
    )
    copies.cluster("spaces", "ele01").psql(
        "CREATE TABLE far TABLESPACE fast AS SELECT generate_series(1, 1000) AS n;"
    )
    pair = diverge(copies, "spaces")
    seen = pair.target.probe()
    files.clear_directory(pair.target.shell, pair.directory, seen.system_identifier)
    left = pair.target.shell.run(["ls", "-A", "/var/lib/postgresql/old = fast"])
    assert left.stdout == ""

    basebackup.base_backup(
        pair.target.shell,
        bin_directory=bin_directory(seen),
        data_directory=pair.directory,
        source=pair.peer,
        label="a test",
        major="18",
        tablespaces={"/var/lib/postgresql/old = fast": "/var/lib/postgresql/new=fast"},
    )
    pair.follow()
    pair.start_and_stream()

    pair.prove_equal()
    (tablespace,) = pair.target.probe().tablespaces
    assert tablespace.path == "/var/lib/postgresql/new=fast"
    assert pair.target.psql("SELECT count(*) FROM far;") == "1000"
