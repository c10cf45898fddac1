"""One verified, logged-in connection to a host."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import paramiko
from paramiko.pkey import UnknownKeyType
from paramiko.ssh_exception import IncompatiblePeer

from herds.errors import HostKeyChanged, HostUnreachable, PreconditionFailed
from herds.ssh.deadline import Deadline
from herds.ssh.dial import dial
from herds.ssh.host_keys import HostKey, fetch_host_key
from herds.ssh.transport import HostTransport, handshake, log_in


@dataclass(frozen=True, kw_only=True)
class Login:
    """As whom to log in, with which key, and how long connecting may take in all.

    ``connect_timeout`` is in seconds and covers name look-up, TCP, the handshake and
    the login together.
    """

    user: str
    key: paramiko.PKey
    port: int = 22
    connect_timeout: float = 5.0


def load_private_key(path: str | Path) -> paramiko.PKey:
    """Return the private key in a file: Ed25519, ECDSA or RSA, without a passphrase.

    Raises PreconditionFailed with what is wrong with the file.
    """
    hint = "Check the setting for the SSH private key file."
    try:
        return paramiko.PKey.from_path(path)
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        message = f"The SSH private key {path} cannot be read ({why})."
        raise PreconditionFailed(message, hint=hint) from error
    except (paramiko.PasswordRequiredException, TypeError) as error:
        message = f"The SSH private key {path} is protected by a passphrase."
        raise PreconditionFailed(message, hint=hint) from error
    except (paramiko.SSHException, UnknownKeyType, ValueError) as error:
        message = f"{path} holds no usable SSH private key."
        raise PreconditionFailed(message, hint=hint) from error


def connect(host: str, pinned: HostKey, login: Login) -> HostTransport:
    """Return a connection to the host that owns the pinned key, logged in.

    Only the pinned key's type is asked for, so that a host with several keys shows
    that one. Raises HostUnreachable, HostKeyChanged or LoginRefused within the login's
    ``connect_timeout`` (twice that, where a changed key has to be fetched to be told).
    """
    deadline = Deadline(login.connect_timeout)
    sock = dial(host, login.port, deadline)
    try:
        transport = handshake(host, login.port, sock, pinned.algorithms, deadline)
    except IncompatiblePeer as error:
        raise _incompatible(host, pinned, login) from error
    try:
        presented = HostKey.presented_by(transport)
        if presented != pinned:
            raise HostKeyChanged(
                host, presented=presented.fingerprint, pinned=pinned.fingerprint
            )
        log_in(host, transport, login.user, login.key, deadline)
    except BaseException:
        transport.close()
        raise
    return transport


def _incompatible(host: str, pinned: HostKey, login: Login) -> Exception:
    """Tell a host that lost the pinned type of key from one that shares nothing."""
    try:
        presented = fetch_host_key(host, login.port, login.connect_timeout)
    except HostUnreachable as unreachable:
        return unreachable
    return HostKeyChanged(
        host, presented=presented.fingerprint, pinned=pinned.fingerprint
    )
