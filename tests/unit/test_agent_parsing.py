"""The agent reads lock files, configuration, connection strings and control data."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pgutil_report import controldata, files, finders, lockfiles, pgconf, values


@pytest.mark.parametrize(
    ("text", "position"),
    [("0/0", 0), ("1/A", 0x1_0000_000A), (" FFFFFFFF/ffffffff ", 2**64 - 1)],
)
def test_a_wal_position_is_read_in_bytes(text: str, position: int) -> None:
    assert values.octets(text) == position
    assert values.octets(values.lsn(position)) == position


@pytest.mark.parametrize("text", ["", "0", "0/", "g/0", "0/0/0", "123456789/0"])
def test_what_is_no_wal_position_is_none(text: str) -> None:
    assert values.octets(text) is None


# Lock files


def test_a_postmaster_pid_is_read() -> None:
    text = "77\n/data/O'B & sons/15 x\n1700000000\n5433\n/run/pg\n*\n 1 2\nready\n"

    assert lockfiles.parse(text) == lockfiles.LockFile(
        77, "/data/O'B & sons/15 x", 5433, "/run/pg", "*"
    )


def test_a_short_lock_file_says_what_it_can() -> None:
    assert lockfiles.parse("77\n/data\n") == lockfiles.LockFile(77, "/data")


@pytest.mark.parametrize(
    "text", ["", "x\n/data\n", "0\n/data\n", "5\n", "5\ndata\n", f"{2**40}\n/data\n"]
)
def test_a_lock_file_of_something_else_is_refused(text: str) -> None:
    with pytest.raises(files.Unfit):
        lockfiles.parse(text)


def test_a_number_left_behind_is_no_postmaster(tmp_path: Path) -> None:
    ours = os.getpid()

    assert lockfiles.is_postmaster(ours, os.getcwd())
    assert not lockfiles.is_postmaster(ours, str(tmp_path))
    assert not lockfiles.is_postmaster(2**30, os.getcwd())
    assert not lockfiles.is_postmaster(-ours, os.getcwd())


# Files


def test_a_pipe_in_place_of_a_file_does_not_hold_us_up(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")

    with pytest.raises(files.Unfit, match="no regular file"):
        files.read(str(tmp_path / "pipe"))


def test_no_more_is_read_than_allowed(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"\xff" * 10)

    assert len(files.read(str(tmp_path / "file"), 10)) == 10
    with pytest.raises(files.Unfit, match="larger than 9"):
        files.read(str(tmp_path / "file"), 9)


# Configuration


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("port = 5433", [("port", "5433")]),
        ("port 5433 # words", [("port", "5433")]),
        ("Port='5433'# words", [("port", "5433")]),
        ("  cluster_name = 'it''s \\'x\\' # y'  ", [("cluster_name", "it's 'x' # y")]),
        ("a = 'tab\\tand\\101'", [("a", "tab\tandA")]),
        ("a = ''", [("a", "")]),
        ("my.name=1", [("my.name", "1")]),
        ("#port = 5433", []),
        ("port = 'unclosed", []),
        ("= 5", []),
        ("", []),
    ],
)
def test_a_setting_is_read_as_the_server_does(
    line: str, expected: list[tuple[str, str]]
) -> None:
    assert pgconf.settings_of(line) == expected


def test_later_files_win_and_alter_system_last(tmp_path: Path) -> None:
    etc, data = tmp_path / "etc", tmp_path / "data"
    (etc / "conf.d").mkdir(parents=True)
    data.mkdir()
    (etc / "postgresql.conf").write_text(
        "port = 1\ninclude_dir = 'conf.d'\ninclude 'more'\ninclude_if_exists = 'no'\n"
        "a = main\n"
    )
    (etc / "conf.d/1.conf").write_text("port = 2\nb = dir\n")
    (etc / "conf.d/2.conf~").write_text("port = 3\n")
    (etc / "more").write_text("a = more\nc = more\ninclude 'more'\n")
    (data / "postgresql.auto.conf").write_text("c = 'auto'\n")

    found = pgconf.read(str(etc), str(data))

    assert found == {"port": "2", "a": "main", "b": "dir", "c": "auto"}


@pytest.mark.parametrize(
    ("conninfo", "host"),
    [
        ("host=trade.lab.test port=5432 user=x", "trade.lab.test"),
        ("user=x host = 'a b' port=1", "a b"),
        ("host=a,b port=1,2", "a"),
        ("hostaddr=10.0.0.1 port=1", "10.0.0.1"),
        ("host=/run/pg", "/run/pg"),
        (r"password='it\'s host=no' host=yes", "yes"),
        ("port=5432", None),
        ("", None),
        ("postgresql://u:p@a.b:5433,c/db?x=1", "a.b"),
        ("postgres://[::1]:5/db", "::1"),
        ("postgresql:///db?host=%2Frun%2Fpg", "/run/pg"),
        ("postgresql://[oops", None),
    ],
)
def test_the_host_of_a_connection_string_is_found(
    conninfo: str, host: str | None
) -> None:
    assert pgconf.host_in(conninfo) == host


# pg_controldata


def test_a_stopped_standby_stands_where_its_recovery_ended() -> None:
    text = (
        "Database system identifier:           7123\n"
        "Database cluster state:               shut down in recovery\n"
        "Latest checkpoint location:           0/5000028\n"
        "Latest checkpoint's TimeLineID:       3\n"
        "Minimum recovery ending location:     0/50000D8\n"
    )

    assert controldata.parse(text) == controldata.ControlData(0x50000D8, 3, "7123")


def test_control_data_of_something_else_tells_nothing() -> None:
    assert controldata.parse("pg_controldata: fatal: no\n") == controldata.ControlData()


# Lists of clusters and units


def test_clusters_are_listed_whatever_is_in_their_paths() -> None:
    text = (
        "Warning: something is wrong with 9.6\n"
        "15  trade  5432 online,recovery postgres /var/lib/x /var/log/x.log\n"
        "15  ledger 5433 down postgres /var/lib/O'B & sons/15 ledger /var/log/y.log\n"
        "9.6 old    5434 down <unknown> /var/lib/old\n"
        "17  lost   5435 down <unknown> <unknown> <unknown>\n"
        "\n"
    )

    assert finders.parse_clusters(text) == [
        ("15", "trade", 5432, "/var/lib/x"),
        ("15", "ledger", 5433, "/var/lib/O'B & sons/15 ledger"),
        ("9.6", "old", 5434, "/var/lib/old"),
        ("17", "lost", 5435, ""),
    ]


def test_units_name_their_data_directories() -> None:
    text = (
        "[Service]\nEnvironment=PGDATA=/var/lib/pgsql/17/data/ OTHER=x\n"
        'Environment="PGDATA=/srv/with space"\n'
        "ExecStart=/usr/bin/postgres \\\n  -D /srv/d --pgdata=/srv/e\n"
        "ExecStart=/usr/bin/postgres -D ${PGDATA} -D /srv/%i -D relative\n"
        "ExecStart=/usr/bin/postgres -D 'unclosed\n"
    )

    assert finders.directories_of_unit(text) == [
        "/var/lib/pgsql/17/data/",
        "/srv/with space",
        "/srv/d",
        "/srv/e",
    ]
