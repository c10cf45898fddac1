"""Whom a rebuilt replica follows where the inventory has more than one primary."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest

from herds.domain.cluster import Activity, Observation
from herds.domain.probe import Probe
from herds.errors import HostUnreachable, PreconditionFailed
from herds.services.rebuild import primary_of
from herds.services.target import Member, Target


@dataclass
class Seen:
    """A cluster that can only be probed; without a timeline its host is lost."""

    host: str
    timeline: int | None
    in_recovery: bool = False

    def probe(self) -> Probe:
        if self.timeline is None:
            raise HostUnreachable(self.host, "timed out")
        return Probe(
            seen=Observation(
                activity=Activity.RUNNING,
                observed_at=datetime.now(UTC),
                in_recovery=self.in_recovery,
            ),
            timeline=self.timeline,
        )


def target_among(*primaries: Seen) -> Target:
    """Give a replica whose herd has these primaries in the inventory."""
    me: Any = Seen("ele09", 1, in_recovery=True)
    nothing: Any = None
    clusters: tuple[Any, ...] = primaries
    members = [
        Member(instance_id=number, is_primary=True, cluster=cluster)
        for number, cluster in enumerate(clusters, start=1)
    ]
    return Target(
        instance_id=99,
        cluster=me,
        members=(*members, Member(instance_id=99, is_primary=False, cluster=me)),
        steps=nothing,
        clock=nothing,
        record=lambda seen: None,
    )


def test_the_only_primary_is_followed_without_a_look() -> None:
    assert primary_of(target_among(Seen("ele01", None))).host == "ele01"


def test_of_several_the_one_promoted_last_is_followed() -> None:
    target = target_among(Seen("ele01", 3), Seen("ele02", 4), Seen("ele03", 2))

    assert primary_of(target).host == "ele02"


def test_a_recorded_primary_that_is_a_standby_by_now_is_passed_over() -> None:
    target = target_among(Seen("ele01", 3), Seen("ele02", 4, in_recovery=True))

    assert primary_of(target).host == "ele01"


@pytest.mark.parametrize(
    "primaries",
    [
        (Seen("ele01", 3), Seen("ele02", 3)),
        (Seen("ele01", None), Seen("ele02", None)),
    ],
    ids=["the same timeline", "nothing seen"],
)
def test_what_is_not_clear_is_left_to_a_person(primaries: tuple[Seen, ...]) -> None:
    with pytest.raises(PreconditionFailed, match="cannot be seen"):
        primary_of(target_among(*primaries))


def test_a_herd_without_a_primary_says_so() -> None:
    with pytest.raises(PreconditionFailed, match="has no primary in the inventory"):
        primary_of(target_among())
