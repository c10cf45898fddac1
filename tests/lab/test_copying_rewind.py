"""Rewinds: what speaks against one, what an interrupted one leaves, crashed targets."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from herds.errors import CommandFailed, OperationCancelled, PreconditionFailed
from herds.postgres import files, rewind
from herds.postgres.copy_source import (
    CopySource,
    connection_trouble,
    replication_trouble,
)
from tests.lab.copies import (
    Copies,
    Pair,
    copies_of,
    copy_what_differs,
    diverge,
    herd,
    rewind_it,
    stop,
)
from tests.lab.polling import eventually

# Behaves as pg_rewind until it has begun to change files, and then for ever.
STUCK = """\
#!/bin/sh
echo "pg_rewind: reading WAL in target" >&2
echo "pg_rewind: need to copy 5 MB (total source directory size is 28 MB)" >&2
echo "   24/5120 kB (0%) copied" >&2
exec sleep 600
"""


@pytest.fixture(scope="module")
def copies() -> Iterator[Copies]:
    odd = "/var/lib/postgresql/O'Brien's box/odd"
    with copies_of(
        herd("trade", 5432),
        herd("d14", 5433, "14"),
        herd("odd", 5434, "15", "plain", odd),
    ) as made:
        yield made


@pytest.fixture(params=["trade", "d14", "odd"])
def pair(copies: Copies, request: pytest.FixtureRequest) -> Iterator[Pair]:
    """A stopped, diverged target and its source; brought back after the test."""
    yield from brought_back(diverge(copies, request.param))


@pytest.fixture
def trade(copies: Copies) -> Iterator[Pair]:
    """The same, of Debian's packaging only."""
    yield from brought_back(diverge(copies, "trade"))


def brought_back(made: Pair) -> Iterator[Pair]:
    yield made
    if not made.target.look().answers:
        copy_what_differs(made)


@pytest.fixture
def stuck_programs(copies: Copies, trade: Pair) -> str:
    """A directory whose pg_rewind never ends; its other programs are the real ones."""
    real = trade.target.probe().bin_directory
    directory = "/var/lib/postgresql/stuck"
    make = (
        'mkdir -p "$1" && ln -sf "$2"/* "$1" && cd "$1" && rm pg_rewind'
        " && cat >pg_rewind && chmod 755 pg_rewind"
    )
    trade.target.shell.run(
        ["sh", "-c", make, "sh", directory, real],
        stdin=STUCK.encode(),
    )
    return directory


def crash(pair: Pair) -> None:
    """Start the old primary again, and end it as a power cut does."""
    pair.target.act("start")
    pair.target.psql("UPDATE filler SET pad = pad || 'crashed' WHERE n % 10 = 3;")
    cut_power(pair)


def cut_power(pair: Pair) -> None:
    """Kill all its processes; the postmaster sees none of its own die before it."""
    pid = pair.target.look().pid
    assert pid is not None
    kill = 'kill -STOP "$1"; pkill -9 -P "$1"; kill -9 "$1"'
    pair.target.shell.run(["sh", "-c", kill, "sh", str(pid)], ok=None)
    eventually(lambda: not pair.target.look().is_running, f"{pair.directory} is down")
    eventually(lambda: not pair.target.leftovers(), "its processes are gone")


def test_a_crashed_target_finishes_its_recovery_and_is_rewound(pair: Pair) -> None:
    crash(pair)
    seen = pair.target.probe()
    assert seen.control is not None
    assert seen.control.state == "in production"
    major = seen.seen.version.partition(".")[0]
    assert rewind.reasons_against(seen, major=major, config_file=seen.config_file) == ()

    rewound = rewind_it(pair)

    assert rewound.needed
    pair.prove_equal()


def test_a_crashed_standby_is_rewound_too(trade: Pair) -> None:
    # It follows nobody, and has WAL that its source never had.
    trade.target.shell.run(["touch", f"{trade.directory}/standby.signal"])
    trade.target.act("start")
    cut_power(trade)

    rewind_it(trade)

    trade.prove_equal()


def begun(pair: Pair) -> bool:
    return pair.target.probe().is_incomplete


def run_stuck(pair: Pair, programs: str, cancel: threading.Event) -> threading.Thread:
    def run() -> None:
        with pytest.raises(OperationCancelled):
            rewind_it(pair, bin_directory=programs, cancel=cancel)

    thread = threading.Thread(target=run)
    thread.start()
    eventually(lambda: begun(pair), "the rewind has begun to change something")
    return thread


