"""Reads rows of a fleet from the output of ``pg_lsclusters`` on many hosts."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from .fleet import FleetRow, Refused

# Before the output of each host in one file: as head prints, pssh -i, and ansible.
_HEADERS = (
    re.compile(r"^==> (\S+?)(?:\.txt|\.out)? <==$"),
    re.compile(r"^\[\d+\] [\d:]+ \[(?:SUCCESS|FAILURE)\] (\S+)"),
    re.compile(r"^(\S+) \| [A-Z!]+ \| rc=\d+ >>$"),
)

# Version, cluster, port, status, owner, data directory (which may hold spaces), log.
_LINE = re.compile(r"^(\S+)\s+(\S+)\s+(\d{1,5})\s+(\S+)\s+(\S+)\s+(/.*?)(?:\s+(\S+))?$")


@dataclass(frozen=True, kw_only=True)
class _Cluster:
    where: str
    host: str
    version: str
    name: str
    port: int
    status: str
    pgdata: str

    @property
    def is_standby(self) -> bool:
        return "recovery" in self.status.split(",")

    @property
    def is_primary(self) -> bool:
        return self.status.split(",")[0] == "online" and not self.is_standby


def read_clusters(
    texts: Sequence[tuple[str, str]], environment: str
) -> Iterator[FleetRow | Refused]:
    """Read what ``pg_lsclusters`` printed on many hosts.

    Clusters of the same name and port are one herd, unless more than one of them takes
    writes: then nothing tells which standby follows which, and a person has to.

    Args:
        texts: contents with the host they were printed on; an empty host where the
            content has a header line for each.
        environment: of all of them.
    """
    clusters: list[_Cluster] = []
    for host, text in texts:
        for found in _read(text, host):
            if isinstance(found, Refused):
                yield found
            else:
                clusters.append(found)
    herds: dict[tuple[str, int], list[_Cluster]] = defaultdict(list)
    for cluster in clusters:
        herds[cluster.name, cluster.port].append(cluster)
    names = Counter(name for name, _ in herds)
    for (name, port), members in herds.items():
        herd = name if names[name] == 1 else f"{name}-{port}"
        yield from _herd(herd, members, environment)


def _herd(
    herd: str, members: list[_Cluster], environment: str
) -> Iterator[FleetRow | Refused]:
    primaries = [member for member in members if member.is_primary]
    if len(primaries) > 1:
        hosts = ", ".join(sorted(member.host for member in primaries)[:5])
        for member in members:
            yield Refused(
                where=member.where,
                why=f"Clusters named {member.name} on port {member.port} take writes "
                f"on {len(primaries)} hosts ({hosts}), so they are no single herd. "
                "Write the rows with --as-csv, name the herds there, and import that.",
            )
        return
    pgdata = Counter(member.pgdata for member in members).most_common(1)[0][0]
    # The primary first, so that it is there before those that follow it.
    for member in sorted(members, key=lambda each: not each.is_primary):
        upstream = primaries[0].host if member.is_standby and primaries else ""
        yield FleetRow(
            where=member.where,
            environment=environment,
            herd=herd,
            base_name=member.name,
            port=member.port,
            pgdata=pgdata,
            host=member.host,
            local_pgdata="" if member.pgdata == pgdata else member.pgdata,
            version=member.version,
            upstream=upstream,
        )


def _read(text: str, host: str) -> Iterator[_Cluster | Refused]:
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.rstrip()
        if header := next((m for each in _HEADERS if (m := each.match(line))), None):
            host = header[1]
            continue
        if not line.strip() or line.split()[:2] == ["Ver", "Cluster"]:
            continue
        where = f"{host or 'no host'} line {number}"
        found = _LINE.match(line)
        if not host:
            yield Refused(
                where=where,
                why="No line before it names the host, such as '==> ele01 <=='.",
            )
        elif not found:
            yield Refused(
                where=where, why=f"pg_lsclusters prints no such line: {line[:80]!r}."
            )
        else:
            yield _Cluster(
                where=where,
                host=host.lower(),
                version=found[1],
                name=found[2],
                port=int(found[3]),
                status=found[4],
                pgdata=found[6],
            )


def as_rows(
    texts: Sequence[tuple[str, str]], environment: str
) -> Iterator[FleetRow | Refused]:
    """Read clusters without judging which are one herd, for a person to edit."""
    for host, text in texts:
        for found in _read(text, host):
            if isinstance(found, Refused):
                yield found
                continue
            yield FleetRow(
                where=found.where,
                environment=environment,
                herd=found.name,
                base_name=found.name,
                port=found.port,
                pgdata=found.pgdata,
                host=found.host,
                version=found.version,
            )
