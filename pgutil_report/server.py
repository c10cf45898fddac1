"""Asks a running server what it is and where its WAL stands."""

from __future__ import annotations

import os
import pwd
from typing import Any

from pgutil_report import database, pgconf
from pgutil_report.values import Answer

OLDEST = 100000
"""PostgreSQL 10, which first called it WAL."""

_VERSION = "SELECT current_setting('server_version'), pg_is_in_recovery()"

# Positions are those that the service itself compares. What only members of
# pg_read_all_settings may see is left out of pg_settings, and no error.
_STATE = """
SELECT (CASE WHEN pg_is_in_recovery()
             THEN greatest(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn())
             ELSE pg_current_wal_flush_lsn() END - '0/0')::bigint,
       (SELECT system_identifier::text FROM pg_control_system()),
       CASE WHEN pg_is_in_recovery()
            THEN coalesce((SELECT received_tli FROM pg_stat_wal_receiver),
                          (SELECT timeline_id FROM pg_control_checkpoint()))
            ELSE ('x' || left(pg_walfile_name(pg_current_wal_flush_lsn()), 8)
                 )::bit(32)::bigint END,
       (SELECT r.status = 'streaming' FROM pg_stat_wal_receiver r),
       (SELECT to_jsonb(r) ->> 'sender_host' FROM pg_stat_wal_receiver r),
       (SELECT r.conninfo FROM pg_stat_wal_receiver r),
       (SELECT setting FROM pg_settings WHERE name = 'primary_conninfo'),
       (SELECT setting FROM pg_settings WHERE name = 'data_directory'),
       (SELECT setting FROM pg_settings WHERE name = 'cluster_name')
"""


class Stranger(Exception):
    """The server that answers is not the one that was meant."""


def ask(
    data_directory: str,
    host: str,
    port: int,
    user: str,
    name: str,
    seconds: float,
) -> Answer:
    """Return what the server of a data directory says.

    Args:
        data_directory: its own; another's server at the same port is refused.
        host: a socket's directory, or an address.
        user: the role; "" for the one of the operating system's user.
        name: the database.
        seconds: that all of it may take.

    Raises:
        psycopg2.Error, database.TooSlow, Stranger: when it says nothing usable.
    """
    options = f"-c search_path=pg_catalog -c statement_timeout={int(seconds * 1000)}"
    parameters: dict[str, Any] = {"options": options, "dbname": name}
    if user:
        parameters["user"] = user
    if host.startswith("/"):
        # Only the owner of the data is believed to be its server.
        parameters["requirepeer"] = pwd.getpwuid(os.stat(data_directory).st_uid).pw_name
    connection = database.connect(seconds, host=host, port=port, **parameters)
    try:
        with connection.cursor() as cursor:
            cursor.execute(_VERSION)
            version, is_standby = cursor.fetchone()
            if connection.server_version < OLDEST:
                return Answer(_plain(version), is_standby)
            cursor.execute(_STATE)
            return _answer(data_directory, version, is_standby, cursor.fetchone())
    finally:
        connection.close()


def _plain(version: str) -> str:
    """Return the version without the words that packages add to it."""
    return (version.split() or [""])[0]


def _answer(
    data_directory: str, version: str, is_standby: bool, row: tuple[Any, ...]
) -> Answer:
    position, identifier, timeline, streaming = row[:4]
    sender, receiver_conninfo, conninfo, directory, cluster_name = row[4:]
    if directory and os.path.realpath(directory) != data_directory:
        raise Stranger(f"the server that answers there is that of {directory}")
    upstream = None
    if is_standby:
        upstream = sender or pgconf.host_in(receiver_conninfo or "")
        if not upstream and conninfo:
            upstream = pgconf.host_in(conninfo) or "/"
    return Answer(
        version=_plain(version),
        is_standby=is_standby,
        position=position,
        system_identifier=identifier,
        timeline=timeline,
        is_streaming=bool(streaming) if is_standby else None,
        upstream=upstream,
        cluster_name=cluster_name or "",
    )
