"""The process that executes operations: it takes herds from the queue."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import threading
import uuid
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from django.db import InterfaceError, OperationalError, connection, transaction
from django.db.models.functions import Now
from django.utils import timezone
from procrastinate import JobContext
from procrastinate.contrib.django import DjangoApp
from procrastinate.contrib.django.utils import connector_params
from procrastinate.psycopg_connector import PsycopgConnector

from herds import conf
from herds.domain.clock import ToldClock
from herds.models import Worker
from herds.selectors.clock import measure, metadata_now
from herds.services.toolbox import Toolbox

from .dispatch import EXAMINE, QUEUE, TASK
from .examiner import examine
from .guard import watch_fences
from .herald import Herald
from .journal import Disowned, Journal
from .listener import Listener
from .reaper import reap, release
from .refresher import Refresher
from .runner import Cancellations, Crew, run_herd

logger = logging.getLogger(__name__)

HEARTBEAT = 2.0  # seconds
_CANCEL_LOOK = 0.25  # seconds between looks for requests to cancel
_REAP = 5.0  # seconds between looks for lost workers
_TARGETS_A_HERD = 4  # threads for the targets of waves, for every herd at once
_RECONNECT = 1.0  # seconds before the queue is listened to again
_POOL_PATIENCE = 5.0  # seconds to wait for a connection to the queue
_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_LEAVE = 5.0  # seconds that the guard gets to end; nothing of it is left half-done
_GUARD = 1.0  # seconds between looks for lost primaries that come back
_HERALD = 1.0  # seconds between looks for messages that are due
_NEWS = 5.0  # seconds between looks for what people are to be told
_POLL = 1.0  # seconds between looks into the queue: a herd let go is not announced


class WorkerProcess:
    """One worker: its identity, its threads, and the connections that it keeps."""

    def __init__(self, *, threads: int, toolbox: Toolbox | None = None) -> None:
        """Prepare a worker that works on ``threads`` herds at once."""
        clock = ToldClock(metadata_now)
        self._threads = threads
        self._worker_id = uuid.uuid4()
        self._stopping = threading.Event()
        self._disowned = threading.Event()
        self._ended = threading.Event()
        self._crew = Crew(
            worker_id=self._worker_id,
            journal=Journal(self._worker_id, on_disowned=self._give_up),
            toolbox=toolbox or Toolbox(clock),
            clock=clock,
            pool=ThreadPoolExecutor(
                threads * _TARGETS_A_HERD, thread_name_prefix="target"
            ),
            stopping=self._stopping,
            cancellations=Cancellations(),
        )
        self._refresher = Refresher(self._crew.toolbox, clock, self._stopping)
        self._listener: Listener | None = None
        self._told_to_end = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    def run(self, *, handle_signals: bool = True) -> bool:
        """Work until ``stop`` or a signal; targets that have begun are finished.

        Returns:
            Whether the end was asked for; False where this worker was declared
            lost and has to be started anew.
        """
        keeper = threading.Thread(target=self._keep_house, name="housekeeping")
        guard = threading.Thread(target=self._keep_guard, name="guard", daemon=True)
        refresh = threading.Thread(
            target=self._refresher.run, name="refresh", daemon=True
        )
        herald = threading.Thread(target=self._tell_people, name="herald", daemon=True)
        if handle_signals:
            # Until the loop does: who sees the row may tell this worker to end.
            for number in _SIGNALS:
                signal.signal(number, lambda *_: self.stop())
        self._crew.journal.start()
        try:
            self._crew.journal.do(self._register, owned=False)
            keeper.start()
            guard.start()
            if self._refresher.has_work:
                refresh.start()
            herald.start()
            asyncio.run(self._listen(handle_signals=handle_signals))
        finally:
            self._stopping.set()
            self._ended.set()
            if keeper.ident is not None:
                keeper.join()
            self._crew.pool.shutdown()
            self._crew.journal.stop()
            if guard.ident is not None:
                # It may wait for metadata that are away, or ask when nobody writes.
                guard.join(_LEAVE)
            if refresh.ident is not None:
                refresh.join(_LEAVE)
            if herald.ident is not None:
                herald.join(_LEAVE)
            self._crew.toolbox.close()
            self._sign_off()
        return not self._disowned.is_set()

    def stop(self) -> None:
        """End after the targets that have begun; from any thread or a signal."""
        self._stopping.set()
        if self._loop is not None:
            # A loop that has ended already needs no word.
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._tell_listener)

    def _tell_listener(self) -> None:
        self._told_to_end.set()
        if self._listener is not None:
            self._listener.stop()  # type: ignore[no-untyped-call]

    def _register(self) -> None:
        Worker.objects.update_or_create(
            pk=self._worker_id,
            defaults={
                "hostname": socket.gethostname(),
                "pid": os.getpid(),
                "concurrency": self._threads,
            },
        )

    def _sign_off(self) -> None:
        try:
            with transaction.atomic():
                worker = Worker.objects.filter(
                    pk=self._worker_id, stopped_at__isnull=True
                ).first()
                if worker is not None:
                    worker.stopped_at = timezone.now()
                    worker.save(update_fields=["stopped_at"])
                    release(worker)
        except (OperationalError, InterfaceError) as away:
            logger.warning("The worker could not sign off: %s", away)
        finally:
            connection.close()

    def _give_up(self) -> None:
        logger.error("This worker was declared lost and ends")
        self._disowned.set()
        self.stop()

    async def _listen(self, *, handle_signals: bool) -> None:
        """Take jobs from the queue; listen again after the database was away."""
        self._loop = loop = asyncio.get_running_loop()
        # Jobs run in the loop's default executor, which has only a handful of
        # threads unless it is given one.
        loop.set_default_executor(
            ThreadPoolExecutor(self._threads + 2, thread_name_prefix="herd")
        )
        if handle_signals:
            for number in _SIGNALS:
                loop.add_signal_handler(number, self.stop)
        while not self._stopping.is_set():
            try:
                await self._take_jobs()
            except Exception as away:
                logger.warning("The queue cannot be listened to: %s", away)
            await self._unless_told_to_end(asyncio.sleep(_RECONNECT))

    async def _unless_told_to_end(self, work: Coroutine[Any, Any, object]) -> None:
        """Do something that may take long, and leave it when it is time to end."""
        told = asyncio.create_task(self._told_to_end.wait())
        doing = asyncio.create_task(work)
        await asyncio.wait({told, doing}, return_when=asyncio.FIRST_COMPLETED)
        told.cancel()
        if not doing.done():
            doing.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await doing

    async def _take_jobs(self) -> None:
        # An application of its own: the one of the web pages stays on Django's
        # connection, so that jobs are deferred inside Django's transactions.
        queue = DjangoApp(
            connector=PsycopgConnector(
                kwargs=connector_params(),
                timeout=_POOL_PATIENCE,
                # Or else the pool would wait longer after every failed attempt.
                reconnect_timeout=_RECONNECT,
            )
        )
        queue.task(name=TASK, pass_context=True)(self._run_herd)
        queue.task(name=EXAMINE, pass_context=True)(self._examine)
        try:
            await self._unless_told_to_end(_opened(queue))
            if not self._stopping.is_set():
                # It is told to end, not cancelled: a cancelled one may miss that
                # while it begins, and waits no longer for what has begun.
                self._listener = Listener(
                    queue,
                    queues=[QUEUE],
                    concurrency=self._threads,
                    install_signal_handlers=False,
                    listen_notify=False,  # it hears by itself
                    fetch_job_polling_interval=_POLL,
                    update_heartbeat_interval=HEARTBEAT,
                    delete_jobs="always",
                )
                await self._listener.run()  # type: ignore[no-untyped-call]
        finally:
            self._listener = None
            await queue.close_async()

    def _run_herd(self, context: JobContext, operation_id: int, herd_key: str) -> None:
        run_herd(operation_id, herd_key, self._crew)

    def _examine(self, context: JobContext, operation_id: int) -> None:
        examine(operation_id, self._crew)

    def _keep_house(self) -> None:
        """Beat, look for requests to cancel, and look for lost workers."""
        clock = self._crew.clock
        beaten = reaped = clock.monotonic()
        seen_well = True
        # A worker that is to end still works on what it has begun.
        while not self._ended.wait(_CANCEL_LOOK):
            now = clock.monotonic()
            try:
                self._crew.cancellations.look()
                if now - beaten >= HEARTBEAT:
                    self._beat()
                    beaten = now
                if now - reaped >= _REAP:
                    is_settled, seen_well, reaped = seen_well, True, now
                    # After an outage every worker looks silent: give them a turn.
                    if is_settled:
                        reap()
            except (OperationalError, InterfaceError) as away:
                logger.warning("The metadata database is away: %s", away)
                connection.close()
                seen_well, reaped = False, now + 2 * _REAP
            except Exception:
                logger.exception("The housekeeping of this worker failed; it goes on")
        connection.close()

    def _keep_guard(self) -> None:
        """Watch for lost primaries that come back, beside everything else."""
        while not self._stopping.wait(_GUARD):
            try:
                watch_fences(self._crew)
            except Disowned:
                return
            except (OperationalError, InterfaceError):
                # The housekeeping says so already.
                continue
            except Exception:
                logger.exception("The guard of this worker failed; it goes on")

    def _tell_people(self) -> None:
        """Tell people what happened, beside everything else; nothing waits for it."""
        settings = conf.notifications()
        if settings is None:
            return
        herald = Herald(settings=settings)
        looked = None
        while not self._stopping.wait(_HERALD):
            now = self._crew.clock.monotonic()
            try:
                if looked is None or now - looked >= _NEWS:
                    looked = now
                    herald.look()
                herald.deliver()
            except (OperationalError, InterfaceError):
                # The housekeeping says so already.
                connection.close()
            except Exception:
                logger.exception("Telling people failed; this worker goes on")
        connection.close()

    def _beat(self) -> None:
        with connection.cursor() as cursor:
            measure(cursor)
        alive = Worker.objects.filter(
            pk=self._worker_id, stopped_at__isnull=True
        ).update(heartbeat_at=Now())
        if not alive and not self._disowned.is_set():
            self._give_up()


async def _opened(queue: DjangoApp) -> None:
    await queue.open_async()
