"""Rebuilds that go well, by each rung, and the plan that offers them."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from tests.lab.product import Product, RunningWorker, target
from tests.lab.rebuilds import SETTINGS, Parted


@pytest.fixture(scope="module", autouse=True)
def worker(plain_herds: Product) -> Iterator[RunningWorker]:
    """One worker for all tests of this module."""
    with plain_herds.worker(**SETTINGS) as worker:
        yield worker


def configure(herd: Parted, host: str) -> str:
    """Write something of its own into a node's configuration; give all of that."""
    script = 'for each in *.conf; do echo "# $1 $(date +%s%N)" >>"$each"; done'
    herd.shell(host, script, host, user="postgres")
    return configuration(herd, host)


def configuration(herd: Parted, host: str) -> str:
    """Read the node's configuration, but for what tells it whom to follow."""
    return herd.shell(host, "ls *.conf; cat postgresql.conf pg_hba.conf pg_ident.conf")


@pytest.mark.parametrize("method", ["rewind", "rsync", "basebackup"])
def test_an_old_primary_comes_back_by_each_rung_with_its_own_configuration(
    quote: Parted, method: str
) -> None:
    quote.part(fresh=2, stop=False)
    own = configure(quote, quote.old)
    configure(quote, quote.new)

    quote.succeeds_again(method=method)

    assert configuration(quote, quote.old) == own


def test_a_stopped_old_primary_is_rewound(quote: Parted) -> None:
    quote.part(fresh=2)

    quote.succeeds_again(method="rewind")


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
    seen = plan["identity"]
    assert re.fullmatch(r"\d{15,20}", seen["system"])
    assert seen["octets"] > 10_000_000
    assert seen["seen_at"]


def test_a_standby_that_was_away_follows(quote: Parted) -> None:
    quote.product.stop(quote.target)
    quote.sql(quote.new, "INSERT INTO written VALUES ('while it was away')")

    outcome = quote.succeeds_again()

    assert "(Follow as it is, from" in outcome
