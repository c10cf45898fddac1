"""What a probe says, in the words of every major, is read as what it means."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from herds.domain.cluster import Activity
from herds.domain.control import ControlData, parse_control
from herds.domain.lsn import Lsn
from herds.domain.probe import Probe, Tablespace
from herds.postgres.probe import read_probe, split_probe

DATA = Path(__file__).resolve().parent.parent / "data" / "probe"
MARK = "== seen =="
NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)

RELEASES = {"14": "14.23", "15": "15.18", "16": "16.15", "17": "17.11", "18": "18.6"}
CATALOGS = {
    "14": "202107181",
    "15": "202209061",
    "16": "202307071",
    "17": "202406281",
    "18": "202506291",
}

each_major = pytest.mark.parametrize("major", RELEASES)


def captured(name: str) -> Probe:
    return read(DATA.joinpath(f"{name}.txt").read_text())


def read(text: str) -> Probe:
    fields = split_probe(text, MARK)
    assert fields, "it was cut off"
    return read_probe(fields, NOW)


def said(*lines: str) -> str:
    return "\n".join(["", MARK, *lines, "end=yes", ""])


def control_lines(major: str, what: str) -> list[str]:
    text = DATA.joinpath(f"{major}-{what}.txt").read_text()
    return [
        line.removeprefix("control=")
        for line in text.splitlines()
        if line.startswith("control=")
    ]


def control(major: str, what: str) -> ControlData:
    parsed = parse_control(control_lines(major, what))
    assert parsed is not None
    return parsed


@each_major
@pytest.mark.parametrize(
    ("what", "state", "is_shut_down", "was_primary", "has_end"),
    [
        ("primary", "in production", False, True, False),
        ("standby", "in archive recovery", False, False, True),
        ("stopped", "shut down", True, True, False),
        ("stopped-standby", "shut down in recovery", True, False, True),
    ],
)
def test_a_control_file_tells_how_the_cluster_was_left(
    major: str,
    what: str,
    state: str,
    is_shut_down: bool,
    was_primary: bool,
    has_end: bool,
) -> None:
    told = control(major, what)

    assert told.state == state
    assert told.is_shut_down is is_shut_down
    assert told.was_primary is was_primary
    assert told.timeline == 1
    assert told.redo <= told.checkpoint
    assert told.checkpoint > Lsn(0)
    assert (told.min_recovery_end > Lsn(0)) is has_end
    assert told.min_recovery_end_timeline == int(has_end)
    assert told.checksums
    assert told.wal_log_hints
    assert told.wal_segment_bytes == 1 << 20
    assert told.catalog_version == CATALOGS[major]
    assert told.system_identifier == control(major, "primary").system_identifier


@each_major
def test_a_cluster_without_checksums_or_hints_is_told_from_others(major: str) -> None:
    lines = [
        line.replace(
            "checksum version:           1", "checksum version:           0"
        ).replace(
            "wal_log_hints setting:                on", "wal_log_hints setting: off"
        )
        for line in control_lines(major, "stopped")
    ]

    told = parse_control(lines)

    assert told is not None
    assert not told.checksums
    assert not told.wal_log_hints


@pytest.mark.parametrize(
    "lines",
    [
        [],
        [
            'pg_controldata: error: could not open file "/x/global/pg_control" for '
            "reading: No such file or directory"
        ],
        ["Database system identifier: 1", "Database cluster state: shut down"],
        [line.replace("0/0", "somewhere") for line in control_lines("15", "primary")],
    ],
    ids=["nothing", "no file", "half", "not positions"],
)
def test_a_control_file_that_cannot_be_read_tells_nothing(lines: list[str]) -> None:
    assert parse_control(lines) is None


@each_major
def test_a_running_primary_is_read(major: str) -> None:
    probe = captured(f"{major}-primary")

    seen = probe.seen
    assert seen.activity is Activity.RUNNING
    assert seen.answers
    assert seen.version == RELEASES[major]
    assert seen.in_recovery is False
    assert seen.position is not None
    assert (seen.configuration_errors, seen.pending_restart) == ((), ())
    (follower,) = seen.followers
    (sender,) = probe.senders
    assert follower.application_name == sender.application_name
    assert sender.application_name == f"debian{major}_ele02"
    assert (sender.state, sender.sync_state) == ("streaming", "async")
    assert sender.address == follower.address != ""
    assert sender.sent == sender.flushed == sender.replayed == seen.position
    (slot,) = probe.slots
    assert (slot.name, slot.kind, slot.is_active) == ("ours", "physical", True)
    assert slot.wal_status == "reserved"
    assert slot.restart == seen.position
    assert (slot.is_failover, slot.is_synced, slot.is_temporary) == (False,) * 3
    (somebody,) = probe.clients
    assert (somebody.user, somebody.database) == ("postgres", "postgres")
    assert (somebody.application_name, somebody.sessions) == ("psql", 1)
    assert probe.receiver is probe.received is probe.replayed is None
    assert probe.timeline == 1


@each_major
def test_a_running_standby_is_read(major: str) -> None:
    probe = captured(f"{major}-standby")

    assert probe.seen.in_recovery is True
    receiver = probe.receiver
    assert receiver is not None
    assert (receiver.status, receiver.slot) == ("streaming", "ours")
    assert receiver.host == f"debian{major}.lab.test"
    assert receiver.port == 5400 + int(major)
    assert receiver.timeline == probe.timeline == 1
    assert receiver.flushed == probe.received == probe.replayed == probe.seen.position
    assert not probe.is_replay_paused
    assert "standby.signal" in probe.files
    assert probe.senders == probe.slots == probe.clients == ()
    assert probe.settings["primary_slot_name"] == "ours"
    assert "host=debian" in probe.settings["primary_conninfo"]
    assert "conninfo" not in repr(probe)


@each_major
@pytest.mark.parametrize("what", ["primary", "standby", "stopped", "stopped-standby"])
def test_what_lies_on_the_host_is_read_running_or_not(major: str, what: str) -> None:
    probe = captured(f"{major}-{what}")

    assert probe.seen.is_running is ("stopped" not in what)
    assert probe.bin_directory == f"/usr/lib/postgresql/{major}/bin"
    assert [path.split("/")[-2] for path in probe.installed] == list(RELEASES)
    assert probe.config_file == (
        f"/etc/postgresql/{major}/debian{major}/postgresql.conf"
    )
    assert probe.has_rsync
    assert not probe.has_perl
    assert probe.is_writable
    assert not probe.is_occupied
    assert not probe.is_incomplete
    (space,) = probe.tablespaces
    assert isinstance(space, Tablespace)
    assert space.path == f"/var/lib/postgresql/spaces/{major}"
    assert space.oid >= 16384
    assert probe.data_bytes is not None
    assert probe.wal_bytes is not None
    assert probe.free_bytes is not None
    assert probe.total_bytes == probe.data_bytes - probe.wal_bytes + space.size
    assert probe.system_identifier == captured(f"{major}-primary").system_identifier
    assert probe.host_time is not None
    assert probe.host_time.year == 2026


@each_major
@pytest.mark.parametrize("what", ["stopped", "stopped-standby"])
def test_a_stopped_cluster_is_read_from_its_files(major: str, what: str) -> None:
    probe = captured(f"{major}-{what}")

    assert probe.seen.activity is Activity.STOPPED
    assert probe.seen.version == major
    assert probe.control is not None
    assert probe.seen.control_state == probe.control.state
    assert probe.timeline == 1
    assert probe.seen.position is None
    assert not probe.settings


def test_a_directory_that_is_not_there_is_told() -> None:
    probe = read(said("free=1000", "writable=yes", "directory=absent"))

    assert probe.seen.activity is Activity.ABSENT
    assert probe.is_writable
    assert probe.free_bytes == 1000
    assert probe.control is None
    assert probe.total_bytes is None
    assert probe.system_identifier == ""


@pytest.mark.parametrize("is_occupied", [True, False])
def test_a_directory_of_something_else_is_told(is_occupied: bool) -> None:
    lines = ["directory=foreign", *["directory=occupied"] * is_occupied]

    probe = read(said(*lines))

    assert probe.seen.activity is Activity.FOREIGN
    assert probe.is_occupied is is_occupied


def test_a_rebuild_that_did_not_end_is_told() -> None:
    assert read(said("version=15", "file=elephaas.incomplete")).is_incomplete


def test_a_server_that_does_not_answer_is_told_with_its_words() -> None:
    probe = read(
        said(
            "version=17",
            "control=Database cluster state:               in production",
            "pid=12",
            "started=1795405134",
            "phase=ready",
            "trouble=psql: error: connection to server failed:",
            "FATAL:  sorry, too many clients already",
        )
    )

    assert probe.seen.is_running
    assert not probe.seen.answers
    assert probe.seen.trouble.endswith("FATAL:  sorry, too many clients already")
    assert probe.timeline is None
    assert probe.senders == ()


def test_a_link_to_the_wal_is_not_counted_with_the_data() -> None:
    probe = read(
        said("version=15", "wal_link=/wal/a", "data_bytes=500", "wal_bytes=300")
    )

    assert probe.wal_link == "/wal/a"
    assert probe.total_bytes == 500


def test_sizes_that_took_too_long_are_unknown() -> None:
    probe = read(said("version=15", "data_bytes=", "wal_bytes=", "free="))

    assert probe.data_bytes is probe.wal_bytes is probe.free_bytes is None


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ('"-D" "/d/a"', ""),
        ('"-D" "/d" "-c" "config_file=/e/a b.conf"', "/e/a b.conf"),
        ('"-D" "/it\'s" "-c" "config_file=/it\'s.conf"', "/it's.conf"),
    ],
)
def test_the_configuration_file_of_a_stopped_cluster_is_as_last_started(
    options: str, told: str
) -> None:
    assert read(said("version=15", f"opts=/b/postgres {options}")).config_file == told


def test_what_was_cut_off_tells_nothing() -> None:
    whole = DATA.joinpath("16-primary.txt").read_text()

    assert split_probe(whole.replace("\nend=yes", ""), MARK) == {}
    assert split_probe(whole, "== another mark ==") == {}
    assert split_probe("", MARK) == {}


def test_words_before_the_mark_are_not_the_probes() -> None:
    text = "Welcome to ele01\nversion=9\n" + said("version=15")

    assert split_probe(text, MARK)["version"] == ["15"]
