"""Examines the metadata: database, schema, migrations, privileges, clock, workers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.conf import settings
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from django.utils import timezone

from herds.apps import SCHEMA
from herds.models import Environment, Herd, Instance, Operation, Server, Worker
from herds.selectors.operations import WORKER_SILENCE, workers_alive

from .finding import Finding, attention, broken, fine

OLDEST_SERVER = 140000
CLOCKS_APART = 2.0  # seconds; ages on pages are wrong by as much

_VIEWS = ("v_dr_pairs", "v_flat_instance")
_FUNCTIONS = (
    *("sp_audit_stamps", "sp_discover_server", "sp_get_herd", "sp_instance_checkin"),
)
_MODELS = (Environment, Herd, Server, Instance, Operation, Worker)


def is_reached() -> Finding:
    """Connect to the metadata database."""
    where = _where()
    try:
        connection.ensure_connection()
    except DatabaseError as error:
        return broken(
            "metadata",
            f"{where} cannot be reached ({_first_line(error)}).",
            "See whether its server runs and lets this user in (pg_hba.conf), and "
            "compare DATABASES in the local settings.",
        )
    version = int(connection.connection.info.server_version)
    shown = f"PostgreSQL {version // 10000}.{version % 10000}"
    if version < OLDEST_SERVER:
        return broken(
            "metadata",
            f"{where} is kept by {shown}.",
            "Move the metadata to a server of PostgreSQL 14 or newer.",
        )
    return fine("metadata", f"{where} is reached; {shown}.")


def schema() -> Iterator[Finding]:
    """Look whether tables are found in the schema that agents know."""
    found = _asked("SELECT current_schema(), to_regnamespace(%s) IS NOT NULL", [SCHEMA])
    current, is_there = found[0]
    if not is_there:
        yield broken(
            "schema", f"There is no schema {SCHEMA}.", "Run: manage.py migrate"
        )
    elif current != SCHEMA:
        yield broken(
            "schema",
            f"Tables are looked for in schema {current}, not in {SCHEMA}.",
            f'Set OPTIONS of DATABASES to {{"options": "-c search_path={SCHEMA}"}}.',
        )
    else:
        yield fine("schema", f"Tables are looked for in {SCHEMA}.")


def migrations() -> Iterator[Finding]:
    """Compare the tables with those that this release works with."""
    executor = MigrationExecutor(connection)
    plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    newer = sorted(
        name
        for app, name in executor.loader.applied_migrations
        if app == "herds" and (app, name) not in executor.loader.disk_migrations
    )
    if plan:
        names = ", ".join(f"{each.app_label} {each.name}" for each, _ in plan[:3])
        more = f" and {len(plan) - 3} more" if len(plan) > 3 else ""
        yield broken(
            "migrations",
            f"{len(plan)} are not applied: {names}{more}.",
            "Back the database up, then run: manage.py migrate",
        )
    elif newer:
        yield attention(
            "migrations",
            f"The tables are those of a newer release ({', '.join(newer)}).",
            "Install that release on this machine, too.",
        )
    else:
        yield fine("migrations", "All are applied.")


def privileges() -> Iterator[Finding]:
    """Ask whether this user may do with the tables what the service does."""
    tables = [model._meta.db_table for model in _MODELS]
    lacking = [
        f"{privilege} on {table}"
        for table, privilege, may in _asked(
            "SELECT t, p, coalesce(has_table_privilege(to_regclass(t), p), false)"
            " FROM unnest(%s::text[]) t,"
            " unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) p"
            " WHERE to_regclass(t) IS NOT NULL",
            [tables],
        )
        if not may
    ]
    user = _asked("SELECT current_user", [])[0][0]
    if lacking:
        yield broken(
            "privileges",
            f"User {user} lacks {', '.join(lacking)}.",
            f"Have the owner of the tables run: GRANT SELECT, INSERT, UPDATE, DELETE "
            f"ON ALL TABLES IN SCHEMA {SCHEMA} TO {user};",
        )
    else:
        yield fine("privileges", f"User {user} may read and write the tables.")


def objects() -> Iterator[Finding]:
    """Look for the views and functions that migrations write in SQL."""
    missing = [
        name
        for name, is_there in _asked(
            "SELECT n, to_regclass(n) IS NOT NULL FROM unnest(%s::text[]) n",
            [list(_VIEWS)],
        )
        + _asked(
            "SELECT n, EXISTS (SELECT FROM pg_proc WHERE proname = n"
            " AND pronamespace = to_regnamespace(%s)) FROM unnest(%s::text[]) n",
            [SCHEMA, list(_FUNCTIONS)],
        )
        if not is_there
    ]
    if missing:
        yield broken(
            "views and functions",
            f"Missing in schema {SCHEMA}: {', '.join(missing)}.",
            "Restore them from the last backup; docs/backup.md says how.",
        )
    else:
        yield fine("views and functions", "They are there.")


def clock() -> Iterator[Finding]:
    """Compare this machine's clock with that of the database server."""
    before = timezone.now()
    there = _asked("SELECT clock_timestamp()", [])[0][0]
    after = timezone.now()
    apart = max((before - there).total_seconds(), (there - after).total_seconds(), 0.0)
    if apart > CLOCKS_APART:
        yield attention(
            "clock",
            f"This machine and the database server are {apart:,.1f} s apart.",
            "Have both follow a time server; signed DNS changes fail beyond 300 s.",
        )
    else:
        yield fine("clock", "It agrees with that of the database server.")


def worker() -> Iterator[Finding]:
    """Look for workers that give signs of life."""
    alive = list(workers_alive())
    if alive:
        names = ", ".join(sorted({each.hostname for each in alive}))
        yield fine("workers", f"{len(alive)} at work, on {names}.")
    else:
        yield broken(
            "workers",
            f"None gave a sign of life in {WORKER_SILENCE.total_seconds():g} s: "
            "what is asked for waits.",
            "Start one: systemctl start elephaas-worker, or manage.py worker",
        )


def _where() -> str:
    at: dict[str, Any] = settings.DATABASES.get("default", {})
    host = at.get("HOST")
    return f"Database {at.get('NAME') or '?'}" + (f" on {host}" if host else "")


def _asked(sql: str, values: list[Any]) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        rows: list[tuple[Any, ...]] = cursor.fetchall()
        return rows


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
