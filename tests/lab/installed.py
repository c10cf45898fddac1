"""Fixtures: the product installed in a lab of its own, ready to be asked for things."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from pytest_django import DjangoDbBlocker

if TYPE_CHECKING:
    from django.test import Client

    from lab import Lab
    from tests.lab.metadata import MetadataServer
    from tests.lab.product import Product

PREFIX = "test-product-"


@pytest.fixture(scope="session")
def product_lab() -> Iterator[Lab]:
    """A lab of nine hosts, four Debian herds and two plain ones, for the session."""
    # Imported late: this is a plugin, and loaded before Django is set up.
    from tests.lab.product import LAYOUT
    from tests.lab.throwaway import throwaway_lab

    with throwaway_lab(PREFIX, LAYOUT) as lab:
        yield lab


@pytest.fixture(scope="session")
def product_metadata() -> Iterator[MetadataServer]:
    """The server of the installations' metadata."""
    from tests.lab.metadata import MetadataServer

    server = MetadataServer()
    try:
        yield server
    finally:
        server.destroy()


@pytest.fixture(scope="session")
def installations(
    product_lab: Lab,
    product_metadata: MetadataServer,
    django_db_blocker: DjangoDbBlocker,
) -> dict[str, Product]:
    """The product as Debian's commands drive it, and as plain pg_ctl does."""
    from tests.lab.product import LAYOUT, PLAIN_COMMANDS, PLAIN_HERDS, Product

    debian = tuple(herd.name for herd in LAYOUT.herds if herd.name not in PLAIN_HERDS)
    with django_db_blocker.unblock():
        return {
            "debian": Product(
                product_lab, product_metadata, "debian", debian, manages_dns=True
            ),
            "plain": Product(
                product_lab, product_metadata, "plain", PLAIN_HERDS, PLAIN_COMMANDS
            ),
        }


@pytest.fixture(scope="module")
def debian(
    installations: dict[str, Product], django_db_blocker: DjangoDbBlocker
) -> Iterator[Product]:
    """The installation with Debian's commands; the models read its metadata."""
    with django_db_blocker.unblock(), installations["debian"].used_here():
        yield installations["debian"]


@pytest.fixture(scope="module")
def plain(
    installations: dict[str, Product], django_db_blocker: DjangoDbBlocker
) -> Iterator[Product]:
    """The installation with pg_ctl's commands; the models read its metadata."""
    with django_db_blocker.unblock(), installations["plain"].used_here():
        yield installations["plain"]


@pytest.fixture
def visitor(debian: Product) -> Client:
    """The pages of ``debian`` as this process serves them, to an administrator."""
    from django.contrib.auth.models import User
    from django.test import Client

    administrator, _ = User.objects.get_or_create(
        username="bert", defaults={"is_staff": True, "is_superuser": True}
    )
    client = Client()
    client.force_login(administrator)
    return client


@pytest.fixture(scope="session")
def website(
    installations: dict[str, Product], django_db_blocker: DjangoDbBlocker
) -> Iterator[str]:
    """The address of the pages of ``debian``, with an administrator and a viewer.

    Their passwords are their names.
    """
    from django.contrib.auth.models import Permission, User

    product = installations["debian"]
    with django_db_blocker.unblock(), product.used_here():
        User.objects.create_superuser("admin", password="admin")
        viewer = User.objects.create_user("viewer", password="viewer", is_staff=True)
        viewer.user_permissions.set(
            Permission.objects.filter(codename__startswith="view_")
        )
    with product.served() as address:
        yield address
