"""The metadata of installations in a lab: one server, a database for each."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from django.core.management import call_command
from django.db import connection

from lab.private_server import PrivateServer

ROOT = Path("/var/tmp")
PREFIX = "elephaas-lab-"


def _clear_strays() -> None:
    """Remove what test runs left that were killed; their servers ended with them."""
    for directory in ROOT.glob(f"{PREFIX}*-*"):
        owner = directory.name.removeprefix(PREFIX).split("-")[0]
        if owner.isdigit() and not Path(f"/proc/{owner}").exists():
            shutil.rmtree(directory, ignore_errors=True)


class MetadataServer:
    """The server of all metadata databases of these tests, which can be restarted.

    It lies where every host of the lab sees it under the same path, so that workers
    of any host reach it through its socket.
    """

    def __init__(self) -> None:
        _clear_strays()
        self.directory = Path(
            tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-", dir=ROOT)
        )
        self.directory.chmod(0o755)
        self.postgres = PrivateServer(
            self.directory / "metadata", durable=False, dies_with_parent=True
        )
        self.postgres.start()
        self._migrated = False

    def make(self, name: str) -> None:
        """Make a database with the product's tables, a copy of the first one."""
        if not self._migrated:
            self.postgres.psql("CREATE DATABASE migrated")
            with self.used_here("migrated"):
                call_command("migrate", verbosity=0)
            self._migrated = True
        self.postgres.psql(f'CREATE DATABASE "{name}" TEMPLATE migrated')

    @contextlib.contextmanager
    def used_here(self, name: str) -> Iterator[None]:
        """Lead this process's models to one of the databases."""
        before = dict(connection.settings_dict)
        connection.close()
        connection.settings_dict.update(
            NAME=name,
            HOST=str(self.postgres.directory),
            PORT=str(self.postgres.port),
            USER=self.postgres.superuser,
        )
        try:
            yield
        finally:
            connection.close()
            connection.settings_dict.update(before)

    def destroy(self) -> None:
        """Take the server away with everything in its directory."""
        self.postgres.destroy()
        shutil.rmtree(self.directory, ignore_errors=True)
