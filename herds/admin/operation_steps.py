"""One target's steps as its page and its unfolded row draw them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.utils.safestring import SafeString

from herds.domain.states import ACTIVE_TARGETS, StepState, TargetState
from herds.domain.way import edge_of
from herds.models import OperationTarget
from herds.selectors.operations import Output, StepRecord, steps_of

from . import badges
from . import operation_words as words
from .operation_follow_ups import FollowUpRow, follow_ups_of


@dataclass(frozen=True, kw_only=True)
class StepRow:
    """One step, with the end of its output."""

    record: StepRecord
    is_new_attempt: bool
    is_edge: bool  # from here on there is no way back

    @property
    def mark(self) -> SafeString:
        """Mark the step's state with icon, word and colour."""
        return words.step_mark(self.record.step.state)

    @property
    def elapsed(self) -> str:
        """Tell how long it took or has been running."""
        step = self.record.step
        return words.elapsed(step.started_at, step.finished_at)

    @property
    def evidence(self) -> list[tuple[str, str]]:
        """What was seen, as labels and values."""
        return _facts(self.record.step.evidence)

    @property
    def progress(self) -> str:
        """How far long work has come; empty once the step has ended."""
        step = self.record.step
        if step.state != StepState.RUNNING:
            return ""
        return words.progress_words(step.progress)

    @property
    def tail(self) -> tuple[Output, ...]:
        """The end of what the command printed."""
        return self.record.tail

    @property
    def printed(self) -> str:
        """How much the command printed, for people."""
        return badges.size(self.record.printed_bytes)


@dataclass(frozen=True, kw_only=True)
class TargetSteps:
    """The steps of a target: those that have ended, and those that have not.

    ``ended`` begins after the steps a page has drawn already; ``done`` counts all that
    have ended, and is what the page sends with its next poll.
    """

    target: OperationTarget
    ended: list[StepRow]
    unfinished: list[StepRow]
    done: int

    @property
    def is_active(self) -> bool:
        """Whether more may follow by itself."""
        return self.target.state in ACTIVE_TARGETS

    @property
    def is_empty(self) -> bool:
        """Whether nothing was begun yet."""
        return not self.done and not self.unfinished

    @property
    def mark(self) -> SafeString:
        """Mark the target's state with icon, word and colour."""
        return words.target_mark(self.target.state)

    @property
    def elapsed(self) -> str:
        """Tell how long the target took or has been running."""
        return words.target_elapsed(self.target)

    @property
    def follow_ups(self) -> list[FollowUpRow]:
        """What is left to do."""
        return follow_ups_of(self.target)

    @property
    def line(self) -> str:
        """Say the step it is in, or how it ended."""
        if self.target.state in {TargetState.RUNNING, TargetState.CANCELLING}:
            return self.target.current_step
        return self.target.outcome


def target_steps(target: OperationTarget, *, drawn: int = 0) -> TargetSteps:
    """Give the steps of a target; two queries.

    Args:
        target: whose steps.
        drawn: how many ended steps a page shows already; they are left out.
    """
    rows = []
    attempt = None
    edge = edge_of(target.plan)
    for record in steps_of(target.pk):
        begins = attempt is not None and record.step.attempt != attempt
        attempt = record.step.attempt
        is_edge = bool(edge) and record.step.words == edge
        rows.append(StepRow(record=record, is_new_attempt=begins, is_edge=is_edge))
    done = _first_unfinished(rows)
    return TargetSteps(
        target=target, ended=rows[drawn:done], unfinished=rows[done:], done=done
    )


def _first_unfinished(rows: list[StepRow]) -> int:
    for index, row in enumerate(rows):
        if row.record.step.state == StepState.RUNNING:
            return index
    return len(rows)


def _facts(evidence: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [
        (name.replace("_", " "), _value(value))
        for name, value in evidence.items()
        if value not in (None, "", [])
    ]


def _value(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(_value(item) for item in value)
    if isinstance(value, dict):
        return ", ".join(f"{name}: {_value(item)}" for name, item in value.items())
    return str(value)
