"""Meet a server: see its host key, accept it, and log in with it.

A key is asked for without logging in, shown to a person, and pinned once accepted.
Every later connection asks for exactly that key.
"""

from __future__ import annotations

from django.utils import timezone

from herds import conf
from herds.errors import PreconditionFailed
from herds.models import Server
from herds.ssh import probe
from herds.ssh.connection import Login, load_private_key
from herds.ssh.host_keys import HostKey, fetch_host_key

__all__ = [
    "HostKey",
    "accept_host_key",
    "check_login",
    "pinned_key",
    "present_host_key",
    "public_half",
    "read_host_key",
]


def present_host_key(hostname: str) -> HostKey:
    """Ask a host for the key it presents now, for a person to compare.

    Raises:
        HostUnreachable: within the setting ``CONNECT_TIMEOUT``, with the reason.
    """
    ssh = conf.ssh()
    return fetch_host_key(hostname, ssh.port, ssh.connect_timeout)


def check_login(hostname: str, key: HostKey) -> None:
    """Log in on the host that owns this key, as the remote user, and leave again.

    Raises:
        HostUnreachable: within twice the setting ``CONNECT_TIMEOUT``, with the reason.
        HostKeyChanged: the host presents another key by now.
        LoginRefused: the host does not let the remote user in, or run commands.
        PreconditionFailed: this service's own private key cannot be used.
    """
    ssh = conf.ssh()
    login = Login(
        user=ssh.user,
        key=load_private_key(ssh.private_key_file),
        port=ssh.port,
        connect_timeout=ssh.connect_timeout,
    )
    probe.check_login(hostname, key, login)


def public_half() -> str:
    """Compute the public half of this service's private key: its type and base64.

    Raises:
        PreconditionFailed: the private key cannot be used, with the reason.
    """
    key = load_private_key(conf.ssh().private_key_file)
    return f"{key.get_name()} {key.get_base64()}"


def accept_host_key(server: Server, key: HostKey, by: str) -> None:
    """Pin the key that a person accepted, in memory; the caller saves the server.

    Args:
        server: the host.
        key: what it presented and the person compared.
        by: the person's name, kept as text.
    """
    server.host_key = str(key)
    server.host_key_accepted_at = timezone.now()
    server.host_key_accepted_by = by


def pinned_key(server: Server) -> HostKey | None:
    """Return the key that was accepted for a server, None if none was.

    Raises:
        PreconditionFailed: what is stored is no key.
    """
    return read_host_key(server.host_key) if server.host_key else None


def read_host_key(text: str) -> HostKey:
    """Return the key written as in ``known_hosts``: its type and its base64.

    Raises:
        PreconditionFailed: it is no key.
    """
    try:
        return HostKey.parse(text)
    except ValueError as error:
        raise PreconditionFailed(
            f"What is kept as a host key is none: {error}",
            hint="Accept the host's key again on the server's page.",
        ) from error