def assert_cannot_start(pair: Pair) -> None:
    seen = pair.target.probe()
    assert seen.is_incomplete
    assert seen.control is None
    acted = pair.target.act("start")
    assert acted.status != 0
    assert not acted.seen.is_running


def test_a_cancelled_rewind_leaves_what_cannot_start(
    trade: Pair, stuck_programs: str
) -> None:
    cancel = threading.Event()
    rewinding = run_stuck(trade, stuck_programs, cancel)

    cancel.set()
    rewinding.join()

    assert trade.programs(trade.target) == ""
    eventually(lambda: trade.source.probe().slots == (), "no slot is left")
    assert_cannot_start(trade)
    seen = trade.target.probe()
    reasons = rewind.reasons_against(seen, major="15", config_file=seen.config_file)
    assert "did not end" in reasons[0]
    copy_what_differs(trade)
    trade.prove_equal()


# Behaves as pg_rewind until just before it changes something, and then for ever.
QUIET = """\
#!/bin/sh
echo "pg_rewind: reading WAL in target" >&2
touch ~/is-reading
exec sleep 600
"""


def test_a_rewind_that_is_cancelled_before_it_changes_something_changes_nothing(
    trade: Pair, stuck_programs: str
) -> None:
    target, before = trade.target.shell, trade.target.probe()
    target.run(
        ["sh", "-c", 'cat >"$1/pg_rewind"', "sh", stuck_programs], stdin=QUIET.encode()
    )
    cancel, failures = threading.Event(), []

    def run() -> None:
        try:
            rewind_it(trade, bin_directory=stuck_programs, cancel=cancel)
        except OperationCancelled as cancelled:
            failures.append(cancelled)

    rewinding = threading.Thread(target=run)
    rewinding.start()
    reads = ["sh", "-c", "test -e ~/is-reading"]
    eventually(lambda: target.run(reads, ok=(0, 1)).status == 0, "it reads")
    cancel.set()
    rewinding.join()

    assert len(failures) == 1
    after = trade.target.probe()
    assert (after.control, after.files) == (before.control, before.files)
    assert trade.target.act("start").seen.is_running
    stop(trade.target)


def test_nobody_starts_a_cluster_that_is_being_rewound(
    copies: Copies, trade: Pair, stuck_programs: str
) -> None:
    cancel = threading.Event()
    rewinding = run_stuck(trade, stuck_programs, cancel)

    # As Debian's unit would, and as a supervisor that runs pg_ctl itself would.
    debian = copies.lab.exec(
        trade.target.host, ["pg_ctlcluster", "15", "trade", "start"], check=False
    )
    direct = trade.target.act("start")

    assert debian.returncode != 0
    assert direct.status != 0
    assert not trade.target.look().is_running
    assert not trade.target.leftovers()
    cancel.set()
    rewinding.join()


def test_a_host_that_dies_during_a_rewind_does_not_come_up_with_it(
    copies: Copies, trade: Pair, stuck_programs: str
) -> None:
    host, failures = trade.target.host, []

    def run() -> None:
        try:
            rewind_it(trade, bin_directory=stuck_programs)
        except Exception as error:
            failures.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    eventually(lambda: begun(trade), "the rewind has begun to change something")

    copies.lab.kill(host)
    thread.join()
    copies.lab.boot(host)

    assert len(failures) == 1
    assert_cannot_start(trade)


def test_a_rewind_that_fails_before_it_changes_something_changes_nothing(
    trade: Pair,
) -> None:
    seen = trade.target.probe()
    nobody = CopySource(host=trade.peer.host, port=1, user="replication")

    with pytest.raises(CommandFailed, match="Connection refused"):
        rewind.rewind(
            trade.target.shell,
            bin_directory=seen.bin_directory,
            data_directory=trade.directory,
            source=nobody,
            config_file=seen.config_file,
        )

    after = trade.target.probe()
    assert (after.control, after.files) == (seen.control, seen.files)
    assert trade.target.act("start").seen.is_running
    stop(trade.target)


def test_wal_that_is_gone_is_told_and_nothing_is_changed(trade: Pair) -> None:
    seen = trade.target.probe()
    assert seen.control is not None
    hide = (
        'mkdir ~/hidden && find "$1/pg_wal" -maxdepth 1 -type f'
        ' ! -newer "$1/global/pg_control" -exec mv -t ~/hidden {} +'
    )
    trade.target.shell.run(["sh", "-c", hide, "sh", trade.directory])
    peer = {"source": trade.peer, "data_directory": trade.directory}

    with pytest.raises(CommandFailed, match=r"could not (open|find)") as gone:
        rewind.estimate(trade.target.shell, bin_directory=seen.bin_directory, **peer)
    with pytest.raises(CommandFailed):
        rewind.rewind(
            trade.target.shell,
            bin_directory=seen.bin_directory,
            config_file=seen.config_file,
            **peer,
        )

    assert "pg_wal" in gone.value.output
    assert trade.target.probe().control == seen.control
    assert not trade.target.probe().is_incomplete


