"""Keeps the inventory fresh beside all operations: looks at hosts and DNS in turn."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial

from django.db import InterfaceError, OperationalError, connection

from herds import conf
from herds.domain.clock import Clock
from herds.services import rounds, vhost
from herds.services.recording import VhostSight
from herds.services.rounds import Host, Looked
from herds.services.toolbox import Toolbox

logger = logging.getLogger(__name__)

_TICK = 0.5  # seconds between looks for what is due
_GATHER = 0.1  # seconds in which what comes back is kept together
_ENTER = 10.0  # seconds between looks for hosts that are new
_NAMES = 5.0  # seconds between looks for virtual hosts that are due
_NAME_THREADS = 4


class Refresher:
    """Looks of one worker: its threads look, one thread takes and keeps.

    Hosts that could not be seen the last time have threads of their own, so that they
    hold up no others.
    """

    def __init__(
        self, toolbox: Toolbox, clock: Clock, stopping: threading.Event
    ) -> None:
        """Read the settings; nothing is looked at yet."""
        self._settings = conf.refresh()
        self._toolbox = toolbox
        self._clock = clock
        self._stopping = stopping
        self._done: queue.SimpleQueue[Callable[[], None] | Looked] = queue.SimpleQueue()
        self._at_once = {
            False: self._settings.at_once,
            True: max(1, self._settings.at_once // 4),
        }
        self._pools = {
            is_slow: ThreadPoolExecutor(most, thread_name_prefix="refresh")
            for is_slow, most in self._at_once.items()
        }
        self._names = ThreadPoolExecutor(_NAME_THREADS, thread_name_prefix="names")
        self._out: dict[bool, set[int]] = {True: set(), False: set()}
        self._names_out = 0

    @property
    def has_work(self) -> bool:
        """Whether the settings leave anything to do."""
        return bool(self._settings.interval) or self._watches_names

    @property
    def _watches_names(self) -> bool:
        return bool(self._settings.names_interval and self._toolbox.nameserver)

    def run(self) -> None:
        """Look until the worker is to end; what is wrong is said and gone over."""
        entered = named = float("-inf")
        try:
            while not self._stopping.is_set():
                now = self._clock.monotonic()
                try:
                    if now - entered >= _ENTER and self._settings.interval:
                        rounds.enter_hosts()
                        entered = now
                    self.take()
                    if now - named >= _NAMES and self._watches_names:
                        self._take_names()
                        named = now
                    self.keep(self._gather())
                except (OperationalError, InterfaceError):
                    # The housekeeping says so already.
                    connection.close()
                    self._stopping.wait(1.0)
                except Exception:
                    logger.exception("A refresh of this worker failed; it goes on")
                    self._stopping.wait(1.0)
        finally:
            self.close()
            with suppress(OperationalError, InterfaceError):
                rounds.give_back([*self._out[True], *self._out[False]])
            connection.close()

    def go_round(self) -> int:
        """Look at all hosts that are due, keep what was seen, and give their number."""
        seen = 0
        while taken := self.take():
            seen += taken
            while any(self._out.values()):
                self.keep(self._gather())
                seen += self.take()
        return seen

    def close(self) -> None:
        """Begin no more looks; those that have begun end by themselves."""
        for pool in (*self._pools.values(), self._names):
            pool.shutdown(wait=False, cancel_futures=True)

    def take(self) -> int:
        """Take hosts that are due and have them looked at; give their number."""
        if not self._settings.interval:
            return 0
        taken = 0
        for is_slow, pool in self._pools.items():
            # A few wait for a thread, so that no thread waits for the metadata.
            most = 2 * self._at_once[is_slow] - len(self._out[is_slow])
            for host in rounds.take_hosts(self._settings, most, is_slow=is_slow):
                taken += 1
                self._out[is_slow].add(host.server_id)
                pool.submit(self._look, host)
        return taken

    def _look(self, host: Host) -> None:
        looked = Looked(host=host, begun=self._clock.now())
        try:
            if not self._stopping.is_set():
                looked = rounds.look(host, self._toolbox, self._clock)
        except Exception:
            logger.exception("A look at a host failed in the program itself")
        finally:
            self._done.put(looked)

    def _take_names(self) -> None:
        nameserver = self._toolbox.nameserver
        if nameserver is None or self._names_out:
            return
        for herd_id, name in rounds.take_names(self._settings).items():
            self._names_out += 1

            def see(herd_id: int = herd_id, name: str = name) -> None:
                sight = VhostSight(at=self._clock.now(), is_known=False)
                try:
                    sight = vhost.watch(nameserver, name, self._clock)
                finally:
                    self._done.put(partial(rounds.keep_name, herd_id, sight))

            self._names.submit(see)

    def _gather(self) -> list[Callable[[], None] | Looked]:
        """Wait for what comes back, and a little for what comes with it."""
        found: list[Callable[[], None] | Looked] = []
        until = self._clock.monotonic() + _TICK
        patience = _TICK
        while not found or len(found) < self._out_now:
            try:
                found.append(self._done.get(timeout=patience))
            except queue.Empty:
                break
            left = until - self._clock.monotonic()
            if left <= 0:
                break
            patience = min(_GATHER, left)
        return found

    @property
    def _out_now(self) -> int:
        return sum(map(len, self._out.values())) + self._names_out

    def keep(self, found: list[Callable[[], None] | Looked]) -> None:
        """Keep what came back."""
        looked = [each for each in found if isinstance(each, Looked)]
        for back in looked:
            self._out[back.host.is_slow].discard(back.host.server_id)
        for each in found:
            if not isinstance(each, Looked):
                self._names_out -= 1
                each()
        if looked:
            rounds.keep(looked, self._settings)
