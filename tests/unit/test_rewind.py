"""What speaks against a rewind, what pg_rewind prints, and what its failures mean."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from herds.domain.cluster import Activity, Observation
from herds.domain.control import ControlData
from herds.domain.lsn import Lsn
from herds.domain.probe import Probe
from herds.errors import CommandFailed, PreconditionFailed
from herds.postgres import rewind
from herds.postgres.copy_source import CopySource
from herds.ssh.testing import ScriptedShell

CONTROL = ControlData(
    system_identifier="7400000000000000001",
    state="shut down",
    checkpoint=Lsn.parse("0/3027AF0"),
    redo=Lsn.parse("0/3027AF0"),
    timeline=1,
    min_recovery_end=Lsn(0),
    min_recovery_end_timeline=0,
    wal_log_hints=False,
    checksums=True,
    wal_segment_bytes=16 * 1024 * 1024,
    catalog_version="202209061",
)
SOURCE = CopySource(host="ele02.lab.test", port=5432, user="replication")
PLACES: dict[str, Any] = {
    "bin_directory": "/usr/lib/postgresql/15/bin",
    "data_directory": "/var/lib/postgresql/15/trade",
}


def probe(
    control: ControlData | None = CONTROL,
    *,
    activity: Activity = Activity.STOPPED,
    files: set[str] | None = None,
    settings: dict[str, str] | None = None,
) -> Probe:
    return Probe(
        seen=Observation(
            activity=activity, observed_at=datetime.now(UTC), version="15"
        ),
        control=control,
        files=frozenset(files or ()),
        settings=settings or {},
    )


CRASHED = replace(CONTROL, state="in production")
CONF = "/etc/postgresql/15/trade/postgresql.conf"


@pytest.mark.parametrize(
    ("seen", "config_file", "says"),
    [
        (probe(), "", ""),
        (probe(replace(CONTROL, checksums=False, wal_log_hints=True)), "", ""),
        (probe(replace(CONTROL, checksums=False)), "", "neither data checksums nor"),
        (probe(settings={"full_page_writes": "on"}), "", ""),
        (probe(settings={"full_page_writes": "off"}), "", "full_page_writes is off"),
        (probe(None), "", "control file cannot be read"),
        (probe(files={"elephaas.incomplete"}), "", "did not end"),
        (probe(files={"backup_label"}), "", "A backup_label lies in it"),
        # A running standby may have one while somebody takes a backup of it.
        (probe(files={"backup_label"}, activity=Activity.RUNNING), "", ""),
        (probe(CRASHED), "", "crash recovery cannot be finished"),
        (probe(CRASHED), CONF, ""),
        (probe(CRASHED, files={"postgresql.conf"}), "", ""),
        (probe(CRASHED, activity=Activity.RUNNING), "", ""),
    ],
)
def test_what_speaks_against_a_rewind_is_said(
    seen: Probe, config_file: str, says: str
) -> None:
    reasons = rewind.reasons_against(seen, major="15", config_file=config_file)

    assert says in " ".join(reasons)
    assert bool(says) == bool(reasons)


DRY = """\
pg_rewind: connected to server
pg_rewind: servers diverged at WAL location 0/A6C510 on timeline 1
pg_rewind: rewinding from last common checkpoint at 0/A68B48 on timeline 1
pg_rewind: reading source file list
pg_rewind: reading target file list
pg_rewind: reading WAL in target
pg_rewind: need to copy 1403 MB (total source directory size is 2131 MB)
      0/1436900 kB (0%) copied
