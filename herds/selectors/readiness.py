"""Whether a herd could be switched over, by what was recorded of it; asks no host.

The rows are a first judgement: a plan makes some twenty checks on the hosts themselves.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from django.utils import timezone

from herds import conf
from herds.domain.plan import Verdict
from herds.domain.words import size
from herds.models import DisasterRecovery, Herd, Instance, OperationTarget

from .herd_tree import writers
from .inventory import InstanceState, lag_of, state_of
from .vhosts import Aim
from .vhosts import state_of as aim_of

_SWITCHOVER = "switchover"


class Readiness(StrEnum):
    """What the rows together say."""

    READY = "ready"
    NOT_READY = "not ready"
    UNKNOWN = "unknown"


@dataclass(frozen=True, kw_only=True)
class Row:
    """One thing that a switchover needs, and what was seen of it.

    ``verdict`` is None where it is not known.
    """

    name: str
    observed: str
    wanted: str
    verdict: Verdict | None
    observed_at: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """Whether a herd could move now.

    Attributes:
        words: one sentence.
        seen_at: when the oldest reading it rests on was made.
    """

    readiness: Readiness
    words: str
    rows: tuple[Row, ...]
    seen_at: datetime | None


def judge(herd: Herd, members: Sequence[Instance], *, is_busy: bool) -> Judgement:
    """Judge a herd by what was recorded of its members; one query.

    Args:
        herd: with its environment.
        members: all of it, with their servers and upstreams.
        is_busy: whether an operation works on the herd.
    """
    pair = DisasterRecovery.objects.filter(herd=herd).first()
    standby = next(
        (each for each in members if pair and each.pk == pair.instance_id), None
    )
    rows = tuple(_rows(herd, members, standby, is_busy=is_busy))
    read = [row.observed_at for row in rows if row.observed_at is not None]
    seen_at = min(read, default=None)
    stops = [row for row in rows if row.verdict is Verdict.STOP]
    if stops:
        words = f"Not ready to switch over: {stops[0].observed}."
        return Judgement(
            readiness=Readiness.NOT_READY, words=words, rows=rows, seen_at=seen_at
        )
    unknown = [row for row in rows if row.verdict is None]
    if unknown or standby is None:
        why = unknown[0].observed if unknown else "no standby is known"
        return Judgement(
            readiness=Readiness.UNKNOWN,
            words=f"Whether it could switch over is not known: {why}.",
            rows=rows,
            seen_at=seen_at,
        )
    return Judgement(
        readiness=Readiness.READY,
        words=f"Ready to switch over to {standby.server.hostname}.",
        rows=rows,
        seen_at=seen_at,
    )


def last_examined(herd: Herd) -> OperationTarget | None:
    """Give the newest plan of a switchover that was examined on the herd's hosts."""
    return (
        OperationTarget.objects.filter(
            herd=herd, operation__action=_SWITCHOVER, plan__checks__0__isnull=False
        )
        .select_related("operation")
        .order_by("-operation_id")
        .first()
    )


def _rows(
    herd: Herd,
    members: Sequence[Instance],
    standby: Instance | None,
    *,
    is_busy: bool,
) -> Iterator[Row]:
    yield _of_primary(members)
    yield from _of_standby(standby, members)
    if herd.vhost and conf.dns() is not None:
        yield _of_name(herd, members)
    if is_busy:
        yield Row(
            name="Operations",
            observed="an operation works on this herd",
            wanted="none",
            verdict=Verdict.STOP,
        )


def _of_primary(members: Sequence[Instance]) -> Row:
    def row(observed: str, verdict: Verdict | None, at: datetime | None = None) -> Row:
        return Row(
            name="One primary",
            observed=observed,
            wanted="exactly one member takes writes",
            verdict=verdict,
            observed_at=at,
        )

    found = writers(members)
    if len(found) == 1:
        host = found[0].server.hostname
        if age := _too_old(found[0]):
            return row(f"{host} was seen {age} ago", None, found[0].observed_at)
        return row(f"{host} takes writes", Verdict.OK, found[0].observed_at)
    if found:
        names = " and ".join(each.server.hostname for each in found)
        return row(f"{names} take writes", Verdict.STOP)
    silent = [
        each
        for each in members
        if each.is_primary and state_of(each) is InstanceState.UNKNOWN
    ]
    if silent:
        host = silent[0].server.hostname
        return row(f"nothing is known of {host}", None, silent[0].observed_at)
    return row("no member takes writes", Verdict.STOP)


