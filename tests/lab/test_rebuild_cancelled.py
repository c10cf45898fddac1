"""People who cancel a rebuild, in the middle of each rung and before."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from herds.operations import requests
from tests.lab.product import ANNA, Product, RunningWorker, ended, said, target
from tests.lab.rebuilds import COPYING, SETTINGS, Parted


@pytest.fixture(scope="module", autouse=True)
def worker(plain_herds: Product) -> Iterator[RunningWorker]:
    """One worker for the tests that do not kill theirs."""
    with plain_herds.worker(**SETTINGS) as worker:
        yield worker


@pytest.mark.parametrize("method", ["rewind", "rsync", "basebackup"])
def test_cancelled_in_the_middle_a_rebuild_leaves_an_incomplete_target(
    quote: Parted, method: str
) -> None:
    quote.part()
    with quote.slowed(method) as bandwidth:
        operation = quote.ask(method=method, bandwidth=bandwidth)
        quote.in_the_middle(operation, COPYING[method])

        requests.cancel(operation.pk, ANNA)
        operation = ended(operation, 20)

    row = target(operation, quote.target)
    assert (operation.state, row.state) == ("cancelled", "cancelled"), said(operation)
    assert "was cancelled on" in row.outcome
    assert "is incomplete and cannot start; run the rebuild again." in row.outcome
    quote.source_is_clean()
    quote.is_incomplete_and_cannot_start()
    quote.succeeds_again(**({} if method == "rewind" else {"method": method}))


def test_cancelled_before_anything_is_changed_the_target_runs_as_it_did(
    quote: Parted,
) -> None:
    quote.part(stop=False)
    # The backup cannot begin before a checkpoint that the source is kept from.
    with quote.frozen_checkpointer(quote.new):
        operation = quote.ask(method="rewind")
        quote.in_step(operation, "checkpoint")

        requests.cancel(operation.pk, ANNA)
        operation = ended(operation, 20)

    row = target(operation, quote.target)
    assert row.state == "cancelled", said(operation)
    assert "is as it was, and it was started again." in row.outcome
    quote.source_is_clean()
    quote.still_has_its_own()
    quote.succeeds_again(method="rewind")


def test_following_is_not_left_half_done_by_a_request_to_cancel(
    quote: Parted,
) -> None:
    quote.product.stop(quote.target)
    with quote.slow(quote.new, "8mbit"):
        quote.sql(quote.new, "UPDATE filler SET pad = reverse(pad) WHERE n < 2000")
        operation = quote.ask(method="follow")
        quote.in_step(operation, "stream")

        requests.cancel(operation.pk, ANNA)
        operation = ended(operation, 30)

    quote.succeeded(operation)
