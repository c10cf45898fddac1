"""The tables, views and triggers are what agents and dashboards rely on."""

from __future__ import annotations

import pytest
from django.apps import apps
from django.core.management import CommandError, call_command
from django.db import connection, models
from django.db.migrations.loader import MigrationLoader

from herds.apps import SCHEMA, make_schema
from herds.sql import FOLDER, RunSQLFile

pytestmark = pytest.mark.django_db

CONTRACT = {
    "ele_environment": {
        *("environment_id", "env_name", "env_descr", "created_dt", "modified_dt")
    },
    "ele_herd": {
        *("herd_id", "environment_id", "base_name", "herd_name", "herd_descr"),
        *("db_port", "pgdata", "vhost", "created_dt", "modified_dt"),
    },
    "ele_server": {
        *("server_id", "environment_id", "hostname", "created_dt", "modified_dt")
    },
    "ele_instance": {
        *("instance_id", "herd_id", "server_id", "version", "local_pgdata"),
        *("xlog_pos", "is_online", "master_id", "created_dt", "modified_dt"),
    },
}

VIEWS = {
    "v_dr_pairs": [
        *("herd_id", "instance_id", "master_id", "server_id", "mb_lag", "vhost")
    ],
    "v_flat_instance": [
        *("instance_id", "version", "pgdata", "local_pgdata", "xlog_pos", "is_online"),
        *("base_name", "herd_name", "db_port", "vhost", "server_id", "hostname"),
        *("master_id", "environment_id", "env_name"),
    ],
}

LENGTHS = {
    ("ele_environment", "env_name"): 40,
    ("ele_herd", "base_name"): 40,
    ("ele_herd", "herd_name"): 40,
    ("ele_herd", "pgdata"): 100,
    ("ele_herd", "vhost"): 40,
    ("ele_server", "hostname"): 40,
    ("ele_instance", "version"): 10,
    ("ele_instance", "local_pgdata"): 100,
}

DELETE_RULES = {models.CASCADE: "c", models.SET_NULL: "n"}


def columns(table: str) -> dict[str, tuple[str, int | None, bool]]:
    """Return type, length and nullability by column, in the table's order."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT column_name, data_type, character_maximum_length,"
            " is_nullable = 'YES' FROM information_schema.columns"
            " WHERE table_schema = 'utility' AND table_name = %s"
            " ORDER BY ordinal_position",
            [table],
        )
        return {name: (type_, size, null) for name, type_, size, null in cursor}


def test_models_and_migrations_agree() -> None:
    call_command("makemigrations", "--check", "--dry-run", verbosity=0)


@pytest.mark.parametrize("table", CONTRACT)
def test_the_tables_have_every_column_of_the_contract(table: str) -> None:
    assert CONTRACT[table] <= set(columns(table))


@pytest.mark.parametrize("view", VIEWS)
def test_the_views_have_the_columns_of_the_contract(view: str) -> None:
    assert list(columns(view))[: len(VIEWS[view])] == VIEWS[view]


@pytest.mark.parametrize(("table", "column"), LENGTHS)
def test_no_column_is_shorter_than_in_the_contract(table: str, column: str) -> None:
    size = columns(table)[column][1]

    assert size is not None
    assert size >= LENGTHS[table, column]


@pytest.mark.parametrize(
    ("table", "column", "type_", "null"),
    [
        ("ele_environment", "env_descr", "text", False),
        ("ele_herd", "herd_descr", "text", False),
        ("ele_herd", "db_port", "integer", False),
        ("ele_herd", "environment_id", "integer", True),
        ("ele_server", "environment_id", "integer", True),
        ("ele_instance", "xlog_pos", "bigint", True),
        ("ele_instance", "is_online", "boolean", False),
        ("ele_instance", "master_id", "integer", True),
    ],
)
def test_columns_have_the_types_of_the_contract(
    table: str, column: str, type_: str, null: bool
) -> None:
    found = columns(table)[column]

    assert (found[0], found[2]) == (type_, null)


def test_everything_lies_in_the_schema_utility() -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT DISTINCT schemaname FROM pg_tables"
            " WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"
        )
        assert cursor.fetchall() == [(SCHEMA,)]


def test_functions_find_their_tables_whatever_search_path_the_caller_has() -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT proname, proconfig FROM pg_proc"
            " WHERE pronamespace = 'utility'::regnamespace AND proname LIKE 'sp\\_%'"
        )
        functions = dict(cursor.fetchall())

    assert "sp_audit_stamps" in functions
    assert {config[0] for config in functions.values()} == {
        "search_path=utility",
        "search_path=utility, pg_temp",
    }


def test_the_views_find_their_tables_whatever_search_path_the_caller_has() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL search_path = pg_catalog")
        for view in VIEWS:
            cursor.execute(f"SELECT count(*) FROM utility.{view}")
            assert cursor.fetchone() == (0,)


def test_each_sql_file_is_loaded_by_exactly_one_migration() -> None:
    migrations = MigrationLoader(connection).disk_migrations.values()
    loaded = [
        operation.name
        for migration in migrations
        for operation in migration.operations
        if isinstance(operation, RunSQLFile)
    ]

    assert sorted(loaded) == sorted(path.name for path in FOLDER.glob("*.sql"))


def test_the_database_does_on_a_delete_what_each_model_says() -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT c.conrelid::regclass::text, a.attname, c.confdeltype"
            " FROM pg_constraint c JOIN pg_attribute a"
            " ON a.attrelid = c.conrelid AND c.conkey = ARRAY[a.attnum]"
            " WHERE c.contype = 'f'"
        )
        found = {(table, column): rule for table, column, rule in cursor}
    expected = {
        (model._meta.db_table, field.column): DELETE_RULES[field.remote_field.on_delete]
        for model in apps.get_app_config("herds").get_models()
        if model._meta.managed
        for field in model._meta.get_fields()
        if isinstance(field, models.ForeignKey)
    }

    assert {key: found.get(key) for key in expected} == expected


def test_a_missing_schema_is_made_before_the_first_table() -> None:
    with connection.cursor() as cursor:
        cursor.execute("ALTER SCHEMA utility RENAME TO elsewhere")

    make_schema(using="default")

    with connection.cursor() as cursor:
        cursor.execute("SELECT to_regnamespace('utility') IS NOT NULL")
        assert cursor.fetchone() == (True,)


def test_a_schema_that_may_not_be_made_is_refused_with_the_command_to_run() -> None:
    with connection.cursor() as cursor:
        cursor.execute("ALTER SCHEMA utility RENAME TO elsewhere")
        cursor.execute("CREATE ROLE nobody_special")
        cursor.execute("SET LOCAL ROLE nobody_special")

    with pytest.raises(CommandError, match=r"permission denied.*CREATE SCHEMA utility"):
        make_schema(using="default")


def test_a_connection_that_leads_to_another_schema_is_refused() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL search_path = public")

    with pytest.raises(CommandError, match="search_path=utility"):
        make_schema(using="default")
