"""Speaks to the metadata as an agent does: by its functions, with its rights alone."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.db import connection
from django.utils import timezone

from herds.models import Instance

MINUTE = timedelta(minutes=1)


def make_agents() -> None:
    """Make the logins of agents: ``agents`` of any host, ``ele01`` bound to its own.

    They go with the test's transaction.
    """
    with connection.cursor() as cursor:
        cursor.execute("CREATE ROLE agents LOGIN IN ROLE util_exec")
        cursor.execute("CREATE ROLE ele01 LOGIN IN ROLE util_exec, util_exec_host")


def call(statement: str, *values: Any, role: str = "agents") -> Any:
    """Run one statement of an agent; a refused one leaves nothing."""
    with connection.cursor() as cursor:
        cursor.execute("SAVEPOINT agent")
        cursor.execute(f"SET LOCAL SESSION AUTHORIZATION {role}")
        try:
            cursor.execute(statement, values)
            found = cursor.fetchone()
        except BaseException:
            cursor.execute("ROLLBACK TO agent")
            raise
        cursor.execute("RESET SESSION AUTHORIZATION")
        cursor.execute("RELEASE agent")
    return found[0] if found else None


def checkin(role: str = "agents", **values: Any) -> int | None:
    """Report an instance: trade on ele01 at 5432, unless said otherwise."""
    values = {"sHerd": "trade", "sHost": "ele01", "nPort": 5432, **values}
    named = ", ".join(f"{name} => %s" for name in values)
    found: int | None = call(
        f"SELECT utility.sp_instance_checkin({named})", *values.values(), role=role
    )
    return found


def recorded(instance: Instance, **values: Any) -> Instance:
    """Set what is recorded of an instance, a minute ago unless said otherwise."""
    values.setdefault("observed_at", timezone.now() - MINUTE)
    Instance.objects.filter(pk=instance.pk).update(**values)
    return Instance.objects.get(pk=instance.pk)
