"""The operation page's content: bar, counts, rows, and what changed since a poll."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from django.core.paginator import Page, Paginator
from django.db.models import QuerySet
from django.utils.safestring import SafeString

from herds.domain.states import ACTIVE_OPERATIONS, ACTIVE_TARGETS, TargetState
from herds.models import Operation, OperationTarget
from herds.selectors.operations import (
    Holder,
    count_targets,
    holders_of,
    progress_of_running,
)

from . import operation_words as words
from .operation_follow_ups import FollowUpRow, follow_ups_of

PAGE_SIZE = 100
"""Rows on a page of targets."""

MOST_SEGMENTS = 120
"""Up to so many targets each has its own segment; beyond, each state has one."""

_BAR_ORDER = (
    TargetState.SUCCEEDED,
    TargetState.FOLLOW_UPS,
    TargetState.ROLLED_BACK,
    TargetState.FAILED,
    TargetState.INTERRUPTED,
    TargetState.REFUSED,
    TargetState.CANCELLED,
    TargetState.CANCELLING,
    TargetState.RUNNING,
    TargetState.QUEUED,
    TargetState.PLANNED,
)

_LETTERS = {
    TargetState.PLANNED: "p",
    TargetState.QUEUED: "q",
    TargetState.RUNNING: "r",
    TargetState.CANCELLING: "c",
    TargetState.SUCCEEDED: "s",
    TargetState.FOLLOW_UPS: "f",
    TargetState.FAILED: "x",
    TargetState.ROLLED_BACK: "b",
    TargetState.CANCELLED: "k",
    TargetState.INTERRUPTED: "i",
    TargetState.REFUSED: "n",
}
_HELD = "h"  # queued behind another operation
_ALWAYS_NEW = frozenset({TargetState.RUNNING, TargetState.CANCELLING})


@dataclass(frozen=True, kw_only=True)
class Segment:
    """A part of the bar, in units of one target."""

    start: float
    width: float
    style: str
    title: str


@dataclass(frozen=True, kw_only=True)
class Count:
    """How many targets are in a state, for the filter above the rows."""

    state: TargetState
    number: int

    @property
    def mark(self) -> SafeString:
        """Mark the state with icon, word and colour."""
        return words.target_mark(self.state)

    @property
    def slug(self) -> str:
        """Name the state where a space cannot stand."""
        return self.state.value.replace(" ", "-")


@dataclass(frozen=True, kw_only=True)
class Row:
    """One target as its row shows it now."""

    target: OperationTarget
    holder: Holder | None
    progress: str = ""  # of the long work it is in the middle of

    @property
    def mark(self) -> SafeString:
        """Mark the target's state with icon, word and colour."""
        return words.target_mark(self.target.state)

    @property
    def style(self) -> str:
        """Name the style of the target's state."""
        return words.target_style(self.target.state)

    @property
    def elapsed(self) -> str:
        """Tell how long it took or has been running."""
        return words.target_elapsed(self.target)

    @property
    def line(self) -> str:
        """Say the step it is in, or how it ended; empty while it waits for another."""
        if self.target.state in _ALWAYS_NEW:
            return " — ".join(filter(None, [self.target.current_step, self.progress]))
        if self.target.state == TargetState.QUEUED:
            return "" if self.holder else "Waits for its turn."
        return self.target.outcome

    @property
    def follow_ups(self) -> list[FollowUpRow]:
        """What is left to do."""
        return follow_ups_of(self.target)

    @property
    def seen(self) -> str:
        """Stand for what the row shows, so that a poll can tell what changed."""
        letter = _LETTERS[TargetState(self.target.state)]
        return f"{self.target.position}{_HELD if self.holder else letter}"


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far an operation is."""

    operation: Operation
    counts: Mapping[TargetState, int]
    segments: list[Segment]

    @property
    def is_active(self) -> bool:
        """Whether anything may still change by itself."""
        return self.operation.state in ACTIVE_OPERATIONS

    @property
    def total(self) -> int:
        """How many targets there are."""
        return sum(self.counts.values())

    @property
    def ended(self) -> int:
        """How many targets have come to an end."""
        return sum(
            number
            for state, number in self.counts.items()
            if state not in ACTIVE_TARGETS
        )

    @property
    def listed(self) -> list[Count]:
        """The states that occur, for the filter."""
        return [Count(state=state, number=n) for state, n in self.counts.items()]

    @property
    def bar_words(self) -> str:
        """Tell in words what the bar shows."""
        return words.bar_words(self.counts)

    @property
    def elapsed(self) -> str:
        """Tell how long the operation took or has been running."""
        operation = self.operation
        return words.elapsed(operation.started_at, operation.finished_at)

    @property
    def cancel_words(self) -> str:
        """Say what cancelling would do now."""
        if not self.is_active:
            return ""
        return words.cancel_words(self.operation, self.counts)

    @property
    def seen(self) -> str:
        """Stand for state and kinds of counts, as the page shows them."""
        return f"{self.operation.state}." + "".join(_LETTERS[s] for s in self.counts)


def progress_of(operation: Operation) -> Progress:
    """Count an operation's targets and draw its bar; two queries at most."""
    counts = count_targets(operation.pk)
    return Progress(
        operation=operation, counts=counts, segments=_segments(operation, counts)
    )


