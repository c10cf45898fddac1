"""Which cluster exactly something is about, so that a wrong one is noticed in time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from herds.domain.cluster import Observation
from herds.domain.lsn import Lsn
from herds.domain.probe import Probe
from herds.domain.words import size
from herds.errors import ElephaasError
from herds.postgres.cluster import Cluster
from herds.postgres.extent import extent

if TYPE_CHECKING:
    from herds.models import Instance


def known_of(instance: Instance) -> dict[str, Any]:
    """Give what the inventory knows of a cluster, and since when."""
    seen = instance.observed_at
    return {
        "port": instance.herd.db_port,
        "data_directory": instance.data_directory,
        "system": instance.system_identifier,
        "wal": "" if instance.xlog_pos is None else str(Lsn(instance.xlog_pos)),
        "seen_at": seen.isoformat() if seen else "",
    }


def seen_of(seen: Observation, probe: Probe | None = None) -> dict[str, Any]:
    """Give what was seen of a cluster on its host; what was not told is left out."""
    told = {
        "system": probe.system_identifier if probe else seen.system_identifier,
        "wal": "" if seen.position is None else str(seen.position),
        "octets": probe.data_bytes if probe else None,
    }
    found = {name: value for name, value in told.items() if value not in ("", None)}
    return {**found, "seen_at": seen.observed_at.isoformat()}


def asked_of(cluster: Cluster) -> dict[str, Any]:
    """Ask a running server how large it is and when it was written to last.

    A plan is not held up by it: what is not told, or not soon, is left out.
    """
    try:
        told = extent(cluster)
    except ElephaasError:
        return {}
    written = told.written_at.isoformat(timespec="seconds") if told.written_at else ""
    found = {"octets": told.octets, "written_at": written}
    return {name: value for name, value in found.items() if value not in ("", None)}


def identity_words(identity: Mapping[str, Any]) -> str:
    """Say it in a line: port 5432, /srv/trade, system 74…, 3.2 GB, WAL at 0/3000060.

    With the time of the last write at the end, where that is known.
    """
    octets, written = identity.get("octets"), str(identity.get("written_at", ""))
    parts = (
        f"port {identity['port']}" if identity.get("port") else "",
        str(identity.get("data_directory", "")),
        f"system {identity['system']}" if identity.get("system") else "",
        size(octets) if octets is not None else "",
        f"WAL at {identity['wal']}" if identity.get("wal") else "",
        f"last write {written[:19].replace('T', ' ')} UTC" if written else "",
    )
    return ", ".join(filter(None, parts))
