"""Reads what a stopped cluster says of itself: pg_controldata."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass

from pgutil_report import programs
from pgutil_report.values import octets


@dataclass(frozen=True)
class ControlData:
    """What the control file tells; None where it does not."""

    position: int | None = None
    timeline: int | None = None
    system_identifier: str | None = None


def parse(text: str) -> ControlData:
    """Return what pg_controldata printed.

    The position is that of the last checkpoint, or, where it is further, the one that
    a standby was stopped beyond.
    """
    told = {
        name.strip(): value.strip()
        for name, colon, value in (line.partition(":") for line in text.splitlines())
        if colon
    }
    positions = [
        octets(told.get(name, ""))
        for name in ("Latest checkpoint location", "Minimum recovery ending location")
    ]
    timeline = told.get("Latest checkpoint's TimeLineID", "")
    identifier = told.get("Database system identifier", "")
    return ControlData(
        position=max((each for each in positions if each), default=None),
        timeline=int(timeline) if timeline.isdecimal() else None,
        system_identifier=identifier if identifier.isdecimal() else None,
    )


def read(data_directory: str, major: str) -> ControlData | None:
    """Return what a data directory's control file tells, None where nothing can be."""
    program = programs.of_major("pg_controldata", major)
    try:
        return parse(programs.output([program, "-D", data_directory]))
    except (OSError, ValueError, subprocess.SubprocessError):
        return None
