"""Run a command on a host over its kept connection, to a known or unknown outcome."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

from herds.errors import (
    CommandFailed,
    CommandTimedOut,
    ElephaasError,
    HostUnreachable,
    OperationCancelled,
    OutcomeUnknown,
)
from herds.ssh.command import (
    CancelAskedError,
    DeadlinePassedError,
    NotSentError,
    RemoteCommand,
    SessionRefusedError,
)
from herds.ssh.deadline import Deadline
from herds.ssh.feed import Feed
from herds.ssh.shell import Completed, OnOutput
from herds.ssh.stop import NotAnsweredError, stop_processes
from herds.ssh.transport import HostTransport

logger = logging.getLogger(__name__)

_SESSION_POLL = 0.02  # seconds until a refused session is asked for again


class Slots:
    """How many commands may run on one connection at one time."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._taken = 0
        self._changed = threading.Condition()

    def take(self, deadline: Deadline, cancel: threading.Event | None) -> bool:
        """Take a slot; false when none came free in time or cancel was set."""
        with self._changed:
            while self._taken >= self._limit:
                if deadline.passed() or (cancel is not None and cancel.is_set()):
                    return False
                # A cancellation does not wake this wait.
                self._changed.wait(min(deadline.remaining(), 0.1))
            self._taken += 1
        return True

    def give_back(self) -> None:
        """Give a slot back."""
        with self._changed:
            self._taken -= 1
            self._changed.notify()

    def lower(self) -> bool:
        """Note that the host refused one session more; false if there was no other."""
        with self._changed:
            # One that was allowed stays free, for stopping a command.
            self._limit = max(1, min(self._limit, self._taken - 2))
            return self._taken > 1


class Kept(Protocol):
    """A connection kept by a pool."""

    slots: Slots

    def take(self) -> HostTransport:
        """Return a connection that is not known to be dead, connecting if need be."""
        ...

    def give_back(self, transport: HostTransport) -> None:
        """Tell that a connection is not used any more by who took it."""
        ...

    def replace(self, transport: HostTransport) -> None:
        """Have the next taker connect anew: this connection is dead or hangs."""
        ...


