"""What the pages read of the inventory: states, lag with its age, members, figures.

Lag is the distance to the recorded upstream, by readings that can be compared; it
carries the time of the older one.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from django.db.models import (
    BigIntegerField,
    Case,
    Count,
    F,
    IntegerField,
    Min,
    Prefetch,
    Q,
    QuerySet,
    Value,
    When,
)
from django.db.models.functions import Greatest, Least

from herds.models import DisasterRecovery, Environment, Herd, Instance, Server


class InstanceState(StrEnum):
    """What is known of a postmaster."""

    ONLINE = "online"
    STOPPED = "stopped"
    UNKNOWN = "unknown"


_IS_KNOWN = Q(observed_at__isnull=False, unreachable_since__isnull=True)

_IN_STATE = {
    InstanceState.ONLINE: _IS_KNOWN & Q(is_online=True),
    InstanceState.STOPPED: _IS_KNOWN & Q(is_online=False),
    InstanceState.UNKNOWN: ~_IS_KNOWN,
}

BY_STATE = Case(
    When(_IN_STATE[InstanceState.STOPPED], then=Value(0)),
    When(_IN_STATE[InstanceState.UNKNOWN], then=Value(1)),
    default=Value(2),
    output_field=IntegerField(),
)
"""Sorts what needs a person first: stopped, then unknown, then online."""

BY_ROLE = Case(
    When(master__isnull=True, then=Value(0)),
    default=Value(1),
    output_field=IntegerField(),
)
"""Sorts primaries before replicas."""

TOGETHER = timedelta(seconds=5)
"""Positions that were read within it of each other tell a lag (v_dr_pairs.sql too)."""

_COMPARABLE = Q(
    Q(master__timeline=F("timeline"))
    | Q(timeline__isnull=True)
    | Q(master__timeline__isnull=True),
    master__xlog_pos__isnull=False,
    xlog_pos__isnull=False,
    observed_at__lte=F("master__observed_at") + TOGETHER,
    observed_at__gte=F("master__observed_at") - TOGETHER,
)
_OUTDATED = Q(lag_octets__isnull=True) | Q(
    lag_seen_at__lt=Least("observed_at", "master__observed_at")
)

BY_LAG = Case(
    When(master__isnull=True, then=Value(-2)),
    When(
        _COMPARABLE & _OUTDATED,
        then=Greatest(F("master__xlog_pos") - F("xlog_pos"), Value(0)),
    ),
    When(lag_octets__isnull=False, then=F("lag_octets")),
    default=Value(-1),
    output_field=BigIntegerField(),
)
"""Sorts by lag as ``lag_of`` tells it: primaries, then unknown, then the smallest."""


@dataclass(frozen=True, kw_only=True)
class Lag:
    """How far a replica is behind its upstream.

    Attributes:
        octets: bytes; None where no readings can be compared.
        observed_at: when the older of both was read.
        why: why it is not known, as a sentence.
    """

    octets: int | None
    observed_at: datetime | None
    why: str = ""


@dataclass(frozen=True, kw_only=True)
class Member:
    """An instance in the tree of its herd.

    Attributes:
        depth: 0 for a primary, 1 for what follows it, and so on.
    """

    instance: Instance
    depth: int


@dataclass(frozen=True, kw_only=True)
class Fleet:
    """The figures of everything registered."""

    environments: int
    servers: int
    herds: int
    instances: int
    online: int
    stopped: int
    unknown: int
    oldest_observation: datetime | None


def state_of(instance: Instance) -> InstanceState:
    """Tell what is known of an instance; silence is unknown, never stopped."""
    if instance.observed_at is None or instance.unreachable_since is not None:
        return InstanceState.UNKNOWN
    return InstanceState.ONLINE if instance.is_online else InstanceState.STOPPED


def in_state(state: InstanceState) -> Q:
    """Give the condition that selects the instances in a state."""
    return _IN_STATE[state]


def lag_of(instance: Instance) -> Lag | None:
    """Tell how far a replica is behind its upstream; None for a primary.

    It is the recorded lag, or the distance of both positions where they were read
    together and later.
    """
    upstream = instance.master
    if upstream is None:
        return None
    read_at = _together(upstream, instance)
    if read_at and (instance.lag_seen_at is None or read_at > instance.lag_seen_at):
        octets = (upstream.xlog_pos or 0) - (instance.xlog_pos or 0)
        return Lag(octets=max(0, octets), observed_at=read_at)
    if instance.lag_octets is not None:
        return Lag(octets=instance.lag_octets, observed_at=instance.lag_seen_at)
    return Lag(octets=None, observed_at=None, why=_why_unknown(upstream, instance))


def lag_of_pair(pair: DisasterRecovery) -> Lag:
    """Tell how far the standby of a pair is behind its primary."""
    return Lag(
        octets=pair.lag_octets,
        observed_at=pair.lag_seen_at,
        why=_why_unknown(pair.master, pair.instance),
    )


def _together(upstream: Instance, replica: Instance) -> datetime | None:
    """Tell when two positions that can be compared were read."""
    if (
        upstream.xlog_pos is None
        or replica.xlog_pos is None
        or upstream.observed_at is None
        or replica.observed_at is None
        or abs(upstream.observed_at - replica.observed_at) > TOGETHER
        or not _on_one_timeline(upstream, replica)
    ):
        return None
    return min(upstream.observed_at, replica.observed_at)


def _on_one_timeline(one: Instance, other: Instance) -> bool:
    return (
        one.timeline is None or other.timeline is None or one.timeline == other.timeline
    )


def _why_unknown(upstream: Instance, replica: Instance) -> str:
    if upstream.xlog_pos is None or replica.xlog_pos is None:
        return "A WAL position was never observed."
    if not _on_one_timeline(upstream, replica):
        return (
            f"Not comparable: it is on timeline {replica.timeline}, its upstream on "
            f"{upstream.timeline}."
        )
    return "Not comparable: both positions were read at different times."


def instances() -> QuerySet[Instance]:
    """Give instances with all that a row shows, in one query."""
    return Instance.objects.select_related(
        "herd__environment", "server__environment", "master__server"
    )


def herds() -> QuerySet[Herd]:
    """Give herds with their environments, in one query."""
    return Herd.objects.select_related("environment")


def servers() -> QuerySet[Server]:
    """Give servers with their environments, in one query."""
    return Server.objects.select_related("environment")


def dr_pairs() -> QuerySet[DisasterRecovery]:
    """Give pairs of a primary and its best standby with all that a row shows.

    Members are read after the pairs of a page are known: joined, all of them would be.
    """
    members = Instance.objects.select_related("server")
    return DisasterRecovery.objects.select_related(
        "herd__environment", "server"
    ).prefetch_related(Prefetch("instance", members), Prefetch("master", members))


def members_of(herd: Herd) -> list[Member]:
    """Give a herd's instances as a tree drawn from the primary down.

    What follows an instance stands below it. Members whose recorded upstreams lead
    round in a circle stand at the end, so that none is left out.
    """
    members = instances().select_related("fence").filter(herd=herd)
    return _as_tree(members.order_by("server__hostname"))


def carried_by(server: Server) -> QuerySet[Instance]:
    """Give the instances on a server, in the order of their herds' names."""
    return instances().filter(server=server).order_by("herd__herd_name")


def fleet() -> Fleet:
    """Count everything registered."""
    counted = Instance.objects.aggregate(
        instances=Count("pk"),
        online=Count("pk", filter=in_state(InstanceState.ONLINE)),
        stopped=Count("pk", filter=in_state(InstanceState.STOPPED)),
        unknown=Count("pk", filter=in_state(InstanceState.UNKNOWN)),
        oldest_observation=Min("observed_at"),
    )
    return Fleet(
        environments=Environment.objects.count(),
        servers=Server.objects.count(),
        herds=Herd.objects.count(),
        **counted,
    )


def _as_tree(members: Iterable[Instance]) -> list[Member]:
    following: dict[int | None, list[Instance]] = {}
    waiting = {member.pk: member for member in members}
    for member in waiting.values():
        is_root = member.master_id not in waiting
        following.setdefault(None if is_root else member.master_id, []).append(member)

    tree: list[Member] = []

    def add(member: Instance, depth: int) -> None:
        if waiting.pop(member.pk, None) is None:
            return
        tree.append(Member(instance=member, depth=depth))
        for follower in following.get(member.pk, []):
            add(follower, depth + 1)

    for root in following.get(None, []):
        add(root, 0)
    for member in list(waiting.values()):
        add(member, 0)
    return tree
