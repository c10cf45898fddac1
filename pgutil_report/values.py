"""What was found on the host, what was seen of it, and how WAL positions are told."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

PRIMARY = "primary"
STANDBY = "standby"

_LSN = re.compile(r"([0-9A-Fa-f]{1,8})/([0-9A-Fa-f]{1,8})")


def octets(lsn: str) -> int | None:
    """Return a WAL position such as ``0/3000148`` in bytes; None for anything else."""
    found = _LSN.fullmatch(lsn.strip())
    return int(found[1], 16) << 32 | int(found[2], 16) if found else None


def lsn(position: int) -> str:
    """Return a WAL position in bytes as PostgreSQL writes it."""
    return f"{position >> 32:X}/{position & 0xFFFFFFFF:X}"


@dataclass
class Candidate:
    """A data directory that may be an instance's, and what led to it.

    Attributes:
        data_directory: its path, free of symbolic links.
        found_by: names of the ways it was found.
        configuration: the directory of its postgresql.conf, where that is another one.
        cluster: its name among Debian's clusters.
        port: where a lock file or Debian's tools name one.
        pid: the postmaster's process number, where one was seen at work there.
    """

    data_directory: str
    found_by: list[str] = field(default_factory=list)
    configuration: str = ""
    cluster: str = ""
    port: int | None = None
    pid: int | None = None

    def take(self, other: Candidate) -> None:
        """Add what another candidate knows of the same data directory."""
        self.found_by += [way for way in other.found_by if way not in self.found_by]
        self.configuration = self.configuration or other.configuration
        self.cluster = self.cluster or other.cluster
        self.port = self.port or other.port
        self.pid = self.pid or other.pid


@dataclass(frozen=True)
class Answer:
    """What a server says of itself; ``upstream`` is a host, or a socket's directory."""

    version: str
    is_standby: bool
    position: int | None = None
    system_identifier: str | None = None
    timeline: int | None = None
    is_streaming: bool | None = None
    upstream: str | None = None
    cluster_name: str = ""


@dataclass(frozen=True)
class Instance:
    """What was seen of one instance; None says that something is not known.

    Attributes:
        base_name: the cluster's name.
        version: of the running server, such as ``15.4``; of a stopped one its major.
        online: whether it runs; None where it runs and gives no answer.
        role: ``primary``, ``standby`` or None.
        upstream: the host it follows; "" says that it follows none.
        position: of its WAL, in bytes.
        trouble: a sentence about what kept the agent from seeing more, or "".
        seen_at: when, by ``time.monotonic()``.
    """

    base_name: str
    port: int
    data_directory: str
    found_by: tuple[str, ...] = ()
    version: str | None = None
    online: bool | None = None
    role: str | None = None
    upstream: str | None = None
    position: int | None = None
    system_identifier: str | None = None
    timeline: int | None = None
    streaming: bool | None = None
    trouble: str = ""
    seen_at: float = 0.0

    @property
    def place(self) -> str:
        """Name and port, by which the metadata database tells a host's instances."""
        return f"{self.base_name}:{self.port}"

    def as_json(self, host: str) -> dict[str, Any]:
        """Return what ``--json`` prints of it."""
        return {
            "host": host,
            "base_name": self.base_name,
            "port": self.port,
            "version": self.version,
            "data_directory": self.data_directory,
            "online": self.online,
            "role": self.role,
            "upstream": self.upstream,
            "position": self.position,
            "lsn": None if self.position is None else lsn(self.position),
            "timeline": self.timeline,
            "system_identifier": self.system_identifier,
            "streaming": self.streaming,
            "found_by": list(self.found_by),
            "trouble": self.trouble or None,
        }
