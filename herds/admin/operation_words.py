"""Words and marks of operations: states, durations, counts, what cancelling does."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from herds.domain.plan import Verdict
from herds.domain.states import (
    ACTIVE_TARGETS,
    OperationState,
    StepState,
    TargetState,
)
from herds.models import Operation, OperationTarget

from . import badges
from .badges import Health

_OPERATION_HEALTH: dict[OperationState, Health | None] = {
    OperationState.PLANNING: Health.WORKING,
    OperationState.PLANNED: None,
    OperationState.QUEUED: None,
    OperationState.RUNNING: Health.WORKING,
    OperationState.CANCELLING: Health.WORKING,
    OperationState.SUCCEEDED: Health.FINE,
    OperationState.PARTLY: Health.ATTENTION,
    OperationState.FAILED: Health.FAILED,
    OperationState.CANCELLED: None,
    OperationState.INTERRUPTED: Health.UNKNOWN,
    OperationState.EXPIRED: None,
}

_TARGET_HEALTH: dict[TargetState, Health | None] = {
    TargetState.PLANNED: None,
    TargetState.QUEUED: None,
    TargetState.RUNNING: Health.WORKING,
    TargetState.CANCELLING: Health.WORKING,
    TargetState.SUCCEEDED: Health.FINE,
    TargetState.FOLLOW_UPS: Health.ATTENTION,
    TargetState.FAILED: Health.FAILED,
    TargetState.ROLLED_BACK: Health.ATTENTION,
    TargetState.CANCELLED: None,
    TargetState.INTERRUPTED: Health.UNKNOWN,
    TargetState.REFUSED: Health.ATTENTION,
}

_STEP_HEALTH: dict[StepState, Health | None] = {
    StepState.RUNNING: Health.WORKING,
    StepState.SUCCEEDED: Health.FINE,
    StepState.SKIPPED: Health.FINE,
    StepState.FAILED: Health.FAILED,
    StepState.UNKNOWN: Health.UNKNOWN,
    StepState.INTERRUPTED: Health.UNKNOWN,
}

_STEP_WORDS = {
    StepState.RUNNING: "running",
    StepState.SUCCEEDED: "done",
    StepState.SKIPPED: "was true already",
    StepState.FAILED: "failed",
    StepState.UNKNOWN: "outcome unknown",
    StepState.INTERRUPTED: "interrupted",
}

_VERDICTS = {
    Verdict.OK: (Health.FINE, "fine"),
    Verdict.WARN: (Health.ATTENTION, "warning"),
    Verdict.STOP: (Health.FAILED, "stops it"),
}

WAITING = "waiting"
"""The style of what has not begun or was called off: neither good nor bad."""


def target_style(state: TargetState | str) -> str:
    """Name the style of a target's state: one of the five, or ``waiting``."""
    health = _TARGET_HEALTH[TargetState(state)]
    return health.value if health else WAITING


def target_mark(state: TargetState | str) -> SafeString:
    """Mark a target's state with icon, word and colour."""
    state = TargetState(state)
    return _mark(_TARGET_HEALTH[state], state.value)


def operation_mark(state: OperationState | str) -> SafeString:
    """Mark an operation's state with icon, word and colour."""
    state = OperationState(state)
    return _mark(_OPERATION_HEALTH[state], state.value)


def operation_icon(state: OperationState | str) -> str:
    """Give the sign of an operation's state, for the title of a browser's tab."""
    health = _OPERATION_HEALTH[OperationState(state)]
    return health.icon if health else "○"


def step_mark(state: StepState | str) -> SafeString:
    """Mark a step's state with icon, word and colour."""
    state = StepState(state)
    return _mark(_STEP_HEALTH[state], _STEP_WORDS[state])


def verdict_mark(verdict: Verdict) -> SafeString:
    """Mark what a check says about going on."""
    health, word = _VERDICTS[verdict]
    return badges.state(health, word)


def _mark(health: Health | None, word: str) -> SafeString:
    if health is not None:
        return badges.state(health, word)
    return format_html(
        '<span class="ele-state ele-state--waiting">'
        '<span class="ele-state__icon" aria-hidden="true">○</span> {}</span>',
        word,
    )


def duration(seconds: float) -> str:
    """Write a length of time: ``0.4 s``, ``12 s``, ``2 min 5 s``, ``3 h 20 min``."""
    seconds = max(0.0, seconds)
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    if whole < 48 * 3600:
        return f"{whole // 3600} h {whole % 3600 // 60} min"
    return f"{whole // 86400} days"


def elapsed(
    started: datetime | None, finished: datetime | None, now: datetime | None = None
) -> str:
    """Write how long something took, or has been running; empty before it began."""
    if started is None:
        return ""
    if finished is None:
        running = ((now or timezone.now()) - started).total_seconds()
        return duration(int(running)).replace(".0 s", " s")
    return duration((finished - started).total_seconds())


def target_elapsed(target: OperationTarget) -> str:
    """Write how long a target took; empty where its end was never seen."""
    if target.finished_at is None and target.state not in ACTIVE_TARGETS:
        return ""
    return elapsed(target.started_at, target.finished_at)


def progress_words(progress: Mapping[str, Any]) -> str:
    """Write how far long work has come: bytes, rate, and time left where known."""
    if not progress:
        return ""
    done, total = progress.get("done", 0), progress.get("total", 0)
    rate = progress.get("rate", 0.0)
    parts = []
    if total:
        parts.append(f"{badges.size(done)} of {badges.size(total)}")
    elif done:
        parts.append(badges.size(done))
    if rate:
        parts.append(f"{badges.size(int(rate))}/s")
        if total > done:
            parts.append(f"{duration((total - done) / rate)} left")
    words = str(progress.get("words", ""))
    return ": ".join(filter(None, [words, ", ".join(parts)]))


def counted(number: int, noun: str, plural: str = "") -> str:
    """Write a number with its noun: ``1 instance``, ``5 instances``."""
    return f"{number} {noun}" if number == 1 else f"{number} {plural or noun + 's'}"


def bar_words(counts: Mapping[TargetState, int]) -> str:
    """Tell in words what the bar of segments shows."""
    if not counts:
        return "No targets."
    total = counted(sum(counts.values()), "target")
    parts = ", ".join(f"{number} {state.value}" for state, number in counts.items())
    return f"{total}: {parts}."


def cancel_words(operation: Operation, counts: Mapping[TargetState, int]) -> str:
    """Say what cancelling would do now, or does already."""
    queued = counts.get(TargetState.QUEUED, 0)
    running = counts.get(TargetState.RUNNING, 0)
    stopping = running + counts.get(TargetState.CANCELLING, 0)
    if operation.state == OperationState.CANCELLING:
        who = operation.cancel_requested_by_name or "Somebody"
        return (
            f"{who} asked to cancel. {counted(stopping, 'target')} that had begun "
            f"{'comes' if stopping == 1 else 'come'} to a safe end; "
            "nothing else is begun."
        )
    dropped = f"{counted(queued, 'target')} not begun {_be(queued)} left alone"
    begun = (
        f"{counted(running, 'target')} running now "
        f"{'comes' if running == 1 else 'come'} to a safe end first"
    )
    parts = [text for number, text in ((queued, dropped), (running, begun)) if number]
    return f"If you cancel now: {'; '.join(parts)}." if parts else ""


def _be(number: int) -> str:
    return "is" if number == 1 else "are"
