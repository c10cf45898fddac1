"""Which herds and instances need a person, and of which kind their trouble is.

The lists filter by these kinds, *Attention* words them, and metrics count them. Ages
are judged by the database's clock.
"""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum
from typing import Any

from django.db.models import Count, Exists, F, OuterRef, Q, QuerySet
from django.db.models.expressions import CombinedExpression
from django.db.models.functions import Now

from herds import conf
from herds.models import Herd, Instance

from .vhosts import astray


class Kind(StrEnum):
    """What can need a person, worst first."""

    SPLIT = "split"
    UNFENCED = "unfenced"  # a fenced member was seen to take writes
    NO_PRIMARY = "no-primary"
    NO_WORKER = "no-worker"
    PRIMARY_UNKNOWN = "primary-unknown"
    INTERRUPTED = "interrupted"
    ASTRAY = "astray"
    NOT_STREAMING = "not-streaming"
    OLD_TIMELINE = "old-timeline"
    SLOT = "slot"
    LAGGING = "lagging"
    UNSEEN = "unseen"
    FENCED = "fenced"
    HOST_TO_PLACE = "host-to-place"
    INSTANCE_TO_PLACE = "instance-to-place"


HERD_KINDS = {
    Kind.SPLIT: "Two writable primaries",
    Kind.NO_PRIMARY: "No writable primary",
    Kind.PRIMARY_UNKNOWN: "Primary unknown",
    Kind.ASTRAY: "Virtual host elsewhere",
}
"""The kinds that the list of herds can be filtered by."""

INSTANCE_KINDS = {
    Kind.NOT_STREAMING: "Not streaming",
    Kind.OLD_TIMELINE: "On an old timeline",
    Kind.SLOT: "Slot holds WAL",
    Kind.LAGGING: "Lagging",
    Kind.UNSEEN: "Not seen lately",
    Kind.UNFENCED: "Fenced, yet writable",
    Kind.FENCED: "Fenced",
}
"""The kinds that the list of instances can be filtered by."""

IS_PRIMARY = Q(master__isnull=True, upstream_host="")
"""Selects what follows nobody, neither a member of its herd nor another host."""

IS_KNOWN = Q(observed_at__isnull=False, unreachable_since__isnull=True)

NEVER = Q(observed_at__isnull=True, unreachable_since__isnull=True)

SILENT = Q(unreachable_since__isnull=False)

SEEN_WRITABLE_AGAIN = Q(fence__seen_writable_at__isnull=False) & (
    Q(fence__applied_at__isnull=True)
    | Q(fence__seen_writable_at__gt=F("fence__applied_at"))
)
"""Selects instances that take writes though the ledger of fences says they must not."""


IS_RUNNING = IS_KNOWN & Q(is_online=True)
"""Selects what was seen running; whether it takes writes is a question of its role."""

_STANDBY = IS_RUNNING & ~IS_PRIMARY

OF_PRIMARIES = Q(instances__master__isnull=True, instances__upstream_host="")
"""Selects the same from herds."""

OF_STANDBYS = Q(instances__master__isnull=False) | Q(instances__upstream_host__gt="")
"""Selects, from herds, what follows somebody."""

# Of what is in recovery it is known whether it streams, even where it follows nobody.
_PRIMARY_IS_WRITABLE = OF_PRIMARIES & Q(
    instances__is_streaming__isnull=True,
    instances__is_online=True,
    instances__observed_at__isnull=False,
    instances__unreachable_since__isnull=True,
)
_PRIMARY_IS_UNKNOWN = OF_PRIMARIES & (
    Q(instances__observed_at__isnull=True)
    | Q(instances__unreachable_since__isnull=False)
)


def outdated() -> Q:
    """Select instances that nobody has looked at for too long."""
    limits = conf.attention()
    by_agent = Q(observed_by="agent")
    return Q(unreachable_since__isnull=True) & (
        (~by_agent & Q(observed_at__lt=_ago(limits.unseen)))
        | (by_agent & Q(observed_at__lt=_ago(limits.unreported)))
    )


def unseen() -> Q:
    """Select instances of which it is not known what they are now."""
    return NEVER | SILENT | outdated()


def judged_herds() -> QuerySet[Any]:
    """Give herds with members, and how many primaries are writable or unknown.

    The annotations are ``members``, ``writable`` and ``unknown``.
    """
    return Herd.objects.annotate(
        members=Count("instances"),
        writable=Count("instances", filter=_PRIMARY_IS_WRITABLE),
        unknown=Count("instances", filter=_PRIMARY_IS_UNKNOWN),
    ).filter(members__gt=0)


def kind_of(writable: int, unknown: int) -> Kind | None:
    """Tell what is wrong with a herd with so many writable or unknown primaries."""
    if writable > 1:
        return Kind.SPLIT
    if writable == 1:
        return None
    return Kind.PRIMARY_UNKNOWN if unknown else Kind.NO_PRIMARY


def herds_with(kind: Kind) -> QuerySet[Any]:
    """Give the herds with this trouble, one of ``HERD_KINDS``."""
    if kind is Kind.ASTRAY:
        return astray()
    judged = judged_herds()
    if kind is Kind.SPLIT:
        return judged.filter(writable__gt=1)
    without = judged.filter(writable=0)
    if kind is Kind.PRIMARY_UNKNOWN:
        return without.filter(unknown__gt=0)
    return without.filter(unknown=0)


def instances_with(kind: Kind) -> QuerySet[Instance]:
    """Give the instances with this trouble, one of ``INSTANCE_KINDS``."""
    if kind is Kind.OLD_TIMELINE:
        ahead = Instance.objects.filter(
            IS_RUNNING,
            IS_PRIMARY,
            herd=OuterRef("herd"),
            timeline__gt=OuterRef("timeline"),
        )
        return Instance.objects.filter(_STANDBY, Exists(ahead))
    return Instance.objects.filter(_condition(kind))


def count_members() -> dict[Kind, int]:
    """Count standbys and slots in trouble, in two queries."""
    kinds = (Kind.NOT_STREAMING, Kind.SLOT, Kind.LAGGING)
    counted = Instance.objects.aggregate(
        **{kind.name: Count("pk", filter=_condition(kind)) for kind in kinds}
    )
    counts = {kind: counted[kind.name] for kind in kinds}
    return {**counts, Kind.OLD_TIMELINE: instances_with(Kind.OLD_TIMELINE).count()}


def _condition(kind: Kind) -> Q:
    limits = conf.attention()
    match kind:
        case Kind.NOT_STREAMING:
            return _STANDBY & Q(is_streaming=False)
        case Kind.LAGGING:
            return _STANDBY & Q(lag_octets__gt=limits.lag)
        case Kind.SLOT:
            return Q(slot_octets__gt=limits.slot)
        case Kind.UNFENCED:
            return SEEN_WRITABLE_AGAIN
        case Kind.FENCED:
            return Q(fence__isnull=False) & ~SEEN_WRITABLE_AGAIN
        case _:
            return unseen()


def _ago(seconds: float) -> CombinedExpression:
    return Now() - timedelta(seconds=seconds)
