"""What ``pg_controldata`` tells of a cluster, running or not."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from .lsn import Lsn


@dataclass(frozen=True, kw_only=True)
class ControlData:
    """The facts of ``pg_control`` that replication depends on.

    Source: https://www.postgresql.org/docs/current/app-pgcontroldata.html and
    src/bin/pg_controldata/pg_controldata.c; the names are those of majors 10 to 18.
    """

    system_identifier: str
    state: str
    checkpoint: Lsn
    redo: Lsn
    timeline: int
    min_recovery_end: Lsn
    min_recovery_end_timeline: int
    wal_log_hints: bool
    checksums: bool
    wal_segment_bytes: int
    catalog_version: str

    @property
    def is_shut_down(self) -> bool:
        """Whether it was stopped cleanly: no process writes to it any more."""
        return self.state in {"shut down", "shut down in recovery"}

    @property
    def was_primary(self) -> bool:
        """Whether it was stopped as a primary (or crashed as one)."""
        return self.state in {"shut down", "in production", "shutting down"}


def parse_control(lines: Iterable[str]) -> ControlData | None:
    """Read the lines of ``pg_controldata`` (run with LC_ALL=C).

    Returns:
        The facts, or None where the output does not hold them: the file is
        missing, broken, or of another major version than the program.
    """
    values: dict[str, str] = {}
    for line in lines:
        name, separator, value = line.partition(":")
        if separator:
            values[name.strip()] = value.strip()
    try:
        return ControlData(
            system_identifier=values["Database system identifier"],
            state=values["Database cluster state"],
            checkpoint=Lsn.parse(values["Latest checkpoint location"]),
            redo=Lsn.parse(values["Latest checkpoint's REDO location"]),
            timeline=int(values["Latest checkpoint's TimeLineID"]),
            min_recovery_end=Lsn.parse(values["Minimum recovery ending location"]),
            min_recovery_end_timeline=int(values["Min recovery ending loc's timeline"]),
            wal_log_hints=values["wal_log_hints setting"] == "on",
            checksums=values["Data page checksum version"] != "0",
            wal_segment_bytes=int(values["Bytes per WAL segment"]),
            catalog_version=values["Catalog version number"],
        )
    except (KeyError, ValueError):
        return None