def _segments(operation: Operation, counts: Mapping[TargetState, int]) -> list[Segment]:
    if sum(counts.values()) > MOST_SEGMENTS:
        return _grouped(counts)
    gap = min(0.15, sum(counts.values()) * 0.0015)  # the same on every page
    return [
        Segment(
            start=index + gap,
            width=1 - 2 * gap,
            style=words.target_style(state),
            title=f"{herd} on {host}: {state}" if host else f"{herd}: {state}",
        )
        for index, (state, herd, host) in enumerate(
            operation.targets.order_by("position").values_list(
                "state", "herd_name", "hostname"
            )
        )
    ]


def _grouped(counts: Mapping[TargetState, int]) -> list[Segment]:
    segments = []
    start = 0
    for state in _BAR_ORDER:
        number = counts.get(state, 0)
        if number:
            segments.append(
                Segment(
                    start=start,
                    width=number,
                    style=words.target_style(state),
                    title=f"{number} {state.value}",
                )
            )
            start += number
    return segments


@dataclass(frozen=True, kw_only=True)
class RowPage:
    """One page of an operation's rows."""

    rows: list[Row]
    page: Page[OperationTarget]

    @property
    def seen(self) -> str:
        """Stand for what all rows of the page show."""
        return "".join(row.seen for row in self.rows)


def page_of_rows(
    operation: Operation, *, state: TargetState | None, number: str | None
) -> RowPage:
    """Give one page of rows in their fixed order; four queries at most.

    Args:
        operation: whose targets.
        state: shows only targets of this state.
        number: of the page as the address has it; nonsense gives the nearest one.
    """
    targets = _row_targets(operation)
    if state is not None:
        targets = targets.filter(state=state)
    page = Paginator(targets, PAGE_SIZE).get_page(number)
    return RowPage(rows=_rows(operation, page.object_list), page=page)


def changed_rows(operation: Operation, seen: str) -> tuple[list[Row], str]:
    """Compare the rows a page shows with how they are now; three queries at most.

    Args:
        operation: whose targets.
        seen: what ``RowPage.seen`` said when the page was drawn or polled last.

    Returns:
        The rows to draw anew, and what stands for the page's rows from now on.
    """
    shown = {
        int(position): letter for position, letter in re.findall(r"(\d{1,9})(\D)", seen)
    }
    rows = _rows(
        operation, _row_targets(operation).filter(position__in=list(shown)[:PAGE_SIZE])
    )
    changed = [
        row
        for row in rows
        if row.target.state in _ALWAYS_NEW
        or row.seen != f"{row.target.position}{shown[row.target.position]}"
    ]
    return changed, "".join(row.seen for row in rows)


def unseen_matches(operation: Operation, state: TargetState, seen: str) -> int:
    """Count the targets of a state that are not among the rows a page shows."""
    shown = [int(position) for position in re.findall(r"(\d{1,9})\D", seen)]
    return operation.targets.filter(state=state).exclude(position__in=shown).count()


def _row_targets(operation: Operation) -> QuerySet[OperationTarget]:
    return operation.targets.order_by("position").defer("plan", "detail")


def _rows(operation: Operation, targets: Iterable[OperationTarget]) -> list[Row]:
    listed = list(targets)
    waiting = {t.herd_key for t in listed if t.state == TargetState.QUEUED}
    holders = holders_of(operation.pk, waiting)
    progress = progress_of_running(t.pk for t in listed if t.state in _ALWAYS_NEW)
    return [
        Row(
            target=target,
            holder=(
                holders.get(target.herd_key)
                if target.state == TargetState.QUEUED
                else None
            ),
            progress=words.progress_words(progress.get(target.pk, {})),
        )
        for target in listed
    ]
