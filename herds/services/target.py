"""One target as a verb sees it: its cluster, its steps, the clock, the record."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from herds.domain.clock import Clock, watch
from herds.domain.cluster import Observation
from herds.domain.lsn import Lsn
from herds.errors import (
    CommandTimedOut,
    ElephaasError,
    HostUnreachable,
    OutcomeUnknown,
    PreconditionFailed,
)
from herds.nameserver.nameserver import Nameserver
from herds.postgres.cluster import Acted, Cluster
from herds.postgres.commands import TemplateProblem
from herds.postgres.replication import application_name

from .acting import act_until
from .steps import Step, Steps

if TYPE_CHECKING:
    from .recording import VhostSight

T = TypeVar("T")


class Keep(Protocol):
    """Does work in the metadata, in its turn and again after a lost connection."""

    def __call__(self, work: Callable[[], T], /) -> T:
        """Give what the work gives."""


@dataclass(frozen=True, kw_only=True)
class Member:
    """A member of the target's herd, as the inventory has it.

    ``position`` is where its WAL was when it was last seen, at ``seen_at``.
    """

    instance_id: int
    is_primary: bool
    cluster: Cluster
    position: Lsn | None = None
    seen_at: datetime | None = None

    @property
    def host(self) -> str:
        """The host's name."""
        return self.cluster.host

    @property
    def name(self) -> str:
        """What its upstream calls it."""
        ref = self.cluster.ref
        return application_name(ref.base_name, ref.hostname)


@dataclass(frozen=True, kw_only=True)
class Target:
    """One instance of an operation while it is worked on.

    Attributes:
        instance_id: the instance's number in the inventory.
        members: all members of its herd, itself among them.
        plan: the plan as it was shown, with what was chosen under "chosen".
        parameters: what was asked for beside the targets.
        cancelled: set when somebody asked to stop; long commands watch it.
        cluster: the cluster, reached over SSH.
        steps: where the story is told.
        clock: where time comes from.
        record: keeps an observation in the inventory.
        record_member: keeps one of another member, by its number.
        keep: does other work in the metadata, in its turn, and gives its result: a
            thread that goes on for long has no connection of its own that lasts.
        nameserver: asks and moves virtual hosts; None where DNS is not managed.
        record_vhost: keeps where the herd's virtual host was seen to point.
        patience: seconds to wait for a state after a command came back.
    """

    instance_id: int
    cluster: Cluster
    members: tuple[Member, ...]
    steps: Steps
    clock: Clock
    record: Callable[[Observation], None]
    plan: Mapping[str, Any] = field(default_factory=dict)
    parameters: Mapping[str, Any] = field(default_factory=dict)
    cancelled: threading.Event = field(default_factory=threading.Event)
    patience: float = 60.0
    record_member: Callable[[int, Observation], None] = lambda number, seen: None
    keep: Keep = lambda work: work()
    nameserver: Nameserver | None = None
    record_vhost: Callable[[VhostSight], None] = lambda sight: None

    @property
    def host(self) -> str:
        """The host's name."""
        return self.cluster.host

    def member(self, instance_id: int) -> Member:
        """Find a member of the herd.

        Raises:
            PreconditionFailed: it is no member any more.
        """
        for member in self.members:
            if member.instance_id == instance_id:
                return member
        raise PreconditionFailed(
            f"Instance {instance_id} is no member of the herd any more.",
            hint="Plan again.",
        )

    def at(self, member: Member) -> Target:
        """Give another member as the target of the same work, steps and all."""
        if member.instance_id == self.instance_id:
            return self
        return replace(
            self,
            instance_id=member.instance_id,
            cluster=member.cluster,
            record=lambda seen: self.record_member(member.instance_id, seen),
        )

    def chosen(self, name: str) -> str:
        """Give what was chosen in the plan, or its default."""
        chosen = self.plan.get("chosen", {}).get(name)
        if chosen is not None:
            return str(chosen)
        for choice in self.plan.get("choices", ()):
            if choice["name"] == name:
                return str(choice["default"])
        return ""

    def look(self) -> Observation:
        """See the cluster and keep what was seen.

        Raises:
            ElephaasError: nothing is known.
        """
        seen = self.cluster.look()
        self.record(seen)
        return seen

    def await_state(
        self, until: Callable[[Observation], bool], first: Observation | None = None
    ) -> tuple[bool, Observation]:
        """Look until a state is seen or patience ends; keep the last observation.

        A host that does not answer now may answer before the deadline: a lost
        connection says nothing about the cluster.

        Args:
            until: tells whether it is the awaited state.
            first: an observation made already.

        Returns:
            Whether it came, and what was seen last.

        Raises:
            HostUnreachable, CommandTimedOut, OutcomeUnknown: the last look saw
                nothing; what is true is unknown.
        """
        if first is not None and until(first):
            self.record(first)
            return True, first
        came, seen = watch(
            self._look_or_trouble,
            lambda now: isinstance(now, Observation) and until(now),
            clock=self.clock,
            timeout=self.patience,
        )
        if not isinstance(seen, Observation):
            raise seen
        self.record(seen)
        return came, seen

    def _look_or_trouble(self) -> Observation | ElephaasError:
        try:
            return self.cluster.look()
        except (HostUnreachable, CommandTimedOut, OutcomeUnknown) as trouble:
            return trouble

    def act(self, step: Step, name: str, *, need_running: bool = False) -> Acted | None:
        """Run one of the ``COMMANDS``; None where its outcome is not known.

        A command that timed out or whose connection was lost is not judged here:
        the caller looks at what is true.

        Raises:
            HostUnreachable, HostKeyUnknown, HostKeyChanged, LoginRefused: nothing
                was run.
            PreconditionFailed: the template cannot be filled for this cluster.
        """
        return self._told(
            step, name, lambda: self.cluster.act(name, need_running=need_running)
        )

    def act_until(
        self, step: Step, name: str, until: Callable[[Observation], bool]
    ) -> Acted | None:
        """Run one of the ``COMMANDS`` until a state is seen, if it does not end before.

        A command that still runs then goes on by itself: nothing stops it.

        Raises:
            As ``act``.
        """
        return self._told(step, name, lambda: act_until(self.cluster, name, until))

    def _told(self, step: Step, name: str, act: Callable[[], Acted]) -> Acted | None:
        try:
            acted = act()
        except (CommandTimedOut, OutcomeUnknown) as unclear:
            step.lost(unclear)
            return None
        except TemplateProblem as problem:
            raise PreconditionFailed(
                f"The command for {name!r} cannot be written for {self.host}: "
                f"{problem}.",
                host=self.host,
                hint="Correct COMMANDS in the settings.",
            ) from problem
        step.acted(acted)
        return acted
