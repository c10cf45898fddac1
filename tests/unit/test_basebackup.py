"""How a base backup is asked for, what it prints, and where its programs are."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from psycopg.conninfo import conninfo_to_dict

from herds.domain.cluster import Activity, Observation
from herds.domain.probe import Probe
from herds.errors import (
    CommandFailed,
    CommandTimedOut,
    OperationCancelled,
    OutcomeUnknown,
    PreconditionFailed,
)
from herds.postgres.basebackup import base_backup
from herds.postgres.copy_source import (
    CopySource,
    bin_directory,
    connection_trouble,
    replication_trouble,
)
from herds.ssh.testing import ScriptedShell

SOURCE = CopySource(host="ele02.lab.test", port=5433, user="replication")
OPTIONS: dict[str, Any] = {
    "bin_directory": "/usr/lib/postgresql/15/bin",
    "data_directory": "/var/lib/postgresql/15/trade",
    "source": SOURCE,
    "label": "a rebuild",
    "major": "15",
}

# pg_basebackup 14.23, whose output is no terminal.
PROGRESS = """\
waiting for checkpoint
    0/25305 kB (0%), 0/1 tablespace
  146/25305 kB (0%), 0/1 tablespace
25315/25315 kB (100%), 0/1 tablespace
25315/25315 kB (100%), 1/1 tablespace
"""


def scripted(status: int, stderr: str = "") -> ScriptedShell:
    shell = ScriptedShell("ele01")
    shell.answer(["sh", "-c", ...], status=status, stderr=stderr)
    return shell


def options(**more: Any) -> list[str]:
    """Give the command of pg_basebackup that a base backup comes to."""
    shell = scripted(0)
    base_backup(shell, **{**OPTIONS, **more})
    (call,) = shell.calls
    words = list(call.argv)
    assert call.tethered
    return words[words.index("/usr/lib/postgresql/15/bin/pg_basebackup") :]


def test_a_copy_streams_its_wal_and_never_asks_for_a_password() -> None:
    words = options()

    assert {"--wal-method=stream", "--checkpoint=fast", "--no-password"} <= set(words)
    assert "--pgdata=/var/lib/postgresql/15/trade" in words
    assert not [word for word in words if word.startswith(("--slot", "--max-rate"))]


@pytest.mark.parametrize(
    ("more", "word"),
    [
        ({"slot": "trade_ele01"}, "--slot=trade_ele01"),
        ({"slot": "trade_ele01", "create_slot": True}, "--create-slot"),
        ({"wal_directory": "/wal"}, "--waldir=/wal"),
        ({"tablespaces": {"/a=b c": "/d"}}, r"--tablespace-mapping=/a\=b c=/d"),
        ({"max_rate": 5_000_000}, "--max-rate=4882k"),
        # pg_basebackup takes 32 kB to 1 GB.
        ({"max_rate": 1}, "--max-rate=32k"),
        ({"max_rate": 10**12}, "--max-rate=1048576k"),
    ],
)
def test_what_is_asked_for_is_passed_on(more: dict[str, Any], word: str) -> None:
    assert word in options(**more)


def test_a_connection_notices_that_the_other_end_is_gone() -> None:
    said = conninfo_to_dict(SOURCE.conninfo(dbname="postgres"))

    assert said["host"] == "ele02.lab.test"
    assert int(said["keepalives_idle"]) < 60
    assert "tcp_keepalives_idle" in str(said["options"])


def test_a_connection_keeps_the_options_it_is_given() -> None:
    source = CopySource(
        host="ele02",
        port=5432,
        user="replication",
        options={"sslmode": "verify-full", "passfile": "/a b/pass", "host": "vhost"},
        password="secret",
    )

    said = conninfo_to_dict(source.conninfo())

    assert (said["sslmode"], said["passfile"]) == ("verify-full", "/a b/pass")
    assert said["host"] == "ele02"
    assert "password" not in said
    assert "secret" not in repr(source)


def test_progress_is_read_from_what_it_prints() -> None:
    told: list[tuple[int, int]] = []

    copied = base_backup(
        scripted(0, PROGRESS),
        on_progress=lambda done, total, rate: told.append((done, total)),
        **OPTIONS,
    )

    assert copied.bytes == 25315 * 1024
    assert told[-1] == (25315 * 1024, 25315 * 1024)


FULL = """\
  146/25305 kB (0%), 0/1 tablespace
