"""Joins herds and DNS: where a virtual host points, and how it is made to follow.

A verb that moves a primary shows ``checks`` in its plan and keeps ``pointing`` among
the plan's facts. When it runs::

    with vhost.prepare(target, old_host, new_host, accepted=...) as ready:
        ...  # up to the point of no return
        moved = ready.send()  # one round trip; raises nothing
        moved.demand()  # or judge moved.outcome
        ...  # clients can write again
        read_back = ready.confirm(30.0)

Without a virtual host, and where DNS is not managed, ``prepare`` gives a move that does
nothing and says so (``is_needed`` is false): the story need not branch.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from types import TracebackType
from typing import Self

from herds.domain.clock import Clock
from herds.domain.plan import Check, Verdict
from herds.errors import ElephaasError, PreconditionFailed
from herds.nameserver.move import PreparedMove
from herds.nameserver.nameserver import Nameserver, refuse_unfit
from herds.nameserver.values import Look, Moved, Outcome, Said

from .recording import VhostSight
from .target import Target

NAME = "Virtual host"
RIGHT = "Right to move it"

_ONE = "the same signed update, with nothing to change in it"


@dataclass(frozen=True, kw_only=True)
class Aim:
    """Where a herd's virtual host points, and the full name of where it should."""

    look: Look
    wanted: str

    @property
    def is_so(self) -> bool:
        """Whether every server says that it points there."""
        return not self.look.behind(self.wanted)


def is_managed(target: Target) -> bool:
    """Tell whether the herd has a virtual host that this service can move."""
    return target.nameserver is not None and bool(target.cluster.ref.vhost)


def why_unmanaged(target: Target) -> str:
    """Say why there is nothing to move; empty where there is."""
    ref = target.cluster.ref
    if not ref.vhost:
        return f"{ref.herd_name} has no virtual host."
    if target.nameserver is None:
        return f"DNS is not managed here, so {ref.vhost} stays where it points."
    return ""


def see(target: Target, host: str) -> Aim:
    """Ask every server where the virtual host points, and keep it in the inventory.

    Args:
        target: a member of the herd, which has a virtual host.
        host: the member it should point at.

    Raises:
        PreconditionFailed: it cannot be managed, or a name is not to be used.
        NameserverUnreachable: nothing is known.
    """
    names = _names(target)
    look = names.look(target.cluster.ref.vhost)
    _keep(target, look)
    return Aim(look=look, wanted=names.host_name(host, target.cluster.ref.vhost))


def note(target: Target, host: str) -> None:
    """Keep where the virtual host points, if that can be seen; it stops nothing."""
    if is_managed(target):
        with suppress(ElephaasError):
            see(target, host)


def watch(nameserver: Nameserver, name: str, clock: Clock) -> VhostSight:
    """See where a virtual host points; that it cannot be seen is told, not raised."""
    try:
        return _sight(nameserver.look(name), clock.now())
    except ElephaasError as error:
        return VhostSight(at=clock.now(), trouble=error.message, is_known=False)


def pointing(target: Target) -> str:
    """Give the full name the virtual host points at; empty if nothing is known.

    It is what a plan keeps among its facts, for ``prepare`` to accept when it is run.
    """
    if not is_managed(target):
        return ""
    try:
        return _names(target).look(target.cluster.ref.vhost).target
    except ElephaasError:
        return ""


def checks(
    target: Target, host: str, *, drift: Verdict = Verdict.WARN
) -> tuple[Check, ...]:
    """Write the rows of a plan: where the name points, and the right to move it.

    Raises nothing: what goes wrong is a row. A herd without a virtual host has none.

    Args:
        target: a member of the herd.
        host: the member it should point at now.
        drift: what it means that the name points elsewhere.
    """
    if not target.cluster.ref.vhost:
        return ()
    if target.nameserver is None:
        return (
            _row(target, "the setting DNS", why_unmanaged(target), "somebody moves it"),
        )
    try:
        aim = see(target, host)
    except ElephaasError as error:
        how = "the servers of its zone"
        return (_row(target, how, error.message, f"points at {host}", Verdict.STOP),)
    return checks_of(target, aim, drift=drift)


def checks_of(
    target: Target, aim: Aim, *, drift: Verdict = Verdict.WARN
) -> tuple[Check, ...]:
    """Write the rows of ``checks`` from what was seen already."""
    look = aim.look
    asked = ", ".join(str(server) for server in look.zone.servers)
    where = _row(
        target,
        f"asked {asked}",
        look.words(),
        f"points at {aim.wanted}",
        _judge(aim, drift),
    )
    try:
        refuse_unfit(look)
        proof = _names(target).prove_right(look)
        observed, verdict = proof.words, Verdict.OK if proof.granted else Verdict.STOP
    except ElephaasError as error:
        observed, verdict = error.message, Verdict.STOP
    return (where, _row(target, _ONE, observed, "NOERROR", verdict, name=RIGHT))


