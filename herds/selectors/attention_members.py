"""Single members that need a person: standbys, slots, and fenced former primaries."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from django.db.models import Count, F, OuterRef, Q, Subquery, Window

from herds.domain.words import size
from herds.models import Fence, Instance

from . import trouble
from .attention_lines import (
    Help,
    Line,
    Section,
    environment_of,
    in_total,
    with_environment,
)
from .trouble import Kind

_FENCES = 500  # of which the worst are looked for


def members(most: int) -> Iterator[Section]:
    """Find standbys that do not keep up, and slots that hold WAL for nobody."""
    totals = trouble.count_members()
    for kind in _MEMBERS:
        yield _section(kind, totals[kind], most)


def _section(kind: Kind, total: int, most: int) -> Section:
    say, helps = _MEMBERS[kind]
    leading = (
        Instance.objects.filter(trouble.IS_PRIMARY, herd=OuterRef("herd"))
        .order_by(F("timeline").desc(nulls_last=True))
        .values("timeline")
    )
    found = list(
        trouble.instances_with(kind)
        .select_related("herd__environment", "server", "master__server")
        .annotate(leading=Subquery(leading[:1]))
        .order_by("pk")[:most]
    )
    lines = [
        _of_member(
            kind,
            each,
            say(each),
            helps,
            seen_at=each.lag_seen_at if kind is Kind.LAGGING else each.observed_at,
        )
        for each in found
    ]
    return Section(kind=kind, lines=tuple(lines), total=total)


def _of_member(
    kind: Kind,
    instance: Instance,
    says: str,
    helps: Sequence[str],
    **more: Any,
) -> Line:
    environment = environment_of(instance.herd)
    name = with_environment(instance.herd.herd_name, environment)
    return Line(
        kind=kind,
        words=f"{name}: {instance.server.hostname} {says}",
        model="instance",
        pk=instance.pk,
        environment=environment,
        helps=tuple(
            Help(action=action, model="instance", pk=instance.pk) for action in helps
        ),
        **more,
    )


def _upstream(instance: Instance) -> str:
    if instance.master is not None:
        return instance.master.server.hostname
    return instance.upstream_host or "its upstream"


_MEMBERS: dict[Kind, tuple[Callable[[Any], str], tuple[str, ...]]] = {
    Kind.NOT_STREAMING: (
        lambda each: f"runs, but receives no WAL from {_upstream(each)}.",
        ("refresh", "rebuild"),
    ),
    Kind.OLD_TIMELINE: (
        lambda each: (
            f"is on timeline {each.timeline}, the primary on {each.leading}: "
            "it follows a history that has ended."
        ),
        ("rebuild",),
    ),
    Kind.SLOT: (
        lambda each: (
            f"keeps {size(each.slot_octets)} of WAL for the slot "
            f"{each.slot_name or 'without a name'}, which nobody uses. Its disk fills."
        ),
        ("refresh",),
    ),
    Kind.LAGGING: (
        lambda each: f"is {size(each.lag_octets)} behind {_upstream(each)}.",
        ("refresh",),
    ),
}


def fences(most: int) -> Iterator[Section]:
    """Find former primaries: those that take writes again, and those to rebuild."""
    again = Q(seen_writable_at__isnull=False) & (
        Q(applied_at__isnull=True) | Q(seen_writable_at__gt=F("applied_at"))
    )
    found = list(
        Fence.objects.select_related("instance__herd__environment", "instance__server")
        .annotate(total=in_total(), again=Window(Count("pk", filter=again)))
        .order_by("since")[:_FENCES]
    )
    lines: dict[Kind, list[Line]] = {Kind.UNFENCED: [], Kind.FENCED: []}
    for fence in found:
        seen, applied = fence.seen_writable_at, fence.applied_at
        if seen is not None and (applied is None or seen > applied):
            kind, helps = Kind.UNFENCED, ("stop",)
            says = "was failed over from and takes writes again."
        elif applied is None:
            kind, helps, seen = Kind.FENCED, ("refresh",), fence.instance.observed_at
            says = "was lost and is not fenced yet: it is as soon as it can be reached."
        else:
            kind, helps, seen = Kind.FENCED, ("rebuild",), fence.instance.observed_at
            says = "is fenced: rebuild it to have it follow."
        line = _of_member(kind, fence.instance, says, helps, seen_at=seen)
        lines[kind].append(line)
    total, bad = (found[0].total, found[0].again) if found else (0, 0)
    for kind, all_lines in lines.items():
        yield Section(
            kind=kind,
            lines=tuple(all_lines[:most]),
            total=bad if kind is Kind.UNFENCED else total - bad,
        )
