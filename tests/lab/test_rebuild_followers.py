"""Rebuilds of a member that others stream from."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from tests.lab.product import Product, RunningWorker, ended, said, target, until
from tests.lab.rebuilds import SETTINGS, Parted, confirmed, planned

IMPATIENT = {**SETTINGS, "OPERATIONS": {"PATIENCE": 8.0}}


@pytest.fixture(scope="module", autouse=True)
def worker(debian_herds: Product) -> Iterator[RunningWorker]:
    """One worker for all tests of this module."""
    with debian_herds.worker(**IMPATIENT) as worker:
        yield worker


class Cascade:
    """A herd of three: one follows ``upstream`` by its own name, not the herd's."""

    def __init__(self, herd: Parted, upstream: str) -> None:
        self.herd = herd
        self.upstream = upstream
        self.host = herd.spec.members[2]
        followed = herd.sql(self.host, "SHOW primary_conninfo")
        follows = re.sub(
            r"host=\S+", f"host={upstream}.{herd.lab.domain}", followed, count=1
        )
        quoted = follows.replace("'", "''")
        herd.sql(self.host, f"ALTER SYSTEM SET primary_conninfo = '{quoted}'")
        herd.sql(self.host, "ALTER SYSTEM SET wal_retrieve_retry_interval = '200ms'")
        herd.sql(self.host, "SELECT pg_reload_conf()")
        until(self.streams, 20, "it streams from its new upstream")

    @property
    def name(self) -> str:
        """What its upstream knows it as."""
        return f"{self.herd.herd}_{self.host}"

    def streams(self) -> bool:
        """Tell whether its upstream says so."""
        return streams_to(self.herd, self.upstream, self.name)


def streams_to(herd: Parted, upstream: str, name: str) -> bool:
    """Tell whether a member streams to the one that it knows by a name."""
    streams = "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'"
    return herd.sql(upstream, f"{streams} AND application_name = '{name}'") == "1"


def test_a_follower_that_waits_is_seen_again_or_named(trade: Parted) -> None:
    follower = Cascade(trade, trade.old)

    operation = trade.plan()
    plan = target(operation, trade.target).plan
    followed = trade.succeeded(ended(confirmed(operation, method="follow")))
    until(follower.streams, 20, "it streams from its upstream, which was stopped")
    copied = trade.succeeds_again(method="rsync")

    (check,) = (each for each in plan["checks"] if each["name"] == "Followers")
    assert check["observed"] == f"streaming from {trade.old}: {follower.name}"
    assert check["verdict"] == "warn"
    assert followed.endswith(f"Its followers stream from it again ({follower.name}).")
    # The copy's WAL begins after what its follower had last.
    assert f"Not seen to stream from it again: {follower.name};" in copied
    again = planned(trade.product, "rebuild", f"{trade.herd}@{follower.host}")
    again = ended(confirmed(again))
    assert again.state == "succeeded", said(again)
    trade.is_whole(follower.host)


def test_a_member_that_a_name_led_to_a_sibling_is_brought_to_the_primary(
    trade: Parted,
) -> None:
    host = trade.spec.members[2]
    stray = f"{trade.herd}@{host}"
    # From here on its settings are those that a rebuild writes.
    ended(confirmed(planned(trade.product, "rebuild", stray)))
    trade.lead(trade.old)
    # It connects anew once its own setting was another one for a moment.
    with trade.set(host, primary_slot_name="none"):
        pass
    name = f"{trade.herd}_{host}"
    until(lambda: streams_to(trade, trade.old, name), 20, "its sibling feeds it")

    refused = target(planned(trade.product, "rebuild", stray), stray)
    trade.lead(trade.new)
    done = ended(confirmed(planned(trade.product, "rebuild", stray)))

    assert refused.state == "refused"
    assert "leads to a standby, and not to" in refused.outcome
    assert done.state == "succeeded", said(done)
    assert streams_to(trade, trade.new, name)
    trade.is_whole(host)
