"""Writes what happens to the metadata database: one writer, many threads, few commits.

The threads of a worker hand in records and wait until they are committed; records
that arrive together are committed together. While the database is away the writer
goes on trying and the threads wait, so that nothing is done off the record and no
output is lost. Every statement can be repeated: a commit whose answer was lost is
simply made again. A worker that was declared lost writes nothing any more.
"""

from __future__ import annotations

import json
import logging
import queue
import threading
import uuid
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar

from django.db import InterfaceError, OperationalError, connection, transaction

from herds.domain.states import StepState, TargetState

logger = logging.getLogger(__name__)

_BATCH = 500  # records in one commit, at most
_PAUSE = 0.5  # seconds between attempts while the database is away


class Disowned(Exception):
    """This worker was declared lost; another one may be at work on its targets."""


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
                command, evidence, message)
        SELECT %s, target_id, attempt, %s, %s, %s, 'running', %s, '', '{}', ''
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
        # PostgreSQL text holds no NUL byte; the sign for it stands in its place.
        return self.number, self.stream, self.text.replace("\0", "␀"), self.step_id


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
            self.command.replace("\0", "␀"),
            self.exit_status,
            json.dumps(self.evidence).replace("\\u0000", "␀"),
            self.message.replace("\0", "␀"),
            self.step_id,
        )


@dataclass(frozen=True, kw_only=True)
class TargetEnded:
    """How a target ended."""

    SQL: ClassVar[str] = """
        UPDATE ele_operation_target
           SET state = %s, outcome = %s, detail = %s, finished_at = %s,
               current_step = ''
         WHERE target_id = %s AND attempt = %s
           AND state IN ('queued', 'running', 'cancelling')
        """
    target_id: int
    attempt: int
    state: TargetState
    outcome: str
    detail: str
    at: datetime

    def values(self) -> tuple[Any, ...]:
        return (
            self.state.value,
            self.outcome.replace("\0", "␀"),
            self.detail.replace("\0", "␀"),
            self.at,
            self.target_id,
            self.attempt,
        )


Record = TargetBegun | StepBegun | OutputPrinted | StepEnded | TargetEnded
_ORDER: tuple[type[Record], ...] = (
    TargetBegun,
    StepBegun,
    OutputPrinted,
    StepEnded,
    TargetEnded,
)
Entry = tuple[Sequence[Record], "Future[list[bool]]"]


class Journal:
    """The one writer of a worker."""

    def __init__(
        self, worker_id: uuid.UUID, on_disowned: Callable[[], None] = lambda: None
    ) -> None:
        self._worker_id = worker_id
        self._on_disowned = on_disowned
        self._entries: queue.SimpleQueue[Entry | None] = queue.SimpleQueue()
        self._given_up = threading.Event()
        self._thread = threading.Thread(target=self._write_on, name="journal")

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def stop(self, *, give_up: bool = False) -> None:
        """Write what was handed in, then end.

        Args:
            give_up: do not wait for a database that is away.
        """
        if give_up:
            self._given_up.set()
        self._entries.put(None)
        self._thread.join()

    def hand_in(self, *records: Record) -> Future[list[bool]]:
        """Hand in records without waiting for their commit."""
        written: Future[list[bool]] = Future()
        self._entries.put((records, written))
        return written

    def write(self, *records: Record) -> list[bool]:
        """Hand in records and wait until they are committed.

        Returns:
            For each record whether it found its row.

        Raises:
            Disowned: this worker was declared lost; nothing was written.
        """
        return self.hand_in(*records).result()

    def _write_on(self) -> None:
        try:
            while (entry := self._entries.get()) is not None:
                batch, is_last = self._collect(entry)
                self._commit(batch)
                if is_last:
                    return
        finally:
            connection.close()

    def _collect(self, first: Entry) -> tuple[list[Entry], bool]:
        """Take what has arrived meanwhile; true if the end was among it."""
        batch = [first]
        size = len(first[0])
        while size < _BATCH:
            try:
                entry = self._entries.get_nowait()
            except queue.Empty:
                break
            if entry is None:
                return batch, True
            batch.append(entry)
            size += len(entry[0])
        return batch, False

    def _commit(self, batch: Sequence[Entry]) -> None:
        while True:
            try:
                found = self._try(
                    [record for records, _ in batch for record in records]
                )
            except (OperationalError, InterfaceError) as away:
                connection.close()
                if self._given_up.wait(_PAUSE):
                    _fail(batch, away)
                    return
                logger.warning("The metadata database is away: %s", away)
            except Disowned as lost:
                _fail(batch, lost)
                self._on_disowned()
                return
            except Exception as error:
                if len(batch) > 1:
                    # One record that cannot be written spoils no other.
                    for entry in batch:
                        self._commit([entry])
                    return
                logger.exception("A record of the journal could not be written")
                _fail(batch, error)
                return
            else:
                for records, written in batch:
                    written.set_result([found[id(record)] for record in records])
                return

    def _try(self, records: Sequence[Record]) -> dict[int, bool]:
        found: dict[int, bool] = {}
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(
                "SELECT 1 FROM ele_worker"
                " WHERE worker_id = %s AND stopped_at IS NULL FOR SHARE",
                [self._worker_id],
            )
            if cursor.fetchone() is None:
                raise Disowned
            for kind in _ORDER:
                of_kind = [record for record in records if type(record) is kind]
                if kind is TargetBegun:
                    for record in of_kind:
                        cursor.execute(kind.SQL, record.values())
                        found[id(record)] = cursor.rowcount == 1
                elif of_kind:
                    cursor.executemany(kind.SQL, [each.values() for each in of_kind])
                    found.update((id(each), True) for each in of_kind)
        return found


def _fail(batch: Iterable[Entry], error: Exception) -> None:
    for _, written in batch:
        written.set_exception(error)
