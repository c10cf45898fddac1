"""Moves a name: one signed update, made beforehand, that changes nothing unexpected.

The update's condition is the old value (RFC 2136 section 2.4), so that two who move the
same name cannot undo each other, and a name that somebody has pointed elsewhere stays.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import dns.name
import dns.update

from .exchange import REFUSALS, Answer, Silent, connected, exchange, over_tcp
from .key import TsigKey
from .values import Moved, Outcome, Proof, Said, Server

FUDGE = 300
"""Seconds by which the clocks may differ (RFC 8945 section 5.2.3)."""

_FRESH = 120.0

_UNEXPECTED = {"NXRRSET", "YXRRSET", "NXDOMAIN", "YXDOMAIN"}


@dataclass(frozen=True, kw_only=True)
class Change:
    """What is to be changed: from where to where, in which zone, on which server.

    ``old`` is empty where the name does not exist yet.
    """

    name: str
    zone: str
    server: Server
    old: str
    new: str
    ttl: int

    @property
    def same(self) -> Change:
        """The change that leaves everything as it is."""
        return Change(
            name=self.name,
            zone=self.zone,
            server=self.server,
            old=self.old,
            new=self.old,
            ttl=self.ttl,
        )


def message(change: Change, key: TsigKey) -> dns.update.UpdateMessage:
    """Make the update that carries out a change if the name is as expected."""
    update = dns.update.UpdateMessage(dns.name.from_text(change.zone))
    name = dns.name.from_text(change.name)
    if change.old:
        update.present(name, "CNAME", _text(change.old))
    else:
        # Beside other data a CNAME is dropped without a word (RFC 2136 section
        # 3.4.2.2), so a yes would mean nothing if the name were in use.
        update.absent(name)
    update.delete(name, "CNAME")
    if change.new:
        update.add(name, change.ttl, "CNAME", _text(change.new))
    update.use_tsig(key.for_messages(), fudge=FUDGE)
    return update


def prove(change: Change, key: TsigKey, timeout: float) -> Proof:
    """Ask the server for the same kind of change that leaves everything as it is.

    BIND checks the key before the condition, but its ``update-policy`` only against
    what is to be changed: a condition alone is granted to any key. So the whole
    request is made, with the old value as the new one. It raises no serial.

    Raises:
        Silent: nothing is known.
    """
    update = message(change.same, key)
    try:
        with connected(change.server) as line:
            answer = exchange(update, update.to_wire(), line, timeout / 2)
    except TimeoutError:
        with connected(change.server) as line:
            answer = _patient_over_tcp(update, line, timeout / 2)
    server, name = change.server, change.name
    if answer.rcode == "NOERROR":
        words = f"{server} lets the key {key.name} change {name}"
    elif answer.rcode in _UNEXPECTED:
        words = f"{name} changed meanwhile on {server}"
    else:
        why = REFUSALS.get(answer.rcode, "it does not say why")
        words = f"{server} answers {answer.rcode}: {why}"
    return Proof(granted=answer.rcode == "NOERROR", rcode=answer.rcode, words=words)


class PreparedMove:
    """A change that is signed, with an open socket: sending it is one round trip."""

    def __init__(
        self, change: Change, key: TsigKey, look: Callable[[], Said], timeout: float
    ) -> None:
        """Sign the message and open the socket.

        Args:
            change: what is to be changed.
            key: what signs it.
            look: sees the name on the same server.
            timeout: seconds to wait for an answer.

        Raises:
            Silent: there is no way to the server.
        """
        self.change = change
        self._key = key
        self._look = look
        self._timeout = timeout
        self._line = connected(change.server)
        self._was_sent = False
        self._sign()

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
        """Close the socket; it is no longer wanted."""
        self._line.close()

    def send(self) -> Moved:
        """Send the update and say what is true afterwards.

        Can be called again: a name that points there already is fine. Whatever the
        answer leaves open is seen by a look at the same server.
        """
        started = time.monotonic()
        if self._was_sent or started - self._signed_at > _FRESH:
            self._sign()
        self._was_sent = True
        rcode, trouble, was_sent = "", "", True
        try:
            rcode = self._transmit().rcode
        except Silent as silent:
            trouble, was_sent = str(silent), False
        except TimeoutError:
            trouble = f"did not answer within {self._timeout:g} s"
        outcome, words = self._judge(rcode, trouble, was_sent)
        return Moved(
            name=self.change.name,
            target=self.change.new,
            server=str(self.change.server),
            outcome=outcome,
            rcode=rcode,
            words=f"{words}.",
            seconds=time.monotonic() - started,
        )

    def _sign(self) -> None:
        self._message = message(self.change, self._key)
        self._wire = self._message.to_wire()
        self._signed_at = time.monotonic()

    def _transmit(self) -> Answer:
        """Send over UDP, and once more over TCP where nobody answers.

        Raises:
            Silent, TimeoutError: nothing is known of the change.
        """
        try:
            return exchange(self._message, self._wire, self._line, self._timeout / 2)
        except TimeoutError:
            # Should the first have arrived after all, this one finds the name moved.
            try:
                return over_tcp(self._message, self._line, self._timeout / 2)
            except Silent:
                raise TimeoutError from None

    def _judge(self, rcode: str, trouble: str, was_sent: bool) -> tuple[Outcome, str]:
        """Say how it ended; what the answer does not tell is looked at."""
        change = self.change
        points = f"{change.name} points at {change.new}"
        if rcode == "NOERROR":
            if change.old == change.new:
                return Outcome.ALREADY, f"{points} already"
            was = f", no longer at {change.old}" if change.old else ""
            return Outcome.MOVED, f"{points}{was}"
        now = self._look()
        if now.target == change.new and not now.trouble:
            return Outcome.ALREADY, f"{points} already"
        if rcode in _UNEXPECTED:
            expected = f"at {change.old}" if change.old else "nowhere"
            words = f"{change.name} does not point {expected} as expected, and was left"
            return Outcome.UNEXPECTED, f"{words}; {now.words()}"
        if rcode:
            why = REFUSALS.get(rcode, "it does not say why")
            words = f"{change.name} was not moved: {change.server} answers {rcode}"
            return Outcome.REFUSED, f"{words} ({why}); {now.words()}"
        if not was_sent:
            words = f"{change.name} was not moved: {change.server} {trouble}"
            return Outcome.UNREACHABLE, words
        words = f"Whether {points} is unknown: {change.server} {trouble}"
        # A look that sees the old value proves nothing: the update may be on its way.
        return Outcome.UNKNOWN, words if now.trouble else f"{words}; {now.words()}"


def _patient_over_tcp(
    update: dns.update.UpdateMessage, line: socket.socket, timeout: float
) -> Answer:
    with suppress(TimeoutError, Silent):
        return over_tcp(update, line, timeout)
    raise Silent(f"did not answer within {2 * timeout:g} s")


def _text(name: str) -> str:
    return f"{name}."
