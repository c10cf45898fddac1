"""What a verb is handed, without an engine: steps in a list, time that only passes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from herds.domain.cluster import ClusterRef, Observation
from herds.errors import ElephaasError
from herds.postgres.cluster import Acted
from herds.services.target import Target


class PassingClock:
    """A clock that goes on only while somebody sleeps."""

    def __init__(self) -> None:
        self.passed = 0.0

    def now(self) -> datetime:
        return datetime(2026, 11, 23, 12, tzinfo=UTC) + timedelta(seconds=self.passed)

    def monotonic(self) -> float:
        return self.passed

    def sleep(self, seconds: float) -> None:
        self.passed += seconds


@dataclass
class ToldStep:
    """One step as it was told."""

    name: str
    words: str
    state: str = "running"
    notes: list[str] = field(default_factory=list)
    commands: list[str] = field(default_factory=list)
    sights: list[Observation] = field(default_factory=list)
    figures: dict[str, str | float] = field(default_factory=dict)

    def acted(self, acted: Acted) -> None:
        self.commands.append(acted.command)

    def ran(self, command: str, status: int | None, output: str) -> None:
        self.commands.append(command)

    def lost(self, unclear: ElephaasError) -> None:
        self.notes.append(unclear.message)

    def saw(self, seen: Observation) -> None:
        self.sights.append(seen)

    def note(self, message: str) -> None:
        self.notes.append(message)

    def measured(self, **figures: str | float) -> None:
        self.figures |= figures

    def skip(self, message: str) -> None:
        self.state = "skipped"
        self.notes.append(message)

    def progress(
        self, words: str, *, done: int = 0, total: int = 0, rate: float = 0.0
    ) -> None:
        """Nothing of it is kept."""


class ToldSteps:
    """The steps of one target, in a list."""

    def __init__(self, earlier: Mapping[str, Mapping[str, Any]] | None = None) -> None:
        self.told: list[ToldStep] = []
        self.finishes = False
        self._earlier = earlier or {}

    @contextmanager
    def step(
        self, name: str, words: str, *, urgent: bool = False
    ) -> Iterator[ToldStep]:
        step = ToldStep(name, words)
        self.told.append(step)
        try:
            yield step
        except BaseException:
            step.state = "failed"
            raise
        if step.state == "running":
            step.state = "succeeded"

    def earlier(self, name: str) -> Mapping[str, Any] | None:
        return self._earlier.get(name)

    def began(self, name: str) -> bool:
        return name in self._earlier

    def must_finish(self) -> None:
        self.finishes = True

    def refuse_lost(self) -> None:
        """Nobody else works here."""


Sight = Observation | ElephaasError


class ScriptedCluster:
    """A cluster that shows one sight after the other; the last one stays.

    ``answers`` maps the names of commands to what comes back from them.
    """

    def __init__(
        self,
        sights: Sequence[Sight],
        answers: Mapping[str, Acted | ElephaasError] | None = None,
    ) -> None:
        self.ref = ClusterRef(
            hostname="ele01",
            data_directory="/srv/trade",
            port=5432,
            base_name="main",
            herd_name="trade",
        )
        self.acts: list[str] = []
        self._sights = list(sights)
        self._answers = dict(answers or {})

    @property
    def host(self) -> str:
        return self.ref.hostname

    def look(self) -> Observation:
        sight = self._sights.pop(0) if len(self._sights) > 1 else self._sights[0]
        if isinstance(sight, ElephaasError):
            raise sight
        return sight

    def act(self, name: str, *, need_running: bool = False) -> Acted:
        self.acts.append(name)
        answer = self._answers[name]
        if isinstance(answer, ElephaasError):
            raise answer
        return answer


@dataclass
class Stage:
    """A verb's target, and all that it told."""

    target: Target
    cluster: ScriptedCluster
    steps: ToldSteps
    clock: PassingClock
    recorded: list[Observation]

    def told(self) -> list[tuple[str, str]]:
        """Give the names of the steps with how each ended."""
        return [(step.name, step.state) for step in self.steps.told]


def stage(
    sights: Sequence[Sight],
    answers: Mapping[str, Acted | ElephaasError] | None = None,
    *,
    earlier: Mapping[str, Mapping[str, Any]] | None = None,
    patience: float = 60.0,
) -> Stage:
    """Prepare a verb's target whose cluster shows these sights."""
    cluster, clock = ScriptedCluster(sights, answers), PassingClock()
    steps, recorded = ToldSteps(earlier), list[Observation]()
    record: Callable[[Observation], None] = recorded.append
    target = Target(
        instance_id=1,
        cluster=cluster,  # type: ignore[arg-type]
        members=(),
        steps=steps,
        clock=clock,
        record=record,
        patience=patience,
    )
    return Stage(target, cluster, steps, clock, recorded)
