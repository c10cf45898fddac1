"""Writes what happens to the metadata database: one writer, many threads, few commits.

The threads of a worker hand in records and wait until they are committed; records
that arrive together are committed together. Other work in the metadata takes its
turn between them, so that a worker needs one connection for all of its threads.
While the database is away the writer goes on trying and the threads wait: nothing
is done off the record, and no output is lost. Everything can be repeated: a commit
whose answer was lost is simply made again. A worker that was declared lost writes
nothing any more.
"""

from __future__ import annotations

import logging
import queue
import threading
import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from django.db import InterfaceError, OperationalError, connection, transaction
from django.db.backends.utils import CursorWrapper

from .records import ORDER, Record, StepBegun, TargetBegun, TargetEnded

logger = logging.getLogger(__name__)

S = TypeVar("S")
T = TypeVar("T")

_BATCH = 500  # records in one commit, at most
_PAUSE = 0.5  # seconds between attempts while the database is away


class Disowned(Exception):
    """This worker was declared lost; another one may be at work on its targets."""


@dataclass(frozen=True)
class _Entry:
    """Records of one thread, and what it waits on."""

    records: Sequence[Record]
    written: Future[list[bool]]


class _End:
    """Nothing comes after this."""


@dataclass(frozen=True)
class _Deed:
    """Other work in the metadata, and what its thread waits on."""

    work: Callable[[Sequence[Any]], Sequence[Any]]
    item: Any
    done: Future[Any]
    owned: bool


@dataclass(frozen=True)
class _Failed:
    """What other work raised; it was undone and is not tried again."""

    error: Exception


