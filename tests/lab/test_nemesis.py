"""The nemesis on real hosts: the product passes, and whoever is careless does not."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from pytest_django import DjangoDbBlocker

from tests.nemesis.arena import Arena, arena
from tests.nemesis.by_hand import CARELESS, IMPATIENT
from tests.nemesis.cli import line, play
from tests.nemesis.moment import Moment
from tests.nemesis.scenario import FAILOVER, SWITCHOVER, Scenario, draw

SEED = 20854
RUNS = (
    (SWITCHOVER, "worker-killed"),
    (SWITCHOVER, "primary-killed"),
    (SWITCHOVER, "supervised"),
    (FAILOVER, "cut-worker-candidate"),
)
"""What is asked for, and what goes wrong; the seed draws when, and for how long."""


@pytest.fixture(scope="module")
def fought_over(django_db_blocker: DjangoDbBlocker) -> Iterator[Arena]:
    """A lab of two herds, each with the product."""
    if os.geteuid() != 0:
        pytest.skip("the lab needs root")
    with django_db_blocker.unblock(), arena() as made:
        yield made


def scenario(number: int, action: str, fault: str = "none") -> Scenario:
    """Give a run on a plain herd that somebody does by hand."""
    return Scenario(
        name=f"of its own:{number}",
        number=number,
        herd="quote",
        action=action,
        choose=0,
        old_primary="rejoin",
        loss="killed",
        fault=fault,
        moment=Moment(kind="before"),
        hold=None,
    )


@pytest.mark.parametrize("number", range(len(RUNS)))
def test_the_product_passes_a_run_of_the_nemesis(
    fought_over: Arena, number: int
) -> None:
    action, fault = RUNS[number]
    drawn = draw(
        SEED, number, herds=fought_over.herds, actions=(action,), faults=(fault,)
    )

    result = play(fought_over, drawn)

    assert not result.violations, line(result)


def test_two_writers_are_seen_where_somebody_promotes_and_stops_nothing(
    fought_over: Arena,
) -> None:
    result = play(fought_over, scenario(1001, CARELESS))

    broken = {each.rule for each in result.violations}
    assert {"one writer at a time", "one writer in the end"} <= broken, line(result)
    assert "whole again by the product" not in broken, line(result)


def test_lost_commits_are_seen_where_somebody_waits_for_no_standby(
    fought_over: Arena,
) -> None:
    result = play(fought_over, scenario(1002, IMPATIENT, fault="cut-primary-candidate"))

    broken = {each.rule for each in result.violations}
    assert "no commit lost" in broken, line(result)
    assert "one writer at a time" not in broken, line(result)
