"""Kept connections: one to a host, shared by every command that runs there."""

from __future__ import annotations

import copy
import threading
import time
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path

import paramiko

from herds.errors import (
    ElephaasError,
    HostKeyUnknown,
    HostUnreachable,
    PreconditionFailed,
)
from herds.ssh.connection import Login, connect, load_private_key
from herds.ssh.host_keys import HostKey
from herds.ssh.remote_shell import RemoteShell, Slots
from herds.ssh.transport import HostTransport

CHANNELS_PER_HOST = 8
"""Commands at one time on one host. sshd allows ten sessions a connection by default
(sshd_config(5): MaxSessions); two are left for stopping commands."""

_SAME_MOMENT = 0.25
"""How much earlier, in seconds, an attempt to connect may have begun than somebody
asked for it, and its failure still be an answer to what they asked."""


class ShellPool:
    """Shells on many hosts, over one connection each that lives as long as the pool.

    Safe to share between threads: two that ask for one host make one connection, and
    a host that is slow to connect holds up nobody but those who asked for it.

    ``user`` is the remote OS user, ``private_key`` or ``private_key_file`` its key,
    ``connect_timeout`` bounds connecting, ``stop_grace`` is what processes that have to
    be stopped get to end by themselves, both in seconds. Raises PreconditionFailed for
    an unusable key file.
    """

    def __init__(
        self,
        *,
        user: str,
        private_key_file: str | Path | None = None,
        private_key: paramiko.PKey | None = None,
        port: int = 22,
        connect_timeout: float = 5.0,
        stop_grace: float = 5.0,
    ) -> None:
        if private_key is None:
            if private_key_file is None:
                raise ValueError("A pool needs a private key or the file of one.")
            private_key = load_private_key(private_key_file)
        self._login = Login(
            user=user, key=private_key, port=port, connect_timeout=connect_timeout
        )
        self._stop_grace = stop_grace
        self._lock = threading.Lock()
        self._kept: dict[str, _KeptConnection] = {}
        self._closed = False

    def shell(self, host: str, host_key: str | None) -> RemoteShell:
        """Return a shell on a host that is recognised by its pinned key.

        ``host_key`` is the accepted key as "type base64". Nothing is connected yet.
        Raises HostKeyUnknown without one, PreconditionFailed for one that cannot be
        read.
        """
        pinned = _pinned(host, host_key)
        return RemoteShell(
            host,
            lambda: self._keep(host, pinned),
            connect_timeout=self._login.connect_timeout,
            stop_grace=self._stop_grace,
        )

    def warm(
        self, hosts: Iterable[tuple[str, str | None]], *, threads: int = 32
    ) -> dict[str, ElephaasError]:
        """Connect to many hosts at once, given with their pinned keys.

        Returns the error of every host that could not be connected to.
        """

        def warm_one(host: str, host_key: str | None) -> ElephaasError | None:
            try:
                self._keep(host, _pinned(host, host_key)).transport()
            except ElephaasError as error:
                return error
            return None

        with ThreadPoolExecutor(threads, thread_name_prefix="ssh-warm") as executor:
            asked = {
                host: executor.submit(warm_one, host, host_key)
                for host, host_key in hosts
            }
            outcomes = {host: future.result() for host, future in asked.items()}
        return {host: error for host, error in outcomes.items() if error is not None}

    def drop(self, host: str) -> None:
        """Close the connection to a host; the next command makes a new one."""
        with self._lock:
            kept = self._kept.pop(host, None)
        if kept is not None:
            kept.close()

    def close(self) -> None:
        """Close all connections; commands that run lose theirs."""
        with self._lock:
            self._closed = True
            kept, self._kept = list(self._kept.values()), {}
        # Each close waits a moment for the thread that reads the connection.
        if kept:
            with ThreadPoolExecutor(min(len(kept), 32)) as executor:
                list(executor.map(_KeptConnection.close, kept))

    def __enter__(self) -> ShellPool:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _keep(self, host: str, pinned: HostKey) -> _KeptConnection:
        with self._lock:
            if self._closed:
                raise HostUnreachable(host, "this process is closing its connections")
            kept = self._kept.get(host)
            if kept is not None and kept.pinned == pinned:
                return kept
            fresh = _KeptConnection(host, pinned, self._login)
            self._kept[host] = fresh
        if kept is not None:
            # Another key was accepted: the old connection may be to another machine.
            kept.close()
        return fresh


