"""Networks that are cut between the worker and one of a rebuild's hosts.

Those that are cut between the two hosts are in ``test_rebuild_source``.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from lab import Lab
from tests.lab.product import Product, RunningWorker, ended
from tests.lab.rebuilds import CRAWL, SETTINGS, Parted


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


def test_the_worker_loses_a_target_and_a_source_in_the_middle_of_a_copy(
    quote: Parted, small: Parted, cut: Lab
) -> None:
    quote.part()
    small.part()
    without_target = quote.ask(method="rsync", bandwidth=CRAWL)
    quote.in_the_middle(without_target, "copy")
    without_source = small.ask(method="rsync", bandwidth=CRAWL)
    small.in_the_middle(without_source, "copy")

    cut.partition(["control"], [quote.old, small.new])
    without_target, without_source = (
        ended(without_target, 60),
        ended(without_source, 60),
    )

    outcome = quote.failed(without_target)
    assert f"Whether the data of {quote.old} was changed is not known; if so" in outcome
    assert "is marked as incomplete and cannot start." in outcome
    assert quote.step(without_target, "copy").state == "unknown"
    outcome = small.failed(without_source)
    assert f"on {small.new} is unknown (the connection was lost)" in outcome
    assert f"data directory of {small.old} is incomplete and cannot start" in outcome
    small.no_leftovers(small.old)
    small.is_incomplete_and_cannot_start()
    cut.heal()
    quote.is_incomplete_and_cannot_start()
    # What a host cannot know to be lost is ended by the next attempt.
    quote.succeeds_again(method="rsync")
    small.succeeds_again(method="rsync")
