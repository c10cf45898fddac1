"""An ElepHaaS 1.2 is taken over: migrated where it is, or copied from its database."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.private_server import PrivateServer
from tests.db.original import ROLES, SQL
from tests.db.test_talk import CHECKOUT

# As the Django of that time left its own tables.
OLD_DJANGO = """
import django
from django.core.management import call_command
django.setup()
call_command("migrate", "contenttypes", verbosity=0)
call_command("migrate", "auth", "0007", verbosity=0)
call_command("migrate", "admin", "0002", verbosity=0)
call_command("migrate", "sessions", verbosity=0)
from django.db import connection
connection.cursor().execute(
    "INSERT INTO auth_user (username, password, is_superuser, is_staff, is_active,"
    " first_name, last_name, email, date_joined)"
    " VALUES ('dba', 'pbkdf2', true, true, true, '', '', '', '2016-01-01')"
)
"""


class Installation:
    """manage.py beside a database of its own on the server."""

    def __init__(self, server: PrivateServer, folder: Path, database: str) -> None:
        self.server = server
        self.database = database
        self.settings = folder / f"{database}.py"
        server.psql(f"CREATE DATABASE {database}")
        address = {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": database,
            "HOST": str(server.directory),
            "PORT": str(server.port),
            "USER": server.superuser,
            "OPTIONS": {"options": "-c search_path=utility"},
        }
        self.settings.write_text(
            f"SECRET_KEY = 'of the tests'\nDATABASES = {{'default': {address!r}}}\n"
        )

    def run(self, *argv: str, status: int = 0) -> str:
        """Run Python with this installation's settings; give what it printed."""
        done = subprocess.run(
            [sys.executable, *argv],
            cwd=CHECKOUT,
            env={
                **os.environ,
                "DJANGO_SETTINGS_MODULE": "elephaas.settings",
                "ELEPHAAS_SETTINGS_FILE": str(self.settings),
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert done.returncode == status, done.stdout
        return done.stdout

    def manage(self, *arguments: str, status: int = 0) -> str:
        return self.run("manage.py", *arguments, status=status)

    def asked(self, sql: str) -> list[dict[str, object]]:
        """Give rows as JSON has them."""
        text = self.server.psql(
            f"SELECT coalesce(json_agg(found), '[]') FROM ({sql}) found",
            database=self.database,
        )
        rows: list[dict[str, object]] = json.loads(text)
        return rows


@pytest.fixture(scope="module")
def server() -> Iterator[PrivateServer]:
    """A PostgreSQL server with the roles of that time."""
    made = PrivateServer(
        Path(tempfile.mkdtemp(prefix="elephaas-")),
        durable=False,
        dies_with_parent=True,
    )
    try:
        made.start()
        made.psql(ROLES)
        yield made
    finally:
        made.destroy()


@pytest.fixture
def original(
    server: PrivateServer, tmp_path: Path, request: pytest.FixtureRequest
) -> Installation:
    """A database of 1.2, of this test's own."""
    name = f"admin{abs(hash(request.node.name))}"
    made = Installation(server, tmp_path, name)
    server.psql(SQL, database=name)
    return made


def test_its_tables_are_migrated_where_they_are(original: Installation) -> None:
    original.run("-c", OLD_DJANGO)

    shown = original.manage("migrate")

    assert "1 environments" not in shown
    assert "Brought from 1.2: 2 environments, 2 herds, 3 servers, 3 instances" in shown
    assert "Row 9 of utility_1_2.ele_herd was not brought" in shown
    assert "Row 22 of utility_1_2.ele_instance was not brought" in shown
    assert "Row 24 of utility_1_2.ele_instance was not brought" in shown
    assert "View board reads" in shown
    assert original.asked(
        "SELECT instance_id, herd_id, server_id, version, local_pgdata, xlog_pos,"
        " is_online, master_id, created_dt::date::text AS created"
        " FROM utility.ele_instance ORDER BY 1"
    ) == [
        {
            **{"instance_id": 21, "herd_id": 7, "server_id": 11, "version": "9.4.5"},
            **{"local_pgdata": "", "xlog_pos": 4712, "is_online": True},
            **{"master_id": None, "created": "2016-01-01"},
        },
        {
            **{"instance_id": 23, "herd_id": 7, "server_id": 12, "version": "9.4.5"},
            **{"local_pgdata": "", "xlog_pos": 4711, "is_online": True},
            **{"master_id": 21, "created": "2016-01-01"},
        },
        {
            **{"instance_id": 25, "herd_id": 8, "server_id": 14, "version": ""},
            **{"local_pgdata": "/db/own", "xlog_pos": None, "is_online": False},
            **{"master_id": None, "created": "2016-01-01"},
        },
    ]
    assert original.asked(
        "SELECT s.hostname, e.env_name, s.modified_dt::date::text AS modified"
        " FROM utility.ele_server s LEFT JOIN utility.ele_environment e"
        " USING (environment_id) ORDER BY server_id"
    ) == [
        {"hostname": "ele01", "env_name": "prod", "modified": "2016-02-01"},
        {"hostname": "ele02", "env_name": "prod", "modified": "2016-02-01"},
        {"hostname": "ele04", "env_name": None, "modified": "2016-02-01"},
    ]
    # Dashboards read as before; agents do not.
    assert original.asked(
        "SELECT r, t, has_table_privilege(r, 'utility.' || t, 'SELECT') AS may FROM"
        " (VALUES ('dashboard', 'ele_herd'), ('dashboard', 'v_flat_instance'),"
        " ('dashboard', 'ele_server'), ('util_exec', 'ele_instance')) x (r, t)"
    ) == [
        {"r": "dashboard", "t": "ele_herd", "may": True},
        {"r": "dashboard", "t": "v_flat_instance", "may": True},
        {"r": "dashboard", "t": "ele_server", "may": False},
        {"r": "util_exec", "t": "ele_instance", "may": False},
    ]
    # What was there is kept; new rows get new numbers and stamps; people stay.
    assert original.asked("SELECT count(*) FROM utility_1_2.ele_instance") == [
        {"count": 5}
    ]
    made = original.server.psql(
        "SET search_path TO utility; INSERT INTO ele_environment (env_name)"
        " VALUES ('stage') RETURNING environment_id > 4 AND created_dt > '2020-01-01'",
        database=original.database,
    )
    assert made.strip() == "t"
    assert original.asked("SELECT username FROM utility.auth_user") == [
        {"username": "dba"}
    ]
    assert "No migrations to apply" in original.manage("migrate")


def test_migrations_of_the_same_name_are_forgotten_first(
    original: Installation,
) -> None:
    original.run("-c", OLD_DJANGO)
    original.server.psql(
        "INSERT INTO utility.django_migrations (app, name, applied) VALUES"
        " ('herds', '0001_initial', now())",
        database=original.database,
    )

    assert "migrate again" in original.manage("migrate", "herds", status=1)
    assert "Brought from 1.2" in original.manage("migrate")


def test_who_may_not_move_the_tables_changes_nothing(original: Installation) -> None:
    original.server.psql(
        "GRANT ALL ON SCHEMA utility TO clerk",
        database=original.database,
    )
    original.settings.write_text(
        original.settings.read_text().replace(
            f"'USER': '{original.server.superuser}'", "'USER': 'clerk'"
        )
    )

    shown = original.manage("migrate", status=1)

    assert "GRANT CREATE ON DATABASE" in shown
    assert original.asked("SELECT count(*) FROM utility.ele_instance") == [{"count": 5}]


def test_its_rows_are_copied_from_its_database(
    original: Installation, tmp_path: Path
) -> None:
    new = Installation(original.server, tmp_path, "new")
    new.manage("migrate", "--verbosity", "0")
    service = tmp_path / "service.conf"
    service.write_text(
        f"[old]\nhost={original.server.directory}\nport={original.server.port}\n"
        f"dbname={original.database}\nuser={original.server.superuser}\n"
    )
    os.environ["PGSERVICEFILE"] = str(service)
    try:
        rehearsed = new.manage(
            "import_fleet", "--from-database", "service=old", "--dry-run", status=3
        )
        assert "Nothing was changed" in rehearsed
        shown = new.manage("import_fleet", "--from-database", "service=old", status=3)
    finally:
        del os.environ["PGSERVICEFILE"]

    assert "✖ ele_herd 9: Data Root" in shown
    assert "✔ instance trade on ele02" in shown
    assert new.asked(
        "SELECT h.herd_name, s.hostname, u.server_id IS NOT NULL AS follows"
        " FROM utility.ele_instance i JOIN utility.ele_herd h USING (herd_id)"
        " JOIN utility.ele_server s USING (server_id)"
        " LEFT JOIN utility.ele_instance u ON u.instance_id = i.master_id ORDER BY 1, 2"
    ) == [
        {"herd_name": "lonely", "hostname": "ele04", "follows": False},
        {"herd_name": "trade", "hostname": "ele01", "follows": False},
        {"herd_name": "trade", "hostname": "ele02", "follows": True},
    ]
    # The old one is as it was.
    assert original.asked("SELECT count(*) FROM utility.ele_server") == [{"count": 4}]
