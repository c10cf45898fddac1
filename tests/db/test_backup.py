"""A backup of ElepHaaS, made as ``docs/backup.md`` says, works in another database."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.private_server import PrivateServer
from tests.db.test_original import Installation
from tests.db.test_talk import CHECKOUT, empty_server
from tests.docs.pages import ROOT, commands

__all__ = ["empty_server"]

PAGE = ROOT / "docs" / "backup.md"

FILL = """
import django
django.setup()
from django.contrib.auth.models import Group, User
from herds.models import Environment, Herd, Instance, Server
User.objects.create_superuser("dba", password="an elephant never forgets")
Group.objects.create(name="night shift")
prod = Environment.objects.create(env_name="prod")
herd = Herd.objects.create(herd_name="trade", base_name="trade", environment=prod,
                           pgdata="/srv/trade")
server = Server.objects.create(hostname="ele01", environment=prod)
Instance.objects.create(herd=herd, server=server, is_online=True)
"""

LOOK = """
import django
django.setup()
from django.conf import settings
settings.ALLOWED_HOSTS = ["testserver"]
settings.SECURE_SSL_REDIRECT = False
settings.STORAGES["staticfiles"]["BACKEND"] = (
    "django.contrib.staticfiles.storage.StaticFilesStorage")
from django.test import Client
client = Client()
from django.contrib.auth.models import User
user = User.objects.get(username="dba")
assert user.check_password("an elephant never forgets")
client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
for address in ("", "herds/instance/", "herds/herd/", "herds/disasterrecovery/",
                "herds/operation/"):
    page = client.get(f"/admin/{address}")
    assert page.status_code == 200, (address, page.status_code)
assert "trade" in client.get("/admin/herds/instance/").content.decode()
print("pages are fine")
"""


@pytest.fixture
def installation(empty_server: PrivateServer, tmp_path: Path) -> Installation:
    """An installation with people and a fleet."""
    made = Installation(empty_server, tmp_path, "admin")
    made.manage("migrate", "--verbosity", "0")
    made.run("-c", FILL)
    return made


def typed(line: str, server: PrivateServer, folder: Path) -> str:
    done = subprocess.run(
        ["bash", "-c", line],
        cwd=folder,
        env={
            **os.environ,
            **server.environment,
            "PATH": f"{server.binaries}:{os.environ['PATH']}",
        },
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{line}\n{done.stdout}"
    return done.stdout


def shown_commands() -> Iterator[str]:
    """Give what the page tells to type on the database server."""
    for line in commands(PAGE):
        if line.startswith(("pg_dump", "createdb", "pg_restore")):
            yield line


def test_a_restored_backup_is_the_installation(
    installation: Installation, tmp_path: Path
) -> None:
    server = installation.server
    dump, create, restore = shown_commands()
    typed(dump, server, tmp_path)
    # What came after the backup is not in it.
    server.psql("DELETE FROM utility.ele_instance", database="admin")
    server.psql("ALTER DATABASE admin RENAME TO lost")

    typed(create, server, tmp_path)
    typed(restore, server, tmp_path)

    assert "No migrations to apply" in installation.manage("migrate")
    assert "pages are fine" in installation.run("-c", LOOK)
    assert installation.asked(
        "SELECT herd_name, hostname FROM utility.v_flat_instance"
    ) == [{"herd_name": "trade", "hostname": "ele01"}]
    assert installation.asked(
        "SELECT name FROM utility.auth_group WHERE name LIKE 'n%'"
    )
    # Stamps are kept by the trigger, numbers go on, functions are there.
    stamped = server.psql(
        "SET search_path TO utility; INSERT INTO ele_server (hostname, created_dt)"
        " VALUES ('ele02', '2001-01-01') RETURNING created_dt > '2020-01-01'"
        " AND server_id = 2",
        database="admin",
    )
    assert stamped.strip() == "t"
    functions = "SELECT count(*) FROM pg_proc WHERE proname LIKE 'sp\\_%%'"
    both = {server.psql(functions, database=name).strip() for name in ("admin", "lost")}
    assert len(both) == 1
    # Nobody may do more or less than before.
    rights = (
        "SELECT coalesce(string_agg(relname || relacl::text, ',' ORDER BY relname), '')"
        " FROM pg_class WHERE relnamespace = 'utility'::regnamespace"
    )
    assert server.psql(rights, database="admin") == server.psql(rights, database="lost")
    assert works(installation)


def works(installation: Installation) -> bool:
    """Tell whether a worker begins and ends there."""
    with subprocess.Popen(
        [sys.executable, "manage.py", "worker"],
        cwd=CHECKOUT,
        env={
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "elephaas.settings",
            "ELEPHAAS_SETTINGS_FILE": str(installation.settings),
            "PYTHONUNBUFFERED": "1",
        },
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    ) as worker:
        assert worker.stdout is not None
        began = "Worker started" in worker.stdout.readline()
        while not installation.asked("SELECT pid FROM utility.ele_worker"):
            assert worker.poll() is None
        worker.send_signal(signal.SIGTERM)
        return began and worker.wait(timeout=60) == 0


def test_every_secret_is_listed() -> None:
    text = PAGE.read_text()

    for name in ("settings.py", "secret_key", "id_ed25519", ".pgpass", "DNS"):
        assert name in text
