"""Observes a lab: which hosts are up, who is primary, whatever was planned."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from lab import access, clusters, network
from lab.errors import LabError
from lab.layout import CONTROL, DNS, HerdSpec
from lab.state import LabState

_ASK_SECONDS = 5.0
_QUESTIONS_AT_ONCE = 8
_IN_RECOVERY = "select pg_is_in_recovery()"
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
    argv = [clusters.program(state.postgres, "psql"), "--no-psqlrc", "-Atq"]
    argv += ["-v", "ON_ERROR_STOP=1", "-h", "/var/run/postgresql"]
    argv += ["-p", str(herd.port), "-d", "postgres", "-c", sql]
    done = access.run(state, host, argv, user=clusters.OWNER, timeout=_ASK_SECONDS)
    return done.stdout.rstrip("\n")


def primaries(state: LabState, herd: HerdSpec, up: dict[str, bool]) -> list[str]:
    """Return the reachable members of a herd that say they are not in recovery."""
    return [
        host for host in herd.members if up[host] and _is_primary(state, host, herd)
    ]


def _is_primary(state: LabState, host: str, herd: HerdSpec) -> bool:
    try:
        return ask(state, host, herd, _IN_RECOVERY) == "f"
    except LabError:
        return False


def all_primaries(state: LabState, up: dict[str, bool]) -> dict[str, list[str]]:
    """Return ``primaries`` of every herd, asking several instances at a time."""
    with ThreadPoolExecutor(_QUESTIONS_AT_ONCE) as pool:
        answers = {
            name: {
                host: pool.submit(_is_primary, state, host, herd)
                for host in herd.members
                if up[host]
            }
            for name, herd in state.herds.items()
        }
        return {
            name: [host for host, answer in members.items() if answer.result()]
            for name, members in answers.items()
        }


def observe(state: LabState) -> dict[str, Any]:
    """Return the lab as ``status --json`` prints it.

    A herd's primary is its one reachable member that is not in recovery; null when
    there is none, or more than one.
    """
    up = hosts_up(state)
    found = all_primaries(state, up)
    return {
        "control": CONTROL,
        "dns": DNS,
        "domain": state.domain,
        "hosts": {
            host.name: {"address": host.address, "up": up[host.name]}
            for host in state.hosts.values()
        },
        "herds": {
            herd.name: {
                "environment": herd.environment,
                "vhost": state.vhost(herd.name),
                "port": herd.port,
                "data_root": herd.data_root,
                "members": list(herd.members),
                "primary": found[herd.name][0] if len(found[herd.name]) == 1 else None,
            }
            for herd in state.herds.values()
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
    found = all_primaries(state, up)
    lines = [f"Lab {state.name} in {state.directory}, network {state.network}"]
    for host in state.hosts.values():
        carried = " ".join(herd.name for herd in state.herds_on(host.name))
        word = "up" if up[host.name] else "DOWN"
        lines.append(
            f"  {host.name:<9} {host.address:<13} {word:<5} {carried}".rstrip()
        )
    for name, herd in state.herds.items():
        primary = " and ".join(found[name]) or "none"
        note = "  SPLIT BRAIN" if len(found[name]) > 1 else ""
        lines.append(
            f"  {state.vhost(name):<24} {herd.environment:<6} {herd.port:<5} "
            f"primary {primary} of {' '.join(herd.members)}{note}"
        )
    return "\n".join(lines)
