"""How long a copy will take is told from the last ones, and says where it is from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from herds.models import Instance, OperationStep
from herds.services.outlook import Method, Rung
from herds.services.rates import ASSUMED, age_words, note_copy, rates
from herds.services.rebuild import Pace
from tests import factories
from tests.doubles.stories import ToldStep

pytestmark = pytest.mark.django_db


@dataclass
class Host:
    """As much of a target or a member as a rate needs."""

    host: str
    parameters: dict[str, Any] = field(default_factory=dict)

    def keep(self, work: Callable[[], Any]) -> Any:
        """Do other work in the metadata."""
        return work()


def copied(
    way: str,
    *,
    to: str = "ele02",
    source: str = "ele01",
    size: float = 100e6,
    seconds: float = 1.0,
    hours: float = 2.0,
    state: str = "succeeded",
) -> None:
    """Record a copy that ended some hours ago."""
    member = Instance.objects.filter(server__hostname=to).first()
    target = factories.target(
        factories.operation(action="rebuild"), member or factories.instance(host=to)
    )
    at = timezone.now() - timedelta(hours=hours)
    OperationStep.objects.create(
        target=target,
        number=1,
        name="rewind" if way == "rewind" else "copy",
        words="Copy",
        state=state,
        started_at=at - timedelta(seconds=seconds),
        finished_at=at,
        evidence={
            "way": way,
            "source": source,
            "bytes_copied": int(size),
            "copy_seconds": seconds,
        },
    )


def words(method: Method, *, size: int = 1_120_000_000, **parameters: Any) -> str:
    target: Any = Host("ele02", parameters)
    source: Any = Host("ele01")
    pace = Pace(rates(target, source), timezone.now())
    return pace.words(Rung(method=method, words="Copy", size=size))


def test_where_nothing_was_measured_the_plan_says_that_it_assumes() -> None:
    assert words(Method.BASEBACKUP) == (
        "Copy, about 1.1 GB, 22 s at 50.0 MB/s "
        "(assumed: no copy to this host was measured yet)"
    )
    assert ASSUMED == 50e6


def test_the_last_copy_between_the_two_hosts_counts() -> None:
    copied("basebackup", size=112e6, hours=2)
    copied("basebackup", to="ele02", size=50e6, hours=30)
    copied("basebackup", to="ele02", source="ele03", size=500e6, hours=1)
    copied("basebackup", to="ele03", size=900e6, hours=1)

    assert words(Method.BASEBACKUP).endswith(
        "10 s at 112.0 MB/s (measured 2 h ago from ele01)"
    )


def test_a_copy_from_another_host_is_better_than_none() -> None:
    copied("rsync", source="ele03", size=200e6, hours=72)

    assert words(Method.RSYNC).endswith(
        "6 s at 200.0 MB/s (measured 3 days ago from ele03)"
    )


def test_a_copy_by_blocks_tells_nothing_of_a_whole_one() -> None:
    copied("rsync", size=900e6)

    assert "assumed" in words(Method.BASEBACKUP)
    assert "assumed" in words(Method.REWIND)


@pytest.mark.parametrize(
    "useless", [{"state": "failed"}, {"size": 1e6}], ids=["failed", "too small"]
)
def test_copies_that_tell_nothing_are_passed_over(useless: dict[str, Any]) -> None:
    copied("rewind", size=60e6, hours=5)
    copied("rewind", hours=1, **useless)

    assert "60.0 MB/s (measured 5 h ago" in words(Method.REWIND)


def test_a_limit_that_was_asked_for_counts_where_it_is_lower() -> None:
    copied("rsync", size=100e6)

    asked = words(Method.RSYNC, bandwidth=10_000_000)

    assert "at 10.0 MB/s, the limit that was asked for" in asked
    assert "100.0 MB/s (measured" in words(Method.RSYNC, bandwidth=10**9)


def test_a_copy_that_was_held_back_measures_nothing() -> None:
    source: Any = Host("ele01")
    free, limited = ToldStep("copy", "Copy"), ToldStep("copy", "Copy")

    for step, is_limited in ((free, False), (limited, True)):
        note_copy(
            step, Method.RSYNC, source, size=5, seconds=0.5, is_limited=is_limited
        )

    assert free.figures == {
        "way": "rsync",
        "source": "ele01",
        "bytes_copied": 5,
        "copy_seconds": 0.5,
    }
    assert limited.figures == {}


@pytest.mark.parametrize(
    ("age", "words"),
    [
        (timedelta(seconds=-3), "0 s ago"),
        (timedelta(seconds=119), "119 s ago"),
        (timedelta(minutes=5), "5 min ago"),
        (timedelta(hours=47), "47 h ago"),
        (timedelta(days=9), "9 days ago"),
    ],
)
def test_ages_are_rough(age: timedelta, words: str) -> None:
    assert age_words(age) == words
