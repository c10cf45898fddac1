"""One look tells what is true of a cluster, whatever state it is in."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from herds.domain.clock import SystemClock
from herds.domain.cluster import Activity, ClusterRef, Observation
from herds.domain.lsn import Lsn
from herds.postgres.look import look_argv, new_mark, read_observation, split_output
from lab.private_server import PrivateServer
from tests.doubles.engine import until
from tests.doubles.local_shell import LocalShell

from .conftest import Clusters


@pytest.fixture
def open_directory() -> Iterator[Path]:
    """A directory that the owner of the cluster can look into."""
    directory = Path(tempfile.mkdtemp(prefix="elephaas-"))
    directory.chmod(0o777)
    yield directory
    shutil.rmtree(directory)


def test_a_running_primary_tells_all_about_itself(
    server: PrivateServer, cluster: Clusters
) -> None:
    seen = cluster().look()

    assert seen.activity is Activity.RUNNING
    assert seen.answers
    assert seen.trouble == ""
    assert seen.version == server.psql("SHOW server_version").split()[0]
    assert seen.pid == server.pid()
    assert seen.in_recovery is False
    assert seen.position is not None
    assert seen.position <= Lsn.parse(server.psql("SELECT pg_current_wal_lsn()"))
    assert seen.system_identifier == server.psql(
        "SELECT system_identifier FROM pg_control_system()"
    )
    assert seen.started_at is not None
    assert seen.loaded_at is not None
    assert timedelta() <= datetime.now(UTC) - seen.started_at < timedelta(minutes=10)
    assert seen.followers == ()
    assert seen.configuration_errors == ()


def test_a_stopped_cluster_tells_what_pg_control_says(
    server: PrivateServer, cluster: Clusters
) -> None:
    running = cluster().look()
    server.stop()

    seen = cluster().look()

    assert seen.activity is Activity.STOPPED
    assert not seen.is_running
    assert seen.control_state == "shut down"
    assert seen.version == running.version.split(".")[0]
    assert seen.system_identifier == running.system_identifier
    assert seen.pid is None
    assert seen.started_at is None


def test_no_directory_is_absent(cluster: Clusters) -> None:
    seen = cluster(data_directory="/srv/no such 'thing").look()

    assert seen.activity is Activity.ABSENT


@pytest.mark.parametrize("lies_there", ["nothing", "an empty PG_VERSION", "a file"])
def test_a_directory_without_a_cluster_is_foreign(
    cluster: Clusters, open_directory: Path, lies_there: str
) -> None:
    where = open_directory
    if lies_there == "an empty PG_VERSION":
        (where / "PG_VERSION").touch(0o644)
    elif lies_there == "a file":
        where = where / "file"
        where.touch(0o644)

    seen = cluster(data_directory=str(where)).look()

    assert seen.activity is Activity.FOREIGN


@pytest.mark.parametrize("foreign", [True, False], ids=["a living pid", "a dead pid"])
def test_a_lock_file_left_by_a_crash_is_no_running_server(
    server: PrivateServer, cluster: Clusters, shell: LocalShell, foreign: bool
) -> None:
    lock = server.data / "postmaster.pid"
    was = lock.read_text()
    owner = lock.stat().st_uid
    server.kill()
    # Somebody else's process, of the same user even, has the number by now.
    other = subprocess.Popen(
        ["setpriv", f"--reuid={owner}", "--clear-groups", "sleep", "60"],
        cwd="/",
    )
    try:
        number = other.pid if foreign else 2**22 + 1
        lock.write_text(was.replace(was.split("\n", 1)[0], str(number), 1))
        seen = cluster().look()
    finally:
        other.kill()
        other.wait()
        lock.unlink()

    assert seen.activity is Activity.STOPPED
    assert seen.control_state == "in production"


def test_a_lock_file_that_holds_nonsense_is_no_running_server(
    server: PrivateServer, cluster: Clusters
) -> None:
    server.stop()
    lock = server.data / "postmaster.pid"
    for nonsense in ("", "\n", "x\n", "1;2\n", "-\n"):
        lock.write_text(nonsense)
        try:
            assert cluster().look().activity is Activity.STOPPED
        finally:
            lock.unlink()


def test_a_server_that_waits_for_its_last_client_is_stopping(
    server: PrivateServer, cluster: Clusters
) -> None:
    pid = server.pid()
    assert pid is not None
    with psycopg.connect(
        host=str(server.directory), port=server.port, user="postgres", dbname="postgres"
    ):
        os.kill(pid, signal.SIGTERM)
        until(lambda: "stopping" in (server.data / "postmaster.pid").read_text())
        seen = cluster().look()

    assert seen.activity is Activity.STOPPING
    assert seen.is_running
    assert not seen.answers
    assert seen.trouble.endswith("FATAL:  the database system is shutting down")
    until(lambda: not server.is_running())


def test_a_server_that_lets_nobody_in_runs_and_its_words_are_kept(
    server: PrivateServer, cluster: Clusters
) -> None:
    before = cluster().look()
    server.psql("ALTER DATABASE postgres ALLOW_CONNECTIONS false", "template1")
    try:
        seen = cluster().look()
    finally:
        server.psql("ALTER DATABASE postgres ALLOW_CONNECTIONS true", "template1")

    assert seen.activity is Activity.RUNNING
    assert not seen.answers
    assert seen.trouble.endswith(
        'database "postgres" is not currently accepting connections'
    )
    assert (seen.pid, seen.started_at) == (before.pid, before.started_at)
    assert seen.version.isdigit()
    assert seen.in_recovery is None


def test_a_server_at_another_port_than_its_lock_file_says_is_in_trouble(
    server: PrivateServer, cluster: Clusters
) -> None:
    lock = server.data / "postmaster.pid"
    was = lock.read_text()
    lines = was.split("\n")
    lines[3] = "1"
    lock.write_text("\n".join(lines))
    try:
        seen = cluster().look()
    finally:
        lock.write_text(was)

    assert seen.activity is Activity.RUNNING
    assert not seen.answers
    assert "No such file or directory" in seen.trouble
    # Several lines of the client's words stay several lines.
    assert "\n" in seen.trouble
    assert "Is the server running locally" in seen.trouble


def test_the_port_of_the_running_server_counts_not_the_registered_one(
    cluster: Clusters, ref: ClusterRef, shell: LocalShell
) -> None:
    mark = new_mark()
    argv = look_argv(ref, mark)
    argv[argv.index(str(ref.port))] = "1"

    _, fields = split_output(shell.run(argv).stdout, mark)

    assert read_observation(fields, SystemClock().now()).answers


def test_a_warning_at_the_connection_spoils_nothing(
    server: PrivateServer, cluster: Clusters
) -> None:
    # As after an upgrade of the operating system's C library.
    server.psql("UPDATE pg_database SET datcollversion = '0'")
    try:
        seen = cluster().look()
    finally:
        server.psql("UPDATE pg_database SET datcollversion = NULL")

    assert seen.answers
    assert seen.in_recovery is False


@pytest.fixture
def conf(server: PrivateServer) -> Iterator[Path]:
    """The main configuration file, restored afterwards."""
    file = server.data / "postgresql.conf"
    was = file.read_text()
    yield file
    file.write_text(was)
    server.restart()


def test_settings_that_wait_for_a_restart_are_told_and_are_no_errors(
    server: PrivateServer, cluster: Clusters, conf: Path
) -> None:
    server.psql("ALTER SYSTEM SET max_connections = 33")
    server.psql("ALTER SYSTEM SET max_wal_senders = 3")
    server.psql("SELECT pg_reload_conf()")

    until(lambda: len(cluster().look().pending_restart) == 2)

    seen = cluster().look()
    assert seen.pending_restart == ("max_connections", "max_wal_senders")
    assert seen.configuration_errors == ()


def test_a_setting_taken_out_that_waits_for_a_restart_is_no_error(
    server: PrivateServer, cluster: Clusters, conf: Path
) -> None:
    server.psql("ALTER SYSTEM SET max_wal_senders = 3")
    server.psql("ALTER SYSTEM SET superuser_reserved_connections = 2")
    server.stop()
    server.start()  # which writes the file anew, without these
    server.psql("ALTER SYSTEM RESET max_connections")
    server.psql("SELECT pg_reload_conf()")

    until(lambda: cluster().look().pending_restart)

    seen = cluster().look()
    assert seen.pending_restart == ("max_connections",)
    assert seen.configuration_errors == ()


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("no_such_setting = 1", "no_such_setting: unrecognized configuration"),
        ("work_mem = 'many'", "work_mem: setting could not be applied"),
        ("Port = 99999", "port: setting could not be applied"),
        ("work_mem = 'open", "syntax error"),
    ],
)
def test_errors_in_the_configuration_are_told_with_their_place(
    cluster: Clusters, conf: Path, line: str, error: str
) -> None:
    number = conf.read_text().count("\n") + 1
    with conf.open("a") as text:
        text.write(f"{line}\n")

    seen = cluster().look()

    assert seen.answers
    [told] = seen.configuration_errors
    assert told.lower().startswith(f"{conf}:{number}: {error}".lower())


@pytest.mark.parametrize(
    ("line", "is_refused"),
    [
        ("work_mem = 5MB", False),
        ("work_mem = 'many'", False),
        ("no_such_setting = 1", True),
        ("work_mem = = 4MB", True),
    ],
)
def test_a_file_from_which_nothing_is_applied_is_told(
    cluster: Clusters, conf: Path, line: str, is_refused: bool
) -> None:
    with conf.open("a") as text:
        text.write(f"{line}\n")

    assert cluster().look().facts["configuration_refused"] is is_refused


@pytest.fixture
def standby(server: PrivateServer) -> Iterator[PrivateServer]:
    """A standby that streams from the server."""
    server.stop()
    directory = Path(tempfile.mkdtemp(prefix="elephaas-"))
    copy = PrivateServer(
        directory,
        durable=False,
        options={
            "primary_conninfo": (
                f"host={_quoted_conninfo(str(server.directory))} port={server.port} "
                "user=postgres application_name=main_ele02"
            )
        },
    )
    subprocess.run(["cp", "-a", server.data, copy.data], check=True)
    (copy.data / "standby.signal").touch()
    shutil.chown(directory, copy.user or os.geteuid())
    server.start()
    with (server.data / "pg_hba.conf").open("a") as rules:
        rules.write("local replication all trust\n")
    server.psql("SELECT pg_reload_conf()")
    try:
        copy.start()
        yield copy
    finally:
        copy.destroy()


def _quoted_conninfo(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def test_a_standby_is_in_recovery_and_its_primary_knows_it(
    server: PrivateServer, standby: PrivateServer, cluster: Clusters
) -> None:
    until(lambda: any(f.state == "streaming" for f in cluster().look().followers))

    seen = cluster(data_directory=str(standby.data)).look()
    upstream = cluster().look()

    assert seen.activity is Activity.RUNNING
    assert seen.in_recovery is True
    assert seen.position is not None
    assert seen.system_identifier == upstream.system_identifier
    assert [f.application_name for f in upstream.followers] == ["main_ele02"]
    standby.stop()
    stopped = cluster(data_directory=str(standby.data)).look()
    assert stopped.control_state == "shut down in recovery"


@pytest.mark.parametrize(
    "program", [["dash"], ["bash", "--posix"], ["busybox", "sh"]], ids=lambda p: p[0]
)
@pytest.mark.parametrize("running", [True, False], ids=["running", "stopped"])
def test_every_shell_understands_the_script(
    server: PrivateServer,
    ref: ClusterRef,
    shell: LocalShell,
    program: list[str],
    running: bool,
) -> None:
    if shutil.which(program[0]) is None:
        pytest.skip(f"{program[0]} is not installed")
    if not running:
        server.stop()
    mark = new_mark()
    argv = look_argv(ref, mark, command="echo hello", written_for="15")
    assert argv[0] == "sh"

    done = shell.run([*program, *argv[1:]])

    output, fields = split_output(done.stdout, mark)
    seen: Observation = read_observation(fields, SystemClock().now())
    assert seen.is_running is running
    assert seen.answers is running
    assert output.strip() == "hello"
    assert done.stderr == ""
