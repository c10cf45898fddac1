"""A server is asked without psql where that can be done, and by psql where not."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from herds.postgres.look import script
from lab.private_server import PrivateServer
from tests.doubles.engine import until
from tests.doubles.local_shell import LocalShell

from .conftest import Clusters


def _answer(
    shell: LocalShell,
    sockets: Path,
    port: int,
    sql: str,
    programs: Path,
    before: str = "",
) -> str:
    text = f"""{script("ask.sh")}
        {before}
        sockets=$1 port=$2 bin=$3
        ask "$4"; printf '%s %s' "$?" "$answer"
        """
    argv = ["sh", "-c", text, "sh", str(sockets), str(port), str(programs), sql]
    return shell.run(argv).stdout


@pytest.fixture
def no_psql(tmp_path: Path) -> Path:
    """A directory of programs without psql."""
    return tmp_path


def test_a_server_that_trusts_its_user_is_asked_without_psql(
    server: PrivateServer, shell: LocalShell, no_psql: Path
) -> None:
    sql = "SELECT current_setting('statement_timeout') || repeat('ü', 9000)"

    answer = _answer(shell, server.directory, server.port, sql, no_psql)

    assert answer == "0 5s" + "ü" * 9000


def test_psql_asks_where_there_is_no_perl(
    server: PrivateServer, shell: LocalShell
) -> None:
    answer = _answer(
        shell,
        server.directory,
        server.port,
        "SELECT 7",
        server.binaries,
        before="perl() { return 127; }",
    )

    assert answer == "0 7"


def test_an_error_is_told_in_the_words_of_psql(
    server: PrivateServer, shell: LocalShell
) -> None:
    answer = _answer(
        shell, server.directory, server.port, "SELECT 1/0", server.binaries
    )

    assert answer == "1 ERROR:  division by zero"


def test_a_password_is_left_to_psql(server: PrivateServer) -> None:
    server.psql("CREATE ROLE locked SUPERUSER LOGIN PASSWORD 'a secret'")
    hba = server.data / "pg_hba.conf"
    was = hba.read_text()
    hba.write_text(f"local all locked scram-sha-256\n{was}")
    server.psql("SELECT pg_reload_conf()")
    shell = LocalShell(server.user, {"PGUSER": "locked", "PGPASSWORD": "a secret"})

    def answer() -> str:
        sql = "SELECT current_user || ' ' || (SELECT count(*) FROM pg_hba_file_rules"
        sql += " WHERE auth_method = 'scram-sha-256' AND user_name = '{locked}')"
        return _answer(shell, server.directory, server.port, sql, server.binaries)

    try:
        until(lambda: answer() == "0 locked 1")
        refused = _answer(
            shell, server.directory, server.port, "SELECT 1", Path("/nowhere")
        )
    finally:
        hba.write_text(was)
        server.psql("SELECT pg_reload_conf(); DROP ROLE locked")

    assert not refused.startswith("0")


def test_a_server_that_hangs_is_waited_for_once(
    server: PrivateServer, shell: LocalShell, no_psql: Path
) -> None:
    path = server.directory / ".s.PGSQL.1"
    with socket.socket(socket.AF_UNIX) as mute:
        mute.bind(str(path))
        path.chmod(0o777)
        mute.listen(5)
        try:
            answer = _answer(shell, server.directory, 1, "SELECT 1", no_psql)
        finally:
            path.unlink()

    assert answer == "1 timeout expired"


def test_what_errors_there_are_is_left_to_a_whole_look(
    server: PrivateServer, cluster: Clusters
) -> None:
    herd = cluster()
    assert not herd.act("reload", need_running=True).seen.facts["has_errors"]
    conf = server.data / "postgresql.auto.conf"
    was = conf.read_text()
    conf.write_text("no_such_name = 1\n")
    try:
        after = herd.act("reload", need_running=True).seen
        whole = herd.look()
    finally:
        conf.write_text(was)

    assert after.answers
    assert after.facts["has_errors"]
    assert not whole.facts["has_errors"]
    assert "no_such_name" in " ".join(whole.configuration_errors)
