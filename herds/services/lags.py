"""How far standbys are behind, by readings that can be compared.

Either the upstream told it, at one moment, of a follower that it serves; or both were
seen within a few seconds of each other, on the same timeline. A position and one of an
upstream that was read long before say nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import connection

from herds.domain.cluster import Observation
from herds.models import Instance
from herds.selectors.inventory import TOGETHER

_KEEP = """
    UPDATE ele_instance
       SET lag_octets = %s, lag_seen_at = %s,
           -- Who serves a standby is its upstream, unless it was seen otherwise since.
           master_id = CASE WHEN %s AND (observed_at IS NULL OR observed_at <= %s)
                            THEN %s ELSE master_id END
     WHERE instance_id = %s
       AND (lag_seen_at IS NULL OR lag_seen_at <= %s OR lag_seen_at > now())
       AND (%s OR master_id = %s)
    """


@dataclass(frozen=True, kw_only=True)
class Told:
    """How far a standby was behind its upstream.

    Attributes:
        octets: bytes; None where the two cannot be compared.
        seen_at: when.
        is_served: whether the upstream itself told it.
    """

    instance_id: int
    upstream_id: int
    octets: int | None
    seen_at: datetime
    is_served: bool


def names_of(member: Instance) -> set[str]:
    """Give the names under which a member may follow another."""
    base, host = member.herd.base_name, member.server.hostname
    return {f"{base}_{host.split('.')[0]}", f"{base}_{host}"}


def told(
    members: Mapping[int, Instance], seen: Mapping[int, Observation]
) -> list[Told]:
    """Tell how far the members of a herd are behind, after a look at some of them.

    Args:
        members: the whole herd, with what was seen noted already.
        seen: what was seen, by instance id.
    """
    served = {each.instance_id: each for each in _served(members, seen)}
    beside = (each for each in _beside(members, seen) if each.instance_id not in served)
    return [*served.values(), *beside]


def keep(lags: Sequence[Told]) -> None:
    """Save lags, in one round trip; one that was seen later stands."""
    if not lags:
        return
    with connection.cursor() as cursor:
        cursor.executemany(
            _KEEP,
            [
                (
                    each.octets,
                    None if each.octets is None else each.seen_at,
                    each.is_served,
                    each.seen_at,
                    each.upstream_id,
                    each.instance_id,
                    each.seen_at,
                    each.is_served,
                    each.upstream_id,
                )
                for each in sorted(lags, key=lambda each: each.instance_id)
            ],
        )


def _served(
    members: Mapping[int, Instance], seen: Mapping[int, Observation]
) -> Iterator[Told]:
    """Give what upstreams told of their followers; a name of two tells nothing."""
    names = {number: names_of(member) for number, member in members.items()}
    count = Counter(name for some in names.values() for name in some)
    owner = {
        name: number
        for number, some in names.items()
        for name in some
        if count[name] == 1
    }
    for number, observation in seen.items():
        for follower in observation.followers:
            standby = owner.get(follower.application_name)
            if standby is None or standby == number or follower.octets_behind is None:
                continue
            # One that takes writes itself follows nobody: its receiver ended just now.
            own = seen.get(standby)
            if own is not None and own.in_recovery is False:
                continue
            yield Told(
                instance_id=standby,
                upstream_id=number,
                octets=follower.octets_behind,
                seen_at=observation.observed_at,
                is_served=True,
            )


def _beside(
    members: Mapping[int, Instance], seen: Mapping[int, Observation]
) -> Iterator[Told]:
    """Compare positions that were read together, one of them just now."""
    for number, member in members.items():
        upstream = members.get(member.master_id or 0)
        if upstream is None or not {number, upstream.pk} & seen.keys():
            continue
        if (
            member.observed_at is None
            or upstream.observed_at is None
            or abs(upstream.observed_at - member.observed_at) > TOGETHER
            or member.unreachable_since
            or upstream.unreachable_since
        ):
            continue
        yield Told(
            instance_id=number,
            upstream_id=upstream.pk,
            octets=_distance(upstream, member),
            seen_at=min(upstream.observed_at, member.observed_at),
            is_served=False,
        )


def _distance(upstream: Instance, standby: Instance) -> int | None:
    if (
        upstream.xlog_pos is None
        or standby.xlog_pos is None
        or (
            None not in {upstream.timeline, standby.timeline}
            and upstream.timeline != standby.timeline
        )
    ):
        return None
    return max(0, upstream.xlog_pos - standby.xlog_pos)
