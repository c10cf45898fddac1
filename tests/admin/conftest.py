"""Who looks at the admin in these tests, and a host to add to it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from pytest_django.fixtures import Settings

from tests.factories import user
from tests.unit.ssh_server import USER, LocalSshd

VIEWS = "view_"


@pytest.fixture
def administrator(db: None) -> Client:
    """A browser of somebody who may everything."""
    return _browser(User.objects.create_superuser("admin", password="secret"))


@pytest.fixture
def viewer(db: None) -> Client:
    """A browser of somebody who may look at everything and do nothing."""
    person = user("viewer")
    person.user_permissions.set(Permission.objects.filter(codename__startswith=VIEWS))
    return _browser(person)


@pytest.fixture
def sshd(tmp_path: Path, settings: Settings) -> Iterator[LocalSshd]:
    """A host named localhost that lets this service in."""
    server = LocalSshd(tmp_path / "sshd").start()
    settings.SSH = {
        "USER": USER,
        "PORT": server.port,
        "PRIVATE_KEY_FILE": str(server.private_key),
        "CONNECT_TIMEOUT": 5.0,
    }
    settings.PUBLIC_KEY = "ssh-ed25519 AAAAExample elephaas@control"
    yield server
    server.stop()


def _browser(person: User) -> Client:
    client = Client()
    client.force_login(person)
    return client
