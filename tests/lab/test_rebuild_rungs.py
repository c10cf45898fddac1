"""Rebuilds that go well, by each rung, and the plan that offers them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.lab.product import Product, RunningWorker, target
from tests.lab.rebuilds import SETTINGS, Parted


@pytest.fixture(scope="module", autouse=True)
def worker(plain_herds: Product) -> Iterator[RunningWorker]:
    """One worker for all tests of this module."""
    with plain_herds.worker(**SETTINGS) as worker:
        yield worker


@pytest.mark.parametrize("method", ["rewind", "rsync", "basebackup"])
@pytest.mark.parametrize("stop", [False, True], ids=["running", "stopped"])
def test_an_old_primary_comes_back_by_each_rung(
    quote: Parted, method: str, stop: bool
) -> None:
    quote.part(fresh=2, stop=stop)

    quote.succeeds_again(method=method)


def test_the_plan_tells_each_rung_and_takes_the_one_that_brings_least(
    quote: Parted,
) -> None:
    quote.part(fresh=2, stop=True)

    plan = target(quote.plan(), quote.target).plan

    method, source = plan["choices"]
    options = {option["value"]: option for option in method["options"]}
    assert list(options) == ["follow", "rewind", "rsync", "basebackup"]
    assert "parted at" in options["follow"]["why"]
    assert [name for name in options if options[name]["possible"]] == [
        *("rewind", "rsync", "basebackup"),
    ]
    assert "MB" in options["rewind"]["label"]
    assert method["default"] == "rsync"
    assert [option["value"] for option in source["options"]] == [quote.new]
    lost = [check for check in plan["checks"] if check["name"] == "Own writes"]
    assert "bytes of WAL after the histories parted" in lost[0]["observed"]
    assert lost[0]["verdict"] == "warn"


def test_a_standby_that_was_away_follows(quote: Parted) -> None:
    quote.product.stop(quote.target)
    quote.sql(quote.new, "INSERT INTO written VALUES ('while it was away')")

    outcome = quote.succeeds_again()

    assert "(Follow as it is, from" in outcome