class RemoteShell:
    """Shell on one host, over a pool's connection; see herds.ssh.shell.Shell."""

    def __init__(
        self,
        host: str,
        keep: Callable[[], Kept],
        *,
        connect_timeout: float,
        stop_grace: float,
    ) -> None:
        self.host = host
        self._keep = keep
        self._connect_timeout = connect_timeout
        self._stop_grace = stop_grace

    def run(
        self,
        argv: Sequence[str],
        *,
        ok: Collection[int] | None = (0,),
        timeout: float = 60.0,
        stdin: bytes | Feed | None = None,
        on_output: OnOutput | None = None,
        cancel: threading.Event | None = None,
        tethered: bool = False,
    ) -> Completed:
        """Run a program with its arguments; see herds.ssh.shell.Shell.run."""
        command = RemoteCommand(
            argv, stdin=stdin, on_output=on_output, tethered=tethered
        )
        try:
            kept = self._keep()
            with self._slot(kept.slots, command, timeout, cancel):
                transport = self._send(kept, command, timeout, cancel)
                started = time.monotonic()
                try:
                    self._wait(kept, command, timeout, cancel)
                finally:
                    command.close()
                    kept.give_back(transport)
                seconds = time.monotonic() - started
        finally:
            # Whoever feeds a command that was never sent must not wait for it.
            command.abandon_input()
        return self._judged(command, tuple(argv), ok, seconds)

    @contextmanager
    def _slot(
        self,
        slots: Slots,
        command: RemoteCommand,
        timeout: float,
        cancel: threading.Event | None,
    ) -> Iterator[None]:
        if not slots.take(Deadline(timeout), cancel):
            self._refuse_cancelled(command, cancel)
            raise HostUnreachable(
                self.host, f"its sessions were all in use for {timeout:g} s"
            )
        try:
            yield
        finally:
            slots.give_back()

    def _send(
        self,
        kept: Kept,
        command: RemoteCommand,
        timeout: float,
        cancel: threading.Event | None,
    ) -> HostTransport:
        """Send the command, over a new connection where the kept one proves dead.

        Returns the connection, to be given back.
        """
        reconnected, refused = False, 0
        sessions = Deadline(timeout)
        while True:
            self._refuse_cancelled(command, cancel)
            transport = kept.take()
            try:
                command.send(transport, self._connect_timeout)
            except NotSentError as error:
                kept.replace(transport)
                kept.give_back(transport)
                if reconnected:
                    raise HostUnreachable(
                        self.host, "the SSH server accepts connections but no commands"
                    ) from error
                reconnected = True
            except SessionRefusedError as error:
                kept.give_back(transport)
                # sshd counts a session until it has tidied up behind it, which one
                # more packet may overtake. Refused again, the host allows fewer than
                # others do: those that run will end, and no more come.
                refused += 1
                alone = refused > 1 and not kept.slots.lower()
                if alone or sessions.passed():
                    raise HostUnreachable(
                        self.host, "the SSH server refuses to open a session"
                    ) from error
                time.sleep(_SESSION_POLL)
            else:
                logger.debug("%s: %s", self.host, command.line)
                return transport

    def _wait(
        self,
        kept: Kept,
        command: RemoteCommand,
        timeout: float,
        cancel: threading.Event | None,
    ) -> None:
        try:
            command.wait(Deadline(timeout), cancel)
        except DeadlinePassedError:
            stopped = self._stop(kept, command)
            raise CommandTimedOut(
                self.host, command.line, timeout, command.said(), stopped=stopped
            ) from None
        except CancelAskedError:
            stopped = self._stop(kept, command)
            raise OperationCancelled.of_command(
                self.host, command.line, command.said(), stopped=stopped
            ) from None
        except BaseException:
            # The caller's on_output failed: nobody would look after the command.
            command.mute()
            self._stop(kept, command)
            raise

    def _stop(self, kept: Kept, command: RemoteCommand) -> bool:
        """Stop the command's process group; tell whether it was seen to be gone."""
        answer = self._stop_by_script(kept, command)
        if answer == "gone":
            command.seen_to_end(1.0)
            return True
        # Nothing was found or the script could not run. The SSH server knows the group
        # too, though it signals it for none but ordinary users without forced commands.
        for signal, patience in (("TERM", self._stop_grace), ("KILL", 1.0)):
            command.signal(signal)
            if command.seen_to_end(patience):
                return True
        return False

    def _stop_by_script(self, kept: Kept, command: RemoteCommand) -> str:
        # Where the connection hangs, a new one reaches the host if anything does.
        for _ in range(2):
            try:
                transport = kept.take()
            except ElephaasError:
                break
            try:
                return stop_processes(transport, command.run, self._stop_grace)
            except NotAnsweredError:
                kept.replace(transport)
            finally:
                kept.give_back(transport)
        return "unanswered"

    def _judged(
        self,
        command: RemoteCommand,
        argv: tuple[str, ...],
        ok: Collection[int] | None,
        seconds: float,
    ) -> Completed:
        status = command.status
        if status is None:
            raise OutcomeUnknown(
                self.host, command.line, command.lack_of_status(), command.said()
            )
        if ok is not None and status not in ok:
            raise CommandFailed(self.host, command.line, status, command.said())
        return Completed(
            argv=argv,
            status=status,
            stdout=command.stdout.text(),
            stderr=command.stderr.text(),
            seconds=seconds,
            truncated=command.stdout.truncated or command.stderr.truncated,
        )

    def _refuse_cancelled(
        self, command: RemoteCommand, cancel: threading.Event | None
    ) -> None:
        if cancel is not None and cancel.is_set():
            raise OperationCancelled.before_command(self.host, command.line)
