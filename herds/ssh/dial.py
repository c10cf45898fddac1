"""Open a TCP connection to a host within a deadline, name look-up included."""

from __future__ import annotations

import errno
import queue
import socket
import struct
import threading
from typing import Any

from herds.errors import HostUnreachable
from herds.ssh.deadline import Deadline

DEAD_PEER_SECONDS = 10
"""How long unacknowledged bytes or keepalive probes may stay unanswered.

A host that lost power or network sends nothing at all; only these limits reveal it
(tcp(7): TCP_USER_TIMEOUT, TCP_KEEPIDLE, TCP_KEEPINTVL, TCP_KEEPCNT).
"""

Address = tuple[socket.AddressFamily, tuple[Any, ...]]


def dial(host: str, port: int, deadline: Deadline) -> socket.socket:
    """Return a connected socket that notices a dead peer by itself.

    Every address of the name is tried, sharing what is left of the time.
    Raises HostUnreachable with the reason.
    """
    addresses = _addresses(host, port, deadline)
    reason = ""
    for left, (family, address) in zip(
        range(len(addresses), 0, -1), addresses, strict=True
    ):
        try:
            return _connected(family, address, deadline.remaining() / left)
        except OSError as error:
            reason = _reason(error, port, deadline)
    raise HostUnreachable(host, reason)


def _addresses(host: str, port: int, deadline: Deadline) -> list[Address]:
    try:
        return _looked_up(host, port, socket.AI_NUMERICHOST)
    except (OSError, ValueError):
        pass  # It is a name, not an address.
    answer: queue.SimpleQueue[list[Address] | Exception] = queue.SimpleQueue()

    def look_up() -> None:
        try:
            answer.put(_looked_up(host, port, 0))
        except (OSError, ValueError) as error:
            answer.put(error)

    # getaddrinfo(3) takes no timeout, so it is left behind in a thread that ends when
    # the resolver gives up.
    threading.Thread(target=look_up, name=f"resolve {host}", daemon=True).start()
    try:
        found = answer.get(timeout=deadline.remaining())
    except queue.Empty:
        raise HostUnreachable(
            host, f"its name was not resolved within {deadline.seconds:g} s"
        ) from None
    if isinstance(found, Exception):
        raise HostUnreachable(host, _lookup_reason(found)) from found
    return found


def _looked_up(host: str, port: int, flags: int) -> list[Address]:
    if "\0" in host:
        # The C library would look up the name that ends there.
        raise ValueError("A host name contains no NUL character.")
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=flags)
    return [(family, address) for family, _, _, _, address in found]


def _connected(
    family: socket.AddressFamily, address: tuple[Any, ...], seconds: float
) -> socket.socket:
    if seconds <= 0:
        raise TimeoutError
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        _set_options(sock)
        sock.settimeout(seconds)
        sock.connect(address)
        sock.settimeout(None)
    except BaseException:
        sock.close()
        raise
    return sock


def _set_options(sock: socket.socket) -> None:
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, DEAD_PEER_SECONDS - 6)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 2)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3)
    sock.setsockopt(
        socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, DEAD_PEER_SECONDS * 1000
    )
    # A stopped sshd acknowledges and never reads: a send has to end as well.
    sock.setsockopt(
        socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", DEAD_PEER_SECONDS, 0)
    )


def _lookup_reason(error: Exception) -> str:
    if not isinstance(error, socket.gaierror):
        return "that is not a valid host name"
    if error.errno == socket.EAI_AGAIN:
        return "the name service did not answer"
    return "its name is not known"


def _reason(error: OSError, port: int, deadline: Deadline) -> str:
    if isinstance(error, TimeoutError):
        return f"connection timed out after {deadline.seconds:g} s"
    if error.errno == errno.ECONNREFUSED:
        return f"connection refused on port {port}"
    if error.errno == errno.EHOSTUNREACH:
        return "no route to the host"
    if error.errno == errno.ENETUNREACH:
        return "the network is unreachable"
    return (error.strerror or str(error)).lower()
