"""What the tests of the SSH adapter share: an sshd, and a pool that talks to it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from herds.ssh.pool import ShellPool
from herds.ssh.shell import Shell

from .ssh_server import USER, LocalSshd


@pytest.fixture(scope="session")
def shared_sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalSshd]:
    """An sshd for tests that only run commands on it."""
    server = LocalSshd(tmp_path_factory.mktemp("sshd")).start()
    yield server
    server.stop()


@pytest.fixture
def sshd(tmp_path: Path) -> Iterator[LocalSshd]:
    """An sshd of the test's own, to be stopped, frozen and changed."""
    server = LocalSshd(tmp_path / "sshd").start()
    yield server
    server.stop()


def pool_for(server: LocalSshd, **options: float) -> ShellPool:
    """Return a pool that logs in on a test's sshd."""
    return ShellPool(
        user=USER,
        private_key_file=server.private_key,
        port=server.port,
        **{"connect_timeout": 10.0, "stop_grace": 0.5, **options},
    )


@pytest.fixture
def pool(sshd: LocalSshd) -> Iterator[ShellPool]:
    """Connections to the test's own sshd."""
    with pool_for(sshd) as opened:
        yield opened


@pytest.fixture
def shell(pool: ShellPool, sshd: LocalSshd) -> Shell:
    """A shell on the test's own sshd."""
    return pool.shell(sshd.address, sshd.host_key())


@pytest.fixture(scope="session")
def shared_pool(shared_sshd: LocalSshd) -> Iterator[ShellPool]:
    """Connections to the shared sshd, kept over tests as a worker keeps them."""
    with pool_for(shared_sshd) as opened:
        yield opened


@pytest.fixture
def shared_shell(shared_pool: ShellPool, shared_sshd: LocalSshd) -> Shell:
    """A shell on the shared sshd."""
    return shared_pool.shell(shared_sshd.address, shared_sshd.host_key())
