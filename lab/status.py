"""Observes a lab: which hosts are up, who is primary, whatever was planned."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from lab import access, clusters, network
from lab.errors import LabError
from lab.layout import CONTROL, DNS, HerdSpec
from lab.state import LabState

_ASK_SECONDS = 5.0
_QUESTIONS_AT_ONCE = 8
_WHO = "select pg_is_in_recovery(), current_setting('server_version')"
_STREAMING = "select count(*) from pg_stat_replication where state = 'streaming'"


def hosts_up(state: LabState) -> dict[str, bool]:
    """Tell of every host whether it runs and its cable carries a signal."""
    links = network.ports(state)
    return {
        host: links.get(host, False) and state.running(host) is not None
        for host in state.hosts
    }


def ask(state: LabState, host: str, herd: HerdSpec, sql: str) -> str:
    """Return the first line an instance answers to ``sql``.

    The instance is asked on its own host, over its local socket, as postgres. Raises
    LabError when the host is off or the instance gives no answer within five seconds.
    """
    argv = [clusters.program(herd, "psql"), "--no-psqlrc", "-Atq"]
    argv += ["-v", "ON_ERROR_STOP=1", "-h", "/var/run/postgresql"]
    argv += ["-p", str(herd.port), "-d", "postgres", "-c", sql]
    done = access.run(state, host, argv, user=clusters.OWNER, timeout=_ASK_SECONDS)
    return done.stdout.rstrip("\n")


@dataclass(frozen=True, slots=True)
class Member:
    """What an instance says of itself; nothing where it gives no answer."""

    is_primary: bool = False
    version: str = ""


def primaries(state: LabState, herd: HerdSpec, up: dict[str, bool]) -> list[str]:
    """Return the reachable members of a herd that say they are not in recovery."""
    return [
        host
        for host in herd.members
        if up[host] and _member(state, host, herd).is_primary
    ]


def _member(state: LabState, host: str, herd: HerdSpec) -> Member:
    try:
        recovery, _, version = ask(state, host, herd, _WHO).partition("|")
    except LabError:
        return Member()
    return Member(recovery == "f", version.split(" ")[0])


def all_members(state: LabState, up: dict[str, bool]) -> dict[str, dict[str, Member]]:
    """Ask the reachable members of every herd, several instances at a time."""
    with ThreadPoolExecutor(_QUESTIONS_AT_ONCE) as pool:
        answers = {
            name: {
                host: pool.submit(_member, state, host, herd)
                for host in herd.members
                if up[host]
            }
            for name, herd in state.herds.items()
        }
        return {
            name: {host: answer.result() for host, answer in members.items()}
            for name, members in answers.items()
        }


def _primaries_of(members: dict[str, Member]) -> list[str]:
    return [host for host, member in members.items() if member.is_primary]


def observe(state: LabState) -> dict[str, Any]:
    """Return the lab as ``status --json`` prints it.

    A herd's primary is its one reachable member that is not in recovery; null when
    there is none, or more than one. ``versions`` are those of the members that answer.
    """
    up = hosts_up(state)
    found = all_members(state, up)
    return {
        "control": CONTROL,
        "dns": DNS,
        "domain": state.domain,
        "hosts": {
            host.name: {"address": host.address, "up": up[host.name]}
            for host in state.hosts.values()
        },
        "herds": {
            herd.name: _herd(state, herd, found[herd.name])
            for herd in state.herds.values()
        },
    }


def _herd(state: LabState, herd: HerdSpec, found: dict[str, Member]) -> dict[str, Any]:
    names = _primaries_of(found)
    return {
        "environment": herd.environment,
        "vhost": state.vhost(herd.name),
        "port": herd.port,
        "data_root": herd.data_root,
        "packaging": herd.packaging,
        "members": list(herd.members),
        "primary": names[0] if len(names) == 1 else None,
        "versions": {
            host: each.version for host, each in found.items() if each.version
        },
    }


def streaming(state: LabState, herds: Sequence[HerdSpec]) -> dict[str, int]:
    """Return how many standbys stream from each herd's primary; 0 when unknown."""
    up = hosts_up(state)
    with ThreadPoolExecutor(_QUESTIONS_AT_ONCE) as pool:
        counts = pool.map(lambda herd: _streaming(state, herd, up), herds)
        return dict(zip((herd.name for herd in herds), counts, strict=True))


def _streaming(state: LabState, herd: HerdSpec, up: dict[str, bool]) -> int:
    found = primaries(state, herd, up)
    if len(found) != 1:
        return 0
    try:
        return int(ask(state, found[0], herd, _STREAMING))
    except LabError:
        return 0


def as_text(state: LabState) -> str:
    """Return the lab as a person reads it: one line a host, one line a herd."""
    up = hosts_up(state)
    found = all_members(state, up)
    lines = [f"Lab {state.name} in {state.directory}, network {state.network}"]
    for host in state.hosts.values():
        carried = " ".join(herd.name for herd in state.herds_on(host.name))
        word = "up" if up[host.name] else "DOWN"
        lines.append(
            f"  {host.name:<9} {host.address:<13} {word:<5} {carried}".rstrip()
        )
    for name, herd in state.herds.items():
        names = _primaries_of(found[name])
        versions = {member.version for member in found[name].values()} - {""}
        kind = f"{herd.packaging} {' and '.join(sorted(versions)) or '?'}"
        primary = " and ".join(names) or "none"
        note = "  SPLIT BRAIN" if len(names) > 1 else ""
        lines.append(
            f"  {state.vhost(name):<24} {herd.environment:<6} {herd.port:<5} "
            f"{kind:<12} primary {primary} of {' '.join(herd.members)}{note}"
        )
    return "\n".join(lines)
