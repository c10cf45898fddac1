"""A name server that answers as it is told: each datagram by a function of the test."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator

import dns.flags
import dns.message
import dns.name
import dns.opcode
import dns.rcode
import dns.rrset
import dns.tsig
import dns.update

from herds.domain.clock import SystemClock
from herds.nameserver.key import TsigKey
from herds.nameserver.nameserver import Access, Manner, Nameserver
from herds.nameserver.values import Server

KEY = TsigKey(name="elephaas", secret="MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=")
ZONE = "lab.test"

Reply = Callable[[dns.message.Message], dns.message.Message | bytes | None]


class Scripted:
    """Hears messages over UDP and, at the same port, TCP; keeps what it heard."""

    def __init__(self, reply: Reply, over_tcp: Reply | None = None) -> None:
        self.heard: list[dns.message.Message] = []
        self._reply = {"udp": reply, "tcp": over_tcp}
        self._udp, self._tcp = _same_port()
        self.server = Server(
            name="ns1.lab.test",
            address="127.0.0.1",
            port=self._udp.getsockname()[1],
        )
        self._threads = [
            threading.Thread(target=serve) for serve in (self._hear, self._accept)
        ]

    @property
    def updates(self) -> list[dns.update.UpdateMessage]:
        """What was heard of updates."""
        return [
            each for each in self.heard if isinstance(each, dns.update.UpdateMessage)
        ]

    def _answer(self, wire: bytes, way: str) -> bytes | None:
        message = dns.message.from_wire(wire, keyring=KEY.for_messages())
        self.heard.append(message)
        reply = self._reply[way]
        answer = reply(message) if reply else None
        return answer.to_wire() if isinstance(answer, dns.message.Message) else answer

    def _hear(self) -> None:
        while True:
            wire, sender = self._udp.recvfrom(65535)
            if not wire:
                return
            answer = self._answer(wire, "udp")
            if answer is not None:
                self._udp.sendto(answer, sender)

    def _accept(self) -> None:
        while True:
            line, _ = self._tcp.accept()
            with line, contextlib.suppress(OSError):
                size = int.from_bytes(line.recv(2))
                if not size:
                    return
                answer = self._answer(line.recv(size), "tcp")
                if answer is not None:
                    line.sendall(len(answer).to_bytes(2) + answer)

    def __enter__(self) -> Scripted:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as line:
            line.sendto(b"", self._udp.getsockname())
        socket.create_connection(self._tcp.getsockname()).close()
        for thread in self._threads:
            thread.join(timeout=5)
        self._udp.close()
        self._tcp.close()


def _same_port() -> tuple[socket.socket, socket.socket]:
    """Open sockets for both ways at a port that is free for both."""
    while True:
        tcp = socket.create_server(("127.0.0.1", 0))
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            udp.bind(tcp.getsockname())
        except OSError:
            udp.close()
            tcp.close()
            continue
        return udp, tcp


@contextlib.contextmanager
def nobody() -> Iterator[Server]:
    """A server at whose port nobody listens."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as line:
        line.bind(("127.0.0.1", 0))
        # Nobody else gets the port, and whoever writes to it is told that it is closed.
        line.connect(("127.0.0.1", 9))
        port = line.getsockname()[1]
        yield Server(name="ns1.lab.test", address="127.0.0.1", port=port)


def saying(rcode: str, *records: str, aa: bool = True) -> Reply:
    """Answer every message with a code and records such as ``trade 60 IN CNAME a``."""

    def reply(message: dns.message.Message) -> dns.message.Message:
        answer = dns.message.make_response(message)
        answer.set_rcode(dns.rcode.from_text(rcode))
        if message.opcode() == dns.opcode.QUERY:
            answer.flags |= dns.flags.AA if aa else 0
            owner, kind = message.question[0].name, message.question[0].rdtype
            for record in records:
                name, ttl, _, type_, data = record.split(maxsplit=4)
                full = dns.name.from_text(name, dns.name.from_text(ZONE))
                if full == owner and (type_ == "CNAME" or type_ == kind.name):
                    answer.answer.append(
                        dns.rrset.from_text(full, int(ttl), "IN", type_, data)
                    )
        return answer

    return reply


def either(query: Reply, update: Reply) -> Reply:
    """Answer questions in one way and updates in another."""
    return lambda message: (query if message.opcode() == dns.opcode.QUERY else update)(
        message
    )


def silent(message: dns.message.Message) -> None:
    """Answer nothing."""


class Records:
    """A zone of CNAMEs that obeys updates, for ``Scripted``; hosts are there by name.

    ``refuses`` is the code with which every update is answered.
    """

    def __init__(self, hosts: tuple[str, ...], **targets: str) -> None:
        self.targets = {
            f"{name}.{ZONE}.": f"{host}.{ZONE}." for name, host in targets.items()
        }
        self.refuses = ""
        self._hosts = [f"{host}.{ZONE}." for host in hosts]

    def __call__(self, message: dns.message.Message) -> dns.message.Message | None:
        """Answer a question or an update."""
        if isinstance(message, dns.update.UpdateMessage):
            return saying(self.refuses or self._update(message))(message)  # type: ignore[return-value]
        owner = message.question[0].name.to_text()
        records = [f"{ZONE}. 5 IN SOA ns1.{ZONE}. b.{ZONE}. 7 1 1 1 1"]
        if owner in self.targets:
            records.append(f"{owner} 60 IN CNAME {self.targets[owner]}")
        records += [f"{host} 60 IN A 127.0.0.1" for host in self._hosts]
        known = owner in {*self.targets, *self._hosts, f"{ZONE}."}
        return saying("NOERROR" if known else "NXDOMAIN", *records)(message)  # type: ignore[return-value]

    def _update(self, update: dns.update.UpdateMessage) -> str:
        (condition,) = update.prerequisite
        name = condition.name.to_text()
        expected = condition[0].target.to_text() if len(condition) else None
        if self.targets.get(name) != expected:
            return "NXRRSET" if expected else "YXDOMAIN"
        for rrset in update.update:
            for rdata in rrset:
                self.targets[name] = rdata.target.to_text()
        return "NOERROR"


def nameserver_of(*servers: Server) -> Nameserver:
    """Give what asks these servers for the zone, and moves its names."""
    addresses = tuple(f"{server.address}#{server.port}" for server in servers)
    manner = Manner(
        access=Access(),
        zones={ZONE: Access(key=KEY, servers=addresses)},
        domain=ZONE,
        timeout=0.4,
    )
    return Nameserver(manner, SystemClock())
