"""Hosts in turn: takes those that are due, looks at them, keeps what was seen.

Several workers share the hosts. One that takes a host puts its next look off for as
long as a look may take; where it never comes back, the host is due again by itself.
What an operation works on is passed over, because the operation records what it sees.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime

from django.db import connection, transaction
from django.db.models import Q
from django.db.models.functions import Now

from herds.conf import RefreshSettings
from herds.domain.clock import Clock
from herds.domain.cluster import Activity, Observation
from herds.domain.states import TargetState
from herds.errors import NOTHING_KNOWN, ElephaasError
from herds.models import Herd, HostRefresh, Instance, OperationTarget

from .recording import Sighting, Unseen, VhostSight, record_sightings, record_vhost
from .toolbox import Toolbox

LEASE = 120.0  # seconds a worker may take for a host that it took
DEADLINE = 15.0  # seconds for one look at all instances of a host
_APART = 8  # instances of a host in trouble that are looked at at once
_SOON = 5.0  # seconds; far less than a lease, or what is taken would be due soon
_NAMES = 16  # virtual hosts taken at once

_AT_WORK = (TargetState.RUNNING, TargetState.CANCELLING)

_ENTER = """
    INSERT INTO ele_host_refresh (server_id, due_at, is_slow)
    SELECT server_id, now(), false FROM ele_server s
     WHERE host_key <> ''
       AND NOT EXISTS (SELECT FROM ele_host_refresh r WHERE r.server_id = s.server_id)
    ON CONFLICT DO NOTHING
    """

_TAKE = """
    UPDATE ele_host_refresh SET due_at = now() + make_interval(secs => %s)
     WHERE server_id IN (
           SELECT server_id FROM ele_host_refresh
            -- Those that are due soon come along: fewer rounds, and herds together.
            WHERE due_at <= now() + make_interval(secs => %s) AND is_slow = %s
              AND EXISTS (SELECT FROM ele_host_refresh
                           WHERE due_at <= now() AND is_slow = %s)
            ORDER BY due_at LIMIT %s FOR UPDATE SKIP LOCKED)
    RETURNING server_id
    """

_PUT_OFF = """
    UPDATE ele_host_refresh
       SET due_at = now() + make_interval(secs => %s), is_slow = %s
     WHERE server_id = ANY(%s)
    """

_TAKE_NAMES = """
    UPDATE ele_herd SET vhost_asked_at = now()
     WHERE herd_id IN (
           SELECT herd_id FROM ele_herd h
             LEFT JOIN ele_environment e USING (environment_id)
            WHERE vhost <> '' AND coalesce(is_refreshed, true)
              AND coalesce(greatest(vhost_asked_at, vhost_seen_at)
                           <= now() - make_interval(secs => %s), true)
            ORDER BY vhost_asked_at NULLS FIRST LIMIT %s FOR UPDATE OF h SKIP LOCKED)
    RETURNING herd_id
    """


@dataclass(frozen=True, kw_only=True)
class Host:
    """A host that was taken, with its instances that are to be looked at."""

    server_id: int
    instances: tuple[Instance, ...]
    is_slow: bool = False


@dataclass(kw_only=True)
class Looked:
    """What was seen on a host, by instance id, and when looking began."""

    host: Host
    begun: datetime
    sightings: dict[int, Sighting] = field(default_factory=dict)

    @property
    def is_slow(self) -> bool:
        """Whether something could not be seen, so that the next look may take long."""
        return any(isinstance(each, Unseen) for each in self.sightings.values())


def enter_hosts() -> None:
    """Have hosts looked at whose keys were accepted since."""
    with connection.cursor() as cursor:
        cursor.execute(_ENTER)


def take_hosts(settings: RefreshSettings, most: int, *, is_slow: bool) -> list[Host]:
    """Take hosts that are due.

    Args:
        settings: how often they are.
        most: how many to take.
        is_slow: take those of which something could not be seen the last time; they
            are taken by themselves, so that they hold up no others.
    """
    if most < 1:
        return []
    soon = min(settings.interval * settings.jitter, _SOON)
    with connection.cursor() as cursor:
        cursor.execute(_TAKE, [LEASE, soon, is_slow, is_slow, most])
        taken = [number for (number,) in cursor]
    if not taken:
        return []
    found: dict[int, list[Instance]] = defaultdict(list)
    for instance in (
        Instance.objects.filter(server__in=taken)
        .exclude(server__host_key="")
        .exclude(herd__environment__is_refreshed=False)
        .exclude(herd__in=_herds_at_work())
        .select_related("herd__environment", "server")
        .order_by("instance_id")
    ):
        found[instance.server_id].append(instance)
    return [
        Host(server_id=number, instances=tuple(found[number]), is_slow=is_slow)
        for number in taken
    ]


def look(host: Host, toolbox: Toolbox, clock: Clock) -> Looked:
    """See what runs on a host; within a bounded time, and raising nothing.

    A host that was fine the last time is seen in one round trip. Where that does not
    tell of all instances, and where it did not the last time, each has its own: one
    that hangs holds up no other.
    """
    looked = Looked(host=host, begun=clock.now())
    if not host.instances:
        return looked
    if not host.is_slow:
        try:
            seen = toolbox.look_at_host(host.instances, timeout=DEADLINE)
        except ElephaasError as error:
            looked.sightings = _unseen(host.instances, error, clock)
            return looked
        for instance, observation in zip(host.instances, seen, strict=False):
            looked.sightings[instance.pk] = observation
    left = [each for each in host.instances if each.pk not in looked.sightings]
    if left:
        with ThreadPoolExecutor(min(len(left), _APART)) as pool:
            for found in pool.map(lambda one: _look_at(one, toolbox, clock), left):
                looked.sightings.update(found)
    return looked


def _look_at(instance: Instance, toolbox: Toolbox, clock: Clock) -> dict[int, Sighting]:
    try:
        return {instance.pk: toolbox.cluster(instance).look()}
    except ElephaasError as error:
        return _unseen([instance], error, clock)


def _unseen(
    instances: Sequence[Instance], error: ElephaasError, clock: Clock
) -> dict[int, Sighting]:
    """Note that nothing could be seen; what is wrong with this service is no news."""
    if not isinstance(error, NOTHING_KNOWN):
        return {}
    unseen = Unseen(at=clock.now(), why=error.message)
    return {instance.pk: unseen for instance in instances}


def keep(looked: Sequence[Looked], settings: RefreshSettings) -> None:
    """Keep what was seen on some hosts, and say when they are due again."""
    sightings = _to_be_kept(looked)
    slow: dict[bool, list[int]] = {True: [], False: []}
    for each in looked:
        slow[each.is_slow].append(each.host.server_id)
    vary = random.uniform(-settings.jitter, settings.jitter)  # noqa: S311
    with transaction.atomic():
        if sightings:
            record_sightings(sightings)
        with connection.cursor() as cursor:
            for is_slow, numbers in slow.items():
                if numbers:
                    wait = settings.interval * (1 + vary)
                    cursor.execute(_PUT_OFF, [wait, is_slow, sorted(numbers)])


def give_back(server_ids: Sequence[int]) -> None:
    """Let others take hosts that this worker does not come to."""
    HostRefresh.objects.filter(pk__in=server_ids).update(due_at=Now())


def _to_be_kept(looked: Sequence[Looked]) -> dict[int, dict[int, Sighting]]:
    """Leave out what an operation has worked on meanwhile, and what was never there.

    Where an instance that nobody has seen yet has no cluster, nothing is known of it
    but that: whoever added it is about to create it.
    """
    herds = {one.herd_id for each in looked for one in each.host.instances}
    if not herds:
        return {}
    ended: dict[int, datetime | None] = {}
    for herd_id, finished_at in (
        OperationTarget.objects.filter(
            Q(state__in=_AT_WORK)
            | Q(finished_at__gte=min(each.begun for each in looked))
        )
        .filter(herd__in=herds)
        .order_by("finished_at")  # those at work come last: PostgreSQL's NULLs do
        .values_list("herd_id", "finished_at")
    ):
        if herd_id is not None:
            ended[herd_id] = finished_at
    kept: dict[int, dict[int, Sighting]] = defaultdict(dict)
    for each in looked:
        for instance in each.host.instances:
            sighting = each.sightings.get(instance.pk)
            if sighting is None or _is_nothing(instance, sighting):
                continue
            if instance.herd_id in ended:
                until = ended[instance.herd_id]
                if until is None or until >= each.begun:
                    continue
            kept[instance.herd_id][instance.pk] = sighting
    return kept


def _is_nothing(instance: Instance, sighting: Sighting) -> bool:
    return (
        instance.observed_at is None
        and isinstance(sighting, Observation)
        and sighting.activity in {Activity.ABSENT, Activity.FOREIGN}
    )


def _herds_at_work() -> list[int]:
    return list(
        OperationTarget.objects.filter(state__in=_AT_WORK, herd__isnull=False)
        .values_list("herd_id", flat=True)
        .distinct()
    )


def take_names(settings: RefreshSettings) -> Mapping[int, str]:
    """Take virtual hosts that are to be looked up again: names by herd id."""
    with connection.cursor() as cursor:
        cursor.execute(_TAKE_NAMES, [settings.names_interval, _NAMES])
        taken = [number for (number,) in cursor]
    if not taken:
        return {}
    return dict(
        Herd.objects.filter(pk__in=taken)
        .exclude(pk__in=_herds_at_work())
        .values_list("pk", "vhost")
    )


def keep_name(herd_id: int, sight: VhostSight) -> None:
    """Keep where a virtual host points, unless it was seen later than that."""
    later = Herd.objects.filter(pk=herd_id, vhost_seen_at__gt=sight.at)
    if not later.exists():
        record_vhost(herd_id, sight)
