"""Decides what is news: what changed since it was reported, and heartbeats."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from pgutil_report.state import State
from pgutil_report.values import Instance


@dataclass(frozen=True)
class Report:
    """One check-in to make: whose, what is told of it, and why."""

    data_directory: str
    place: str
    values: dict[str, Any]
    position: int | None
    seen_at: float | None
    why: str
    is_last: bool = False

    def arguments(self, host: str, now: float | None = None) -> dict[str, Any]:
        """Return the arguments of sp_instance_checkin.

        What is not known is left out. ``now`` is ``time.monotonic()``.
        """
        found = dict(self.values)
        found["shost"] = host
        if self.position is not None:
            found["nxlog"] = self.position
        if self.seen_at is not None:
            now = time.monotonic() if now is None else now
            found["nage"] = round(max(0.0, now - self.seen_at), 3)
        return {key: value for key, value in found.items() if value is not None}


def values_of(instance: Instance) -> dict[str, Any]:
    """Return what is told of an instance, without what changes all the time."""
    return {
        "sherd": instance.base_name,
        "nport": instance.port,
        "sver": instance.version,
        "bonline": instance.online,
        "sdatadir": instance.data_directory,
        "smasterhost": instance.upstream,
        "ssystemid": instance.system_identifier,
        "ntimeline": instance.timeline,
        "bstreaming": instance.streaming,
    }


@dataclass(frozen=True)
class Bounds:
    """When something is reported although it did not change.

    Attributes:
        heartbeat: seconds.
        position_bytes: of WAL.
    """

    heartbeat: float
    position_bytes: int


def reports(
    instances: Iterable[Instance], state: State, bounds: Bounds, now: float
) -> Iterator[Report]:
    """Yield the check-ins that are due, running instances first.

    Two clusters of one name and port can be on a host; the one that runs is the one
    that is meant. ``now`` is in seconds of the epoch.
    """
    ordered = sorted(instances, key=lambda each: (each.online is not True, each.place))
    taken = {each.place for each in ordered}
    for instance in ordered:
        before = state.sent.get(instance.data_directory)
        if before and before["at"] and before["place"] not in taken:
            yield _farewell(instance.data_directory, before["place"])
        why = _why(instance, before, bounds, now)
        if why:
            yield Report(
                data_directory=instance.data_directory,
                place=instance.place,
                values=values_of(instance),
                position=instance.position,
                seen_at=instance.seen_at,
                why=why,
            )
    here = {each.data_directory for each in ordered}
    for directory, before in list(state.sent.items()):
        if directory in here:
            continue
        if before["at"] and before["place"] not in taken:
            yield _farewell(directory, before["place"])
        else:
            del state.sent[directory]


def _farewell(directory: str, place: str) -> Report:
    """Report that nothing runs any more under a name and port."""
    name, _, port = place.rpartition(":")
    values = {"sherd": name, "nport": int(port), "bonline": False}
    return Report(directory, place, values, None, None, "no longer there", True)


def _why(
    instance: Instance, before: dict[str, Any] | None, bounds: Bounds, now: float
) -> str:
    """Return why an instance is to be reported, "" where it is not."""
    if instance.version is None:
        return ""  # Its directory is closed to us: which instance it is, is a guess.
    if not before or not before["at"] or before["place"] != instance.place:
        return "new"
    if instance.online is None:
        # Nothing was seen that could be dated: what was reported last grows old, and
        # that is what is shown.
        return ""
    if before["values"] != values_of(instance):
        return "changed"
    if is_due(before["at"], bounds.heartbeat, now):
        return "heartbeat"
    moved = (instance.position or 0) - (before["position"] or 0)
    return "moved on" if abs(moved) >= bounds.position_bytes else ""


def is_due(last: float, heartbeat: float, now: float) -> bool:
    """Tell whether a heartbeat has passed; a clock that was set back says so too."""
    return not last <= now < last + heartbeat


def remember(state: State, report: Report, now: float) -> None:
    """Note that a report was taken."""
    state.heard_at = now
    if report.is_last:
        if state.sent.get(report.data_directory, {}).get("place") == report.place:
            del state.sent[report.data_directory]
        return
    state.sent[report.data_directory] = {
        "place": report.place,
        "values": report.values,
        "position": report.position,
        "at": now,
    }
