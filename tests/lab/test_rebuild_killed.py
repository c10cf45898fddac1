"""Workers that are killed in the middle of a rebuild."""

from __future__ import annotations

import pytest

from herds.operations import requests
from tests.lab.product import ANNA, ended, target
from tests.lab.rebuilds import COPYING, SETTINGS, SLOW, Parted, reaped


@pytest.mark.parametrize("method", ["rewind", "rsync", "basebackup"])
def test_a_killed_workers_rebuild_ends_everywhere_and_is_resumed(
    quote: Parted, method: str
) -> None:
    quote.part()
    with quote.slowed(method) as bandwidth:
        with quote.product.worker(**SETTINGS) as lost:
            operation = quote.ask(method=method, bandwidth=bandwidth)
            quote.in_the_middle(operation, COPYING[method])
            lost.kill()
        quote.source_is_clean()
    quote.is_incomplete_and_cannot_start()
    reaped(operation, lost.row)
    row = target(operation, quote.target)
    assert row.state == "interrupted"
    assert "What is true of this target now is not known" in row.outcome

    with quote.product.worker(**SETTINGS):
        requests.resume(operation.pk, ANNA)
        quote.succeeded(ended(operation))


def test_after_a_killed_worker_a_new_rebuild_does_it_too(quote: Parted) -> None:
    quote.part()
    with quote.product.worker(**SETTINGS) as lost:
        operation = quote.ask(method="rsync", bandwidth=SLOW)
        quote.in_the_middle(operation, "copy")
        lost.kill()
    reaped(operation, lost.row)

    with quote.product.worker(**SETTINGS):
        quote.succeeds_again(method="rsync")
