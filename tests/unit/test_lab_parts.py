"""Small parts of the lab that need no hosts."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from lab.cli import main, split
from lab.errors import LabError
from lab.identity import crc32c, identifier_of, with_identifier
from lab.prerequisites import Need, advice, missing, require_room
from lab.processes import Process
from lab.state import directory_of


def test_the_checksum_is_the_castagnoli_one() -> None:
    # The check value of CRC-32C, and a vector of RFC 3720 appendix B.4.
    assert crc32c(b"123456789") == 0xE3069283
    assert crc32c(bytes(32)) == 0x8A9136AA


def test_a_control_file_gets_another_identifier_and_a_fitting_checksum() -> None:
    body = struct.pack("<Q", 1111) + bytes(range(200)) + bytes(80)
    control = body + struct.pack("<I", crc32c(body)) + bytes(8192 - len(body) - 4)
    changed = with_identifier(control, 2222)
    assert identifier_of(changed) == 2222
    assert changed[8 : len(body)] == control[8 : len(body)]
    found = struct.unpack_from("<I", changed, len(body))[0]
    assert found == crc32c(changed[: len(body)])
    assert len(changed) == len(control)


def test_a_control_file_without_a_checksum_is_refused() -> None:
    with pytest.raises(LabError, match="no checksum"):
        with_identifier(b"x" * 8192, 1)


@pytest.mark.parametrize(
    ("given", "own", "others"),
    [
        (["exec", "ele01", "--", "ls", "-l"], ["exec", "ele01"], ["ls", "-l"]),
        (["manage", "check", "--name", "x"], ["manage"], ["check", "--name", "x"]),
        (["--name", "manage", "status"], ["--name", "manage", "status"], []),
        (["--name", "a", "manage", "--", "b"], ["--name", "a", "manage"], ["--", "b"]),
        (["exec", "h", "--", "manage"], ["exec", "h"], ["manage"]),
        (["status", "--json"], ["status", "--json"], []),
    ],
)
def test_the_commands_own_arguments_end_where_the_others_begin(
    given: list[str], own: list[str], others: list[str]
) -> None:
    assert split(given) == (own, others)


def test_what_is_missing_is_named_with_the_command_that_installs_it() -> None:
    present = Need("coreutils", ("ls",), "listing")
    absent = Need("openssh-server", ("surely-not-installed",), "logging in")
    lacking = missing((present, absent), lambda: [])
    told = advice(lacking)
    assert [need.package for need in lacking] == ["openssh-server", "postgresql-15"]
    assert "openssh-server: logging in" in told
    assert "apt-get install -y openssh-server postgresql-15" in told
    assert "coreutils" not in told


def test_more_instances_than_there_is_room_for_are_refused(tmp_path: Path) -> None:
    require_room(tmp_path, 1)
    with pytest.raises(LabError, match=r"GB are free there\.\nAsk for fewer hosts"):
        require_room(tmp_path, 10**9)


def test_without_root_the_way_out_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert main(["up", "1"]) == 1
    assert "sudo" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["", "../x", "a b", "A", "x" * 40])
def test_a_lab_name_that_could_leave_its_directory_is_refused(name: str) -> None:
    with pytest.raises(LabError, match="Lab name"):
        directory_of(name)


def test_a_process_is_known_by_number_and_start(tmp_path: Path) -> None:
    record = tmp_path / "process"
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=-1) as program:
        process = Process.of(program.pid)
        process.write(record)
        assert Process.read(record) == process
        assert process.is_alive()
        assert not Process(process.pid, process.start_time + 1).is_alive()
        program.kill()
    assert not process.is_alive()
    assert Process.read(tmp_path / "none") is None
