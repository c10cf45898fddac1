"""Listens to the queue, and goes on doing so after the database was away."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import psycopg
from procrastinate.exceptions import ConnectorException
from procrastinate.worker import Worker

logger = logging.getLogger(__name__)

_PAUSE = 1.0  # seconds between attempts while the database is away


class Listener(Worker):
    """Procrastinate's worker; its own one ends, or falls silent, with its connection.

    Procrastinate stops a worker whose database is away and lets it take nothing new
    until all it has begun has ended; without periodic tasks it does not even notice
    that it hears no notifications any more; and a job whose end it could not write
    down holds its lock for ever. This one tries again in all of these places.
    """

    async def _fetch_and_process_jobs(self) -> None:
        try:
            await super()._fetch_and_process_jobs()  # type: ignore[no-untyped-call]
        except ConnectorException as away:
            await self._wait_for_database(away)

    async def _wait_for_database(self, away: ConnectorException) -> None:
        while not self._stop_event.is_set():
            logger.warning("The queue cannot be reached: %s", _why(away))
            await asyncio.sleep(_PAUSE)
            try:
                # Others may have taken this listener for dead meanwhile.
                self.worker_id = await self.app.job_manager.register_worker()
            except ConnectorException as still:
                away = still
            else:
                self._new_job_event.set()
                return

    def _start_side_tasks(self) -> list[asyncio.Task[Any]]:
        hearing = asyncio.create_task(self._hear(), name="hearing")
        return [*super()._start_side_tasks(), hearing]

    async def _hear(self) -> None:
        """Hear of new jobs at once; those of a time without hearing are looked for."""
        while True:
            try:
                await self.app.job_manager.listen_for_jobs(
                    on_notification=self._handle_notification, queues=self.queues
                )
            except ConnectorException as away:
                logger.warning("The queue cannot be heard: %s", _why(away))
            await asyncio.sleep(_PAUSE)
            self._new_job_event.set()

    async def _update_heartbeat(self) -> None:
        while True:
            try:
                await super()._update_heartbeat()  # type: ignore[no-untyped-call]
            except ConnectorException as away:
                logger.warning("The queue cannot be reached: %s", _why(away))

    async def _persist_job_status(self, *args: Any, **options: Any) -> None:
        while True:
            try:
                await super()._persist_job_status(*args, **options)
                return
            except ConnectorException as away:
                if isinstance(away.__cause__, psycopg.errors.RaiseException):
                    # The reaper has ended the job already, in the name of a worker
                    # that it took for lost.
                    logger.info("A job had ended in the queue before: %s", _why(away))
                    return
                if self._stop_event.is_set():
                    raise
                logger.warning("The queue cannot be reached: %s", _why(away))
            await asyncio.sleep(_PAUSE)


def _why(away: ConnectorException) -> str:
    lines = str(away.__cause__ or away).strip().splitlines()
    return lines[0] if lines else "no reason given"
