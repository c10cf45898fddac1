"""What all tests share: a private PostgreSQL server for the metadata."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.db import connections

from lab.private_server import PrivateServer

pytest_plugins = [
    "tests.lab.installed",
    "tests.lab.rebuilds",
    "tests.lab.switching",
]


@pytest.fixture(scope="session")
def private_server() -> Iterator[PrivateServer]:
    """A PostgreSQL server for this test process; it ends with it in any case."""
    # A socket's path is short, so pytest's own long temporary paths do not do.
    directory = Path(tempfile.mkdtemp(prefix="elephaas-"))
    # Rows of tests are never committed: a vacuum in between would tell the planner that
    # tables are empty, and a list of a large fleet would take it minutes.
    server = PrivateServer(
        directory,
        durable=False,
        dies_with_parent=True,
        options={"autovacuum": "off"},
    )
    try:
        server.start()
        yield server
    finally:
        server.destroy()


@pytest.fixture(scope="session")
def django_db_modify_db_settings(
    private_server: PrivateServer,
    django_db_modify_db_settings_parallel_suffix: None,
) -> None:
    """Lead Django to the private server before it makes the test database."""
    address = {
        "HOST": str(private_server.directory),
        "PORT": str(private_server.port),
        "USER": private_server.superuser,
    }
    for connection in connections.all():
        connection.settings_dict.update(address)
        connections.settings[connection.alias].update(address)
