"""Looks at a primary from every side before it is taken for lost.

A primary that this service cannot reach may be well: then its standbys still hear it.
Each standby's host is asked to open a connection to it, which tells at once what its
WAL receiver finds out after a minute.
"""

from __future__ import annotations

from dataclasses import dataclass

from herds.domain.plan import Check, Verdict
from herds.errors import ElephaasError, PreconditionFailed
from herds.postgres import replication
from herds.postgres.copy_source import bin_directory

from .scene import Scene, View, at_once, view_of
from .target import Member, Target


@dataclass(frozen=True, kw_only=True)
class Vantage:
    """What one standby's host hears of the primary.

    ``hears`` is None where it could not be asked.
    """

    view: View
    hears: bool | None
    words: str


def look_and_hear(target: Target, old: Member) -> tuple[Scene, tuple[Vantage, ...]]:
    """See every member, and have every standby's host connect to the lost primary.

    Standbys are heard while the lost host is still waited for: each of both takes as
    long as a connection that nobody answers.
    """

    def one(member: Member) -> tuple[View, Vantage | None]:
        view = view_of(member)
        is_other = member.instance_id != old.instance_id
        heard = _hear(view, old) if is_other and view.is_standby else None
        return view, heard

    seen = at_once(one, target.members)
    scene = Scene(views=tuple(view for view, _ in seen))
    return scene, tuple(heard for _, heard in seen if heard is not None)


def _hear(view: View, old: Member) -> Vantage:
    probe, ref = view.known, old.cluster.ref
    aim = replication.Upstream(
        host=ref.hostname, port=ref.port, application_name=view.name
    )
    try:
        told = replication.identify(
            view.member.cluster,
            replication.conninfo(probe.settings.get("primary_conninfo", ""), aim),
            bin_directory=bin_directory(probe, probe.seen.version.split(".")[0]),
        )
    except PreconditionFailed as refused:
        # Whatever refuses a login is there to do so.
        hears: bool | None = any(sign in refused.output for sign in _SIGNS_OF_LIFE)
        if _NOT_ASKED in refused.output:
            hears = None
        return Vantage(view=view, hears=hears, words=refused.message.rstrip("."))
    except ElephaasError as error:
        return Vantage(view=view, hears=None, words=error.message.rstrip("."))
    return Vantage(
        view=view,
        hears=True,
        words=f"it answers {view.host}, on timeline {told.timeline}",
    )


_NOT_ASKED = "could not translate host name"
"""What libpq says where DNS fails; connections that are open already go on."""

_SIGNS_OF_LIFE = (
    "FATAL:  password",
    "FATAL:  no pg_hba.conf",
    "FATAL:  pg_hba.conf",
    "FATAL:  role",
    "FATAL:  number of requested standby",
    "FATAL:  sorry, too many clients",
)


def judge_loss(
    target: Target, scene: Scene, old: View, heard: tuple[Vantage, ...]
) -> tuple[Check, ...]:
    """Judge whether a primary is lost, from what was seen and heard of it."""
    return (_from_here(target, old), *(_from_there(target, each) for each in heard))


def _from_here(target: Target, old: View) -> Check:
    if old.probe is None:
        verdict = Verdict.OK
    elif old.takes_writes:
        verdict = Verdict.STOP
    elif old.probe.seen.is_running:
        verdict = Verdict.STOP if old.is_standby else Verdict.WARN
    else:
        # It can be started, and then loses nothing.
        verdict = Verdict.WARN
    return _row(
        target,
        "Primary lost",
        f"SSH to {old.host}, its processes and files",
        f"{old.host} is {old.words()}",
        "lost: where it only stopped, starting it loses nothing and is quicker",
        verdict,
    )


def _from_there(target: Target, vantage: Vantage) -> Check:
    receiver = vantage.view.known.receiver
    streams = f", its receiver says {receiver.status!r}" if receiver else ""
    return _row(
        target,
        f"Seen from {vantage.view.host}",
        f"a replication connection from {vantage.view.host}, pg_stat_wal_receiver",
        vantage.words + streams,
        "no answer there either: a primary that its standbys hear is not lost",
        _judge(vantage),
    )


def _judge(vantage: Vantage) -> Verdict:
    """Take a primary for lost only where nobody hears it; a doubt is for a person."""
    if vantage.hears is None:
        # Nobody could ask: then a receiver that streams has the word. That of a lost
        # primary says so until wal_receiver_timeout, by default a minute.
        receiver = vantage.view.known.receiver
        streams = receiver is not None and receiver.status == "streaming"
        return Verdict.STOP if streams else Verdict.WARN
    return Verdict.STOP if vantage.hears else Verdict.OK


def _row(
    target: Target,
    name: str,
    how: str,
    observed: str,
    threshold: str,
    verdict: Verdict,
) -> Check:
    return Check(
        name=name,
        how=how,
        observed=observed,
        threshold=threshold,
        verdict=verdict,
        observed_at=target.clock.now().isoformat(),
    )
