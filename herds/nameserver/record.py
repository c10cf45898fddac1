"""What one server of a zone says of a name, asked directly and never out of a cache."""

from __future__ import annotations

import dns.flags
import dns.message
import dns.name
import dns.rdatatype

from .exchange import Silent, ask
from .values import Said, Server


def ask_server(name: str, zone: str, server: Server, timeout: float) -> Said:
    """Ask a server for a name and for the serial of its zone.

    The question is for an address: its answer shows a CNAME as well as what must not be
    beside one.
    """
    try:
        heard = _answer(name, "A", server, timeout)
        serial = _serial(zone, server, timeout)
    except Silent as silent:
        return Said(server=server, trouble=str(silent))
    owner = dns.name.from_text(name)
    for rrset in heard.answer:
        if rrset.name != owner:
            continue
        if rrset.rdtype == dns.rdatatype.CNAME:
            target = rrset[0].target.to_text(omit_final_dot=True)
            return Said(
                server=server, target=target.lower(), ttl=rrset.ttl, serial=serial
            )
        data = ", ".join(f"A {rdata.to_text()}" for rdata in rrset)
        return Said(server=server, other=data, ttl=rrset.ttl, serial=serial)
    is_there = heard.rcode() == dns.rcode.NOERROR
    return Said(
        server=server, other="data of another kind" if is_there else "", serial=serial
    )


def has_address(name: str, server: Server, timeout: float) -> bool | None:
    """Tell whether a name leads to an address there; None if the server is not asked.

    Raises:
        Silent: nothing is known.
    """
    heard = _answer(name, "A", server, timeout)
    kinds = {rrset.rdtype for rrset in heard.answer}
    if dns.rdatatype.A in kinds:
        return True
    if dns.rdatatype.CNAME in kinds:
        return None
    if heard.rcode() == dns.rcode.NXDOMAIN:
        return False
    return bool(_answer(name, "AAAA", server, timeout).answer)


def _serial(zone: str, server: Server, timeout: float) -> int | None:
    heard = _answer(zone, "SOA", server, timeout)
    for rrset in heard.answer:
        if rrset.rdtype == dns.rdatatype.SOA:
            return int(rrset[0].serial)
    return None


def _answer(
    name: str, kind: str, server: Server, timeout: float
) -> dns.message.Message:
    """Ask an authoritative server, and no other.

    Raises:
        Silent: it gives no answer, or none of its own.
    """
    query = dns.message.make_query(dns.name.from_text(name), kind)
    query.flags &= ~dns.flags.RD
    answer = ask(query, server, timeout)
    if answer.rcode not in {"NOERROR", "NXDOMAIN"}:
        raise Silent(f"answered {answer.rcode}")
    if not answer.message.flags & dns.flags.AA:
        raise Silent("is not in charge of the zone")
    return answer.message
