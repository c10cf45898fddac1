"""A small lab for all tests that need hosts, and a way to have it whole again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import HerdSpec, Lab, Layout
from tests.lab.throwaway import throwaway_lab

PREFIX = "test-"

ODD_DATA_ROOT = "/var/lib/postgresql/O'Brien & sons/15 ledger"

LAYOUT = Layout(
    hosts=("ele01", "ele02", "ele03", "ele04"),
    herds=(
        HerdSpec(
            name="trade",
            environment="prod",
            port=5432,
            members=("ele01", "ele02", "ele03"),
            data_root="/var/lib/postgresql/15/trade",
        ),
        HerdSpec(
            name="quote",
            environment="prod",
            port=5433,
            members=("ele03", "ele04"),
            data_root="/var/lib/postgresql/15/quote",
            packaging="plain",
        ),
        HerdSpec(
            name="ledger",
            environment="prod",
            port=5434,
            members=("ele04", "ele01"),
            data_root=ODD_DATA_ROOT,
        ),
    ),
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test of this directory, so that it can be left out by one word."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.lab)


@pytest.fixture(scope="session")
def lab() -> Iterator[Lab]:
    """A lab of four hosts and three herds, for the whole session.

    ``trade`` is packaged as Debian does; ``quote`` is one that only pg_ctl knows;
    ``ledger`` lies in a directory with spaces, a quote and an ampersand. Tests leave it
    as they found it; those that break hosts or networks take ``breakable``.
    """
    with throwaway_lab(PREFIX, LAYOUT) as lab:
        yield lab


@pytest.fixture
def breakable(lab: Lab) -> Iterator[Lab]:
    """The lab, whose hosts and network are made whole after the test."""
    yield lab
    for host in lab.hosts:
        lab.boot(host)
    lab.heal()
