"""Finds the zone of a name and the servers in charge of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import dns.exception
import dns.inet
import dns.name
import dns.rdatatype
import dns.resolver

from herds.errors import NameserverUnreachable, PreconditionFailed

from .values import Server, Zone


def resolver(timeout: float, servers: Sequence[Server] = ()) -> dns.resolver.Resolver:
    """Give the machine's resolver, or one that asks the given servers.

    Raises:
        PreconditionFailed: this machine knows no name server.
    """
    try:
        found = dns.resolver.Resolver(configure=not servers)
    except dns.resolver.NoResolverConfiguration as error:
        raise PreconditionFailed(
            "This machine knows no name server (/etc/resolv.conf).",
            hint="Give the zone's servers in the setting DNS.",
        ) from error
    if servers:
        found.nameservers = [
            dns.nameserver.Do53Nameserver(server.address, server.port)
            for server in servers
        ]
    found.lifetime = timeout
    return found


def read_server(text: str) -> Server:
    """Read an address of the settings, such as ``192.0.2.53`` or ``192.0.2.53#5353``.

    Raises:
        ValueError: it is none, as a phrase.
    """
    address, _, port = text.partition("#")
    if not dns.inet.is_address(address):
        raise ValueError(f"{text!r} is no IP address")
    if port and not (port.isdecimal() and 0 < int(port) < 65536):
        raise ValueError(f"{text!r} has no port from 1 to 65535 after the #")
    return Server(name=address, address=address, port=int(port or 53))


def find_zone(name: str, asked: dns.resolver.Resolver) -> str:
    """Find the zone that holds a name: the nearest name above that has an SOA.

    Raises:
        PreconditionFailed: there is none.
        NameserverUnreachable: nothing is known.
    """
    at = dns.name.from_text(name)
    while at != dns.name.root:
        if any(rrset.name == at for rrset in _look_up(at, "SOA", asked)):
            return at.to_text(omit_final_dot=True).lower()
        at = at.parent()
    raise PreconditionFailed(
        f"No DNS zone holds {name}.",
        hint="Correct the virtual host, or set DOMAIN in the setting DNS.",
    )


def find_servers(zone: str, asked: dns.resolver.Resolver) -> tuple[Server, ...]:
    """Find a zone's primary, as its SOA names it, and then its other servers.

    Raises:
        PreconditionFailed: the zone names none.
        NameserverUnreachable: nothing is known.
    """
    owner = dns.name.from_text(zone)
    primaries = [
        rdata.mname for rrset in _look_up(owner, "SOA", asked) for rdata in rrset
    ]
    others = [
        rdata.target
        for rrset in _look_up(owner, "NS", asked)
        for rdata in sorted(rrset)
    ]
    names = list(dict.fromkeys([*primaries, *others]))
    if not names:
        raise PreconditionFailed(f"The DNS zone {zone} names no server.")
    return tuple(_server(name, asked) for name in names)


def servers_of(zone: str, given: Iterable[str], asked: dns.resolver.Resolver) -> Zone:
    """Give a zone with the servers of the settings, else with those it names itself."""
    known = tuple(read_server(text) for text in given)
    return Zone(name=zone, servers=known or find_servers(zone, asked))


def _server(name: dns.name.Name, asked: dns.resolver.Resolver) -> Server:
    shown = name.to_text(omit_final_dot=True).lower()
    for kind in ("A", "AAAA"):
        try:
            found = [rdata for each in _look_up(name, kind, asked) for rdata in each]
        except NameserverUnreachable:
            found = []
        if found:
            return Server(name=shown, address=found[0].address)
    return Server(name=shown)


def _look_up(
    name: dns.name.Name, kind: str, asked: dns.resolver.Resolver
) -> Sequence[dns.rrset.RRset]:
    """Look a name up; nothing where there is none.

    Raises:
        NameserverUnreachable: nothing is known.
    """
    try:
        found = asked.resolve(name, kind, raise_on_no_answer=False)
    except dns.resolver.NXDOMAIN:
        return ()
    except dns.exception.DNSException as error:
        servers = ", ".join(str(server) for server in asked.nameservers)
        raise NameserverUnreachable(
            servers, f"no usable answer to {name.to_text(omit_final_dot=True)} {kind}"
        ) from error
    wanted = dns.rdatatype.from_text(kind)
    # A CNAME on the way is among the answers.
    return [rrset for rrset in found.response.answer if rrset.rdtype == wanted]
