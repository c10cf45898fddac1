"""Instances that nobody has seen lately: host by host, or an environment in a line."""

from __future__ import annotations

from typing import Any

from django.db.models import Count, Max, Min, QuerySet, Value
from django.db.models.functions import Coalesce

from herds.domain.words import counted

from . import trouble
from .attention_lines import (
    APART,
    NOBODY,
    Help,
    Line,
    Section,
    named,
    place_name,
    with_environment,
)
from .trouble import Kind


def unseen(most: int) -> Section:
    """Find what nobody has seen lately: host by host, or an environment in one line."""
    found: QuerySet[Any] = trouble.instances_with(Kind.UNSEEN).annotate(
        place=Coalesce("server__environment_id", Value(0)),
        environment_name=named("server__environment__env_name"),
    )
    facts: dict[str, Any] = {
        "total": Count("pk"),
        "never": Count("pk", filter=trouble.NEVER),
        "silent": Count("pk", filter=trouble.SILENT),
        "since": Min("unreachable_since"),
        "seen": Min("observed_at"),
    }
    places: list[Any] = list(
        found.values("place", "environment_name")
        .annotate(hosts=Count("server", distinct=True), **facts)
        .order_by("-total", "place")
    )
    apart = [each["place"] for each in places if each["hosts"] <= APART]
    hosts: list[Any] = list(
        found.filter(place__in=[*apart, NOBODY])
        .values("server_id", "server__hostname", "environment_name")
        .annotate(why=Max("unreachable_why"), **facts)
        .order_by("-total", "server__hostname")[: most * 2]
    )
    lines = [
        *(_of_place(each) for each in places if each["hosts"] > APART),
        *(_of_host(each) for each in hosts),
    ]
    return Section(
        kind=Kind.UNSEEN,
        lines=tuple(lines[: max(most, len(places))]),
        total=sum(each["total"] for each in places),
    )


def _of_place(found: dict[str, Any]) -> Line:
    hosts = counted(found["hosts"], "host")
    return Line(
        kind=Kind.UNSEEN,
        words=f"{place_name(found['environment_name'])}: "
        f"{_says(found, f' on {hosts}')}",
        model="environment",
        pk=found["place"],
        environment=found["environment_name"],
        helps=(Help(action="refresh", model="environment", pk=found["place"]),),
        since=found["since"],
        seen_at=found["seen"],
        count=found["total"],
    )


def _of_host(found: dict[str, Any]) -> Line:
    host = with_environment(found["server__hostname"], found["environment_name"])
    return Line(
        kind=Kind.UNSEEN,
        words=f"{host}: {_says(found)} {found['why']}".strip(),
        model="server",
        pk=found["server_id"],
        environment=found["environment_name"],
        helps=(Help(action="refresh", model="server", pk=found["server_id"]),),
        since=found["since"],
        seen_at=found["seen"],
        count=found["total"],
    )


def _says(found: dict[str, Any], where: str = "") -> str:
    """Tell how many instances are not seen, and in which ways."""
    late = found["total"] - found["never"] - found["silent"]
    ways = [
        (found["silent"], "cannot be reached"),
        (late, "not looked at lately"),
        (found["never"], "never seen at all"),
    ]
    parts = [(number, words) for number, words in ways if number]
    instances = counted(found["total"], "instance") + where
    if len(parts) == 1:
        return f"{instances} {parts[0][1]}."
    told = ", ".join(f"{number:,} {words}" for number, words in parts)
    return f"{instances} not seen: {told}."