def prepare(
    target: Target, old_host: str, new_host: str, *, accepted: str = ""
) -> Prepared:
    """Make everything ready to move the herd's virtual host, and change nothing yet.

    The message is signed and the socket open; a move that was prepared minutes ago is
    signed again by itself. The name is moved only if it still points where it points
    now, so prepare late enough to have seen what matters.

    Args:
        target: a member of the herd.
        old_host: where it points if all is well: the old primary.
        new_host: where it shall point.
        accepted: where else it may point, in full: what the plan that was confirmed
            showed (see ``pointing``).

    Raises:
        PreconditionFailed: it points at neither of them, has data that is no CNAME,
            the new host has no address in DNS, or there is no usable key.
        NameserverUnreachable: the server that takes changes does not answer.
    """
    if not is_managed(target):
        return Prepared(target, None, None, why_unmanaged(target))
    aim = see(target, new_host)
    refuse_unfit(aim.look)
    at = aim.look.primary.target
    if at and at not in {aim.wanted, accepted} and at != _full(target, old_host):
        raise PreconditionFailed(
            f"{aim.look.name} points at {at}, neither at {old_host} nor at {new_host}.",
            hint="See who moved it; a new plan shows where it points.",
        )
    return Prepared(target, aim, _names(target).prepare(aim.look, aim.wanted), "")


class Prepared:
    """A virtual host that is ready to be moved, or need not be."""

    def __init__(
        self, target: Target, aim: Aim | None, move: PreparedMove | None, why_not: str
    ) -> None:
        self._target = target
        self._aim = aim
        self._move = move
        self.why_not = why_not
        """Why there is nothing to move, as a sentence."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give the socket back; a move that was not sent is not made."""
        if self._move is not None:
            self._move.close()

    @property
    def is_needed(self) -> bool:
        """Whether there is a name to move."""
        return self._move is not None

    @property
    def words(self) -> str:
        """Say what ``send`` does, for a step: ``Point trade.lab.test at ele02…``."""
        if self._aim is None:
            return "Leave DNS as it is"
        return f"Point {self._aim.look.name} at {self._aim.wanted}"

    def send(self) -> Moved:
        """Move the name: one round trip; can be called again.

        Raises nothing: ``outcome`` and ``words`` say how it ended, and ``demand``
        raises what stops a story.
        """
        if self._move is None:
            return Moved(
                name=self._target.cluster.ref.vhost,
                target="",
                server="",
                outcome=Outcome.ALREADY,
                rcode="",
                words=self.why_not,
                seconds=0.0,
            )
        return self._move.send()

    def confirm(self, seconds: float) -> ReadBack:
        """Read the name back from every server until all of them say the same.

        What was seen is kept in the inventory.

        Args:
            seconds: how long servers that copy the zone may take.
        """
        if self._aim is None:
            return ReadBack(words=self.why_not)
        names = _names(self._target)
        look = names.await_everywhere(self._aim.look, self._aim.wanted, seconds)
        _keep(self._target, look)
        return _read_back(look, self._aim.wanted)


@dataclass(frozen=True, kw_only=True)
class ReadBack:
    """What the servers say after a move.

    Attributes:
        words: one sentence of what is true now.
        behind: the servers that do not say it, or say nothing.
    """

    words: str
    behind: tuple[Said, ...] = ()

    @property
    def is_everywhere(self) -> bool:
        """Whether every server says that the name points there."""
        return not self.behind


def _read_back(look: Look, wanted: str) -> ReadBack:
    behind = look.behind(wanted)
    count = len(look.said)
    if not behind:
        on = f"all {count} name servers" if count > 1 else str(look.zone.primary)
        ttl = f"others may keep the old answer for {look.primary.ttl} s"
        return ReadBack(words=f"{look.name} points at {wanted} on {on}; {ttl}.")
    told = "; ".join(said.words() for said in behind)
    return ReadBack(
        words=f"{look.name} points at {wanted} on {count - len(behind)} of {count} "
        f"name servers: {told}.",
        behind=behind,
    )


def _judge(aim: Aim, drift: Verdict) -> Verdict:
    if aim.look.other or aim.look.primary.trouble:
        return Verdict.STOP
    if aim.look.primary.target != aim.wanted:
        return drift
    return Verdict.OK if aim.is_so else Verdict.WARN


def _names(target: Target) -> Nameserver:
    """Give what asks and moves names.

    Raises:
        PreconditionFailed: there is nothing to move.
    """
    if target.nameserver is None or not target.cluster.ref.vhost:
        raise PreconditionFailed(why_unmanaged(target))
    return target.nameserver


def _full(target: Target, host: str) -> str:
    """Give a host's full name; a host that DNS does not know has none."""
    try:
        return _names(target).host_name(host, target.cluster.ref.vhost)
    except PreconditionFailed:
        return ""


def _keep(target: Target, look: Look) -> None:
    target.record_vhost(_sight(look, target.clock.now()))


def _sight(look: Look, at: datetime) -> VhostSight:
    return VhostSight(
        at=at,
        target=look.target,
        trouble=_trouble(look.said, look.target),
        is_known=look.is_known,
    )


def _trouble(said: Iterable[Said], agreed: str) -> str:
    return "; ".join(
        each.words()
        for each in said
        if each.trouble or each.other or each.target != agreed
    )


def _row(
    target: Target,
    how: str,
    observed: str,
    threshold: str,
    verdict: Verdict = Verdict.OK,
    *,
    name: str = NAME,
) -> Check:
    return Check(
        name=name,
        how=how,
        observed=observed.removesuffix("."),
        threshold=threshold,
        verdict=verdict,
        observed_at=target.clock.now().isoformat(),
    )
