"""DNS as services see it: look at a virtual host, prove the right to it, move it."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import dns.resolver

from herds.domain.clock import Clock, watch
from herds.errors import NameserverUnreachable, PreconditionFailed

from . import names
from .exchange import Silent
from .key import TsigKey, load_key
from .move import Change, PreparedMove, prove
from .record import ask_server, has_address
from .values import Look, Proof, Said, Server, Zone
from .zone import find_zone, read_server, resolver, servers_of

_KEPT = 60.0
"""Seconds for which a zone's servers are not looked up again."""


@dataclass(frozen=True, kw_only=True)
class Access:
    """How a zone is reached: the key that may change it, and its servers.

    Attributes:
        key: the key or the file that holds it; None where there is none.
        servers: addresses, the first takes the changes; empty to ask the zone itself.
    """

    key: TsigKey | Path | None = None
    servers: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Manner:
    """How names are managed.

    Attributes:
        access: of all zones that ``zones`` does not name.
        zones: the zones that are known, each with its own access.
        domain: where host names of one part lie; empty to search as this machine does.
        ttl: seconds a new record may be kept by others.
        timeout: seconds to wait for a server.
    """

    access: Access
    zones: Mapping[str, Access] = field(default_factory=dict)
    domain: str = ""
    ttl: int = 300
    timeout: float = 2.0


