"""Stops standbys from receiving, so that their positions can be compared and believed.

A primary that is only half dead could feed one of them while they are compared.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from herds.domain.clock import watch
from herds.domain.lsn import Lsn
from herds.domain.probe import Probe
from herds.errors import ElephaasError, NotObserved
from herds.postgres import promotion, replication

from .ends import upstream_of
from .scene import at_once
from .target import Member, Target

_QUIET = 15.0  # seconds until a WAL receiver that was told to end has ended
_FORWARD = 300.0  # seconds for a standby to get from another one what it lacks


def freeze(target: Target, standbys: Sequence[Member]) -> dict[str, str]:
    """Have standbys follow nobody, and see that they receive nothing any more.

    Returns:
        The reason by host for each that was not seen to stop.
    """
    reasons = at_once(lambda member: _freeze(target, member), standbys)
    return {
        member.host: why for member, why in zip(standbys, reasons, strict=True) if why
    }


def _freeze(target: Target, member: Member) -> str:
    try:
        replication.stop_following(member.cluster)
        came, _ = watch(
            lambda: member.cluster.probe(sizes=False),
            lambda now: now.receiver is None,
            clock=target.clock,
            timeout=_QUIET,
        )
    except ElephaasError as error:
        return error.message
    return "" if came else f"{member.host} still receives"


def thaw(target: Target, old: Member, standbys: Sequence[Member]) -> None:
    """Have standbys follow the former primary again, as far as they can be told."""

    def follow(member: Member) -> None:
        try:
            aim = upstream_of(target.at(member), old)
            replication.follow(member.cluster, aim)
        except ElephaasError:
            # It stays frozen, and is pointed at whoever is the primary next.
            return

    at_once(follow, standbys)


def await_replayed(target: Target, member: Member) -> Probe:
    """Wait until a standby has replayed all it received.

    Raises:
        NotObserved: it does not get there.
        ElephaasError: nothing is known of it.
    """
    came, seen = watch(
        lambda: member.cluster.probe(sizes=False),
        lambda now: (now.replayed or Lsn(0)) >= (now.received or Lsn(0)),
        clock=target.clock,
        timeout=target.patience,
    )
    if not came:
        raise NotObserved(
            f"{member.host} to replay all it received",
            observed=f"at {seen.replayed} of {seen.received}",
            seconds=target.patience,
            host=member.host,
            hint="See whether its replay is paused, or a query there holds it up.",
        )
    return seen


def fast_forward(target: Target, member: Member, best: Member, goal: Lsn) -> None:
    """Have a standby get from a better one what it lacks, then follow nobody again.

    Raises:
        NotObserved: it does not get there.
        ElephaasError: it could not be told, or nothing is known of it.
    """
    aim = replace(upstream_of(target.at(member), best), host=best.host, slot="")
    replication.follow(member.cluster, aim)
    promotion.nudge(member.cluster)
    came, seen = watch(
        lambda: member.cluster.probe(sizes=False),
        lambda now: (now.received or Lsn(0)) >= goal,
        clock=target.clock,
        timeout=max(_FORWARD, target.patience),
        interval=0.2,
    )
    if not came:
        raise NotObserved(
            f"{member.host} to receive up to {goal} from {best.host}",
            observed=f"at {seen.received}",
            seconds=_FORWARD,
            host=member.host,
            hint=f"Fail over to {best.host} instead.",
        )
    if why := _freeze(target, member):
        raise NotObserved(
            f"{member.host} to stop receiving",
            observed=why,
            seconds=_QUIET,
            host=member.host,
        )
