"""The key that signs changes of a zone (TSIG, RFC 8945), and BIND's file of it."""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass, field
from pathlib import Path

import dns.exception
import dns.name
import dns.tsig

from herds.errors import PreconditionFailed

ALGORITHMS = {
    "hmac-sha256": dns.tsig.HMAC_SHA256,
    "hmac-sha512": dns.tsig.HMAC_SHA512,
    "hmac-sha384": dns.tsig.HMAC_SHA384,
    "hmac-sha224": dns.tsig.HMAC_SHA224,
    "hmac-sha1": dns.tsig.HMAC_SHA1,
    "hmac-md5": dns.tsig.HMAC_MD5,
}
"""What BIND calls the algorithms, and what stands in messages."""

# A secret in base64 may hold "//": what stands in quotes is no comment.
_COMMENT = re.compile(r'("[^"]*")|/\*.*?\*/|(?://|#)[^\n]*', re.S)
_BLOCK = re.compile(r'\bkey\s+(?:"([^"]+)"|([^\s"{;]+))\s*\{([^}]*)\}', re.S)
_FIELD = re.compile(r'\b(algorithm|secret)\s+(?:"([^"]*)"|([^\s";]+))\s*;')


@dataclass(frozen=True, kw_only=True)
class TsigKey:
    """A shared secret with its name; the secret is shown nowhere."""

    name: str
    secret: str = field(repr=False)
    algorithm: str = "hmac-sha256"

    def __post_init__(self) -> None:
        """Refuse what cannot sign.

        Raises:
            ValueError: with the reason, as a phrase; it never tells the secret.
        """
        if self.algorithm not in ALGORITHMS:
            known = ", ".join(ALGORITHMS)
            raise ValueError(f"its algorithm is none of {known}")
        try:
            dns.name.from_text(self.name)
        except dns.exception.DNSException:
            raise ValueError("its name is no DNS name") from None
        try:
            decoded = base64.b64decode(self.secret, validate=True)
        except (binascii.Error, ValueError):
            raise ValueError("its secret is not written in base64") from None
        if not decoded:
            raise ValueError("its secret is empty")

    @classmethod
    def parse(cls, text: str) -> TsigKey:
        """Read the one key of a file as ``tsig-keygen`` prints it.

        Raises:
            ValueError: with the reason, as a phrase; it never tells the secret.
        """
        blocks = _BLOCK.findall(_COMMENT.sub(r"\1 ", text))
        if len(blocks) != 1:
            raise ValueError(
                "it holds no key as tsig-keygen prints it"
                if not blocks
                else "it holds more than one key"
            )
        quoted, bare, body = blocks[0]
        fields = {name: one or other for name, one, other in _FIELD.findall(body)}
        if fields.keys() != {"algorithm", "secret"}:
            raise ValueError("its key lacks the algorithm or the secret")
        return cls(
            name=quoted or bare,
            algorithm=fields["algorithm"].lower(),
            secret=fields["secret"],
        )

    def for_messages(self) -> dns.tsig.Key:
        """Give the key as the DNS library signs with it."""
        return dns.tsig.Key(
            dns.name.from_text(self.name),
            base64.b64decode(self.secret),
            ALGORITHMS[self.algorithm],
        )


def load_key(path: Path) -> TsigKey:
    """Read a key file; it is read anew for every use, so that it can be replaced.

    Raises:
        PreconditionFailed: with what is wrong with the file.
    """
    hint = "Check the setting DNS."
    try:
        return TsigKey.parse(path.read_text())
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise PreconditionFailed(
            f"The DNS key file {path} cannot be read ({why}).", hint=hint
        ) from error
    except ValueError as error:
        why = "it is no text" if isinstance(error, UnicodeError) else str(error)
        raise PreconditionFailed(
            f"The DNS key file {path} cannot be used: {why}.", hint=hint
        ) from None
