"""Networks that are cut in the middle of a rebuild, between each two of its hosts."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from lab import Lab
from tests.lab.product import Product, RunningWorker, ended
from tests.lab.rebuilds import SETTINGS, SLOW, Parted


@pytest.fixture(scope="module", autouse=True)
def worker(plain_herds: Product) -> Iterator[RunningWorker]:
    """One worker for all tests of this module."""
    with plain_herds.worker(**SETTINGS) as worker:
        yield worker


@pytest.fixture
def cut(rebuild_lab: Lab) -> Iterator[Lab]:
    """The lab, whose network is mended after the test."""
    yield rebuild_lab
    rebuild_lab.heal()


def test_the_worker_loses_the_target_in_the_middle_of_a_copy(
    quote: Parted, cut: Lab
) -> None:
    quote.part()
    operation = quote.ask(method="rsync", bandwidth=SLOW)
    quote.in_the_middle(operation, "copy")

    cut.partition(["control"], [quote.old])
    operation = ended(operation, 60)

    outcome = quote.failed(operation)
    assert f"Whether the data of {quote.old} was changed is not known; if so" in outcome
    assert "is marked as incomplete and cannot start." in outcome
    assert quote.step(operation, "copy").state == "unknown"
    cut.heal()
    quote.is_incomplete_and_cannot_start()
    # What the target cannot know to be lost is ended by the next attempt.
    quote.succeeds_again(method="rsync")


def test_the_worker_loses_the_source_in_the_middle_of_a_copy(
    quote: Parted, cut: Lab
) -> None:
    quote.part()
    operation = quote.ask(method="rsync", bandwidth=SLOW)
    quote.in_the_middle(operation, "copy")

    cut.partition(["control"], [quote.new])
    operation = ended(operation, 60)

    outcome = quote.failed(operation)
    assert f"on {quote.new} is unknown (the connection was lost)" in outcome
    assert f"data directory of {quote.old} is incomplete and cannot start" in outcome
    quote.no_leftovers(quote.old)
    quote.is_incomplete_and_cannot_start()
    cut.heal()
    # The session that the source cannot know to be lost gives way to the next.
    quote.succeeds_again(method="rsync")


def test_target_and_source_lose_each_other_in_the_middle(
    quote: Parted, orders: Parted, cut: Lab
) -> None:
    quote.part()
    orders.part()
    with quote.slow(quote.new):
        rewound = quote.ask(method="rewind")
        quote.in_the_middle(rewound, "rewind")
        copied = orders.ask(method="basebackup", bandwidth=SLOW)
        orders.in_the_middle(copied, "copy")

        cut.partition([quote.old], [quote.new])
        copied, rewound = ended(copied, 90), ended(rewound, 90)

    for herd, operation in ((quote, rewound), (orders, copied)):
        assert "is incomplete and cannot start" in herd.failed(operation)
        herd.source_is_clean()
        herd.is_incomplete_and_cannot_start()
    cut.heal()
    quote.succeeds_again()
    orders.succeeds_again(method="basebackup")
