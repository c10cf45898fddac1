"""Reads the fleet of an original ElepHaaS 1.2 from its own database."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
from psycopg.rows import dict_row

from herds.domain.fleet import FleetRow, Refused
from herds.domain.fleet_text import read_row
from herds.errors import PreconditionFailed

SCHEMA = "utility"
CONNECT_TIMEOUT = 10  # seconds
LOCK_TIMEOUT = "10s"

_HERDS = """
SELECT h.herd_id AS number, e.env_name AS environment, h.herd_name AS herd, h.base_name,
       h.db_port AS port, h.pgdata, h.vhost, h.herd_descr AS description
  FROM ele_herd h LEFT JOIN ele_environment e USING (environment_id)
 ORDER BY h.herd_id
"""

_SERVERS = """
SELECT s.server_id AS number, e.env_name AS environment, s.hostname AS host
  FROM ele_server s LEFT JOIN ele_environment e USING (environment_id)
 ORDER BY s.server_id
"""

_INSTANCES = """
SELECT i.instance_id AS number, he.env_name AS environment, h.herd_name AS herd,
       se.env_name AS server_environment, s.hostname AS host, i.local_pgdata, i.version,
       us.hostname AS upstream
  FROM ele_instance i
  JOIN ele_herd h USING (herd_id)
  JOIN ele_server s USING (server_id)
  LEFT JOIN ele_environment he ON he.environment_id = h.environment_id
  LEFT JOIN ele_environment se ON se.environment_id = s.environment_id
  LEFT JOIN ele_instance u ON u.instance_id = i.master_id
  LEFT JOIN ele_server us ON us.server_id = u.server_id
 ORDER BY i.master_id IS NOT NULL, i.instance_id
"""


def read_legacy(address: str) -> list[FleetRow | Refused]:
    """Read environments, herds, servers and instances of a 1.2 database.

    It is read in one transaction that changes nothing.

    Args:
        address: how libpq is led there, such as ``service=old`` or
            ``host=db1 dbname=admin``. It has no password: libpq takes that from
            ``~/.pgpass`` or the file of the service.

    Raises:
        PreconditionFailed: the address holds a password, or the database cannot be
            reached, or it holds no such tables.
    """
    _refuse_password(address)
    try:
        with psycopg.connect(
            address,
            autocommit=False,
            row_factory=dict_row,
            connect_timeout=CONNECT_TIMEOUT,
        ) as old:
            old.read_only = True
            old.execute(f"SET search_path TO {SCHEMA}")
            old.execute(f"SET lock_timeout TO '{LOCK_TIMEOUT}'")
            return list(_read(old))
    except psycopg.Error as error:
        why = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise PreconditionFailed(
            f"The database of ElepHaaS 1.2 could not be read: {why}",
            hint="Its tables ele_environment, ele_herd, ele_server and ele_instance "
            f"lie in schema {SCHEMA}; nothing was imported.",
        ) from error


def _read(old: psycopg.Connection[dict[str, Any]]) -> Iterator[FleetRow | Refused]:
    for table, query in (("ele_herd", _HERDS), ("ele_server", _SERVERS)):
        for found in old.execute(query).fetchall():
            where = f"{table} {found.pop('number')}"
            yield read_row(found, where)
    for found in old.execute(_INSTANCES).fetchall():
        where = f"ele_instance {found.pop('number')}"
        # The server was entered before, with an environment of its own.
        of_server = found.pop("server_environment")
        if of_server is not None and of_server != found["environment"]:
            yield Refused(
                where=where,
                why=f"Server {found['host']} belongs to {of_server}, herd "
                f"{found['herd']} to {found['environment'] or 'no environment'}.",
            )
            continue
        if not found["local_pgdata"]:
            found["local_pgdata"] = ""
        yield read_row(found, where)


def _refuse_password(address: str) -> None:
    try:
        given = psycopg.conninfo.conninfo_to_dict(address)
    except psycopg.ProgrammingError:
        # What is wrong may be a password; it is not repeated.
        raise PreconditionFailed(
            "What --from-database names is no address of a database.",
            hint="Write it as 'service=old', or 'host=db1 dbname=admin user=elephaas'.",
        ) from None
    if given.get("password"):
        raise PreconditionFailed(
            "The address of the database holds a password, which everybody on this "
            "machine can read while the command runs.",
            hint="Put the password into ~/.pgpass, and leave it out here.",
        )