class Nameserver:
    """The servers of the zones in which virtual hosts live.

    Several threads may use it. It keeps no connection; what it learns of zones, their
    servers and hosts is looked up again, and used where that fails, so that a lost
    resolver does not keep a name from being moved.
    """

    def __init__(self, manner: Manner, clock: Clock) -> None:
        """Keep how names are managed; nothing is asked yet."""
        self._manner = manner
        self._clock = clock
        self._lock = threading.Lock()
        self._zones: dict[str, tuple[float, str, Zone]] = {}
        self._hosts: dict[tuple[str, str], str] = {}

    def look(self, vhost: str) -> Look:
        """Ask every server of the zone, at once and directly, where a name points.

        Raises:
            PreconditionFailed: the name cannot be one, or no zone holds it.
            NameserverUnreachable: the zone's servers are not known.
        """
        name, zone = self._find(vhost)
        return self._look(name, zone)

    def host_name(self, host: str, vhost: str) -> str:
        """Give a host's full name, as the record of a virtual host holds it.

        A name of one part lies in the domain of the settings; without one, in the
        first of the machine's own search domains that has it, else in the zone of the
        virtual host.

        Raises:
            PreconditionFailed: there is no such host in DNS, or it is an address.
            NameserverUnreachable: nothing is known.
        """
        full = names.in_full(host, self._manner.domain)
        if full:
            return full
        try:
            full = self._search_host(host, vhost)
        except NameserverUnreachable:
            with self._lock:
                known = self._hosts.get((host, vhost))
            if known is None:
                raise
            return known
        with self._lock:
            self._hosts[host, vhost] = full
        return full

    def _search_host(self, host: str, vhost: str) -> str:
        short = names.checked(host)
        found = names.search(short, self._resolver())
        if found:
            return found
        _, zone = self._find(vhost)
        full = f"{short}.{zone.name}"
        if self._exists(full, zone) is not False:
            return full
        raise PreconditionFailed(
            f"The host {short} has no address in DNS; no virtual host can lead to it.",
            host=short,
            hint="Set DOMAIN in the setting DNS to the domain of the hosts.",
        )

    def prove_right(self, look: Look) -> Proof:
        """Ask the server whether it would let this service move the name.

        What is proved is all that the move needs: key, clock and policy. It is the
        same request with the old value as the new one, so nothing changes.

        Raises:
            PreconditionFailed: there is no usable key, or the name has other data.
            NameserverUnreachable: nothing is known.
        """
        refuse_unfit(look)
        change = self._change(look, look.primary.target)
        try:
            return prove(change, self._key(look.zone.name), self._manner.timeout)
        except Silent as silent:
            raise NameserverUnreachable(str(change.server), str(silent)) from silent

    def prepare(self, look: Look, target: str) -> PreparedMove:
        """Make everything ready to move a name from where it was seen to a host.

        Args:
            look: what was seen; the move changes nothing else.
            target: the host's full name.

        Raises:
            PreconditionFailed: there is no usable key, the name has other data, or
                the host has no address in DNS.
            NameserverUnreachable: the server that takes changes does not answer.
        """
        refuse_unfit(look)
        wanted = names.checked(target)
        if self._exists(wanted, look.zone) is False:
            raise PreconditionFailed(
                f"{wanted} has no address in DNS, so {look.name} cannot lead to it.",
                hint="Correct the server's name, or DOMAIN in the setting DNS.",
            )
        change = self._change(look, wanted)
        try:
            return PreparedMove(
                change,
                self._key(look.zone.name),
                lambda: self._ask(look.name, look.zone, change.server),
                self._manner.timeout,
            )
        except Silent as silent:
            raise NameserverUnreachable(str(change.server), str(silent)) from silent

    def await_everywhere(self, look: Look, target: str, timeout: float) -> Look:
        """Ask all servers again until every one says that the name points there.

        Args:
            look: tells the name and the servers.
            target: the host's full name.
            timeout: seconds after which what was seen last is given.

        Returns:
            The last look; ``behind(target)`` names the servers that are stale.
        """
        wanted = names.checked(target)
        _, seen = watch(
            lambda: self._look(look.name, look.zone),
            lambda now: not now.behind(wanted),
            clock=self._clock,
            timeout=timeout,
        )
        return seen

    def _look(self, name: str, zone: Zone) -> Look:
        with ThreadPoolExecutor(max_workers=len(zone.servers)) as pool:
            said = pool.map(lambda server: self._ask(name, zone, server), zone.servers)
            return Look(name=name, zone=zone, said=tuple(said))

    def _ask(self, name: str, zone: Zone, server: Server) -> Said:
        return ask_server(name, zone.name, server, self._manner.timeout)

    def _change(self, look: Look, target: str) -> Change:
        return Change(
            name=look.name,
            zone=look.zone.name,
            server=look.zone.primary,
            old=look.primary.target,
            new=target,
            ttl=look.primary.ttl if look.primary.target else self._manner.ttl,
        )

    def _key(self, zone: str) -> TsigKey:
        """Give the key of a zone.

        Raises:
            PreconditionFailed: there is none, or it cannot be used.
        """
        key = self._manner.zones.get(zone, self._manner.access).key
        if key is None:
            raise PreconditionFailed(
                f"There is no key for the DNS zone {zone}.",
                hint="Give one in the setting DNS.",
            )
        return load_key(key) if isinstance(key, Path) else key

    def _find(self, vhost: str) -> tuple[str, Zone]:
        """Find the full name of a virtual host, and its zone.

        Raises:
            PreconditionFailed: the name cannot be one, or no zone holds it.
            NameserverUnreachable: nothing is known.
        """
        with self._lock:
            kept = self._zones.get(vhost)
        if kept and self._clock.monotonic() - kept[0] < _KEPT:
            return kept[1], kept[2]
        try:
            name, zone = self._discover(vhost)
        except NameserverUnreachable:
            if kept is None:
                raise
            return kept[1], kept[2]
        with self._lock:
            self._zones[vhost] = (self._clock.monotonic(), name, zone)
        return name, zone

    def _discover(self, vhost: str) -> tuple[str, Zone]:
        name = names.in_full(vhost, self._manner.domain)
        if not name:
            asked, short = self._resolver(), names.checked(vhost)
            domain = names.first_domain(asked)
            name = names.search(short, asked) or (f"{short}.{domain}" if domain else "")
        if not name:
            raise PreconditionFailed(
                f"In which DNS domain the virtual host {vhost} lies is not known.",
                hint="Write it in full, or set DOMAIN in the setting DNS.",
            )
        known = [zone for zone in self._manner.zones if f".{name}".endswith(f".{zone}")]
        if known:
            zone = max(known, key=len)
            return name, self._servers(zone, self._manner.zones[zone])
        access = self._manner.access
        servers = tuple(read_server(text) for text in access.servers)
        zone = find_zone(name, self._resolver(servers))
        return name, self._servers(zone, access)

    def _servers(self, zone: str, access: Access) -> Zone:
        return servers_of(zone, access.servers, self._resolver())

    def _exists(self, name: str, zone: Zone) -> bool | None:
        """Tell whether a host has an address; None where nobody knows."""
        if f".{name}".endswith(f".{zone.name}"):
            for server in zone.servers:
                try:
                    return has_address(name, server, self._manner.timeout)
                except Silent:
                    continue
            return None
        try:
            self._resolver().resolve(f"{name}.", "A", raise_on_no_answer=False)
        except dns.resolver.NXDOMAIN:
            return False
        except dns.exception.DNSException:
            return None
        return True

    def _resolver(self, servers: tuple[Server, ...] = ()) -> dns.resolver.Resolver:
        return resolver(self._manner.timeout, servers)


def refuse_unfit(look: Look) -> None:
    """Refuse a name that is no CNAME, or a zone whose primary tells nothing.

    Raises:
        PreconditionFailed: the name has other data, which is told.
        NameserverUnreachable: the server that takes changes does not answer.
    """
    if look.other:
        raise PreconditionFailed(
            f"{look.name} has {look.other} in DNS, and a CNAME can stand beside "
            "nothing else.",
            hint="Have the zone's administrators remove it, or name another virtual "
            "host for the herd.",
        )
    if look.primary.trouble:
        raise NameserverUnreachable(str(look.primary.server), look.primary.trouble)
