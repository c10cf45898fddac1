"""The private PostgreSQL server starts, stops, crashes and leaves nothing behind."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from lab.private_server import PrivateServer, ServerFailed, newest_binaries
from lab.proc import is_alive

PATIENCE = 60.0  # seconds; a bound, not an expectation


@pytest.fixture
def directory() -> Iterator[Path]:
    """A directory with a short path; whatever runs in it is ended afterwards."""
    path = Path(tempfile.mkdtemp(prefix="elephaas-"))
    yield path
    PrivateServer(path).destroy()


def test_it_accepts_connections_once_started_and_none_once_stopped(
    directory: Path,
) -> None:
    server = PrivateServer(directory, durable=False)

    server.start()
    assert server.psql("SELECT 1 + 1") == "2"

    server.stop()
    assert not server.is_running()
    assert not server.is_accepting()


def test_starting_and_stopping_twice_changes_nothing(directory: Path) -> None:
    server = PrivateServer(directory, durable=False)
    server.start()
    pid = server.pid()

    server.start()
    assert server.pid() == pid

    server.stop()
    server.stop()
    assert not server.is_running()


def test_data_outlive_a_restart_and_a_crash(directory: Path) -> None:
    server = PrivateServer(directory)
    server.start()
    server.psql("CREATE TABLE memory AS SELECT 42 AS answer")

    server.restart()
    server.kill()
    assert not server.is_running()
    server.start()

    assert server.psql("SELECT answer FROM memory") == "42"


def test_another_process_can_stop_what_one_has_started(directory: Path) -> None:
    PrivateServer(directory, durable=False).start()

    other = PrivateServer(directory, durable=False)
    assert other.is_running()
    other.stop()

    assert not other.is_running()


def test_it_never_runs_as_root(directory: Path) -> None:
    server = PrivateServer(directory, durable=False)
    server.start()

    assert os.stat(f"/proc/{server.pid()}").st_uid != 0


def test_other_users_cannot_reach_its_socket(directory: Path) -> None:
    PrivateServer(directory, durable=False).start()

    assert directory.stat().st_mode & 0o077 == 0


def test_tcp_logins_need_the_password(directory: Path) -> None:
    with pytest.raises(ServerFailed, match="needs a password"):
        PrivateServer(directory, listen="127.0.0.1")
    server = PrivateServer(
        directory, listen="127.0.0.1", port=54329, password="it's", durable=False
    )
    server.start()

    with psycopg.connect(
        host="127.0.0.1", port=54329, user="postgres", password="it's"
    ):
        pass
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(host="127.0.0.1", port=54329, user="postgres", password="no")


def test_it_ends_with_the_process_that_started_it(directory: Path) -> None:
    script = (
        "import os, sys; from pathlib import Path;"
        "from lab.private_server import PrivateServer;"
        "s = PrivateServer(Path(sys.argv[1]), durable=False, dies_with_parent=True);"
        "s.start(); print(s.pid(), flush=True); os.kill(os.getpid(), 9)"
    )
    started = subprocess.run(
        [sys.executable, "-c", script, str(directory)],
        cwd=Path(__file__).parents[2],
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    pid = int(started.stdout)

    deadline = time.monotonic() + PATIENCE
    while is_alive(pid):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_server_that_cannot_start_shows_the_end_of_its_log(directory: Path) -> None:
    server = PrivateServer(directory, durable=False, options={"shared_buffers": "many"})

    with pytest.raises(ServerFailed, match="shared_buffers"):
        server.start()


def test_a_directory_whose_path_is_too_long_for_a_socket_is_refused() -> None:
    with pytest.raises(ServerFailed, match="Choose a directory with a shorter path"):
        PrivateServer(Path("/tmp") / ("deep/" * 30))


def test_a_missing_postgresql_is_named_with_the_command_that_installs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(ServerFailed, match="apt-get install postgresql"):
        newest_binaries([str(tmp_path)])


def test_the_newest_of_several_versions_is_used(tmp_path: Path) -> None:
    for version in ("9.6", "14", "15", "9"):
        (tmp_path / version / "bin").mkdir(parents=True)
        (tmp_path / version / "bin" / "postgres").touch()

    assert newest_binaries([str(tmp_path)]) == tmp_path / "15" / "bin"


def test_destroying_it_leaves_nothing(directory: Path) -> None:
    server = PrivateServer(directory, durable=False)
    server.start()
    pid = server.pid()
    assert pid is not None

    server.destroy()

    assert not is_alive(pid)
    assert not directory.exists()
