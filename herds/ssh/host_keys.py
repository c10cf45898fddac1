"""A host's public key as a value, and how to ask a host for it."""

from __future__ import annotations

import base64
import binascii
import hashlib
from dataclasses import dataclass
from typing import Self

import paramiko
from paramiko.ssh_exception import IncompatiblePeer

from herds.errors import HostUnreachable
from herds.ssh.deadline import Deadline
from herds.ssh.dial import dial
from herds.ssh.transport import handshake

RSA_SIGNATURES = ("rsa-sha2-512", "rsa-sha2-256")

ALGORITHMS: dict[str, tuple[str, ...]] = {
    "ssh-ed25519": ("ssh-ed25519",),
    "ecdsa-sha2-nistp256": ("ecdsa-sha2-nistp256",),
    "ecdsa-sha2-nistp384": ("ecdsa-sha2-nistp384",),
    "ecdsa-sha2-nistp521": ("ecdsa-sha2-nistp521",),
    "ssh-rsa": RSA_SIGNATURES,
}
"""The supported key types, best first, with the signatures asked of each (RFC 8332)."""


@dataclass(frozen=True)
class HostKey:
    """The public key by which a host is recognised.

    ``str()`` gives the form it is stored in, that of a .pub file: "type base64".
    """

    type: str
    base64: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the key written as "type base64", with or without a comment.

        Raises ValueError for anything else, and for unsupported types.
        """
        words = text.split()
        if len(words) < 2 or words[0] not in ALGORITHMS:
            raise ValueError(f"Not a supported SSH public key: {text[:80]!r}")
        key_type, encoded = words[:2]
        try:
            blob = base64.b64decode(encoded, validate=True)
        except binascii.Error:
            raise ValueError(f"Not the base64 of a key: {encoded[:80]!r}") from None
        # The encoded key begins with its own type (RFC 4253 section 6.6).
        begins = len(key_type).to_bytes(4, "big") + key_type.encode()
        if not blob.startswith(begins):
            raise ValueError(f"The key is not of the type it says, {key_type}.")
        return cls(key_type, encoded)

    @classmethod
    def presented_by(cls, transport: paramiko.Transport) -> Self:
        """Return the key that the host at the other end has proved to own."""
        key = transport.get_remote_server_key()
        return cls(key.get_name(), base64.b64encode(key.asbytes()).decode())

    @property
    def fingerprint(self) -> str:
        """Return "SHA256:…" as ssh-keygen -l prints it."""
        digest = hashlib.sha256(base64.b64decode(self.base64)).digest()
        return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")

    @property
    def algorithms(self) -> tuple[str, ...]:
        """Return the names under which a host can offer a key of this type."""
        return ALGORITHMS[self.type]

    def __str__(self) -> str:
        return f"{self.type} {self.base64}"


def fetch_host_key(host: str, port: int = 22, timeout: float = 5.0) -> HostKey:
    """Ask a host for its key, without logging in, for a person to compare.

    Raises HostUnreachable within ``timeout`` seconds.
    """
    deadline = Deadline(timeout)
    wanted = [name for names in ALGORITHMS.values() for name in names]
    sock = dial(host, port, deadline)
    try:
        transport = handshake(host, port, sock, wanted, deadline)
    except IncompatiblePeer as error:
        raise HostUnreachable(
            host, "it supports none of our SSH key exchanges, ciphers or key types"
        ) from error
    try:
        return HostKey.presented_by(transport)
    finally:
        transport.close()
