"""Takes an ElepHaaS 1.2 over in place: its tables make room, and its rows come along.

Tables, views and functions of 1.2 are moved to a schema of their own before the first
migration, whole and unchanged. A later migration brings the rows into the new tables
under their old numbers. What cannot be brought stays there and is told in the log.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from django.db import DatabaseError, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

ASIDE = "utility_1_2"
"""The schema that keeps what was there before; drop it when nobody misses anything."""

TABLES = ("ele_environment", "ele_herd", "ele_server", "ele_instance")
VIEWS = ("v_dr_pairs", "v_flat_instance")
FUNCTIONS = (
    *("sp_audit_stamps", "sp_discover_server", "sp_get_herd", "sp_instance_checkin"),
)
# Agents execute functions and read nothing.
WITHOUT_READING = "util_exec"

logger = logging.getLogger("herds.adoption")

Row = dict[str, Any]


def is_original(connection: BaseDatabaseWrapper) -> bool:
    """Tell whether the current schema holds tables that no migration of ours made."""
    ((found,),) = _asked(
        connection,
        "SELECT to_regclass(quote_ident(current_schema()) || '.ele_instance') IS NOT"
        " NULL AND to_regclass(quote_ident(current_schema()) || '.ele_operation') IS"
        " NULL",
    )
    return bool(found)


def set_aside(connection: BaseDatabaseWrapper) -> bool:
    """Move what 1.2 left in the current schema to ``ASIDE``, in one transaction.

    Returns:
        Whether migrations of the same name stood in the history, which were forgotten:
        a plan of migrations that was made before is wrong then.
    """
    with transaction.atomic(using=connection.alias), connection.cursor() as cursor:
        cursor.execute(f"CREATE SCHEMA {ASIDE}")
        for (name,) in _asked(connection, _OTHER_VIEWS, [list(TABLES), list(VIEWS)]):
            logger.warning(
                "View %s reads the tables of 1.2, which are now kept in %s and no "
                "longer change. Make it anew.",
                name,
                ASIDE,
            )
        for kind, names in (("VIEW", VIEWS), ("TABLE", TABLES)):
            for (name,) in _asked(connection, _THERE, [list(names)]):
                cursor.execute(f"ALTER {kind} {name} SET SCHEMA {ASIDE}")
        for (signature,) in _asked(connection, _SIGNATURES, [list(FUNCTIONS)]):
            cursor.execute(f"ALTER FUNCTION {signature} SET SCHEMA {ASIDE}")
        cursor.execute("SELECT to_regclass('django_migrations') IS NOT NULL")
        if not cursor.fetchone()[0]:
            return False
        cursor.execute("DELETE FROM django_migrations WHERE app = 'herds'")
        return bool(cursor.rowcount)


def bring(connection: BaseDatabaseWrapper) -> None:
    """Bring rows and the right to read them from ``ASIDE``, if there is anything.

    Numbers and stamps stay. Host names become lower case; servers that differ by that
    alone become one. Positions and states come without a time, so they count as
    unknown until somebody looks.
    """
    ((is_there,),) = _asked(
        connection, "SELECT to_regclass(%s) IS NOT NULL", [f"{ASIDE}.ele_instance"]
    )
    if not is_there:
        return
    with connection.cursor() as cursor:
        for table in TABLES:
            cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        _Adoption(connection).run()
        # Rows are checked now, because tables with open checks cannot be altered.
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("SET CONSTRAINTS ALL DEFERRED")
        for table in TABLES:
            cursor.execute(f"ALTER TABLE {table} ENABLE TRIGGER USER")
            key = f"{table.removeprefix('ele_')}_id"
            cursor.execute(
                f"SELECT setval(pg_get_serial_sequence(%s, %s), max({key}))"  # noqa: S608
                f" FROM {table} HAVING count(*) > 0",
                [table, key],
            )
        for grant in _grants(connection):
            cursor.execute(grant)


class _Adoption:
    """Brings the rows, one after the other, and remembers what became of them."""

    def __init__(self, connection: BaseDatabaseWrapper) -> None:
        self._connection = connection
        self._environments: set[int] = set()
        self._herds: set[int] = set()
        self._servers: dict[int, int] = {}
        self._instances: dict[int, int] = {}  # with their herds

    def run(self) -> None:
        self._each("ele_environment", self._environment)
        self._each("ele_herd", self._herd)
        self._each("ele_server", self._server)
        self._each("ele_instance", self._instance)
        self._each("ele_instance", self._upstream)
        logger.warning(
            "Brought from 1.2: %d environments, %d herds, %d servers, %d instances. "
            "The old tables are kept in schema %s.",
            len(self._environments),
            len(self._herds),
            len(set(self._servers.values())),
            len(self._instances),
            ASIDE,
        )

    def _each(self, table: str, bring_one: Callable[[Row], object]) -> None:
        key = f"{table.removeprefix('ele_')}_id"
        with self._connection.cursor() as cursor:
            cursor.execute(f"SELECT * FROM {ASIDE}.{table} ORDER BY {key}")  # noqa: S608
            names = [column[0] for column in cursor.description]
            rows = [dict(zip(names, values, strict=True)) for values in cursor]
        for row in rows:
            try:
                with transaction.atomic(using=self._connection.alias):
                    bring_one(row)
            except (DatabaseError, ValueError) as error:
                why = str(error).strip().splitlines()[0]
                logger.warning(
                    "Row %s of %s.%s was not brought: %s", row[key], ASIDE, table, why
                )

    def _environment(self, row: Row) -> None:
        self._insert(
            "ele_environment", row, ("environment_id", "env_name"), "env_descr"
        )
        self._environments.add(row["environment_id"])

    def _herd(self, row: Row) -> None:
        row["environment_id"] = self._known(row["environment_id"])
        self._insert(
            "ele_herd",
            row,
            (
                "herd_id",
                "environment_id",
                "base_name",
                "herd_name",
                "db_port",
                "pgdata",
            ),
            "herd_descr",
            "vhost",
        )
        self._herds.add(row["herd_id"])

    def _server(self, row: Row) -> None:
        name = row["hostname"] = row["hostname"].strip().lower().removesuffix(".")
        same = _asked(
            self._connection,
            "SELECT server_id FROM ele_server WHERE hostname = %s",
            [name],
        )
        if same:
            self._servers[row["server_id"]] = same[0][0]
            return
        row["environment_id"] = self._known(row["environment_id"])
        self._insert("ele_server", row, ("server_id", "environment_id", "hostname"))
        self._servers[row["server_id"]] = row["server_id"]

    def _instance(self, row: Row) -> None:
        if row["herd_id"] not in self._herds or row["server_id"] not in self._servers:
            raise ValueError("its herd or its server was not brought")
        row["server_id"] = self._servers[row["server_id"]]
        row["is_online"] = bool(row["is_online"])
        self._insert(
            "ele_instance",
            row,
            ("instance_id", "herd_id", "server_id", "xlog_pos", "is_online"),
            "version",
            "local_pgdata",
        )
        self._instances[row["instance_id"]] = row["herd_id"]

    def _upstream(self, row: Row) -> None:
        own, upstream = row["instance_id"], row["master_id"]
        if upstream is None or own not in self._instances:
            return
        if upstream == own or self._instances.get(upstream) != self._instances[own]:
            raise ValueError(
                f"its upstream {upstream} is no other member of its herd; it was "
                "brought without one"
            )
        with self._connection.cursor() as cursor:
            cursor.execute(
                "UPDATE ele_instance SET master_id = %s WHERE instance_id = %s",
                [upstream, own],
            )

    def _known(self, environment_id: int | None) -> int | None:
        return environment_id if environment_id in self._environments else None

    def _insert(self, table: str, row: Row, exact: Iterable[str], *texts: str) -> None:
        """Insert a row; texts that may be null in 1.2 are empty here."""
        values = {name: row[name] for name in exact}
        values |= {name: (row[name] or "").strip() for name in texts}
        values |= {
            name: row[name]
            for name in ("created_dt", "modified_dt")
            if row.get(name) is not None
        }
        places = ", ".join(["%s"] * len(values))
        with self._connection.cursor() as cursor:
            cursor.execute(
                f"INSERT INTO {table} ({', '.join(values)}) VALUES ({places})",  # noqa: S608
                list(values.values()),
            )


def _grants(connection: BaseDatabaseWrapper) -> list[str]:
    """Give the statements that let others read what they could read before."""
    return [
        statement
        for (statement,) in _asked(
            connection,
            "SELECT format('GRANT SELECT ON %%I TO %%s', c.relname,"
            "   CASE a.grantee WHEN 0 THEN 'PUBLIC'"
            "   ELSE quote_ident(pg_get_userbyid(a.grantee)) END)"
            "  FROM pg_class c, aclexplode(c.relacl) a"
            " WHERE c.relnamespace = to_regnamespace(%s) AND c.relname = ANY (%s)"
            "   AND a.privilege_type = 'SELECT' AND a.grantee <> c.relowner"
            "   AND (a.grantee = 0 OR pg_get_userbyid(a.grantee) <> %s)",
            [ASIDE, [*TABLES, *VIEWS], WITHOUT_READING],
        )
    ]


def _asked(
    connection: BaseDatabaseWrapper, sql: str, values: Sequence[Any] | None = None
) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        rows: list[tuple[Any, ...]] = cursor.fetchall()
        return rows


_THERE = (
    "SELECT relname FROM pg_class"
    " WHERE relnamespace = to_regnamespace(quote_ident(current_schema()))"
    "   AND relkind IN ('r', 'v') AND relname = ANY (%s)"
)

_SIGNATURES = (
    "SELECT oid::regprocedure::text FROM pg_proc"
    " WHERE pronamespace = to_regnamespace(quote_ident(current_schema()))"
    "   AND proname = ANY (%s)"
)

_OTHER_VIEWS = """
SELECT DISTINCT v.oid::regclass::text
  FROM pg_class t
  JOIN pg_depend d ON d.refobjid = t.oid AND d.refclassid = 'pg_class'::regclass
  JOIN pg_rewrite r ON r.oid = d.objid AND d.classid = 'pg_rewrite'::regclass
  JOIN pg_class v ON v.oid = r.ev_class
 WHERE t.relnamespace = to_regnamespace(quote_ident(current_schema()))
   AND t.relname = ANY (%s) AND v.relname <> ALL (%s)
"""
