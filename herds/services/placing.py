"""Place what an agent discovered: in a herd that is there, or in a new one."""

from __future__ import annotations

from dataclasses import dataclass

from django.core.exceptions import ValidationError
from django.db import connection, transaction

from herds.errors import PreconditionFailed
from herds.models import Discovery, Environment, Herd, Instance, Server


@dataclass(frozen=True, kw_only=True)
class NewHerd:
    """A herd to be made for a discovered instance; port and cluster name are its own.

    Attributes:
        name: what people call it.
        pgdata: the data root of all its members.
    """

    name: str
    pgdata: str


@dataclass(frozen=True, kw_only=True)
class Placed:
    """What placing an instance made.

    Attributes:
        moved: the server, where it got its environment by this.
        founded: the herd, where it was made by this.
    """

    instance: Instance
    moved: Server | None = None
    founded: Herd | None = None


@transaction.atomic
def place(
    discovery_id: int,
    where: Herd | NewHerd,
    environment: Environment | None = None,
) -> Placed:
    """Record a discovered instance as it was reported, and take it off the list.

    Nothing is done on its host.

    Args:
        discovery_id: of the list of discovered instances.
        where: the herd; it has the instance's port.
        environment: of its server, where that has none; by default the herd's.

    Raises:
        PreconditionFailed: it is not listed any more, or the herd, its server and
            their other instances do not go together; nothing was changed.
    """
    found = (
        Discovery.objects.select_for_update(of=("self", "server"))
        .select_related("server__environment")
        .filter(pk=discovery_id)
        .first()
    )
    if found is None:
        raise PreconditionFailed(
            "This instance is not among the discovered ones any more: it was placed "
            "or deleted in the meantime.",
            hint="Look for it among the instances.",
        )
    if environment is None and isinstance(where, Herd):
        environment = where.environment
    moved = _give_environment(found, environment)
    herd = where if isinstance(where, Herd) else _found_herd(found, where)
    _refuse_other_place(found, herd)
    instance = _record(found, herd)
    found.delete()
    return Placed(
        instance=instance,
        moved=moved,
        founded=herd if isinstance(where, NewHerd) else None,
    )


def _give_environment(
    found: Discovery, environment: Environment | None
) -> Server | None:
    server = found.server
    if server.environment is not None:
        return None
    if environment is None:
        raise PreconditionFailed(
            f"{server.hostname} has no environment yet; nothing was placed.",
            host=server.hostname,
            hint="Choose the environment it belongs to.",
        )
    server.environment = environment
    server.save(update_fields=["environment"])
    return server


def _found_herd(found: Discovery, new: NewHerd) -> Herd:
    herd = Herd(
        environment=found.server.environment,
        herd_name=new.name,
        base_name=found.base_name,
        db_port=found.db_port,
        pgdata=new.pgdata,
    )
    _check(herd, found)
    herd.save()
    return herd


def _refuse_other_place(found: Discovery, herd: Herd) -> None:
    host = found.server.hostname
    if herd.environment_id != found.server.environment_id:
        raise PreconditionFailed(
            f"{host} and herd {herd.herd_name} belong to different environments; "
            "nothing was placed.",
            host=host,
            hint="Choose a herd of the server's environment.",
        )
    if herd.db_port != found.db_port:
        raise PreconditionFailed(
            f"Herd {herd.herd_name} has port {herd.db_port}, but {found} was reported; "
            "nothing was placed.",
            host=host,
            hint="Choose a herd with this port, or make a new one.",
        )


def _record(found: Discovery, herd: Herd) -> Instance:
    differs = found.pgdata and found.pgdata.rstrip("/") != herd.pgdata.rstrip("/")
    instance = Instance(
        herd=herd,
        server=found.server,
        version=found.version,
        local_pgdata=found.pgdata if differs else "",
        xlog_pos=found.xlog_pos,
        is_online=found.is_online,
        master=_upstream_of(found, herd),
        observed_at=found.last_seen_at,
        observed_by="agent",
        system_identifier=found.system_identifier,
        timeline=found.timeline,
    )
    if found.master_host and instance.master is None:
        instance.upstream_host = found.master_host
    _check(instance, found)
    instance.save()
    return instance


def _upstream_of(found: Discovery, herd: Herd) -> Instance | None:
    """Find the member that the reported upstream means, as the agents' function does.

    An upstream that nobody knows is taken for the herd's one primary.
    """
    if not found.master_host:
        return None
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT coalesce("
            "sp_find_upstream(%s, NULL, %s), sp_sole_primary(%s, NULL))",
            [herd.pk, found.master_host, herd.pk],
        )
        (number,) = cursor.fetchone()
    return None if number is None else Instance.objects.get(pk=number)


def _check(row: Herd | Instance, found: Discovery) -> None:
    try:
        row.full_clean()
    except ValidationError as refusal:
        raise PreconditionFailed(
            " ".join(refusal.messages),
            host=found.server.hostname,
            hint="Nothing was placed.",
        ) from refusal
