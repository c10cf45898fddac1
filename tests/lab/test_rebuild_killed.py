"""Workers that are killed in the middle of a rebuild."""

from __future__ import annotations

from herds.operations import requests
from tests.lab.product import ANNA, ended, target
from tests.lab.rebuilds import CRAWL, SETTINGS, SLOW, Parted, reaped


def test_a_killed_workers_rebuilds_end_everywhere_and_are_resumed(
    quote: Parted, orders: Parted
) -> None:
    quote.part()
    orders.part()
    with quote.slow(quote.new), quote.product.worker(**SETTINGS) as lost:
        rewound = quote.ask(method="rewind")
        quote.in_the_middle(rewound, "rewind")
        copied = orders.ask(method="basebackup", bandwidth=2 * SLOW)
        orders.in_the_middle(copied, "copy")
        lost.kill()
    for herd, operation in ((quote, rewound), (orders, copied)):
        herd.source_is_clean()
        herd.is_incomplete_and_cannot_start()
        reaped(operation, lost.row)
        row = target(operation, herd.target)
        assert row.state == "interrupted"
        assert "What is true of this target now is not known" in row.outcome

    with quote.product.worker(**SETTINGS):
        requests.resume(rewound.pk, ANNA)
        requests.resume(copied.pk, ANNA)
        quote.succeeded(ended(rewound))
        orders.succeeded(ended(copied))


def test_after_a_killed_worker_a_new_rebuild_does_it_too(quote: Parted) -> None:
    quote.part()
    with quote.product.worker(**SETTINGS) as lost:
        operation = quote.ask(method="rsync", bandwidth=CRAWL)
        quote.in_the_middle(operation, "copy")
        lost.kill()
    quote.source_is_clean()
    quote.is_incomplete_and_cannot_start()
    reaped(operation, lost.row)

    with quote.product.worker(**SETTINGS):
        quote.succeeds_again(method="rsync")