class _Attempt:
    """An attempt to connect: when it began, and what comes of it for all who wait."""

    def __init__(self) -> None:
        self.began = time.monotonic()
        self.came: Future[HostTransport] = Future()


class _KeptConnection:
    """The connection to one host: made when first needed, and again when it died."""

    def __init__(self, host: str, pinned: HostKey, login: Login) -> None:
        self.host = host
        self.pinned = pinned
        self.slots = Slots(CHANNELS_PER_HOST)
        self._login = login
        self._lock = threading.Lock()
        self._transport: HostTransport | None = None
        self._attempt: _Attempt | None = None
        self._users: Counter[HostTransport] = Counter()
        self._closed = False

    def transport(self) -> HostTransport:
        """Return a connection that is not known to be dead, connecting if need be.

        Whoever asks while somebody else connects gets what comes of that, failure
        included: ten waiting threads do not wait ten times. Only a failure that began
        well before they asked says nothing of the host as it is now, which may have
        come up since.
        """
        asked = time.monotonic()
        while True:
            with self._lock:
                if self._transport is not None and self._transport.is_active():
                    return self._transport
                attempt = self._attempt
                if attempt is None:
                    mine = self._attempt = _Attempt()
            if attempt is None:
                return self._connect(mine)
            try:
                return attempt.came.result()
            except ElephaasError as error:
                if attempt.began >= asked - _SAME_MOMENT:
                    raise copy.copy(error) from error

    def take(self) -> HostTransport:
        """Return a connection as transport() does, to be given back."""
        transport = self.transport()
        with self._lock:
            self._users[transport] += 1
        return transport

    def give_back(self, transport: HostTransport) -> None:
        """Note that a taken connection is used no more; close it if it was replaced."""
        with self._lock:
            self._users[transport] -= 1
            unused = not self._users[transport]
            if unused:
                del self._users[transport]
            unwanted = unused and transport is not self._transport
        if unwanted:
            transport.close()

    def replace(self, transport: HostTransport) -> None:
        """Have the next taker connect anew.

        A connection that hangs may come back to life, so commands that still run over
        it keep it until they end.
        """
        with self._lock:
            if self._transport is transport:
                self._transport = None

    def close(self) -> None:
        """Close the connection for good."""
        with self._lock:
            self._closed = True
            transport, self._transport = self._transport, None
        if transport is not None:
            transport.close()

    def _connect(self, mine: _Attempt) -> HostTransport:
        try:
            transport = connect(self.host, self.pinned, self._login)
        except BaseException as error:
            with self._lock:
                self._attempt = None
            mine.came.set_exception(error)
            raise
        with self._lock:
            self._attempt = None
            dead, self._transport = self._transport, transport
            closed = self._closed
        mine.came.set_result(transport)
        if dead is not None:
            dead.close()
        if closed:
            self.close()
            transport.close()
        return transport


@lru_cache(maxsize=8192)
def _parsed(host_key: str) -> HostKey:
    return HostKey.parse(host_key)


def _pinned(host: str, host_key: str | None) -> HostKey:
    if not host_key:
        raise HostKeyUnknown(host)
    try:
        return _parsed(host_key)
    except ValueError as error:
        raise PreconditionFailed(
            f"The SSH host key recorded for {host} cannot be read.",
            host=host,
            hint="Accept the host's key anew on the server's page.",
        ) from error
