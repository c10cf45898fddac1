"""The Django application: label, name, and the start-up hooks."""

from __future__ import annotations

from typing import Any

from django.apps import AppConfig
from django.contrib.auth.signals import (
    user_logged_in,
    user_logged_out,
    user_login_failed,
)
from django.core.management.base import CommandError
from django.db import DatabaseError, connections
from django.db.models.signals import post_migrate, pre_migrate

from herds.sql import adoption

SCHEMA = "utility"
"""Where the metadata lie; agents and dashboards look for them there."""


class HerdsConfig(AppConfig):
    name = "herds"
    label = "herds"
    verbose_name = "Elephant Herd as a Service"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Connect the start-up hooks."""
        # Importing the module registers its checks, which need the apps loaded.
        from herds import (
            checks,  # noqa: F401
            logins,
        )
        from herds.management.roles import make_roles

        user_logged_in.connect(logins.note_login, dispatch_uid="herds.logged_in")
        user_logged_out.connect(logins.note_logout, dispatch_uid="herds.logged_out")
        user_login_failed.connect(logins.note_failure, dispatch_uid="herds.failed")
        post_migrate.connect(make_roles, sender=self, dispatch_uid="herds.make_roles")
        pre_migrate.connect(make_schema, sender=self, dispatch_uid="herds.make_schema")
        pre_migrate.connect(make_room, sender=self, dispatch_uid="herds.make_room")


def make_schema(*, using: str, **_: Any) -> None:
    """Make the schema of the metadata before the first table, where it is missing.

    Raises:
        CommandError: when this is not possible, or when tables would be made in
            another schema, with what to do.
    """
    connection = connections[using]
    database = connection.settings_dict["NAME"]
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_regnamespace(%s) IS NOT NULL", [SCHEMA])
        if not cursor.fetchone()[0]:
            try:
                cursor.execute(f"CREATE SCHEMA {SCHEMA}")
            except DatabaseError as error:
                raise CommandError(
                    f"Database {database} has no schema {SCHEMA}, and it could not be "
                    f"made ({str(error).strip()}). Have the owner of the database run: "
                    f"CREATE SCHEMA {SCHEMA} AUTHORIZATION the_user_of_this_service;"
                ) from error
        cursor.execute("SELECT current_schema()")
        schema = cursor.fetchone()[0]
    if schema != SCHEMA:
        raise CommandError(
            f"Tables would be made in schema {schema} of database {database}. "
            f"The metadata belong to schema {SCHEMA}: set OPTIONS of DATABASES to "
            f'{{"options": "-c search_path={SCHEMA}"}} in the local settings.'
        )


def make_room(*, using: str, plan: Any = (), **_: Any) -> None:
    """Set the tables of an ElepHaaS 1.2 aside before ours are made.

    Raises:
        CommandError: when that is not possible, or when migrate has to be run again,
            with what to do.
    """
    if not any(each.app_label == "herds" for each, _ in plan):
        return
    connection = connections[using]
    if not adoption.is_original(connection):
        return
    try:
        has_to_begin_again = adoption.set_aside(connection)
    except DatabaseError as error:
        raise CommandError(
            f"Schema {SCHEMA} holds the tables of an ElepHaaS 1.2. They could not be "
            f"moved to schema {adoption.ASIDE} ({str(error).strip()}), and nothing was "
            "changed. Run migrate as the owner of the tables, who may also make "
            "schemas: GRANT CREATE ON DATABASE … TO …;"
        ) from error
    if has_to_begin_again:
        raise CommandError(
            f"The tables of ElepHaaS 1.2 were moved to schema {adoption.ASIDE}. Run "
            "migrate again to make the new ones and bring the rows."
        )
