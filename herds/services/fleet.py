"""Enters an existing fleet into the inventory, each row by itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from django.core.exceptions import ValidationError
from django.db import DatabaseError, models, transaction

from herds.domain.fleet import FleetRow, Refused
from herds.errors import PreconditionFailed
from herds.models import Environment, Herd, Instance, Server

from .servers import accept_host_key, read_host_key


@dataclass(kw_only=True)
class Imported:
    """What an import made, or would make.

    Attributes:
        made: kind and name of everything new, in order.
        known: how many of each kind were there already.
        refused: rows that were not taken.
        is_kept: False where everything was taken back: for a rehearsal, or because
            of the refused.
    """

    made: list[tuple[str, str]] = field(default_factory=list)
    known: Counter[str] = field(default_factory=Counter)
    refused: list[Refused] = field(default_factory=list)
    is_kept: bool = True


class _Refusal(Exception):
    """A row cannot be taken; the text says why."""


def import_fleet(
    rows: Iterable[FleetRow | Refused],
    *,
    by: str,
    host_keys: Mapping[str, str] | None = None,
    is_rehearsal: bool = False,
    all_or_nothing: bool = False,
) -> Imported:
    """Enter rows: what is missing is made, what is there stays as it is.

    A row that contradicts the inventory, or cannot be, is refused and stops no other.

    Args:
        rows: as read; refused ones are passed on.
        by: who vouches for the host keys, kept as text.
        host_keys: keys by host name, for rows that bring none.
        is_rehearsal: take everything back at the end.
        all_or_nothing: take everything back if a row was refused.
    """
    done = Imported()
    with transaction.atomic():
        taken: list[tuple[FleetRow, Instance]] = []
        for row in rows:
            if isinstance(row, Refused):
                done.refused.append(row)
            elif member := _enter(row, by, host_keys or {}, done):
                taken.append((row, member))
        for row, member in taken:
            _follow(row, member, done)
        if is_rehearsal or (all_or_nothing and done.refused):
            done.is_kept = False
            transaction.set_rollback(True)
    return done


def _enter(
    row: FleetRow, by: str, host_keys: Mapping[str, str], done: Imported
) -> Instance | None:
    """Enter one row, or nothing of it; give the instance if it is a new one."""
    before = len(done.made), done.known.copy()
    try:
        with transaction.atomic():
            return _entered(row, by, host_keys, done)
    except (_Refusal, PreconditionFailed) as refusal:
        why = str(refusal)
    except ValidationError as error:
        why = " ".join(error.messages)
    except DatabaseError as error:
        why = f"The database refused it: {str(error).strip().splitlines()[0]}"
    del done.made[before[0] :]
    done.known = before[1]
    done.refused.append(Refused(where=row.where, why=why))
    return None


def _entered(
    row: FleetRow, by: str, host_keys: Mapping[str, str], done: Imported
) -> Instance | None:
    environment = _environment(row, done) if row.environment else None
    herd = _herd(row, environment, done) if row.herd else None
    server = _server(row, environment, by, host_keys, done) if row.host else None
    if herd is None or server is None:
        return None
    found = Instance.objects.filter(herd=herd, server=server).first()
    if found is not None:
        if row.local_pgdata and row.local_pgdata != found.data_directory:
            raise _Refusal(
                f"{found} lies in {found.data_directory} in the inventory, not in "
                f"{row.local_pgdata}."
            )
        done.known["instance"] += 1
        return None
    directory = row.local_pgdata if row.local_pgdata != herd.pgdata else ""
    made = Instance(
        herd=herd, server=server, local_pgdata=directory, version=row.version
    )
    _make("instance", made, done)
    return made


def _environment(row: FleetRow, done: Imported) -> Environment:
    found = Environment.objects.filter(env_name__iexact=row.environment).first()
    if found is not None:
        done.known["environment"] += 1
        return found
    made = Environment(env_name=row.environment)
    _make("environment", made, done)
    return made


def _herd(row: FleetRow, environment: Environment | None, done: Imported) -> Herd:
    found = Herd.objects.filter(
        herd_name__iexact=row.herd, environment=environment
    ).first()
    if found is None:
        made = Herd(
            herd_name=row.herd,
            environment=environment,
            base_name=row.base_name or row.herd,
            db_port=row.port if row.port is not None else 5432,
            pgdata=row.pgdata or row.local_pgdata,
            vhost=row.vhost,
            herd_descr=row.description,
        )
        _make("herd", made, done)
        return made
    given = {
        "base_name": row.base_name,
        "db_port": row.port,
        "pgdata": row.pgdata,
        "vhost": row.vhost,
    }
    for name, value in given.items():
        known = getattr(found, name)
        if value not in {"", None} and value != known:
            label = getattr(Herd._meta.get_field(name), "verbose_name", name)
            raise _Refusal(
                f"Herd {found} has {label} {known or '(none)'} in the inventory, not "
                f"{value}."
            )
    done.known["herd"] += 1
    return found


def _server(
    row: FleetRow,
    environment: Environment | None,
    by: str,
    host_keys: Mapping[str, str],
    done: Imported,
) -> Server:
    name = row.host.lower().removesuffix(".")
    text = row.host_key or host_keys.get(name, "")
    key = read_host_key(text) if text else None
    found = Server.objects.filter(hostname=name).first()
    if found is None:
        made = Server(hostname=name, environment=environment)
        if key is not None:
            accept_host_key(made, key, by)
        _make("server", made, done)
        return made
    if environment and found.environment_id not in {None, environment.pk}:
        raise _Refusal(
            f"Server {found} belongs to {found.environment} in the inventory, not to "
            f"{environment}."
        )
    if key is not None and found.host_key and found.host_key != str(key):
        raise _Refusal(
            f"Another host key of {found} was accepted; this one is {key.fingerprint}. "
            "Accept a changed key on the server's page."
        )
    changed = []
    if environment and found.environment_id is None:
        found.environment = environment
        changed.append("environment")
    if key is not None and not found.host_key:
        accept_host_key(found, key, by)
        changed += ["host_key", "host_key_accepted_at", "host_key_accepted_by"]
    if changed:
        found.save(update_fields=changed)
        done.made.append(("completed server", found.hostname))
    else:
        done.known["server"] += 1
    return found


def _follow(row: FleetRow, member: Instance, done: Imported) -> None:
    """Record the upstream of a new instance, now that all of them are there."""
    if not row.upstream:
        return
    name = row.upstream.lower().removesuffix(".")
    upstream = Instance.objects.filter(herd=member.herd, server__hostname=name).first()
    if upstream is None or upstream.pk == member.pk:
        done.refused.append(
            Refused(
                where=row.where,
                why=f"Its upstream {row.upstream} is no other member of herd "
                f"{member.herd}; {member} was entered without one.",
            )
        )
        return
    member.master = upstream
    member.save(update_fields=["master"])


def _make(kind: str, made: models.Model, done: Imported) -> None:
    """Save something new as a form would.

    Raises:
        ValidationError: it cannot be, with the reason.
    """
    try:
        made.full_clean()
    except ValidationError as error:
        if not hasattr(error, "error_dict"):
            raise
        raise ValidationError(
            [
                f"{_label(made, name)}{message}"
                for name, messages in error.message_dict.items()
                for message in messages
            ]
        ) from error
    made.save()
    done.made.append((kind, str(made)))


def _label(made: models.Model, name: str) -> str:
    if name == "__all__":
        return ""
    return f"{made._meta.get_field(name).verbose_name}: "  # type: ignore[union-attr]
