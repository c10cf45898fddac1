"""What agents report, by the functions and with the rights that they have."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from django.db import connection
from django.utils import timezone

from herds.models import Discovery, Fence, Instance, Server
from tests import factories as make

pytestmark = pytest.mark.django_db

ROOT = "/var/lib/postgresql/15/trade"


@pytest.fixture(autouse=True)
def _as_agent(db: None) -> Iterator[None]:
    """Log in as a member of util_exec, for the statements of ``call``."""
    with connection.cursor() as cursor:
        cursor.execute("CREATE ROLE agents LOGIN IN ROLE util_exec")
        cursor.execute('CREATE ROLE ele01 LOGIN IN ROLE util_exec, util_exec_host')
    yield


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


def test_smoke() -> None:
    make.instance("trade", "ele01")
    assert checkin(bOnline=True, sMasterHost="", nXlog=100, sVer="15.18 (Debian x)") == Instance.objects.get().pk
    assert checkin(sHost="ele09", bOnline=True) is None
    print(Discovery.objects.values())
