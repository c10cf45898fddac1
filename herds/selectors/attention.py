"""What needs a person now, worst first: each a sentence, and the page that helps."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

from django.db.models import Count, Q

from herds.domain.states import OperationState
from herds.models import Fence, Herd, Operation

from .vhosts import astray

LONGEST = 20
"""Lines of one kind, at most; the rest is in the lists."""


class Weight(IntEnum):
    """How bad it is, the worst first."""

    SPLIT = 0
    INTERRUPTED = 1
    ASTRAY = 2
    FENCED = 3


@dataclass(frozen=True, kw_only=True)
class Line:
    """One thing that needs attention; ``model`` and ``pk`` name the page that helps."""

    weight: Weight
    words: str
    model: str
    pk: int
    environment: str = ""

    @property
    def key(self) -> str:
        """What it is about and of which kind: the same as long as it lasts."""
        return f"{self.weight.name.lower()}:{self.model}:{self.pk}"


def attention() -> list[Line]:
    """Give what needs a person, in a fixed number of queries."""
    found = [*_split(), *_interrupted(), *_astray(), *_fenced()]
    return sorted(found, key=lambda line: line.weight)


def _split() -> Iterator[Line]:
    """Find herds of which more than one member was seen to take writes."""
    writing = Q(
        instances__master__isnull=True,
        instances__is_online=True,
        instances__observed_at__isnull=False,
        instances__unreachable_since__isnull=True,
    )
    herds = (
        Herd.objects.select_related("environment")
        .annotate(writers=Count("instances", filter=writing))
        .filter(writers__gt=1)
        .prefetch_related("instances__server")[:LONGEST]
    )
    for herd in herds:
        hosts = sorted(
            each.server.hostname
            for each in herd.instances.all()
            if each.is_primary and each.is_online and each.unreachable_since is None
        )
        yield Line(
            weight=Weight.SPLIT,
            words=f"{_named(herd)}: {' and '.join(hosts)} all take writes. Decide "
            "which one stays, and demote the others.",
            model="herd",
            pk=herd.pk,
        )


def _interrupted() -> Iterator[Line]:
    operations = Operation.objects.filter(state=OperationState.INTERRUPTED)
    for operation in operations[:LONGEST]:
        yield Line(
            weight=Weight.INTERRUPTED,
            words=f"Operation {operation.pk} ({operation.headline}) was interrupted: "
            "resume it.",
            model="operation",
            pk=operation.pk,
        )


def _astray() -> Iterator[Line]:
    """Find virtual hosts that were seen to point at another than the primary."""
    herds = astray().select_related("environment").prefetch_related("instances__server")
    for herd in herds.order_by("herd_name")[:LONGEST]:
        primaries = sorted(
            each.server.hostname for each in herd.instances.all() if each.is_primary
        )
        yield Line(
            weight=Weight.ASTRAY,
            words=f"{_named(herd)}: {herd.vhost} points at "
            f"{herd.vhost_target or 'nothing'}, the primary is "
            f"{' or '.join(primaries)}. Refresh DNS.",
            model="herd",
            pk=herd.pk,
        )


def _fenced() -> Iterator[Line]:
    fences = Fence.objects.select_related(
        "instance__herd__environment", "instance__server"
    ).order_by("since")
    for fence in fences[:LONGEST]:
        instance = fence.instance
        host = instance.server.hostname
        if fence.seen_writable_at is not None and (
            fence.applied_at is None or fence.seen_writable_at > fence.applied_at
        ):
            weight, says = Weight.SPLIT, "was failed over from and takes writes again"
        elif fence.applied_at is None:
            weight = Weight.FENCED
            says = "was lost and is not fenced yet: it is as soon as it can be reached"
        else:
            weight, says = Weight.FENCED, "is fenced: rebuild it to have it follow"
        yield Line(
            weight=weight,
            words=f"{_named(instance.herd)}: {host} {says}.",
            model="instance",
            pk=instance.pk,
        )


def _named(herd: Herd) -> str:
    environment = f" ({herd.environment.env_name})" if herd.environment else ""
    return f"{herd.herd_name}{environment}"
