"""A cluster to look at, in a directory whose name has spaces, a quote and a ``;``.

A ``$`` or a double quote would be too much for ``pg_ctl`` itself, which pastes paths
into a command line of its own.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from herds.domain.clock import SystemClock
from herds.domain.cluster import ClusterRef
from herds.postgres.cluster import Cluster
from herds.postgres.commands import CommandTemplates
from lab.private_server import PrivateServer
from tests.doubles.local_shell import LocalShell


@pytest.fixture(scope="session")
def made_server() -> Iterator[PrivateServer]:
    """A server of the tests in this directory; each finds it running."""
    directory = Path(tempfile.mkdtemp(prefix="it's a herd; (x) "))
    server = PrivateServer(directory, durable=False)
    try:
        server.start()
        yield server
    finally:
        server.destroy()


@pytest.fixture
def server(made_server: PrivateServer) -> PrivateServer:
    """The server, running whatever the test before did to it."""
    made_server.start()
    return made_server


@pytest.fixture
def shell(server: PrivateServer) -> LocalShell:
    """A login of the user who owns the cluster."""
    return LocalShell(server.user)


@pytest.fixture
def ref(server: PrivateServer) -> ClusterRef:
    """The cluster as registered."""
    return ClusterRef(
        hostname="ele01",
        data_directory=str(server.data),
        port=server.port,
        base_name="main",
        herd_name="trade",
        version=server.psql("SHOW server_version").split()[0],
    )


class Clusters:
    """Makes clusters that differ from the registered one in some values."""

    def __init__(self, ref: ClusterRef, shell: LocalShell) -> None:
        self._ref = ref
        self._shell = shell

    def __call__(
        self, templates: dict[str, str] | None = None, **values: str
    ) -> Cluster:
        commands = {
            "base": "/usr/lib/postgresql/{version[0]}/bin/pg_ctl -D {pgdata}",
            "start": "{COMMANDS[base]} -w -l {pgdata}/startup.log start",
            "stop": "{COMMANDS[base]} -w -m fast stop",
            "reload": "{COMMANDS[base]} reload",
            "promote": "{COMMANDS[base]} -w promote",
            "init": "false",
            **(templates or {}),
        }
        return Cluster(
            replace(self._ref, **values),
            self._shell,
            CommandTemplates(commands),
            SystemClock(),
            command_timeout=60.0,
        )


@pytest.fixture
def cluster(ref: ClusterRef, shell: LocalShell) -> Clusters:
    """Makes clusters; without arguments the registered one."""
    return Clusters(ref, shell)