def _of_standby(standby: Instance | None, members: Sequence[Instance]) -> Iterator[Row]:
    def row(name: str, observed: str, wanted: str, verdict: Verdict | None) -> Row:
        at = standby.observed_at if standby else None
        return Row(
            name=name,
            observed=observed,
            wanted=wanted,
            verdict=verdict,
            observed_at=at,
        )

    if standby is None:
        yield row("A standby", "no standby is online", "one at least", Verdict.STOP)
        return
    host = standby.server.hostname
    if state_of(standby) is not InstanceState.ONLINE:
        yield row("A standby", f"nothing is known of {host}", "online", None)
    elif age := _too_old(standby):
        yield row("A standby", f"{host} was seen {age} ago", "seen lately", None)
    else:
        yield row("A standby", f"{host} is online", "online", Verdict.OK)
    streams = {True: Verdict.OK, False: Verdict.STOP, None: None}
    said = {True: "streams", False: "receives no WAL", None: "was not seen to stream"}
    yield row(
        "Streaming",
        f"{host} {said[standby.is_streaming]}",
        "streaming",
        streams[standby.is_streaming],
    )
    yield _of_timeline(standby, members)
    yield _of_lag(standby)


def _of_timeline(standby: Instance, members: Sequence[Instance]) -> Row:
    newest = max((each.timeline or 0 for each in writers(members)), default=0)
    known = standby.timeline is not None and newest > 0
    verdict = (
        None
        if not known
        else (Verdict.OK if standby.timeline == newest else Verdict.STOP)
    )
    host = standby.server.hostname
    return Row(
        name="Timeline",
        observed=f"{host} is on timeline {standby.timeline}"
        if known
        else "the timelines are not known",
        wanted=f"{newest}, the primary's" if known else "the primary's",
        verdict=verdict,
        observed_at=standby.observed_at,
    )


def _of_lag(standby: Instance) -> Row:
    lag, limit = lag_of(standby), conf.attention().lag
    octets = lag.octets if lag else None
    host = standby.server.hostname
    if octets is None:
        observed, verdict = f"the lag of {host} is not known", None
    else:
        observed = f"{host} is {size(max(0, octets))} behind"
        verdict = Verdict.OK if octets <= limit else Verdict.WARN
    return Row(
        name="Lag",
        observed=observed,
        wanted=f"at most {size(limit)}",
        verdict=verdict,
        observed_at=lag.observed_at if lag else None,
    )


def _of_name(herd: Herd, members: Sequence[Instance]) -> Row:
    aim = aim_of(herd, [each for each in members if each.is_primary])
    verdict = {Aim.PRIMARY: Verdict.OK, Aim.ASTRAY: Verdict.WARN, Aim.UNKNOWN: None}
    points = herd.vhost_target or "nothing"
    observed = (
        f"where {herd.vhost} points is not known"
        if herd.vhost_seen_at is None
        else f"{herd.vhost} points at {points}"
    )
    return Row(
        name="Virtual host",
        observed=observed,
        wanted="the primary's host",
        verdict=verdict[aim],
        observed_at=herd.vhost_seen_at,
    )


def _too_old(instance: Instance) -> str:
    """Tell how old a reading is, if that is older than it may be."""
    if instance.observed_at is None:
        return ""
    age = timezone.now() - instance.observed_at
    limits = conf.attention()
    allowed = limits.unreported if instance.observed_by == "agent" else limits.unseen
    if age <= timedelta(seconds=allowed):
        return ""
    return f"{int(age.total_seconds() // 60)} min"
