"""Everything a probe tells of a cluster, and nothing where nothing is known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from .cluster import Observation
from .control import ControlData
from .lsn import Lsn


@dataclass(frozen=True, kw_only=True)
class Receiver:
    """A standby's side of its upstream: ``pg_stat_wal_receiver``.

    ``host`` is what the connection was made to, often the virtual host's name, not
    who answered there.
    """

    status: str
    host: str
    port: int
    slot: str
    timeline: int
    flushed: Lsn | None


@dataclass(frozen=True, kw_only=True)
class Sender:
    """An upstream's side of one downstream: ``pg_stat_replication``."""

    application_name: str
    address: str
    state: str
    sync_state: str
    sent: Lsn | None
    flushed: Lsn | None
    replayed: Lsn | None


@dataclass(frozen=True, kw_only=True)
class Slot:
    """A row of ``pg_replication_slots``; what older majors lack is empty."""

    name: str
    kind: str  # physical or logical
    is_active: bool
    restart: Lsn | None
    wal_status: str
    is_failover: bool
    is_synced: bool
    is_temporary: bool


@dataclass(frozen=True, kw_only=True)
class Tablespace:
    """A tablespace outside the data directory; size in bytes."""

    oid: int
    path: str
    size: int


@dataclass(frozen=True, kw_only=True)
class Clients:
    """Sessions that are alike, counted."""

    user: str
    database: str
    application_name: str
    address: str
    sessions: int


@dataclass(frozen=True, kw_only=True)
class Probe:
    """A cluster as one round trip found it.

    Sizes are in bytes, None where they could not be told in time. ``settings`` holds
    those that replication depends on, in pg_settings' own units; ``primary_conninfo``
    may hold a password and is never shown.
    """

    seen: Observation
    bin_directory: str = ""
    installed: tuple[str, ...] = ()
    has_rsync: bool = False
    has_perl: bool = False
    is_occupied: bool = False  # no cluster, but the directory is not empty
    is_writable: bool = False  # the directory, or the nearest one that exists
    files: frozenset[str] = frozenset()
    wal_link: str = ""
    config_file: str = ""
    data_bytes: int | None = None
    wal_bytes: int | None = None
    free_bytes: int | None = None
    host_time: datetime | None = None
    control: ControlData | None = None
    timeline: int | None = None
    received: Lsn | None = None
    replayed: Lsn | None = None
    is_replay_paused: bool = False
    receiver: Receiver | None = None
    senders: tuple[Sender, ...] = ()
    slots: tuple[Slot, ...] = ()
    settings: Mapping[str, str] = field(default_factory=dict, repr=False)
    tablespaces: tuple[Tablespace, ...] = ()
    clients: tuple[Clients, ...] = ()

    @property
    def is_incomplete(self) -> bool:
        """Whether a rebuild began here and did not come to its end."""
        return "elephaas.incomplete" in self.files

    @property
    def system_identifier(self) -> str:
        """Which cluster this is a copy of; empty where that is not known."""
        if self.seen.system_identifier:
            return self.seen.system_identifier
        return self.control.system_identifier if self.control else ""

    @property
    def total_bytes(self) -> int | None:
        """What a whole copy would bring: data and tablespaces without the WAL."""
        if self.data_bytes is None:
            return None
        wal = 0 if self.wal_link else self.wal_bytes or 0
        return self.data_bytes - wal + sum(each.size for each in self.tablespaces)
