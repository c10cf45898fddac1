"""Keeps what was seen of a herd's members in the inventory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection
from django.db.models.functions import Now

from herds.domain.cluster import Observation
from herds.models import Fence, Herd, Instance

from . import lags


@dataclass(frozen=True, kw_only=True)
class Unseen:
    """An attempt to see an instance that gave nothing: its state is unknown."""

    at: datetime
    why: str


Sighting = Observation | Unseen


@dataclass(frozen=True, kw_only=True)
class VhostSight:
    """Where the servers of a zone say that a herd's virtual host points.

    Attributes:
        at: when they were asked.
        target: the host's full name; empty where there is no record.
        trouble: who says otherwise or nothing, as a phrase; empty where all agree.
        is_known: whether anybody answered; otherwise the earlier target stays.
    """

    at: datetime
    target: str = ""
    trouble: str = ""
    is_known: bool = True


def record_vhost(herd_id: int, sight: VhostSight) -> None:
    """Note where a herd's virtual host was seen to point."""
    seen = {"vhost_target": sight.target, "vhost_seen_at": sight.at}
    Herd.objects.filter(pk=herd_id).update(
        vhost_trouble=sight.trouble, **(seen if sight.is_known else {})
    )


def note_succession(former_id: int, primary_id: int) -> None:
    """Note that a primary was succeeded, whatever becomes of either from then on."""
    Instance.objects.filter(pk=primary_id).update(
        master=None, upstream_host="", is_streaming=None
    )
    Instance.objects.filter(pk=former_id).update(master_id=primary_id)


_NEWER = """
     WHERE instance_id = %s
       -- What was seen after it stands. A time to come is of a clock that was wrong.
       AND (observed_at IS NULL OR observed_at <= %s OR observed_at > now())
    """

_KEEP = (
    """
    UPDATE ele_instance
       SET is_online = %s, version = %s, xlog_pos = %s, master_id = %s,
           upstream_host = %s,
           observed_at = %s, observed_by = 'worker', system_identifier = %s,
           timeline = %s, is_streaming = %s, slot_name = %s, slot_octets = %s,
           unreachable_since = NULL, unreachable_why = '',
           lag_octets = CASE WHEN master_id = %s THEN lag_octets END,
           lag_seen_at = CASE WHEN master_id = %s THEN lag_seen_at END
    """  # noqa: S608
    + _NEWER
)

_KEEP_UNSEEN = (
    """
    UPDATE ele_instance
       SET unreachable_since = coalesce(unreachable_since, %s), unreachable_why = %s
    """  # noqa: S608
    + _NEWER
)


def record_sightings(sightings: Mapping[int, Mapping[int, Sighting]]) -> None:
    """Note what was seen of some members of some herds.

    The upstream of a standby is the one that was seen to serve it (``upstream`` among
    the observation's facts, an instance id), else the member that lists it among its
    followers; where none was seen to, it keeps the recorded one, or gets the herd's
    one primary.

    How far standbys are behind follows from it (see ``lags``), also of those that were
    not looked at. Nothing overwrites what was seen later.

    Args:
        sightings: what was seen, by herd id, by instance id; ids that are gone are
            passed over.
    """
    herds: dict[int, dict[int, Instance]] = {herd_id: {} for herd_id in sightings}
    for member in Instance.objects.filter(herd_id__in=herds).select_related(
        "server", "herd", "fence"
    ):
        herds[member.herd_id][member.pk] = member
    seen = {
        number: sighting
        for herd_id, members in herds.items()
        for number, sighting in _note_herd(members, sightings[herd_id]).items()
    }
    everyone = {pk: one for members in herds.values() for pk, one in members.items()}
    _keep([everyone[number] for number in sorted(seen)], seen)
    lags.keep(
        [
            told
            for herd_id, members in herds.items()
            for told in lags.told(members, _observed(members, sightings[herd_id]))
        ]
    )
    for number in seen:
        if hasattr(everyone[number], "fence"):
            _note_fence(everyone[number], seen[number])


