"""Herds that need a person: none or several take writes, or DNS leads elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from django.db.models import Min

from herds.domain.words import counted
from herds.models import Instance

from . import trouble
from .attention_lines import (
    APART,
    NOBODY,
    Help,
    Line,
    Section,
    in_total,
    joined,
    named,
    place_name,
    total_of,
    with_environment,
)
from .trouble import Kind


def herds(most: int) -> Iterator[Section]:
    """Find herds that more or fewer than one member takes writes of, or DNS misses."""
    sick: dict[Kind, list[dict[str, Any]]] = {
        Kind.SPLIT: [],
        Kind.NO_PRIMARY: [],
        Kind.PRIMARY_UNKNOWN: [],
    }
    since = Min("instances__unreachable_since", filter=trouble.OF_PRIMARIES)
    for herd in (
        trouble.judged_herds()
        .exclude(writable=1)
        .annotate(since=since, environment_name=named("environment__env_name"))
        .order_by("environment_name", "herd_name", "pk")
        .values(*_HERD, "members", "writable", "unknown", "since")
    ):
        kind = trouble.kind_of(herd["writable"], herd["unknown"])
        if kind is not None:
            sick[kind].append(herd)
    sick[Kind.ASTRAY] = list(
        trouble.herds_with(Kind.ASTRAY)
        .annotate(environment_name=named("environment__env_name"), total=in_total())
        .order_by("environment_name", "herd_name", "pk")
        .values(*_HERD, "vhost", "vhost_target", "vhost_seen_at", "total")[:most]
    )
    groups, sick_alone = _grouped(sick[Kind.PRIMARY_UNKNOWN])
    told = {**sick, Kind.PRIMARY_UNKNOWN: sick_alone}
    shown = {kind: herds[:most] for kind, herds in told.items()}
    primaries = _primaries([herd["pk"] for herds in shown.values() for herd in herds])
    for kind, herds in shown.items():
        lines = [_of_herd(kind, herd, primaries.get(herd["pk"], [])) for herd in herds]
        if kind is Kind.PRIMARY_UNKNOWN:
            lines = [*groups, *lines]
        yield Section(
            kind=kind,
            lines=tuple(lines),
            total=total_of(herds) if kind is Kind.ASTRAY else len(sick[kind]),
        )


_HERD = ("pk", "herd_name", "environment_id", "environment_name")


def _grouped(
    herds: Sequence[dict[str, Any]],
) -> tuple[list[Line], list[dict[str, Any]]]:
    """Part the environments in which many primaries are unknown from the others."""
    of: dict[int, list[dict[str, Any]]] = {}
    for herd in herds:
        of.setdefault(herd["environment_id"] or 0, []).append(herd)
    lines = [
        Line(
            kind=Kind.PRIMARY_UNKNOWN,
            words=f"{place_name(many[0]['environment_name'])}: it is not known whether "
            f"the primaries of {len(many):,} herds take writes. Check the network "
            "between this service and their hosts.",
            model="environment",
            pk=number,
            environment=many[0]["environment_name"],
            since=min((each["since"] for each in many if each["since"]), default=None),
            count=len(many),
        )
        for number, many in of.items()
        if len(many) > APART
    ]
    alone = [herd for many in of.values() if len(many) <= APART for herd in many]
    return lines, alone


def _primaries(herds: Sequence[int]) -> dict[int, list[Instance]]:
    """Give what is recorded as the primary of these herds, by herd."""
    found: dict[int, list[Instance]] = {}
    for instance in (
        Instance.objects.filter(trouble.IS_PRIMARY, herd__in=[*herds, NOBODY])
        .select_related("server")
        .order_by("server__hostname")
    ):
        found.setdefault(instance.herd_id, []).append(instance)
    return found


def _of_herd(kind: Kind, herd: dict[str, Any], primaries: Sequence[Instance]) -> Line:
    say, choose = _HERDS[kind]
    told = choose(primaries)
    name = with_environment(herd["herd_name"], herd["environment_name"])
    hosts = joined(each.server.hostname for each in told)
    helps = {
        Kind.SPLIT: ("refresh",),
        Kind.NO_PRIMARY: ("refresh", "failover"),
        Kind.PRIMARY_UNKNOWN: ("refresh", "failover"),
        Kind.ASTRAY: ("refresh_dns",),
    }[kind]
    if herd.get("members") == 1:
        helps = ("refresh",)
    offered = [Help(action=action, model="herd", pk=herd["pk"]) for action in helps]
    if kind is Kind.NO_PRIMARY and len(told) == 1 and not told[0].is_online:
        start = Help(action="start", model="instance", pk=told[0].pk)
        offered = [start, *offered[1:]]
    seen = [each.observed_at for each in told if each.observed_at]
    return Line(
        kind=kind,
        words=f"{name}: {say(herd, hosts, told)}",
        model="herd",
        pk=herd["pk"],
        environment=herd["environment_name"],
        helps=tuple(offered),
        since=herd.get("since") if kind is Kind.PRIMARY_UNKNOWN else None,
        seen_at=herd.get("vhost_seen_at") or min(seen, default=None),
    )


def _split_words(_: dict[str, Any], hosts: str, primaries: Sequence[Instance]) -> str:
    if len(primaries) == 2:
        return f"{hosts} both take writes. Decide which one stays; demote the other."
    return f"{hosts} all take writes. Decide which one stays; demote the others."


def _lacking_words(
    herd: dict[str, Any], hosts: str, primaries: Sequence[Instance]
) -> str:
    if not primaries:
        whose = counted(herd["members"], "member")
        return f"no member takes writes; none of {whose} is recorded as the primary."
    standing_by = [each for each in primaries if each.is_streaming is not None]
    if standing_by:
        names = joined(each.server.hostname for each in standing_by)
        be = "is" if len(standing_by) == 1 else "are"
        return f"no member takes writes; the primary {names} {be} in recovery."
    be = "is" if len(primaries) == 1 else "are"
    return f"no member takes writes; the primary {hosts} {be} stopped."


def _unknown_words(_: dict[str, Any], hosts: str, primaries: Sequence[Instance]) -> str:
    if all(each.observed_at is None for each in primaries) and not any(
        each.unreachable_why for each in primaries
    ):
        return f"the primary {hosts} was never seen."
    why = next((each.unreachable_why for each in primaries), "")
    return f"it is not known whether the primary {hosts} takes writes. {why}".strip()


def _astray_words(herd: dict[str, Any], hosts: str, _: Sequence[Instance]) -> str:
    target = herd["vhost_target"] or "nothing"
    return f"{herd['vhost']} points at {target}, the primary is {hosts}."


def _writable(primaries: Sequence[Instance]) -> list[Instance]:
    return [
        each
        for each in primaries
        if each.is_online
        and each.is_streaming is None
        and each.observed_at
        and each.unreachable_since is None
    ]


def _unknown(primaries: Sequence[Instance]) -> list[Instance]:
    return [
        each
        for each in primaries
        if each.observed_at is None or each.unreachable_since is not None
    ]


_HERDS: dict[
    Kind,
    tuple[
        Callable[[dict[str, Any], str, Sequence[Instance]], str],
        Callable[[Sequence[Instance]], list[Instance]],
    ],
] = {
    Kind.SPLIT: (_split_words, _writable),
    Kind.NO_PRIMARY: (_lacking_words, list),
    Kind.PRIMARY_UNKNOWN: (_unknown_words, _unknown),
    Kind.ASTRAY: (_astray_words, list),
}