def test_a_running_cluster_is_not_rewound(trade: Pair) -> None:
    trade.target.act("start")
    seen = trade.target.probe()

    with pytest.raises(PreconditionFailed, match="PostgreSQL runs in"):
        rewind.rewind(
            trade.target.shell,
            bin_directory=seen.bin_directory,
            data_directory=trade.directory,
            source=trade.peer,
        )

    assert trade.target.look().pid == seen.seen.pid
    stop(trade.target)


def test_rights_that_are_missing_are_named_and_granted(trade: Pair) -> None:
    tools = trade.target.probe().bin_directory
    target = trade.target.shell
    assert rewind.rights_missing(target, trade.peer, bin_directory=tools) == ()
    trade.source.psql(
        "REVOKE EXECUTE ON FUNCTION pg_read_binary_file(text), pg_ls_dir(text, boolean,"
        " boolean) FROM replication;"
    )

    missing = rewind.rights_missing(target, trade.peer, bin_directory=tools)
    rewind.grant_rewind_rights(trade.source, "replication")

    assert missing == (
        "pg_ls_dir(text, boolean, boolean)",
        "pg_read_binary_file(text)",
    )
    assert rewind.rights_missing(target, trade.peer, bin_directory=tools) == ()


def test_connections_that_fail_say_why(trade: Pair) -> None:
    tools, target = trade.target.probe().bin_directory, trade.target.shell
    peer = trade.peer
    wrong = CopySource(host=peer.host, port=peer.port, user=peer.user, password="no")
    for trouble in (connection_trouble, replication_trouble):
        assert trouble(target, peer, bin_directory=tools) == ""
        said = trouble(target, wrong, bin_directory=tools)
        assert "password authentication failed" in said
    refused = CopySource(host=peer.host, port=1, user=peer.user)
    assert "Connection refused" in connection_trouble(
        target, refused, bin_directory=tools
    )


def test_a_given_password_is_used_and_seen_by_nobody(
    copies: Copies, trade: Pair
) -> None:
    tools, target = trade.target.probe().bin_directory, trade.target.shell
    peer = CopySource(
        host=trade.peer.host,
        port=trade.peer.port,
        user=trade.peer.user,
        options={"passfile": "/nonexistent"},
        password=copies.lab.replication_password,
    )
    without = CopySource(
        host=peer.host, port=peer.port, user=peer.user, options=peer.options
    )

    assert "no password supplied" in connection_trouble(
        target, without, bin_directory=tools
    )
    estimated = rewind.estimate(
        target, bin_directory=tools, data_directory=trade.directory, source=peer
    )

    assert estimated.needed
    assert estimated.bytes > 0
    assert peer.password not in repr(peer)
    assert peer.password not in peer.conninfo()


def test_what_would_stop_a_rewind_half_way_is_found_before(copies: Copies) -> None:
    pair = diverge(copies, "odd")
    target, directory = pair.target.shell, pair.directory
    assert files.obstacles(target, directory) == ()
    make = (
        'cd "$1" && chmod 400 pg_hba.conf && mv pg_ident.conf ../own && ln -s ../own'
        " pg_ident.conf && mkdir pg_wal/walg_data && touch pg_wal/walg_data/x"
    )
    target.run(["sh", "-c", make, "sh", directory])
    foreign = f"{directory}/base/theirs"
    copies.lab.exec(pair.target.host, ["install", "-m", "644", "/dev/null", foreign])

    found = files.obstacles(target, directory)
    foreign_only = files.obstacles(target, directory, kinds=("foreign",))
    copies.lab.exec(pair.target.host, ["rm", foreign])

    theirs = "base/theirs is another user's and not writable"
    assert foreign_only == (theirs,)
    assert sorted(found) == [
        theirs,
        "pg_hba.conf is not writable",
        "pg_ident.conf is a symbolic link",
        "pg_wal/walg_data is a directory that PostgreSQL does not know",
    ]
    mend = (
        'cd "$1" && chmod 600 pg_hba.conf && mv -T ../own pg_ident.conf'
        " && rm -r pg_wal/walg_data"
    )
    target.run(["sh", "-c", mend, "sh", directory])
    rewind_it(pair)
    pair.prove_equal()
