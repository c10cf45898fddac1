"""One target as a verb sees it: its cluster, its steps, the clock, the record."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from herds.domain.clock import Clock, watch
from herds.domain.cluster import Observation
from herds.errors import (
    CommandTimedOut,
    ElephaasError,
    HostUnreachable,
    OutcomeUnknown,
    PreconditionFailed,
)
from herds.postgres.cluster import Acted, Cluster
from herds.postgres.commands import TemplateProblem

from .steps import Step, Steps


@dataclass(frozen=True, kw_only=True)
class Target:
    """One instance of an operation while it is worked on.

    Attributes:
        cluster: the cluster, reached over SSH.
        steps: where the story is told.
        clock: where time comes from.
        record: keeps an observation in the inventory.
        patience: seconds to wait for a state after a command came back.
    """

    cluster: Cluster
    steps: Steps
    clock: Clock
    record: Callable[[Observation], None]
    patience: float = 60.0

    @property
    def host(self) -> str:
        """The host's name."""
        return self.cluster.host

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
        try:
            acted = self.cluster.act(name, need_running=need_running)
        except (CommandTimedOut, OutcomeUnknown) as unclear:
            step.note(unclear.message)
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