class Journal:
    """The one writer of a worker."""

    def __init__(
        self, worker_id: uuid.UUID, on_disowned: Callable[[], None] = lambda: None
    ) -> None:
        self._worker_id = worker_id
        self._on_disowned = on_disowned
        self._waiting: queue.SimpleQueue[_Entry | _Deed | _End] = queue.SimpleQueue()
        self._given_up = threading.Event()
        self._thread = threading.Thread(target=self._write_on, name="journal")

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def stop(self) -> None:
        """Write what was handed in, if the database is there, then end."""
        self._given_up.set()
        self._waiting.put(_End())
        self._thread.join()

    def hand_in(self, *records: Record) -> Future[list[bool]]:
        """Hand in records without waiting for their commit."""
        entry = _Entry(records, Future())
        self._waiting.put(entry)
        return entry.written

    def write(self, *records: Record) -> list[bool]:
        """Hand in records and wait until they are committed.

        Returns:
            For each record whether it found its row.

        Raises:
            Disowned: this worker was declared lost; nothing was written.
        """
        return self.hand_in(*records).result()

    def do(self, work: Callable[[], T], *, owned: bool = True) -> T:
        """Do other work in the metadata, in a transaction, after what was handed in.

        Args:
            work: what to do; it is done again after a lost connection.
            owned: whether the worker must still be registered.

        Raises:
            Disowned: this worker was declared lost; nothing was done.
            Exception: whatever the work raises.
        """
        deed = _Deed(lambda _: [work()], None, Future(), owned)
        self._waiting.put(deed)
        result: T = deed.done.result()
        return result

    def do_jointly(self, work: Callable[[Sequence[S]], Sequence[T]], item: S) -> T:
        """Do the same other work for all items that wait for it, in one transaction.

        Where it fails for several together it is done again for each of them alone.

        Args:
            work: a plain function, which gives a result for each item.
            item: what it is to be done for.

        Raises:
            Disowned: this worker was declared lost; nothing was done.
            Exception: whatever the work raises for this item.
        """
        deed = _Deed(work, item, Future(), owned=True)
        self._waiting.put(deed)
        result: T = deed.done.result()
        return result

    def _write_on(self) -> None:
        try:
            is_over = False
            while not is_over:
                entries, deeds, is_over = self._gather()
                self._commit(entries)
                for together in deeds:
                    done = [deed.done for deed in together]
                    self._persist(done, partial(self._perform, together))
        finally:
            connection.close()

    def _gather(self) -> tuple[list[_Entry], list[list[_Deed]], bool]:
        """Take what has arrived, and whether the end has; wait for the first.

        A thread that waits for other work hands in nothing meanwhile, so the records
        that came after it are of other threads and may go first.
        """
        entries: list[_Entry] = []
        deeds: dict[Callable[..., Any], list[_Deed]] = {}
        size = 0
        while size < _BATCH:
            try:
                item = self._waiting.get(block=not size)
            except queue.Empty:
                break
            size += 1
            if isinstance(item, _End):
                return entries, list(deeds.values()), True
            if isinstance(item, _Deed):
                deeds.setdefault(item.work, []).append(item)
            else:
                entries.append(item)
                size += len(item.records)
        return entries, list(deeds.values()), False

    def _commit(self, entries: Sequence[_Entry]) -> None:
        try:
            self._persist(
                [entry.written for entry in entries], partial(self._write, entries)
            )
        except Exception as error:
            if len(entries) == 1:
                logger.exception("A record of the journal could not be written")
                entries[0].written.set_exception(error)
                return
            # One record that cannot be written spoils no other.
            for entry in entries:
                self._commit([entry])

    def _persist(
        self, waiting: Sequence[Future[Any]], attempt: Callable[[], Sequence[Any]]
    ) -> None:
        """Attempt something until it is committed, and give the results out."""
        while waiting:
            try:
                results = attempt()
            except (OperationalError, InterfaceError) as away:
                connection.close()
                if not self._given_up.wait(_PAUSE):
                    logger.warning("The metadata database is away: %s", away)
                    continue
                for each in waiting:
                    each.set_exception(away)
            except Disowned as lost:
                for each in waiting:
                    each.set_exception(lost)
                self._on_disowned()
            else:
                for each, result in zip(waiting, results, strict=True):
                    if isinstance(result, _Failed):
                        each.set_exception(result.error)
                    else:
                        each.set_result(result)
            return

    def _perform(self, deeds: Sequence[_Deed]) -> Sequence[Any]:
        try:
            with transaction.atomic():
                if any(deed.owned for deed in deeds):
                    self._refuse_disowned()
                return deeds[0].work([deed.item for deed in deeds])
        except (OperationalError, InterfaceError, Disowned):
            raise
        except Exception as error:
            if len(deeds) == 1:
                return [_Failed(error)]
            return [result for deed in deeds for result in self._perform([deed])]

    def _write(self, entries: Sequence[_Entry]) -> list[list[bool]]:
        records = [record for entry in entries for record in entry.records]
        found: dict[int, bool] = {}
        with transaction.atomic(), connection.cursor() as cursor:
            self._refuse_disowned()
            _lock_targets(cursor, records)
            for kind in ORDER:
                of_kind = [record for record in records if type(record) is kind]
                if kind is TargetBegun:
                    for record in of_kind:
                        cursor.execute(kind.SQL, record.values())
                        found[id(record)] = cursor.rowcount == 1
                elif of_kind:
                    cursor.executemany(kind.SQL, [each.values() for each in of_kind])
                    found.update((id(each), True) for each in of_kind)
        return [[found[id(record)] for record in entry.records] for entry in entries]

    def _refuse_disowned(self) -> None:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT 1 FROM ele_worker"
                " WHERE worker_id = %s AND stopped_at IS NULL FOR SHARE",
                [self._worker_id],
            )
            if cursor.fetchone() is None:
                raise Disowned


def _lock_targets(cursor: CursorWrapper, records: Sequence[Record]) -> None:
    """Lock the rows of several targets in the order in which everybody does."""
    numbers = sorted(
        {
            record.target_id
            for record in records
            if isinstance(record, TargetBegun | StepBegun | TargetEnded)
        }
    )
    if len(numbers) > 1:
        cursor.execute(
            "SELECT 1 FROM ele_operation_target WHERE target_id = ANY(%s)"
            " ORDER BY target_id FOR NO KEY UPDATE",
            [numbers],
        )
