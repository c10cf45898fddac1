"""Counts and sums of the whole fleet, as metrics tell them; each takes one query."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from datetime import datetime

from django.db.models import (
    Case,
    CharField,
    Count,
    F,
    Max,
    Min,
    Q,
    Value,
    When,
)
from django.db.models.functions import Coalesce, Now

from herds.domain.states import (
    ACTIVE_OPERATIONS,
    OperationState,
    TargetState,
)
from herds.models import Herd, Instance, Operation, OperationTarget

from .inventory import InstanceState, in_state
from .trouble import IS_PRIMARY, OF_PRIMARIES, OF_STANDBYS

FINAL = (
    OperationState.SUCCEEDED,
    OperationState.PARTLY,
    OperationState.FAILED,
    OperationState.CANCELLED,
)
"""The states an operation does not leave again."""

_STATE = Case(
    *(When(in_state(state), then=Value(state.value)) for state in InstanceState),
    output_field=CharField(),
)
_ROLE = Case(
    When(IS_PRIMARY, then=Value("primary")),
    default=Value("replica"),
    output_field=CharField(),
)


@dataclass(frozen=True, kw_only=True)
class HerdFigures:
    """What is known of one herd's replication.

    Attributes:
        environment: its name; empty where there is none.
        lag: bytes that the standby furthest behind is; None where none was read.
        streaming: standbys that were seen to receive WAL.
        broken: standbys that were seen not to.
        writable: members that were seen to take writes.
    """

    environment: str
    herd: str
    members: int
    lag: int | None
    streaming: int
    broken: int
    writable: int


_COLUMNS = tuple(each.name for each in fields(HerdFigures))


@dataclass(frozen=True, kw_only=True)
class Age:
    """The age of what is known.

    Attributes:
        now: the time by the database's clock; None where nothing is registered.
        oldest: when what was seen longest ago was seen; None if nothing ever was.
        never: instances that were never seen.
    """

    now: datetime | None
    oldest: datetime | None
    never: int


def instances_by_state() -> Iterator[tuple[str, str, str, int]]:
    """Give environment, state, role, and how many instances are so."""
    counted = (
        Instance.objects.order_by()
        .annotate(
            place=Coalesce(F("herd__environment__env_name"), Value("")),
            state=_STATE,
            role=_ROLE,
        )
        .values_list("place", "state", "role")
        .annotate(count=Count("pk"))
    )
    yield from counted


def herds() -> Iterator[HerdFigures]:
    """Give a row for each name of a herd in an environment."""
    standby = OF_STANDBYS & Q(instances__is_online=True)
    known = Q(
        instances__observed_at__isnull=False, instances__unreachable_since__isnull=True
    )
    grouped = (
        Herd.objects.order_by()
        .annotate(place=Coalesce(F("environment__env_name"), Value("")))
        .values("place", "herd_name")
        .annotate(
            members=Count("instances"),
            lag=Max("instances__lag_octets", filter=standby & known),
            streaming=Count(
                "instances", filter=standby & known & Q(instances__is_streaming=True)
            ),
            broken=Count(
                "instances", filter=standby & known & Q(instances__is_streaming=False)
            ),
            writable=Count(
                "instances",
                filter=known & OF_PRIMARIES & Q(instances__is_online=True),
            ),
        )
    )
    for row in grouped.values_list(
        "place", "herd_name", "members", "lag", "streaming", "broken", "writable"
    ):
        yield HerdFigures(**dict(zip(_COLUMNS, row, strict=True)))


def lags() -> Iterator[tuple[str, str, str, int]]:
    """Give environment, herd, host and lag in bytes of every standby that was read."""
    found = (
        Instance.objects.filter(
            in_state(InstanceState.ONLINE),
            ~IS_PRIMARY,
            lag_octets__isnull=False,
        )
        .order_by()
        .annotate(place=Coalesce(F("herd__environment__env_name"), Value("")))
        .values_list("place", "herd__herd_name", "server__hostname")
        .annotate(lag=Max("lag_octets"))
    )
    yield from found


def age() -> Age:
    """Tell how old what is known is."""
    found = Instance.objects.aggregate(
        now=Max(Now()),
        oldest=Min("observed_at"),
        never=Count("pk", filter=Q(observed_at__isnull=True)),
    )
    return Age(**found)


def operations_by_end() -> Iterator[tuple[str, str, int]]:
    """Give action, state, and how many operations ended so, since the record begins."""
    yield from (
        Operation.objects.filter(state__in=FINAL, confirmed_at__isnull=False)
        .order_by()
        .values_list("action", "state")
        .annotate(count=Count("pk"))
    )


def operations_under_way() -> dict[str, int]:
    """Count the operations that have not ended, by state; all states are there."""
    counted = (
        Operation.objects.filter(state__in=ACTIVE_OPERATIONS)
        .order_by()
        .values_list("state")
        .annotate(count=Count("pk"))
    )
    return {**dict.fromkeys(sorted(ACTIVE_OPERATIONS), 0), **dict(counted)}


def targets_waiting() -> int:
    """Count the targets that no worker has begun."""
    return OperationTarget.objects.filter(state=TargetState.QUEUED).count()
