"""Whether a herd could be switched over, by what was recorded of it; asks no host.

The rows are a first judgement: a plan makes some twenty checks on the hosts themselves.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import CharField, Exists, OuterRef, Prefetch, Q, QuerySet, Value
from django.db.models.functions import Cast, Concat

from herds import conf
from herds.domain.plan import Verdict
from herds.domain.states import ACTIVE_TARGETS
from herds.domain.words import duration_in_words, listed, size
from herds.models import DisasterRecovery, Herd, Instance, OperationTarget

from . import trouble
from .clock import metadata_now
from .herd_tree import follows_nobody, writers
from .inventory import InstanceState, dr_pairs, lag_of_pair, state_of
from .vhosts import Aim
from .vhosts import state_of as aim_of

_SWITCHOVER = "switchover"


class Readiness(StrEnum):
    """What the rows together say."""

    READY = "ready"
    WARNED = "ready, look first"
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


def judge_herd(herd: Herd, members: Sequence[Instance]) -> Judgement:
    """Judge a herd by what was recorded of its members; two queries.

    Args:
        herd: with its environment.
        members: all of it, with their servers.
    """
    active = OperationTarget.objects.filter(
        herd_key=f"herd:{herd.pk}", state__in=ACTIVE_TARGETS
    )
    pair = dr_pairs().filter(herd=herd).first()
    primaries = [each for each in members if follows_nobody(each)]
    silent = [
        each
        for each in members
        if not follows_nobody(each) and state_of(each) is InstanceState.UNKNOWN
    ]
    standby = _of_standby(pair, primaries, silent)
    away = [
        each.server.hostname
        for each in members
        if not follows_nobody(each)
        and (state_of(each) is not InstanceState.ONLINE or each.is_streaming is False)
        and (pair is None or each.pk != pair.instance.pk)
    ]
    followers = _of_followers(pair, sorted(away))
    return _judged(
        herd, primaries, (*standby, *followers), pair, is_busy=active.exists()
    )


def pairs_to_judge() -> QuerySet[DisasterRecovery]:
    """Give pairs with all that ``judge_pair`` wants; the same few queries for all."""
    key = Concat(Value("herd:"), Cast(OuterRef("herd_id"), CharField()))
    active = OperationTarget.objects.filter(herd_key=key, state__in=ACTIVE_TARGETS)
    primaries = Instance.objects.filter(trouble.IS_PRIMARY).select_related("server")
    away = (
        Instance.objects.filter(~trouble.IS_PRIMARY, herd=OuterRef("herd_id"))
        .filter(~trouble.IS_RUNNING | Q(is_streaming=False))
        .exclude(pk=OuterRef("instance_id"))
        .order_by("server__hostname")
    )
    return (
        dr_pairs()
        .annotate(
            is_busy=Exists(active),
            away=ArraySubquery(away.values("server__hostname")),
        )
        .prefetch_related(
            Prefetch("herd__instances", queryset=primaries, to_attr="primaries")
        )
    )


def judge_pair(pair: DisasterRecovery) -> Judgement:
    """Judge the herd of a pair; asks the database nothing.

    Args:
        pair: as ``pairs_to_judge`` gives it.
    """
    primaries: list[Instance] = pair.herd.primaries  # type: ignore[attr-defined]
    is_busy: bool = pair.is_busy  # type: ignore[attr-defined]
    away: list[str] = pair.away  # type: ignore[attr-defined]
    rows = (*_of_standby(pair, primaries, ()), *_of_followers(pair, away))
    return _judged(pair.herd, primaries, rows, pair, is_busy=is_busy)


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


def _judged(
    herd: Herd,
    primaries: Sequence[Instance],
    standbys: Iterable[Row],
    pair: DisasterRecovery | None,
    *,
    is_busy: bool,
) -> Judgement:
    rows = [_of_primary(primaries), *standbys]
    if herd.vhost and conf.dns() is not None:
        rows.append(_of_name(herd, primaries))
    if is_busy:
        rows.append(
            Row(
                name="Operations",
                observed="an operation works on this herd",
                wanted="none",
                verdict=Verdict.STOP,
            )
        )
    readiness, words = _verdict(rows, pair)
    read = [row.observed_at for row in rows if row.observed_at is not None]
    return Judgement(
        readiness=readiness,
        words=words,
        rows=tuple(rows),
        seen_at=min(read, default=None),
    )


def _verdict(
    rows: Sequence[Row], pair: DisasterRecovery | None
) -> tuple[Readiness, str]:
    def first(verdict: Verdict | None) -> str:
        return next((row.observed for row in rows if row.verdict is verdict), "")

    if stop := first(Verdict.STOP):
        return Readiness.NOT_READY, f"Not ready to switch over: {stop}."
    if unknown := first(None):
        words = f"Whether it could switch over is not known: {unknown}."
        return Readiness.UNKNOWN, words
    host = pair.server.hostname if pair else "a standby"
    if warning := first(Verdict.WARN):
        words = f"Ready to switch over to {host}, but look at this first: {warning}."
        return Readiness.WARNED, words
    return Readiness.READY, f"Ready to switch over to {host}."


def _of_primary(primaries: Sequence[Instance]) -> Row:
    def row(observed: str, verdict: Verdict | None, at: datetime | None = None) -> Row:
        return Row(
            name="One primary",
            observed=observed,
            wanted="exactly one member takes writes",
            verdict=verdict,
            observed_at=at,
        )

    found = writers(primaries)
    if len(found) == 1:
        host = found[0].server.hostname
        if age := _too_old(found[0]):
            return row(f"{host} was seen {age} ago", None, found[0].observed_at)
        return row(f"{host} takes writes", Verdict.OK, found[0].observed_at)
    if found:
        names = listed([each.server.hostname for each in found])
        return row(f"{names} take writes", Verdict.STOP)
    silent = [each for each in primaries if state_of(each) is InstanceState.UNKNOWN]
    if silent:
        host = silent[0].server.hostname
        return row(f"nothing is known of {host}", None, silent[0].observed_at)
    return row("no member takes writes", Verdict.STOP)


def _of_standby(
    pair: DisasterRecovery | None,
    primaries: Sequence[Instance],
    silent: Sequence[Instance],
) -> Iterator[Row]:
    """Judge the standby that would take over.

    Args:
        pair: the herd's, None where no standby of it is online.
        primaries: what follows nobody.
        silent: standbys of which nothing is known; one of them may be online.
    """
    if pair is not None:
        yield _of_host(pair.instance, pair.server.hostname)
        yield _of_streaming(pair.instance, pair.server.hostname)
        yield from _of_identity(pair, primaries)
        yield _of_timeline(pair, primaries)
        yield _of_lag(pair)
        return
    observed, verdict = "no standby is online", Verdict.STOP
    row = Row(name="A standby", observed=observed, wanted="online", verdict=verdict)
    if silent:
        observed = f"nothing is known of {silent[0].server.hostname}"
        row = Row(
            name="A standby",
            observed=observed,
            wanted="online",
            verdict=None,
            observed_at=silent[0].observed_at,
        )
    yield row


def _of_host(standby: Instance, host: str) -> Row:
    verdict: Verdict | None = None
    if state_of(standby) is not InstanceState.ONLINE:
        observed, wanted = f"nothing is known of {host}", "online"
    elif age := _too_old(standby):
        observed, wanted = f"{host} was seen {age} ago", "seen lately"
    else:
        observed, wanted, verdict = f"{host} is online", "online", Verdict.OK
    return Row(
        name="A standby",
        observed=observed,
        wanted=wanted,
        verdict=verdict,
        observed_at=standby.observed_at,
    )


def _of_streaming(standby: Instance, host: str) -> Row:
    verdicts = {True: Verdict.OK, False: Verdict.STOP, None: None}
    said = {True: "streams", False: "receives no WAL", None: "was not seen to stream"}
    return Row(
        name="Streaming",
        observed=f"{host} {said[standby.is_streaming]}",
        wanted="streaming",
        verdict=verdicts[standby.is_streaming],
        observed_at=standby.observed_at,
    )


def _of_identity(
    pair: DisasterRecovery, primaries: Sequence[Instance]
) -> Iterator[Row]:
    """Compare whose copies they are, where that was seen of both."""
    found = writers(primaries)
    mine = pair.instance.system_identifier
    theirs = found[0].system_identifier if len(found) == 1 else ""
    if not mine or not theirs:
        return
    host = pair.server.hostname
    is_same = mine == theirs
    yield Row(
        name="System identifier",
        observed=f"{host} is a copy of the primary"
        if is_same
        else f"{host} is no copy of the primary: its system identifier is {mine}",
        wanted=f"{theirs}, the primary's",
        verdict=Verdict.OK if is_same else Verdict.STOP,
        observed_at=pair.instance.observed_at,
    )


def _of_timeline(pair: DisasterRecovery, primaries: Sequence[Instance]) -> Row:
    timeline, host = pair.instance.timeline, pair.server.hostname
    newest = max((each.timeline or 0 for each in writers(primaries)), default=0)
    verdict: Verdict | None = None
    observed, wanted = "the timelines are not known", "the primary's"
    if timeline is not None and newest > 0:
        observed, wanted = (
            f"{host} is on timeline {timeline}",
            f"{newest}, the primary's",
        )
        verdict = Verdict.OK if timeline == newest else Verdict.STOP
    return Row(
        name="Timeline",
        observed=observed,
        wanted=wanted,
        verdict=verdict,
        observed_at=pair.instance.observed_at,
    )


def _of_lag(pair: DisasterRecovery) -> Row:
    lag, limit, host = lag_of_pair(pair), conf.attention().lag, pair.server.hostname
    verdict: Verdict | None = None
    observed = f"the lag of {host} is not known"
    if lag.octets is not None:
        observed = f"{host} is {size(max(0, lag.octets))} behind"
        verdict = Verdict.OK if lag.octets <= limit else Verdict.WARN
    return Row(
        name="Lag",
        observed=observed,
        wanted=f"at most {size(limit)}",
        verdict=verdict,
        observed_at=lag.observed_at,
    )


def _of_followers(pair: DisasterRecovery | None, away: Sequence[str]) -> Iterator[Row]:
    """Judge the other standbys, which would follow the new primary.

    Args:
        pair: the herd's, None where nobody could take over.
        away: the hosts of those that do not stream, or of which nothing is known.
    """
    if pair is None:
        return
    observed = "every other standby streams"
    if away:
        observed = f"{listed(away)} would not follow at once"
    yield Row(
        name="Followers",
        observed=observed,
        wanted="every other standby streams",
        verdict=Verdict.WARN if away else Verdict.OK,
        observed_at=pair.instance.observed_at,
    )


def _of_name(herd: Herd, primaries: Sequence[Instance]) -> Row:
    aim = aim_of(herd, primaries)
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
    age = metadata_now() - instance.observed_at
    limits = conf.attention()
    allowed = limits.unreported if instance.observed_by == "agent" else limits.unseen
    if age <= timedelta(seconds=allowed):
        return ""
    return duration_in_words(age.total_seconds())
