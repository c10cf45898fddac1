"""One message to one server and its answer: UDP, then TCP; and what codes mean."""

from __future__ import annotations

import socket
import time
from contextlib import suppress

import dns.exception
import dns.flags
import dns.message
import dns.query
import dns.rcode
import dns.tsig

from .values import Server

REFUSALS = {
    "REFUSED": "the server's policy does not let this key change the name",
    "NOTAUTH": "the server does not know the key, or is not in charge of the zone",
    "NOTZONE": "the name does not lie in the zone",
    "BADKEY": "the server does not know the key",
    "BADSIG": "the server has another secret for the key",
    "BADTIME": "the clocks of this machine and of the server differ by minutes",
    "SERVFAIL": "the server cannot serve the zone",
    "NOTIMP": "the server takes no updates",
    "FORMERR": "the server did not understand the message",
}
"""What the answer to an update says when nothing was changed."""

_LARGEST = 65535


class Silent(Exception):
    """There was no answer that can be trusted; the text says why, as a phrase."""


def ask(message: dns.message.Message, server: Server, timeout: float) -> Answer:
    """Send a question, and send it again if it may have been lost.

    Raises:
        Silent: within ``timeout`` seconds.
    """
    deadline = time.monotonic() + timeout
    with suppress(TimeoutError), connected(server) as line:
        return exchange(message, message.to_wire(), line, timeout / 2)
    with connected(server) as line:
        left = max(0.05, deadline - time.monotonic())
        try:
            return exchange(message, message.to_wire(), line, left)
        except TimeoutError:
            raise Silent(f"did not answer within {timeout:g} s") from None


class Answer:
    """A server's answer: the message, and the code, also where it tells of the key."""

    def __init__(self, rcode: str, message: dns.message.Message | None = None) -> None:
        self.rcode = rcode
        self._message = message

    @property
    def message(self) -> dns.message.Message:
        """What the server sent."""
        if self._message is None:
            raise Silent(f"answered {self.rcode}")
        return self._message


def connected(server: Server) -> socket.socket:
    """Open a socket that hears this server only.

    Raises:
        Silent: there is no way to its address.
    """
    if not server.address:
        raise Silent("has no address")
    family = socket.AF_INET6 if ":" in server.address else socket.AF_INET
    line = socket.socket(family, socket.SOCK_DGRAM)
    try:
        line.connect((server.address, server.port))
    except OSError as error:
        line.close()
        raise Silent(f"cannot be reached ({_why(error)})") from error
    return line


def exchange(
    message: dns.message.Message, wire: bytes, line: socket.socket, timeout: float
) -> Answer:
    """Send what is ready to be sent, and wait for its answer.

    What cannot be the answer is not listened to: another number, a signature that is
    not the server's, or none where the question was signed and the answer is yes.

    Raises:
        Silent: the server's host says that nobody listens there.
        TimeoutError: no answer came in time; what became of the message is unknown.
    """
    deadline = time.monotonic() + timeout
    try:
        line.send(wire)
        while (left := deadline - time.monotonic()) > 0:
            line.settimeout(left)
            answer = _read(message, line.recv(_LARGEST))
            if answer is None:
                continue
            if answer._message is not None and answer.message.flags & dns.flags.TC:
                return over_tcp(message, line, deadline - time.monotonic())
            return answer
    except TimeoutError:
        raise
    except OSError as error:
        raise Silent(f"cannot be reached ({_why(error)})") from error
    raise TimeoutError


def over_tcp(
    message: dns.message.Message, line: socket.socket, timeout: float
) -> Answer:
    """Ask the server at the other end of a line over TCP.

    Raises:
        Silent: it is not to be reached so.
        TimeoutError: no answer came in time; what became of the message is unknown.
    """
    address, port = line.getpeername()[:2]
    try:
        heard = dns.query.tcp(message, address, timeout=max(0.05, timeout), port=port)
    except dns.exception.Timeout:
        raise TimeoutError from None
    except dns.tsig.PeerError as told:
        return Answer(_told_of_key(told))
    except (OSError, EOFError) as error:
        raise Silent(f"cannot be reached over TCP ({_why(error)})") from error
    except dns.exception.DNSException as error:
        raise Silent("sent something that is no answer") from error
    answer = _trusted(message, heard)
    if answer is None:
        raise Silent("sent an answer that it had not signed")
    return answer


def _read(message: dns.message.Message, wire: bytes) -> Answer | None:
    """Read a datagram; None if it is no answer to the message."""
    if wire[:2] != message.id.to_bytes(2, "big"):
        return None
    try:
        heard = dns.message.from_wire(
            wire, keyring=message.keyring, request_mac=message.mac
        )
    except dns.tsig.PeerError as told:
        return Answer(_told_of_key(told))
    except dns.exception.DNSException:
        return None
    return _trusted(message, heard) if message.is_response(heard) else None


def _trusted(message: dns.message.Message, heard: dns.message.Message) -> Answer | None:
    """Give the answer; None for a yes to a signed question that nobody has signed."""
    rcode = dns.rcode.to_text(heard.rcode())
    if message.had_tsig and not heard.had_tsig and rcode == "NOERROR":
        return None
    return Answer(rcode, heard)


def _told_of_key(told: dns.tsig.PeerError) -> str:
    codes = {
        dns.tsig.PeerBadKey: "BADKEY",
        dns.tsig.PeerBadSignature: "BADSIG",
        dns.tsig.PeerBadTime: "BADTIME",
    }
    return codes.get(type(told), "NOTAUTH")


def _why(error: Exception) -> str:
    return (getattr(error, "strerror", None) or str(error) or "cut off").lower()
