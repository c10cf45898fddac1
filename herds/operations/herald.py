"""Tells people what happened: notices what is to be told, and has it delivered.

What happened is read from the record of operations and from *Attention*, so nothing
else waits for a message or fails with one. Every event has a key that is told once,
whichever worker notices it first.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.db import connection, transaction
from django.utils import timezone

from herds import conf
from herds.domain.states import OperationState
from herds.errors import PreconditionFailed
from herds.messenger.messenger import Messenger, Receiver
from herds.models import Alarm, Notice, Operation, OperationTarget
from herds.selectors.attention import attention

logger = logging.getLogger(__name__)

_LOOK_BACK = timedelta(hours=1)  # an end that nobody noticed for longer is history
_KEPT = timedelta(days=7)  # as long, messages are kept after their end
_AT_ONCE = 50  # messages claimed in one round
_SHOWN = 10  # targets named in one message
_FIRST_PAUSE, _LONGEST_PAUSE = timedelta(seconds=15), timedelta(hours=1)
_LOCK = 0x656C6568  # of those who look for news: one worker at a time
_QUIET_ACTIONS = frozenset({"refresh"})  # nobody decided anything
_FAILED = frozenset(
    {OperationState.FAILED, OperationState.PARTLY, OperationState.INTERRUPTED}
)
_ENDED = _FAILED | {OperationState.SUCCEEDED, OperationState.CANCELLED}


@dataclass(kw_only=True)
class Herald:
    """One worker's part in telling people; the metadata keep what is still to do.

    Attributes:
        settings: who is told of what.
        now: gives the time.
    """

    settings: conf.NotificationSettings
    now: Callable[[], datetime] = timezone.now
    _shy: dict[str, datetime] = field(default_factory=dict)

    def look(self) -> None:
        """Note what is to be told, unless another worker is doing so."""
        with transaction.atomic():
            if _is_alone():
                fresh = [*self._ends(), *self._alarms()]
                Notice.objects.bulk_create(fresh, ignore_conflicts=True)
                Notice.objects.filter(done_at__lt=self.now() - _KEPT).delete()

    def deliver(self) -> int:
        """Send what is due, every receiver beside the others; give how much was due.

        A receiver that does not answer costs its own timeout once, and is then left
        alone for a while: the others do not wait for it.
        """
        due = self._claim()
        if not due:
            return 0
        try:
            messenger = Messenger(self.settings.config_file)
        except PreconditionFailed as error:
            logger.warning("Nobody can be told anything: %s", error.sentence())
            for notice in due:
                self._settle(notice, [error.message], [])
            return len(due)
        for notice, (missed, came) in self._send_all(messenger, due).items():
            self._settle(notice, missed, came)
        return len(due)

    # What is to be told

    def _ends(self) -> Iterator[Notice]:
        """Give a message for each operation that ended lately."""
        if not {"ended", "failed"} & set(self.settings.events):
            return
        states = _ENDED if "ended" in self.settings.events else _FAILED
        ended = Operation.objects.filter(
            finished_at__gt=self.now() - _LOOK_BACK, state__in=states
        ).exclude(action__in=_QUIET_ACTIONS)
        keys = {_key_of(each): each for each in ended}
        known = Notice.objects.filter(key__in=keys).values_list("key", flat=True)
        for key in set(keys) - set(known):
            yield self._of_end(keys[key], key)

    def _of_end(self, operation: Operation, key: str) -> Notice:
        targets = list(operation.targets.order_by("position"))
        environments = sorted({each.environment_name for each in targets} - {""})
        body = [
            operation.outcome,
            f"Asked for by {operation.requested_by_name}"
            + (f": {operation.reason}" if operation.reason else "."),
            *_lines(targets),
            *self._link(f"operation/{operation.pk}/change/"),
        ]
        where = f"{', '.join(environments)}: " if environments else ""
        return Notice(
            key=key,
            event="failed" if operation.state in _FAILED else "ended",
            environments=environments,
            title=f"{where}{operation.headline}: {operation.state}",
            body="\n".join(filter(None, body)),
        )

    def _alarms(self) -> Iterator[Notice]:
        """Keep what needs attention now; give messages on what has needed it long."""
        if "attention" not in self.settings.events:
            return
        lines = {line.key: line for line in attention()}
        Alarm.objects.exclude(key__in=lines).delete()
        known = dict(Alarm.objects.values_list("key", "words"))
        # What stands there unchanged, which is nearly all, is not written again.
        Alarm.objects.bulk_create(
            [
                Alarm(key=key, words=line.words, environment_name=line.environment)
                for key, line in lines.items()
                if known.get(key) != line.words
            ],
            update_conflicts=True,
            unique_fields=["key"],
            update_fields=["words"],
        )
        ripe = Alarm.objects.filter(
            told_at__isnull=True,
            since__lte=self.now() - timedelta(seconds=self.settings.hold),
        )
        for alarm in ripe:
            yield self._of_alarm(alarm)
        ripe.update(told_at=self.now())

    def _of_alarm(self, alarm: Alarm) -> Notice:
        name = alarm.environment_name
        return Notice(
            key=f"attention:{alarm.key}:{alarm.since.isoformat()}",
            event="attention",
            environments=[name] if name else [],
            title=f"Attention: {alarm.words}",
            body="\n".join([alarm.words, *self._link("")]),
        )

    def _link(self, path: str) -> Iterator[str]:
        if self.settings.url:
            base = self.settings.url.rstrip("/")
            yield f"{base}/admin/herds/{path}" if path else f"{base}/admin/"

    # Bringing it

    def _claim(self) -> list[Notice]:
        """Take what is due for this worker; unsettled, it is due again later."""
        with transaction.atomic():
            due = list(
                Notice.objects.select_for_update(skip_locked=True)
                .filter(done_at__isnull=True, next_attempt_at__lte=self.now())
                .order_by("notice_id")[:_AT_ONCE]
            )
            for notice in due:
                notice.attempts += 1
                notice.next_attempt_at = self.now() + _pause(notice.attempts)
            Notice.objects.bulk_update(due, ["attempts", "next_attempt_at"])
        return due

    def _send_all(
        self, messenger: Messenger, due: Sequence[Notice]
    ) -> Mapping[Notice, tuple[list[str], list[str]]]:
        """Send; give for each message who missed it, and whom it reached."""
        waiting: dict[str, list[tuple[Receiver, Notice]]] = defaultdict(list)
        for notice in due:
            for receiver in messenger.receivers(frozenset(notice.environments)):
                if receiver.key not in notice.delivered:
                    waiting[receiver.key].append((receiver, notice))
        result: dict[Notice, tuple[list[str], list[str]]] = {
            notice: ([], []) for notice in due
        }
        if not waiting:
            return result
        with ThreadPoolExecutor(len(waiting), thread_name_prefix="herald") as pool:
            for told in pool.map(self._send_one_after_another, waiting.values()):
                for receiver, notice, was_taken in told:
                    missed, came = result[notice]
                    if was_taken:
                        came.append(receiver.key)
                    else:
                        missed.append(receiver.name)
        return result

    def _send_one_after_another(
        self, messages: Sequence[tuple[Receiver, Notice]]
    ) -> list[tuple[Receiver, Notice, bool]]:
        told = []
        for receiver, notice in messages:
            answers = self._shy.get(receiver.key, self.now()) <= self.now()
            was_taken = answers and receiver.send(notice.title, notice.body)
            if answers and not was_taken:
                self._shy[receiver.key] = self.now() + _FIRST_PAUSE
            told.append((receiver, notice, was_taken))
        return told

    def _settle(
        self, notice: Notice, missed: Sequence[str], came: Sequence[str]
    ) -> None:
        """Note whom a message reached; the last one or the last attempt ends it."""
        is_over = not missed or notice.attempts >= self.settings.attempts
        if missed:
            logger.warning("%r was not taken by %s", notice.title, ", ".join(missed))
        Notice.objects.filter(pk=notice.pk).update(
            delivered=[*notice.delivered, *came],
            trouble=", ".join(missed),
            done_at=self.now() if is_over else None,
        )


def _key_of(operation: Operation) -> str:
    """Name one end of an operation: resumed, it ends once more."""
    return f"operation:{operation.pk}:{operation.state}:{operation.finished_at}"


def _pause(attempts: int) -> timedelta:
    return min(_FIRST_PAUSE * (1 << min(attempts - 1, 20)), _LONGEST_PAUSE)


def _lines(targets: Sequence[OperationTarget]) -> Iterator[str]:
    """Give a line a target, those that need somebody first."""
    ranked = sorted(targets, key=lambda each: each.state == "succeeded")
    for each in ranked[:_SHOWN]:
        name = " on ".join(filter(None, [each.herd_name, each.hostname]))
        yield f"{name}: {each.state}. {each.outcome}"
    if len(ranked) > _SHOWN:
        yield f"… and {len(ranked) - _SHOWN:,} more"


def _is_alone() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [_LOCK])
        (is_mine,) = cursor.fetchone()
    return bool(is_mine)
