"""What is known of a name: what each server of its zone says; how a move ended."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from herds.errors import (
    NameserverRefused,
    NameserverSilent,
    NameserverUnreachable,
    PreconditionFailed,
)


@dataclass(frozen=True, kw_only=True)
class Server:
    """One server of a zone; ``address`` is empty where its name has none."""

    name: str
    address: str = ""
    port: int = 53

    def __str__(self) -> str:
        shown = f"{self.address}#{self.port}" if self.port != 53 else self.address
        return self.name if self.name != self.address else shown


@dataclass(frozen=True, kw_only=True)
class Zone:
    """A zone with the servers that answer for it; the first takes the changes."""

    name: str
    servers: tuple[Server, ...]

    @property
    def primary(self) -> Server:
        """The server that takes the changes."""
        return self.servers[0]


@dataclass(frozen=True, kw_only=True)
class Said:
    """What one server says of a name.

    Attributes:
        server: who was asked.
        target: where the CNAME points, without the last dot; empty if there is none.
        ttl: of the CNAME, in seconds.
        serial: of the zone there, None where it was not told.
        other: data at the name that is no CNAME, such as ``"A 192.0.2.7"``.
        trouble: why nothing is known, as a phrase: ``"did not answer within 2 s"``.
    """

    server: Server
    target: str = ""
    ttl: int = 0
    serial: int | None = None
    other: str = ""
    trouble: str = ""

    def words(self) -> str:
        """Say it in a phrase that begins with the server."""
        if self.trouble:
            return f"{self.server} {self.trouble}"
        if self.other:
            return f"{self.server} has {self.other}"
        if not self.target:
            return f"{self.server} knows no such name"
        return f"{self.server} says {self.target}"


@dataclass(frozen=True, kw_only=True)
class Look:
    """What all servers of a zone say of a name, the one that takes changes first."""

    name: str
    zone: Zone
    said: tuple[Said, ...]

    @property
    def primary(self) -> Said:
        """What the server says that takes the changes."""
        return self.said[0]

    @property
    def target(self) -> str:
        """Where the name points: for the primary if it answers, else for the others.

        Empty where there is no record or nothing is known.
        """
        known = [said for said in self.said if not said.trouble]
        return known[0].target if known else ""

    @property
    def is_known(self) -> bool:
        """Whether any server answered."""
        return any(not said.trouble for said in self.said)

    @property
    def other(self) -> str:
        """What some server has at the name that is no CNAME."""
        return next((said.other for said in self.said if said.other), "")

    @property
    def agree(self) -> bool:
        """Whether every server answered, and all say the same."""
        return all(not said.trouble for said in self.said) and (
            len({(said.target, said.other) for said in self.said}) == 1
        )

    @property
    def troubled(self) -> tuple[Said, ...]:
        """The servers of which nothing is known."""
        return tuple(said for said in self.said if said.trouble)

    def behind(self, target: str) -> tuple[Said, ...]:
        """The servers that do not say that the name points there, or say nothing."""
        return tuple(
            said for said in self.said if said.trouble or said.target != target
        )

    def words(self) -> str:
        """Say where the name points and who says otherwise, in one phrase."""
        if not self.is_known:
            return "; ".join(said.words() for said in self.said)
        first = next(said for said in self.said if not said.trouble)
        points = (
            f"{self.name} has {first.other}, no CNAME"
            if first.other
            else f"{self.name} points at {first.target}"
            if first.target
            else f"{self.name} does not exist"
        )
        others = [
            said.words()
            for said in self.said
            if said.trouble or (said.target, said.other) != (first.target, first.other)
        ]
        return "; ".join([points, *others])


@dataclass(frozen=True, kw_only=True)
class Proof:
    """Whether the server would take the change, and what it said to its like."""

    granted: bool
    rcode: str
    words: str


class Outcome(StrEnum):
    """How a request to move a name ended."""

    MOVED = "moved"
    ALREADY = "already so"
    UNEXPECTED = "points elsewhere"  # nothing was changed
    REFUSED = "refused"  # nothing was changed
    UNREACHABLE = "unreachable"  # nothing was sent
    UNKNOWN = "unknown"  # it was sent, and nobody answered


@dataclass(frozen=True, kw_only=True)
class Moved:
    """What a request to move a name led to.

    Attributes:
        name: the name.
        target: where it was to point.
        server: who was asked.
        outcome: how it ended, judged by a look where the answer did not tell.
        rcode: the server's answer, such as ``"NOERROR"``; empty if there was none.
        words: one sentence of what is true now.
        seconds: from sending the request to knowing the outcome.
    """

    name: str
    target: str
    server: str
    outcome: Outcome
    rcode: str
    words: str
    seconds: float

    @property
    def is_done(self) -> bool:
        """Whether the server has the name point there now."""
        return self.outcome in {Outcome.MOVED, Outcome.ALREADY}

    def demand(self) -> None:
        """Go on only if the name points there.

        Raises:
            PreconditionFailed: it points somewhere unexpected, and was left.
            NameserverRefused: the server did not take the change.
            NameserverUnreachable: the change could not be sent.
            NameserverSilent: whether it was made is not known.
        """
        if self.is_done:
            return
        if self.outcome is Outcome.UNEXPECTED:
            raise PreconditionFailed(
                self.words, host=self.server, hint="See who moved it, then plan again."
            )
        if self.outcome is Outcome.REFUSED:
            raise NameserverRefused(self.server, self.words, rcode=self.rcode)
        if self.outcome is Outcome.UNREACHABLE:
            raise NameserverUnreachable(self.server, self.words.removesuffix("."))
        raise NameserverSilent(self.server, self.words)
