"""A command is waited for only until what it is for is seen."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from herds.domain.cluster import Activity, Observation
from herds.errors import CommandTimedOut, HostUnreachable
from herds.postgres.cluster import Acted
from herds.services.acting import act_until
from tests.doubles.stories import PassingClock


def being(activity: Activity) -> Observation:
    return Observation(activity=activity, observed_at=PassingClock().now())


class SlowCluster:
    """A cluster whose command comes back when it is let; looks see one thing each."""

    def __init__(self, *sights: Activity | Exception) -> None:
        self.ends = threading.Event()
        self.ended = threading.Event()
        self.looks = 0
        self.outcome: Acted | Exception = Acted(
            command="ctl start",
            status=3,
            stdout="",
            stderr="no",
            seconds=0.1,
            seen=being(Activity.STOPPED),
        )
        self._sights = list(sights)

    def command(self, name: str) -> str:
        return f"ctl {name}"

    def look(self) -> Observation:
        self.looks += 1
        sight = self._sights.pop(0)
        if not self._sights:
            self.ends.set()
        if isinstance(sight, Exception):
            raise sight
        return being(sight)

    def act(self, name: str) -> Acted:
        assert self.ends.wait(10)
        self.ended.set()
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return self.outcome


def acted(cluster: SlowCluster) -> Acted:
    any_cluster: Any = cluster
    return act_until(any_cluster, "start", lambda now: now.activity is Activity.RUNNING)


def test_what_is_seen_counts_and_the_command_goes_on() -> None:
    cluster = SlowCluster(
        Activity.STOPPED, Activity.STARTING, Activity.RUNNING, Activity.RUNNING
    )

    done = acted(cluster)

    assert (done.command, done.status, done.goes_on) == ("ctl start", None, True)
    assert done.seen.activity is Activity.RUNNING
    assert not cluster.ended.is_set(), "nobody waited for it"
    cluster.ends.set()
    assert cluster.ended.wait(10), "and nobody ended it"


def test_a_command_that_ends_first_is_told_as_it_ended() -> None:
    cluster = SlowCluster(Activity.STOPPED, HostUnreachable("ele01", "timed out"))

    done = acted(cluster)

    assert (done.status, done.stderr, done.goes_on) == (3, "no", False)
    assert cluster.looks == 2


def test_a_quick_command_costs_no_look() -> None:
    cluster = SlowCluster()
    cluster.ends.set()

    assert acted(cluster).status == 3
    assert cluster.looks == 0


def test_what_became_of_it_is_raised_as_it_is() -> None:
    cluster = SlowCluster(Activity.STOPPED)
    cluster.outcome = CommandTimedOut("ele01", "ctl start", 9.0, stopped=True)

    with pytest.raises(CommandTimedOut):
        acted(cluster)
