"""Tells the story of one target to the journal, and stops it where asked to."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from herds.domain.clock import Clock
from herds.domain.cluster import Observation
from herds.domain.states import StepState
from herds.errors import (
    CommandTimedOut,
    ElephaasError,
    HostKeyChanged,
    HostUnreachable,
    Interrupted,
    LoginRefused,
    OperationCancelled,
    OutcomeUnknown,
)
from herds.postgres.cluster import Acted
from herds.services.steps import Step

from .journal import Journal
from .records import (
    OutputPrinted,
    Record,
    StepBegun,
    StepEnded,
    StepProgressed,
    TargetBegun,
)

_NOTHING_SEEN = (HostKeyChanged, HostUnreachable, LoginRefused)
"""Errors before anything is run; after a command was sent they hide what it did."""

CHUNK = 64 * 1024  # characters of output kept in a row
PROGRESS_EVERY = 0.5  # seconds between two records of progress, at least

SURE_FOR = 12.0
"""Seconds for which a record that was written proves that nobody else has the target.

It is given to somebody else 20 s after this worker's last sign of life at the earliest
(``reaper.LOST_AFTER``)."""
_ASK_FOR = 3.0  # seconds to wait for the metadata while nobody can write to a herd


class Dropped(Exception):
    """The target was cancelled before it began; there is nothing to tell."""


class Story:
    """The steps of one target in one attempt."""

    def __init__(
        self,
        *,
        target_id: int,
        attempt: int,
        worker_id: uuid.UUID,
        journal: Journal,
        clock: Clock,
        cancelled: threading.Event,
        earlier: Mapping[str, Mapping[str, Any]],
    ) -> None:
        self._target_id = target_id
        self._attempt = attempt
        self._worker_id = worker_id
        self._journal = journal
        self._clock = clock
        self._cancelled = cancelled
        self._earlier = earlier
        self._number = 0
        self._finishes = False
        self._sure_since = clock.monotonic()
        self._handed_in: list[tuple[float, Future[list[bool]]]] = []

    def earlier(self, name: str) -> Mapping[str, Any] | None:
        """Give the evidence of this step from an earlier, interrupted attempt."""
        return self._earlier.get(name) or None

    def began(self, name: str) -> bool:
        """Tell whether an earlier, interrupted attempt began this step."""
        return name in self._earlier

    def must_finish(self) -> None:
        """Declare that from here on a request to cancel comes too late."""
        self._finishes = True

    def refuse_lost(self) -> None:
        """See that this worker still has the target; see ``Steps.refuse_lost``."""
        if self._is_sure():
            return
        asked = self._clock.monotonic()
        try:
            self._journal.hand_in().result(timeout=_ASK_FOR)
        except TimeoutError as away:
            raise Interrupted(
                "The metadata database does not answer, so this worker cannot know "
                "whether the target is still its own; it leaves it as it is."
            ) from away
        self._sure_since = asked

    def _is_sure(self) -> bool:
        for at, written in self._handed_in:
            if written.done() and written.exception() is None:
                self._sure_since = max(self._sure_since, at)
        self._handed_in = [each for each in self._handed_in if not each[1].done()]
        return self._clock.monotonic() - self._sure_since < SURE_FOR

    @contextmanager
    def step(self, name: str, words: str, *, urgent: bool = False) -> Iterator[Step]:
        """Begin a step; see ``herds.services.steps.Steps.step``.

        Raises:
            Dropped: somebody cancelled the target before its first step.
        """
        if self._cancelled.is_set() and not self._finishes:
            raise Dropped if self._number == 0 else self._stopped()
        self._number += 1
        step = _Telling(uuid.uuid4(), self._journal, self._clock)
        self._begin(step.step_id, name, words, urgent=urgent)
        try:
            yield step
        except BaseException as error:
            is_unknown = step.is_unknown_after(error)
            self._end(
                step, StepState.UNKNOWN if is_unknown else StepState.FAILED, error
            )
            raise
        self._end(step, StepState.SKIPPED if step.skipped else StepState.SUCCEEDED)

    def _stopped(self) -> ElephaasError:
        return OperationCancelled(
            "Cancelled between two steps; what the steps before did stays done."
        )

    def _begin(
        self, step_id: uuid.UUID, name: str, words: str, *, urgent: bool
    ) -> None:
        now = self._clock.now()
        begun = StepBegun(
            step_id=step_id,
            target_id=self._target_id,
            attempt=self._attempt,
            number=self._number,
            name=name,
            words=words,
            at=now,
        )
        if self._number > 1:
            written = self._journal.hand_in(begun)
            if urgent:
                self._handed_in.append((self._clock.monotonic(), written))
                return
            at = self._clock.monotonic()
            written.result()
            self._sure_since = at
            return
        target = TargetBegun(
            target_id=self._target_id,
            attempt=self._attempt,
            worker_id=self._worker_id,
            at=now,
        )
        if not self._journal.write(target, begun)[0]:
            raise Dropped

    def _end(
        self, step: _Telling, state: StepState, error: BaseException | None = None
    ) -> None:
        # The next step's intent, or the target's end, waits for this record too:
        # the journal keeps the order, so nobody needs to wait here.
        self._journal.hand_in(*step.records(state, self._clock.now(), error))


class _Telling:
    """What one step has to tell until it ends."""

    def __init__(self, step_id: uuid.UUID, journal: Journal, clock: Clock) -> None:
        self.step_id = step_id
        self._journal = journal
        self._clock = clock
        self._shown_at = -PROGRESS_EVERY
        self.skipped = False
        self._message = ""
        self._command = ""
        self._exit_status: int | None = None
        self._evidence: dict[str, Any] = {}
        self._figures: dict[str, str | float] = {}
        self._output: list[tuple[str, str]] = []
        self._was_sent = False

    def acted(self, acted: Acted) -> None:
        self._was_sent = True
        self._command = acted.command
        self._exit_status = acted.status
        self._evidence = acted.seen.evidence()
        if acted.goes_on:
            self.note("Seen to be true before the command came back; it goes on.")
        self._print("stdout", acted.stdout)
        self._print("stderr", acted.stderr)

    def ran(self, command: str, status: int | None, output: str) -> None:
        self._was_sent = True
        self._command, self._exit_status = command, status
        self._print("stdout", output)

    def lost(self, unclear: ElephaasError) -> None:
        self._was_sent = True
        self._command = unclear.command
        self.note(unclear.message)
        self._print("stderr", unclear.output)

    def is_unknown_after(self, error: BaseException) -> bool:
        """Tell whether an error leaves open what became of the step."""
        if self._was_sent and isinstance(error, _NOTHING_SEEN):
            return True
        return isinstance(error, CommandTimedOut | OutcomeUnknown)

    def saw(self, seen: Observation) -> None:
        self._evidence = seen.evidence()

    def note(self, message: str) -> None:
        self._message = f"{self._message} {message}".strip()

    def progress(
        self, words: str, *, done: int = 0, total: int = 0, rate: float = 0.0
    ) -> None:
        now = self._clock.monotonic()
        if now - self._shown_at < PROGRESS_EVERY and (not total or done < total):
            return
        self._shown_at = now
        self._journal.hand_in(
            StepProgressed(
                step_id=self.step_id,
                progress={"words": words, "done": done, "total": total, "rate": rate},
            )
        )

    def measured(self, **figures: str | float) -> None:
        self._figures |= figures

    def skip(self, message: str) -> None:
        self.skipped = True
        self.note(message)

    def _print(self, stream: str, text: str) -> None:
        self._output += [
            (stream, text[start : start + CHUNK])
            for start in range(0, len(text), CHUNK)
        ]

    def records(
        self, state: StepState, at: datetime, error: BaseException | None
    ) -> list[Record]:
        """Give the end of the step as records, output first."""
        if isinstance(error, ElephaasError):
            self.note(error.sentence())
            self._command = self._command or error.command
            if self._exit_status is None:
                self._exit_status = error.status
            if not self._output:
                self._print("stderr", error.output)
        elif error is not None:
            self.note(f"{type(error).__name__}: {error}")
        return [
            *(
                OutputPrinted(
                    step_id=self.step_id, number=number, stream=stream, text=text
                )
                for number, (stream, text) in enumerate(self._output)
            ),
            StepEnded(
                step_id=self.step_id,
                state=state,
                at=at,
                command=self._command,
                exit_status=self._exit_status,
                evidence={**self._evidence, **self._figures},
                message=self._message,
            ),
        ]
