"""What a verb is handed to tell its story: named steps, with what was seen in each."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any, Protocol

from herds.domain.cluster import Observation
from herds.errors import ElephaasError
from herds.postgres.cluster import Acted


class Step(Protocol):
    """One step while it runs."""

    def acted(self, acted: Acted) -> None:
        """Record a command, its exit status, output, and what was seen after it."""

    def ran(self, command: str, status: int | None, output: str) -> None:
        """Record a command that is judged by what is watched elsewhere.

        ``status`` is None where it has not ended yet.
        """

    def lost(self, unclear: ElephaasError) -> None:
        """Record a command that may have done its work or not.

        Unless its state is seen afterwards, the step ends as unknown.
        """

    def saw(self, seen: Observation) -> None:
        """Record an observation as this step's evidence."""

    def note(self, message: str) -> None:
        """Record a sentence for people."""

    def progress(
        self, words: str, *, done: int = 0, total: int = 0, rate: float = 0.0
    ) -> None:
        """Show how far long work has come; what it showed before is replaced.

        Args:
            words: what is being done.
            done: bytes that are done.
            total: bytes in all, 0 where that is not known.
            rate: bytes a second.
        """

    def measured(self, **figures: str | float) -> None:
        """Record figures beside what was seen, for people and for later plans."""

    def skip(self, message: str) -> None:
        """Record that the step's result was true already, and end it so."""


class Steps(Protocol):
    """The steps of one target."""

    def step(
        self, name: str, words: str, *, urgent: bool = False
    ) -> AbstractContextManager[Step]:
        """Begin a step: its intent is on record before the body runs.

        An error that leaves the body ends the step as failed (unknown where the
        outcome is) and goes on upwards.

        Args:
            name: a short constant, such as ``"stop"``.
            words: what it does, for people: ``"Stop PostgreSQL (fast)"``.
            urgent: hand the record in and do not wait for it: while nobody can write
                to a herd, nothing waits for the metadata. A step before it has told
                what is about to be done.

        Raises:
            OperationCancelled: somebody asked to stop, and this is a safe point.
        """

    def refuse_lost(self) -> None:
        """See that this worker still has the say over the target.

        Without a word with the metadata for long, another worker may have been given
        the target. Asked before what cannot be undone.

        Raises:
            Interrupted: the metadata do not answer; nothing may be done any more.
        """

    def earlier(self, name: str) -> Mapping[str, Any] | None:
        """Give the evidence of this step from an earlier, interrupted attempt."""

    def began(self, name: str) -> bool:
        """Tell whether an earlier, interrupted attempt began this step."""

    def must_finish(self) -> None:
        """Declare that from here on a request to cancel comes too late."""
