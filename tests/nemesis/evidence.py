"""What a run leaves to be judged: values only, so that a test can plant any of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class Stretch:
    """A time in which a member certainly took writes.

    It reaches from the arrival of the first answer that said so to the sending of the
    last question so answered, over one connection: whoever is seen to take writes
    twice by the same server process has taken them all the time in between. Stretches
    of two members that overlap need therefore no tolerance to be a proof.

    Attributes:
        host: whose.
        since: seconds of the machine's monotonic clock.
        until: the same.
    """

    host: str
    since: float
    until: float


@dataclass(frozen=True, kw_only=True)
class Commit:
    """A commit that the client was told of.

    Attributes:
        number: in the order of sending.
        at: when the acknowledgement came, on the monotonic clock.
        position: of the WAL, in bytes, no later than the commit's own.
        host: who took it.
    """

    number: int
    at: float
    position: int
    host: str


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What a member says of itself, asked on its own host.

    Attributes:
        in_recovery: whether it is a standby.
        timeline: the one it writes, or receives; 0 for a standby that receives none.
        receiving: whether it streams.
        followers: hosts that stream from it.
        began: when its postmaster did, in PostgreSQL's words.
        rows: the numbers of this run's commits that it has.
    """

    in_recovery: bool
    timeline: int
    receiving: bool = False
    followers: frozenset[str] = frozenset()
    began: str = ""
    rows: frozenset[int] = frozenset()


Herd = Mapping[str, Facts | None]
"""The members by host; None for one that gives no answer."""


@dataclass(frozen=True, kw_only=True)
class Ending:
    """How an operation ended, by its own row, and what was true then.

    Attributes:
        state: of its target, or of the operation where no target tells.
        outcome: its sentence.
        candidate: who was to take over.
        before: what the members said before it, or before it was resumed.
        unfinished: hosts that its follow-ups name.
        herd: what the members said then.
        reachable: members that the faults of the run left in reach at that time.
    """

    state: str
    outcome: str
    candidate: str
    before: Herd = field(default_factory=dict)
    unfinished: frozenset[str] = frozenset()
    herd: Herd = field(default_factory=dict)
    reachable: frozenset[str] = frozenset()


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """Everything one run is judged by.

    Attributes:
        action: what was asked for.
        fault: what was done to it.
        old: the primary before.
        old_primary: what was chosen for it: ``prepared`` or ``rejoin``.
        stretches: when which member took writes.
        commits: what the client was told.
        endings: of the operation, and of its resumptions and retries, in order.
        finally_: the members once everything was healed and followed up.
        cname: the host that the virtual host's name led to then; None where it was
            not asked.
        announced_loss: bytes that the plan of a failover said may be lost, without
            bounds where it knew none; None for no such word.
        whole_by: who made the herd whole afterwards: ``product`` or ``lab``.
        whole_words: what the product said where it could not.
        whole: the members after that.
        touched: hosts whose server the fault itself stopped, started or promoted.
        excused: rules that the fault itself breaks.
        left_undone: what was left to do and did not succeed, in words.
        hung: what did not end in time, in words.
    """

    action: str
    fault: str
    old: str
    old_primary: str
    stretches: tuple[Stretch, ...]
    commits: tuple[Commit, ...]
    endings: tuple[Ending, ...]
    finally_: Herd
    cname: str | None = None
    announced_loss: float | None = None
    whole_by: str = "product"
    whole_words: str = ""
    whole: Herd = field(default_factory=dict)
    touched: frozenset[str] = frozenset()
    excused: frozenset[str] = frozenset()
    left_undone: tuple[str, ...] = ()
    hung: tuple[str, ...] = ()
