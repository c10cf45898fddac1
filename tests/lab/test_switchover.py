"""Primaries that are moved while everybody is well, and moved back."""

from __future__ import annotations

import pytest

from tests.lab.product import said
from tests.lab.switching import Moving


@pytest.fixture(scope="module", params=["quote", "trade"])
def herd_name(request: pytest.FixtureRequest) -> str:
    """Once as pg_ctl keeps herds, once as Debian packages them."""
    return request.param


def test_a_herd_moves_and_loses_nothing(herd: Moving) -> None:
    old = herd.primary
    with herd.write() as writer:
        operation = herd.move(old_primary="rejoin")
    row = operation.targets.get()

    herd.has_moved(operation, row.hostname)
    assert row.state == "succeeded", said(operation)
    assert herd.follows(old, row.hostname)
    assert herd.lost(writer) == set()
