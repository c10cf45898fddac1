"""A diverged old primary comes back, by every way, on every major and every layout."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.lab.copies import (
    Copies,
    Pair,
    copies_of,
    copy_everything,
    copy_what_differs,
    diverge,
    herd,
    rewind_it,
    written_to,
)

HERDS = (
    herd("d14", 5432, "14"),
    herd("d15", 5433, "15"),
    herd("d16", 5434, "16"),
    herd("d17", 5435, "17"),
    herd("d18", 5436, "18"),
    herd("odd", 5437, "15", "plain", "/var/lib/postgresql/it's here/odd"),
    herd("rhel", 5438, "16", "rhel", "/var/lib/pgsql/16/data"),
)


@pytest.fixture(scope="module")
def copies() -> Iterator[Copies]:
    with copies_of(*HERDS) as made:
        yield made


@pytest.mark.parametrize("name", [spec.name for spec in HERDS])
@pytest.mark.parametrize("bring_back", [rewind_it, copy_what_differs, copy_everything])
def test_a_diverged_old_primary_streams_and_is_equal(
    copies: Copies, name: str, bring_back: Callable[[Pair], Any]
) -> None:
    pair = diverge(copies, name)
    settings = pair.local_settings()

    with written_to(pair.source):
        brought = bring_back(pair)

    pair.prove_equal()
    assert pair.local_settings() == settings
    assert pair.source.probe().slots == (), "nothing is left on the source"
    assert brought.seconds > 0
