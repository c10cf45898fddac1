"""Sees what the other members of a target's herd are doing, all at once."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from herds.domain.cluster import Observation
from herds.domain.words import listed
from herds.errors import ElephaasError

from .target import Member, Target


@dataclass(frozen=True, kw_only=True)
class Sight:
    """One member, and what was seen of it, or why nothing was."""

    member: Member
    seen: Observation | None = None
    trouble: str = ""

    @property
    def takes_writes(self) -> bool:
        """Whether it is seen to run as a primary."""
        return self.seen is not None and self.seen.in_recovery is False


def look_at_others(target: Target) -> tuple[Sight, ...]:
    """Look at all other members of the herd; a host that is lost stops nothing."""
    others = [
        member for member in target.members if member.instance_id != target.instance_id
    ]
    if not others:
        return ()
    with ThreadPoolExecutor(max_workers=min(len(others), 16)) as pool:
        return tuple(pool.map(_look, others))


def hosts(sights: Iterable[Sight]) -> str:
    """Name the hosts of some members: ele01, ele02 and ele03."""
    return listed(sorted(sight.member.host for sight in sights))


def _look(member: Member) -> Sight:
    try:
        return Sight(member=member, seen=member.cluster.look())
    except ElephaasError as error:
        return Sight(member=member, trouble=error.message)
