"""Rebuild replicas: bring them back under their herd's primary."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

from herds.domain.plan import Check, Choice, Option, PlannedTarget, Verdict
from herds.errors import ElephaasError, PreconditionFailed

from .actions import MENUS, Action
from .identity import seen_of
from .lifecycle import plan_each
from .outlook import Method, Outlook, Rung, look_at_both
from .rates import Rate, age_words, rates
from .rejoin import rejoin
from .slots import has_slot_words
from .target import Member, Target

if TYPE_CHECKING:
    from herds.models import Instance


def _plan(members: Sequence[Instance]) -> list[PlannedTarget]:
    planned = plan_each(
        members,
        will="becomes a replica of its herd's primary again",
        steps=("Stop PostgreSQL (fast)", "Bring the data", "Start PostgreSQL"),
        waves=[0] * len(members),
    )
    return [
        replace(
            plan,
            refusal=(
                f"{member.server.hostname} is the primary of "
                f"{member.herd.herd_name}; demote it instead."
            ),
        )
        if member.is_primary and member.observed_at
        else plan
        for member, plan in zip(members, planned, strict=True)
    ]


def primary_of(target: Target) -> Member:
    """Find the member that the inventory has for the herd's primary.

    Of several, the one that is seen on the highest timeline: it was promoted last.

    Raises:
        PreconditionFailed: there is none, or it is not clear which one it is.
    """
    primaries = _other_primaries(target)
    if not primaries:
        raise PreconditionFailed(
            f"The herd of {target.host} has no primary in the inventory.",
            host=target.host,
            hint="Refresh the herd's instances, then plan again.",
        )
    return primaries[0] if len(primaries) == 1 else _promoted_last(target, primaries)


def _other_primaries(target: Target) -> list[Member]:
    return [
        member
        for member in target.members
        if member.is_primary and member.instance_id != target.instance_id
    ]


def _promoted_last(target: Target, primaries: Sequence[Member]) -> Member:
    timelines: dict[int, list[Member]] = {}
    for member in primaries:
        with suppress(ElephaasError):
            probe = member.cluster.probe()
            if probe.seen.in_recovery is False and probe.timeline is not None:
                timelines.setdefault(probe.timeline, []).append(member)
    last = timelines[max(timelines)] if timelines else []
    if len(last) == 1:
        return last[0]
    raise PreconditionFailed(
        f"The herd of {target.host} has {len(primaries)} primaries in the inventory, "
        "and which of them was promoted last cannot be seen.",
        host=target.host,
        hint="Refresh the herd's instances, demote the wrong one, then plan again.",
    )


def _several_writers(target: Target, source: Member) -> tuple[Check, ...]:
    """Warn where the herd has other primaries beside the one that is followed."""
    others = [
        member.host
        for member in _other_primaries(target)
        if member.instance_id != source.instance_id
    ]
    if not others:
        return ()
    return (
        Check(
            name="One primary",
            how="inventory, and the timelines of those it has for primaries",
            observed=f"{', '.join(others)} too; {source.host} was promoted last",
            threshold="a herd has one",
            verdict=Verdict.WARN,
            observed_at=target.clock.now().isoformat(),
        ),
    )


def examine_rejoin(target: Target, primary: Member | None = None) -> PlannedTarget:
    """Plan a rejoin from what is seen at both ends, with the rungs to choose from.

    Args:
        target: the member that is to follow.
        primary: whom; the inventory's primary where it was not seen who it is.
    """
    source = primary or primary_of(target)
    outlook = look_at_both(target, source, source)
    first = outlook.first
    rung = outlook.rung(first)
    pace = Pace(rates(target, source), target.clock.now())
    return PlannedTarget(
        now=target.plan.get("now", ""),
        will=f"{pace.words(rung)}, from {source.host}",
        steps=_steps(first, outlook, has_slot_words(target, source)),
        identity=seen_of(outlook.mine.seen, outlook.mine),
        checks=(*_several_writers(target, source), *outlook.checks),
        choices=(
            Choice(
                name="method",
                label="Way back",
                options=tuple(_option(each, pace) for each in outlook.rungs),
                default=first.value,
            ),
            Choice(
                name="source",
                label="Source of the data",
                options=tuple(
                    Option(value=member.host, label=member.host)
                    for member in target.members
                    if member.instance_id != target.instance_id
                ),
                default=source.host,
            ),
        ),
    )


def _steps(
    method: Method, outlook: Outlook, slot: tuple[str, ...] = ()
) -> tuple[str, ...]:
    stop = ("Stop PostgreSQL (fast)",) if outlook.mine.seen.is_running else ()
    if method is Method.FOLLOW and stop:
        return (
            "Look at both ends",
            *slot,
            "Write the replication settings",
            "See it stream",
        )
    bring = () if method is Method.FOLLOW else (outlook.rung(method).words,)
    return (
        "Look at both ends",
        *slot,
        *stop,
        "See its data at rest",
        *bring,
        "Write the replication settings",
        "Start PostgreSQL",
        "See it stream",
    )


def _option(rung: Rung, pace: Pace) -> Option:
    return Option(
        value=rung.method.value,
        label=pace.words(rung),
        possible=not rung.why_not,
        why=rung.why_not,
    )


@dataclass(frozen=True)
class Pace:
    """How fast copies go, as it is known now."""

    rates: Mapping[Method, Rate]
    now: datetime

    def words(self, rung: Rung) -> str:
        """Say what a rung does, what it brings, and how long that takes."""
        if rung.why_not or rung.method is Method.FOLLOW:
            return rung.words
        if rung.size is None:
            return f"{rung.words}, how much comes is known once it is stopped"
        bound = "at most " if rung.at_most else "about "
        rate = self.rates[rung.method]
        return (
            f"{rung.words}, {bound}{size_words(rung.size)}, "
            f"{_time_words(rate.seconds_for(rung.size))} at {self._rate_words(rate)}"
        )

    def _rate_words(self, rate: Rate) -> str:
        if rate.is_limited:
            return f"{size_words(rate.limit)}/s, the limit that was asked for"
        known = "assumed: no copy to this host was measured yet"
        if rate.measured_at is not None:
            age = age_words(self.now - rate.measured_at)
            known = f"measured {age} from {rate.source}"
        return f"{size_words(rate.measured)}/s ({known})"


def size_words(size: float) -> str:
    """Write a size in the unit that fits: 512 B, 3.2 MB, 1.4 GB."""
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:,.1f} TB"


def _time_words(seconds: float) -> str:
    if seconds < 1:
        return "under 1 s"
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def run_rejoin(target: Target, primary: Member | None = None) -> str:
    """Carry out what was planned and chosen; ``primary`` as in ``examine_rejoin``."""
    primary = primary or primary_of(target)
    host = target.chosen("source")
    source = next((each for each in target.members if each.host == host), primary)
    chosen = target.chosen("method")
    return rejoin(
        target,
        source,
        Method(chosen) if chosen else None,
        upstream=primary,
        bandwidth=int(target.parameters.get("bandwidth", 0)),
    )


REBUILD = Action(
    name="rebuild",
    verb="Rebuild",
    past="rebuilt",
    permission="herds.rebuild_instance",
    destroys=True,
    words="Makes replicas stream again, bringing as little data as their state allows.",
    afterwards="Every one of them streams from its herd's primary.",
    of_role="standby",
    plan=_plan,
    run=run_rejoin,
    examine=examine_rejoin,
    needs_members=True,
    menus=MENUS | {"disasterrecovery"},
    labels={"disasterrecovery": "Rebuild listed replica"},
)