1436900/1436900 kB (100%) copied
pg_rewind: creating backup label and updating control file
pg_rewind: syncing target data directory
pg_rewind: Done!
"""
SAME = """\
pg_rewind: connected to server
pg_rewind: source and target cluster are on the same timeline
pg_rewind: no rewind required
"""
GONE = """\
pg_rewind: connected to server
pg_rewind: servers diverged at WAL location 0/A6C510 on timeline 1
pg_rewind: error: could not open file "/var/lib/postgresql/15/trade/pg_wal/\
00000001000000000000000A": No such file or directory
pg_rewind: fatal: could not find previous WAL record at 0/A6C510
"""


def scripted(status: int, stdout: str = "", stderr: str = "") -> ScriptedShell:
    shell = ScriptedShell("ele01")
    shell.answer(["sh", "-c", ...], status=status, stdout=stdout, stderr=stderr)
    return shell


def test_an_estimate_is_what_the_dry_run_says() -> None:
    estimated = rewind.estimate(scripted(0, DRY), source=SOURCE, **PLACES)

    assert estimated == rewind.RewindEstimate(needed=True, bytes=1403 * 1024 * 1024)


def test_one_history_needs_no_rewind() -> None:
    estimated = rewind.estimate(scripted(0, SAME), source=SOURCE, **PLACES)

    assert estimated == rewind.RewindEstimate(needed=False, bytes=0)


def test_a_rewind_tells_how_far_it_is() -> None:
    told: list[tuple[int, int]] = []
    shell = scripted(0, DRY)

    done = rewind.rewind(
        shell,
        source=SOURCE,
        on_progress=lambda done, total, rate: told.append((done, total)),
        **PLACES,
    )

    assert (done.needed, done.bytes) == (True, 1436900 * 1024)
    assert told[-1] == (1436900 * 1024, 1436900 * 1024)
    assert shell.calls[0].tethered


def test_a_rewind_that_was_not_needed_says_so() -> None:
    assert not rewind.rewind(scripted(0, SAME), source=SOURCE, **PLACES).needed


@pytest.mark.parametrize(
    ("status", "stdout", "says"),
    [
        (75, "", "Something else copies into /var/lib/postgresql/15/trade"),
        (73, "", "PostgreSQL runs in /var/lib/postgresql/15/trade on ele01"),
        (66, "", "marked as an incomplete copy"),
        (65, "", "holds no PostgreSQL cluster"),
    ],
)
def test_what_was_not_begun_says_that_nothing_was_changed(
    status: int, stdout: str, says: str
) -> None:
    with pytest.raises(PreconditionFailed, match=says):
        rewind.rewind(scripted(status, stdout), source=SOURCE, **PLACES)


def test_a_failure_names_the_first_complaint() -> None:
    with pytest.raises(CommandFailed, match="could not open file") as failed:
        rewind.rewind(scripted(1, GONE), source=SOURCE, **PLACES)

    assert "could not find previous WAL record" in failed.value.output
    assert "reading source file list" not in failed.value.output


def test_a_failed_crash_recovery_is_not_blamed_on_the_rewind() -> None:
    said = "2026-11-23 UTC [77] PANIC:  could not locate a valid checkpoint record\n"

    with pytest.raises(CommandFailed, match="valid checkpoint") as failed:
        rewind.rewind(scripted(67, stderr=said), source=SOURCE, **PLACES)

    assert failed.value.command == "postgres --single"


def test_a_password_is_no_part_of_the_command() -> None:
    shell = scripted(0, SAME)
    secret = replace(SOURCE, password="pass word")

    rewind.rewind(shell, source=secret, **PLACES)

    (call,) = shell.calls
    assert "pass word" not in " ".join(call.argv)
    assert call.stdin == b"pass word\n"


@pytest.mark.parametrize(
    ("rows", "missing"),
    [
        ("", ()),
        (
            "pg_ls_dir(text, boolean, boolean)\npg_read_binary_file(text)\n",
            ("pg_ls_dir(text, boolean, boolean)", "pg_read_binary_file(text)"),
        ),
    ],
)
def test_functions_that_the_role_may_not_use_are_named(
    rows: str, missing: tuple[str, ...]
) -> None:
    found = rewind.rights_missing(
        scripted(0, rows), SOURCE, bin_directory="/usr/lib/postgresql/15/bin"
    )

    assert found == missing


def test_rights_cannot_be_asked_without_a_connection() -> None:
    said = (
        'psql: error: connection to server at "ele02" (10.0.0.2), port 5432 failed:'
        ' FATAL:  no pg_hba.conf entry for host "10.0.0.1"\n'
    )

    with pytest.raises(PreconditionFailed, match=r"no pg_hba\.conf entry") as refused:
        rewind.rights_missing(
            scripted(2, stderr=said), SOURCE, bin_directory="/usr/lib/postgresql/15/bin"
        )

    assert "pg_hba.conf on ele02.lab.test" in refused.value.hint
