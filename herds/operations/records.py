"""What a worker writes of targets and steps: each record with its statement.

Every statement can be repeated, and touches nothing that has ended meanwhile.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar

from herds.domain.states import StepState, TargetState


def _without_nul(value: Any) -> Any:
    """Put the sign for a NUL byte in its place: PostgreSQL's text holds none."""
    if isinstance(value, str):
        return value.replace("\0", "␀")
    if isinstance(value, Mapping):
        return {_without_nul(key): _without_nul(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nul(each) for each in value]
    return value


@dataclass(frozen=True, kw_only=True)
class TargetBegun:
    """A target is about to be worked on; false if it was dropped meanwhile."""

    SQL: ClassVar[str] = """
        UPDATE ele_operation_target
           SET state = CASE WHEN state = 'queued' THEN 'running' ELSE state END,
               started_at = coalesce(started_at, %s)
         WHERE target_id = %s AND attempt = %s AND worker_id = %s
           AND state IN ('queued', 'running', 'cancelling')
        """
    target_id: int
    attempt: int
    worker_id: uuid.UUID
    at: datetime

    def values(self) -> tuple[Any, ...]:
        return self.at, self.target_id, self.attempt, self.worker_id


@dataclass(frozen=True, kw_only=True)
class StepBegun:
    """The intent of a step."""

    SQL: ClassVar[str] = """
        WITH target AS (
            UPDATE ele_operation_target SET current_step = %s
             WHERE target_id = %s AND attempt = %s
               AND state IN ('running', 'cancelling')
            RETURNING target_id, attempt)
        INSERT INTO ele_operation_step
               (step_id, target_id, attempt, number, name, words, state, started_at,
                command, evidence, progress, message)
        SELECT %s, target_id, attempt, %s, %s, %s, 'running', %s, '', '{}', '{}', ''
          FROM target
        ON CONFLICT DO NOTHING
        """
    step_id: uuid.UUID
    target_id: int
    attempt: int
    number: int
    name: str
    words: str
    at: datetime

    def values(self) -> tuple[Any, ...]:
        return (
            self.words,
            self.target_id,
            self.attempt,
            self.step_id,
            self.number,
            self.name,
            self.words,
            self.at,
        )


@dataclass(frozen=True, kw_only=True)
class OutputPrinted:
    """A chunk of what a step's command printed."""

    SQL: ClassVar[str] = """
        INSERT INTO ele_operation_output (step_id, number, stream, text)
        SELECT step_id, %s, %s, %s FROM ele_operation_step WHERE step_id = %s
        ON CONFLICT DO NOTHING
        """
    step_id: uuid.UUID
    number: int
    stream: str
    text: str

    def values(self) -> tuple[Any, ...]:
        return self.number, self.stream, _without_nul(self.text), self.step_id


@dataclass(frozen=True, kw_only=True)
class StepProgressed:
    """How far a step's long work has come."""

    SQL: ClassVar[str] = """
        UPDATE ele_operation_step SET progress = %s
         WHERE step_id = %s AND state = 'running'
        """
    step_id: uuid.UUID
    progress: dict[str, Any]

    def values(self) -> tuple[Any, ...]:
        return json.dumps(_without_nul(self.progress)), self.step_id


@dataclass(frozen=True, kw_only=True)
class StepEnded:
    """How a step ended and what was seen."""

    SQL: ClassVar[str] = """
        UPDATE ele_operation_step
           SET state = %s, finished_at = %s, command = %s, exit_status = %s,
               evidence = %s, message = %s
         WHERE step_id = %s AND state = 'running'
        """
    step_id: uuid.UUID
    state: StepState
    at: datetime
    command: str = ""
    exit_status: int | None = None
    evidence: dict[str, Any] = field(default_factory=dict)
    message: str = ""

    def values(self) -> tuple[Any, ...]:
        return (
            self.state.value,
            self.at,
            _without_nul(self.command),
            self.exit_status,
            json.dumps(_without_nul(self.evidence)),
            _without_nul(self.message),
            self.step_id,
        )


@dataclass(frozen=True, kw_only=True)
class TargetEnded:
    """How a target ended."""

    SQL: ClassVar[str] = """
        UPDATE ele_operation_target
           SET state = %s, outcome = %s, detail = %s, follow_ups = %s,
               finished_at = %s, current_step = ''
         WHERE target_id = %s AND attempt = %s
           AND state IN ('queued', 'running', 'cancelling')
        """
    target_id: int
    attempt: int
    state: TargetState
    outcome: str
    detail: str
    at: datetime
    follow_ups: list[dict[str, Any]] = field(default_factory=list)

    def values(self) -> tuple[Any, ...]:
        return (
            self.state.value,
            _without_nul(self.outcome),
            _without_nul(self.detail),
            json.dumps(_without_nul(self.follow_ups)),
            self.at,
            self.target_id,
            self.attempt,
        )


Record = (
    TargetBegun | StepBegun | OutputPrinted | StepProgressed | StepEnded | TargetEnded
)
ORDER: tuple[type[Record], ...] = (
    TargetBegun,
    StepBegun,
    OutputPrinted,
    StepProgressed,
    StepEnded,
    TargetEnded,
)
"""Records that are committed together are written kind after kind, in this order."""
