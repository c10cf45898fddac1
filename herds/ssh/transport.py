"""One SSH connection as the protocol sees it: handshake, login, request to execute.

paramiko's Transport is used directly, over our own socket: its SSHClient would read
~/.ssh, ask agents and accept host keys by policy objects; ServiceRequestingTransport
sleeps 0.1 s in every login.
"""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
from collections.abc import Sequence
from typing import Any

import paramiko
from paramiko.common import cMSG_CHANNEL_REQUEST
from paramiko.packet import Packetizer
from paramiko.ssh_exception import IncompatiblePeer, PartialAuthentication

from herds.errors import HostUnreachable, LoginRefused
from herds.ssh.deadline import Deadline
from herds.ssh.dial import DEAD_PEER_SECONDS

# Client CPU of a key exchange, from dear to cheap: Diffie-Hellman groups 25 to 75 ms,
# elliptic curves 3 ms.
CHEAP_KEX = ("curve25519-sha256@libssh.org", "ecdh-sha2-nistp256")

# What paramiko says is told to people by our errors; its own tracebacks are not. The
# name stays outside "herds", for which a site's LOGGING may set a level of its own.
_PROTOCOL_LOG = "elephaas.ssh.protocol"
logging.getLogger(_PROTOCOL_LOG).setLevel(logging.CRITICAL)


class _Packetizer(Packetizer):
    """Sends whole packets within the socket's own time limit, or ends the connection.

    paramiko's own loop tries for ever. A packet sent in part leaves nothing to go on
    with, so the connection is shut down for its reader too.
    """

    def __init__(self, sock: socket.socket) -> None:
        super().__init__(sock)
        self._sock = sock

    def write_all(self, out: Any) -> None:
        try:
            self._sock.sendall(out)
        except OSError as error:
            _shut_down(self._sock)
            raise EOFError from error

    def start_handshake(self, timeout: float) -> None:
        """Start no timer thread: the whole connecting has one deadline already."""


class HostTransport(paramiko.Transport):
    """An encrypted connection to one host, over a socket that blocks.

    A blocking read needs no wake-up ten times a second to ask whether the connection
    is still wanted: an idle connection costs nothing. Closing shuts the socket down,
    which ends the read at once.
    """

    def __init__(self, host: str, sock: socket.socket) -> None:
        super().__init__(sock, packetizer_class=_Packetizer)
        sock.settimeout(None)
        self._socket = sock
        self.clear_to_send_timeout = float(DEAD_PEER_SECONDS)
        self.name = f"ssh {host}"
        self.set_log_channel(_PROTOCOL_LOG)
        options = self.get_security_options()
        options.kex = [
            *CHEAP_KEX,
            *(name for name in options.kex if name not in CHEAP_KEX),
        ]

    def request_exec(self, channel: paramiko.Channel, line: bytes) -> None:
        """Ask the host to execute a command line (RFC 4254 section 6.5).

        Unlike Channel.exec_command this does not wait for the consent, for which a
        hung host could make it wait without end. A refusal closes the channel.
        """
        request = paramiko.Message()
        request.add_byte(cMSG_CHANNEL_REQUEST)
        request.add_int(channel.remote_chanid)
        request.add_string("exec")
        request.add_boolean(True)
        request.add_string(line)
        self._send_request(request)

    def request_signal(self, channel: paramiko.Channel, signal: str) -> None:
        """Ask the host to signal a channel's processes (RFC 4254 section 6.9).

        ``signal`` is a name without "SIG". Hosts do not answer, and some refuse.
        """
        request = paramiko.Message()
        request.add_byte(cMSG_CHANNEL_REQUEST)
        request.add_int(channel.remote_chanid)
        request.add_string("signal")
        request.add_boolean(False)
        request.add_string(signal)
        self._send_request(request)

    def close(self) -> None:
        """End the connection and its thread; can be repeated."""
        _shut_down(self._socket)
        if self.is_alive() and self is not threading.current_thread():
            # The thread closes the socket; closing it here, while it may be about to
            # read, could make it read from a descriptor that somebody else was given.
            self.join(timeout=1.0)
        super().close()
        self._socket.close()

    def _send_request(self, request: paramiko.Message) -> None:
        # Of paramiko's private names this is the only one used. It does what sending
        # over a Channel does: wait while new encryption keys are being agreed on.
        self._send_user_message(request)  # type: ignore[attr-defined]


def handshake(
    host: str,
    port: int,
    sock: socket.socket,
    key_algorithms: Sequence[str],
    deadline: Deadline,
) -> HostTransport:
    """Return an encrypted connection over ``sock``, to a host not yet verified.

    Only host keys of ``key_algorithms`` are asked for. Owns the socket from here on.
    Raises HostUnreachable, or paramiko's IncompatiblePeer when the host has none of
    the algorithms.
    """
    transport = HostTransport(host, sock)
    done = threading.Event()
    try:
        transport.get_security_options().key_types = tuple(key_algorithms)
        transport.start_client(event=done)
        in_time = done.wait(deadline.remaining())
        if in_time and transport.is_active():
            return transport
        raise _handshake_failure(host, port, transport, deadline, in_time=in_time)
    except BaseException:
        transport.close()
        raise


def _handshake_failure(
    host: str, port: int, transport: HostTransport, deadline: Deadline, *, in_time: bool
) -> Exception:
    cause = transport.get_exception()
    if isinstance(cause, IncompatiblePeer):
        return cause
    if not transport.remote_version:
        what = f"no SSH server answered on port {port}"
    else:
        what = "the SSH handshake did not end"
    when = f" within {deadline.seconds:g} s" if not in_time else ""
    return HostUnreachable(host, what + when)


def log_in(
    host: str,
    transport: HostTransport,
    user: str,
    key: paramiko.PKey,
    deadline: Deadline,
) -> None:
    """Log in with a key; the host must have been verified before.

    Raises LoginRefused, or HostUnreachable when no answer comes in time.
    """
    answered = threading.Event()
    with contextlib.suppress(paramiko.SSHException, EOFError):
        transport.auth_publickey(user, key, answered)
        if not answered.wait(deadline.remaining()):
            raise HostUnreachable(
                host, f"the login was not answered within {deadline.seconds:g} s"
            )
    if transport.is_authenticated():
        return
    cause = transport.get_exception()
    if isinstance(cause, PartialAuthentication):
        raise LoginRefused(host, user, reason="it asks for more than a key") from cause
    if isinstance(cause, paramiko.AuthenticationException):
        raise LoginRefused(host, user) from cause
    raise LoginRefused(host, user, reason="it closed the connection") from cause


def _shut_down(sock: socket.socket) -> None:
    """End both directions, which wakes whoever reads or writes; can be repeated."""
    with contextlib.suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)
