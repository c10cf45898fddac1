"""One database cluster as it is registered, and as it was observed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from .lsn import Lsn


@dataclass(frozen=True, kw_only=True)
class ClusterRef:
    """Where a cluster should be: everything a command template may name."""

    hostname: str
    data_directory: str
    port: int
    base_name: str
    herd_name: str
    vhost: str = ""
    environment: str = ""
    version: str = ""
    use_slots: bool = False


class Activity(StrEnum):
    """What the postmaster of a data directory is doing."""

    ABSENT = "absent"  # no such data directory
    FOREIGN = "foreign"  # a directory, but no cluster in it
    STOPPED = "stopped"
    STARTING = "starting"
    STOPPING = "stopping"
    RUNNING = "running"


@dataclass(frozen=True, kw_only=True)
class Follower:
    """A row of ``pg_stat_replication`` on the upstream's side.

    ``octets_behind`` is what the upstream has and the follower has not flushed, read
    on the upstream at one moment; None where it tells nothing of that.
    """

    application_name: str
    address: str
    state: str
    octets_behind: int | None = None


@dataclass(frozen=True, kw_only=True)
class Observation:
    """What was seen of a cluster in one look.

    ``answers`` tells whether a connection gave the SQL facts; without one,
    ``trouble`` holds the server's own words and those facts are None. A look that is
    only about a reload leaves out what comes after ``system_identifier``.

    Attributes:
        timeline: of the WAL it writes or receives; of its last checkpoint where it
            does neither.
        is_streaming: whether a standby receives WAL; None for others.
        slot_name: of the replication slots nobody uses, the one that holds most WAL.
        slot_octets: how much that is.
    """

    activity: Activity
    observed_at: datetime
    version: str = ""
    pid: int | None = None
    started_at: datetime | None = None
    control_state: str = ""  # "Database cluster state" of pg_controldata
    answers: bool = False
    trouble: str = ""
    in_recovery: bool | None = None
    position: Lsn | None = None
    loaded_at: datetime | None = None  # pg_conf_load_time()
    configuration_errors: tuple[str, ...] = ()
    pending_restart: tuple[str, ...] = ()
    system_identifier: str = ""
    timeline: int | None = None
    is_streaming: bool | None = None
    slot_name: str = ""
    slot_octets: int | None = None
    followers: tuple[Follower, ...] = ()
    addresses: tuple[str, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_running(self) -> bool:
        """Whether a postmaster lives, whatever it is doing."""
        return self.activity in {
            Activity.STARTING,
            Activity.STOPPING,
            Activity.RUNNING,
        }

    def evidence(self) -> dict[str, Any]:
        """Give what was seen as plain values, for the record of a step."""
        seen: dict[str, Any] = {"activity": self.activity.value}
        if self.version:
            seen["version"] = self.version
        if self.pid is not None:
            seen["pid"] = self.pid
        if self.started_at is not None:
            seen["started_at"] = self.started_at.isoformat()
        if self.control_state:
            seen["pg_control"] = self.control_state
        if self.in_recovery is not None:
            seen["in_recovery"] = self.in_recovery
        if self.position is not None:
            seen["position"] = str(self.position)
        if self.loaded_at is not None:
            seen["configuration_loaded_at"] = self.loaded_at.isoformat()
        if self.configuration_errors:
            seen["configuration_errors"] = list(self.configuration_errors)
        if self.pending_restart:
            seen["pending_restart"] = list(self.pending_restart)
        if self.trouble:
            seen["trouble"] = self.trouble
        return seen


def from_epoch(seconds: str | float | None) -> datetime | None:
    """Turn seconds since 1970 into an aware time; nothing stays nothing."""
    if seconds is None or seconds == "":
        return None
    return datetime.fromtimestamp(float(seconds), tz=UTC)