def _note_fence(member: Instance, sighting: Sighting) -> None:
    """Let a former primary go once it follows; note where it takes writes."""
    if not isinstance(sighting, Observation):
        return
    if sighting.in_recovery is False:
        Fence.objects.filter(instance=member).update(seen_writable_at=Now())
    elif sighting.in_recovery and "upstream" in sighting.facts:
        Fence.objects.filter(instance=member).delete()


def _observed(
    members: Mapping[int, Instance], sightings: Mapping[int, Sighting]
) -> dict[int, Observation]:
    return {
        number: sighting
        for number, sighting in sightings.items()
        if number in members and isinstance(sighting, Observation)
    }


def _note_herd(
    members: Mapping[int, Instance], sightings: Mapping[int, Sighting]
) -> dict[int, Sighting]:
    """Note what was seen of a herd in its members; give what was seen of those."""
    seen = _observed(members, sightings)
    for number, observation in seen.items():
        _note(members[number], observation)
    for number, observation in seen.items():
        if observation.in_recovery is not None or "upstream" in observation.facts:
            _note_upstream(members[number], observation, members, seen)
    return {
        number: sighting for number, sighting in sightings.items() if number in members
    }


def _keep(members: Sequence[Instance], seen: Mapping[int, Sighting]) -> None:
    """Save what changed, always in the same order of rows."""
    observed, unseen = [], []
    for member in members:
        sighting = seen[member.pk]
        if isinstance(sighting, Observation):
            observed.append(_row(member))
        else:
            unseen.append((sighting.at, sighting.why, member.pk, sighting.at))
    with connection.cursor() as cursor:
        if observed:
            cursor.executemany(_KEEP, observed)
        if unseen:
            cursor.executemany(_KEEP_UNSEEN, unseen)


def _row(member: Instance) -> tuple[Any, ...]:
    return (
        member.is_online,
        member.version,
        member.xlog_pos,
        member.master_id,
        member.upstream_host,
        member.observed_at,
        member.system_identifier,
        member.timeline,
        member.is_streaming,
        member.slot_name,
        member.slot_octets,
        # A lag is one to an upstream, and gone with it.
        member.master_id,
        member.master_id,
        member.pk,
        member.observed_at,
    )


def _note(member: Instance, seen: Observation) -> None:
    member.is_online = seen.is_running
    member.observed_at = seen.observed_at
    if seen.position is not None:
        member.xlog_pos = seen.position.position
    # A stopped cluster tells its major version only: keep a fuller one that agrees.
    if seen.version and not member.version.startswith(f"{seen.version}."):
        member.version = seen.version[:20]
    member.system_identifier = seen.system_identifier or member.system_identifier
    if seen.timeline is not None:
        member.timeline = seen.timeline
    if seen.timeline is not None and seen.answers:
        member.is_streaming = seen.is_streaming
        member.slot_name, member.slot_octets = seen.slot_name[:63], seen.slot_octets
    elif not seen.answers:
        member.is_streaming = None


def _note_upstream(
    member: Instance,
    seen: Observation,
    members: Mapping[int, Instance],
    sightings: Mapping[int, Observation],
) -> None:
    # Named by an agent, until somebody sees more.
    member.upstream_host = ""
    if seen.facts.get("upstream") in members:
        member.master = members[seen.facts["upstream"]]
        return
    if not seen.in_recovery:
        member.master = None
        return
    names = lags.names_of(member)
    for number, other in sightings.items():
        if number != member.pk and any(
            follower.application_name in names for follower in other.followers
        ):
            member.master = members[number]
            return
    if member.master_id is None:
        primaries = [
            members[number]
            for number, other in sightings.items()
            if other.in_recovery is False
        ] or [
            other
            for other in members.values()
            if other.pk != member.pk and other.master_id is None
        ]
        if len(primaries) == 1:
            member.master = primaries[0]