pg_basebackup: error: could not write to file "/x/base/1/2840": No space left on device
pg_basebackup: removing contents of data directory "/x"
"""
REFUSED = """\
pg_basebackup: error: connection to server at "ele02" (10.0.0.2), port 1 failed: \
Connection refused
\tIs the server running on that host and accepting TCP/IP connections?
"""


@pytest.mark.parametrize(
    ("said", "says"),
    [
        (FULL, 'could not write to file "/x/base/1/2840": No space left on device.'),
        (REFUSED, "port 1 failed: Connection refused."),
        ("Killed\n", "Killed."),
    ],
)
def test_a_failure_names_the_reason_and_not_the_clearing_up(
    said: str, says: str
) -> None:
    with pytest.raises(CommandFailed) as failed:
        base_backup(scripted(1, said), **OPTIONS)

    assert failed.value.message.endswith(says)
    assert failed.value.command == "pg_basebackup"


@pytest.mark.parametrize(
    ("status", "says"), [(75, "Something else copies into"), (66, "is not empty")]
)
def test_a_directory_that_is_taken_is_refused(status: int, says: str) -> None:
    with pytest.raises(PreconditionFailed, match=says):
        base_backup(scripted(status), **OPTIONS)


@pytest.mark.parametrize(
    "error",
    [
        CommandTimedOut("ele01", "sh -c 'export …'", 5.0, stopped=True),
        OutcomeUnknown("ele01", "sh -c 'export …'", "the connection was lost"),
        OperationCancelled.of_command("ele01", "sh -c 'export …'", stopped=False),
    ],
)
def test_errors_name_the_program_and_not_its_script(error: Any) -> None:
    shell = ScriptedShell("ele01")
    shell.fail(["sh", "-c", ...], error)

    with pytest.raises(type(error), match="`pg_basebackup`") as renamed:
        base_backup(shell, **OPTIONS)

    assert getattr(renamed.value, "stopped", None) == getattr(error, "stopped", None)


@pytest.mark.parametrize(
    ("status", "said", "trouble"),
    [
        (0, "", ""),
        (
            2,
            'psql: error: connection to server at "ele02" (10.0.0.2), port 1 failed:'
            " Connection refused\n\tIs the server running on that host and accepting"
            " TCP/IP connections?\n",
            'connection to server at "ele02" (10.0.0.2), port 1 failed: Connection'
            " refused Is the server running on that host and accepting TCP/IP"
            " connections?",
        ),
        (127, "", "psql ended with exit status 127"),
    ],
)
def test_a_connection_that_fails_says_why_on_one_line(
    status: int, said: str, trouble: str
) -> None:
    for ask in (connection_trouble, replication_trouble):
        assert ask(scripted(status, said), SOURCE, bin_directory="/x") == trouble


def probe(version: str, directory: str, *installed: str) -> Probe:
    return Probe(
        seen=Observation(
            activity=Activity.STOPPED if version else Activity.ABSENT,
            observed_at=datetime.now(UTC),
            version=version,
        ),
        bin_directory=directory,
        installed=installed,
    )


DEBIAN = ("/usr/lib/postgresql/14/bin", "/usr/lib/postgresql/15/bin")


@pytest.mark.parametrize(
    ("seen", "major", "directory"),
    [
        (probe("15", DEBIAN[1], *DEBIAN), "", DEBIAN[1]),
        (probe("15.18", "/opt/pg/bin", *DEBIAN), "15.18", "/opt/pg/bin"),
        (probe("15", DEBIAN[1], *DEBIAN), "14", DEBIAN[0]),
        (probe("", "", *DEBIAN), "15", DEBIAN[1]),
        (probe("", "", "/usr/pgsql-16/bin"), "16", "/usr/pgsql-16/bin"),
    ],
)
def test_programs_are_those_of_the_wanted_version(
    seen: Probe, major: str, directory: str
) -> None:
    assert bin_directory(seen, major) == directory


def test_programs_that_are_missing_are_said_to_be() -> None:
    with pytest.raises(PreconditionFailed, match="PostgreSQL 17 is not installed"):
        bin_directory(probe("", "", *DEBIAN), "17")
