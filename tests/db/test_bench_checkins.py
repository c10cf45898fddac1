"""What the benchmark of check-ins sends reaches the instances that it made."""

from __future__ import annotations

import re

import pytest
from django.db import connection

from bench import checkins
from herds.models import Instance

pytestmark = pytest.mark.django_db


def statement(script: str, values: dict[str, int]) -> str:
    """Return what pgbench makes of a script when its variables are these."""
    asked = "".join(
        line for line in script.splitlines(keepends=True) if not line.startswith("\\")
    )
    return re.sub(r"(?<!:):([a-z]+)", lambda name: str(values[name[1]]), asked)


def test_every_check_in_is_one_of_a_known_instance() -> None:
    fleet = checkins._SQL.read_text()
    sizes = {"herds": checkins.HERDS, "members": checkins.MEMBERS}
    with connection.cursor() as cursor:
        cursor.execute(statement(fleet, sizes))
        assert Instance.objects.count() == 10_000
        for herd, member in ((0, 0), (7, 0), (999, 9), (500, 3)):
            values = {
                "herd": herd,
                "member": member,
                "host": (herd + member * 97) % checkins.HERDS,
                "port": 6000 + herd,
                "position": 12345,
                "timeline": 7,
            }
            for script in checkins.SCRIPTS.values():
                cursor.execute(statement(script, values))
                (number,) = cursor.fetchone()
                found = Instance.objects.get(pk=number)
                assert found.server.hostname == f"ele{values['host']}"
                assert found.herd.base_name == f"herd{herd}"
                assert found.is_primary is (member == 0)
