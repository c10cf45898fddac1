"""What agents cannot do: report nonsense, flood, read, or speak for another host."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from django.db import DatabaseError, DataError, connection

from herds.models import Discovery, Instance, Server
from herds.sql import FOLDER
from tests import factories as make
from tests.agents import call, checkin, make_agents, recorded

ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _agents(db: None) -> None:
    make_agents()


# Nonsense ----------------------------------------------------------------------

MEGABYTE = "a" * (1 << 20)


@pytest.mark.parametrize(
    "nonsense",
    [
        {"sHerd": None},
        {"sHerd": ""},
        {"sHerd": MEGABYTE},
        {"sHerd": "trade'; DROP TABLE ele_server; --"},
        {"sHerd": "tra\nde"},
        {"sHost": None},
        {"sHost": ""},
        {"sHost": "."},
        {"sHost": MEGABYTE},
        {"sHost": "ele 09"},
        {"sHost": "$(reboot)"},
        {"sHost": "éle09"},
        {"sHost": "-ele09"},
        {"sHost": "ele..09"},
        {"nPort": None},
        {"nPort": 0},
        {"nPort": -5432},
        {"nPort": 65536},
        {"sVer": MEGABYTE},
        {"sVer": "\n"},
        {"sVer": "123456"},
        {"sDataDir": "data"},
        {"sDataDir": "/" + MEGABYTE},
        {"sDataDir": "/data/$(reboot)"},
        {"sDataDir": "/data/../../etc"},
        {"sDataDir": "/data\n"},
        {"sMasterHost": MEGABYTE},
        {"sMasterHost": "ele01; reboot"},
        {"nXlog": -1},
        {"nXlog": (1 << 63) - 1},
        {"sSystemId": "seven"},
        {"sSystemId": "9" * 21},
        {"nTimeline": 0},
        {"nTimeline": 1 << 32},
        {"nAge": -1.0},
        {"nAge": 86401.0},
        {"nAge": float("nan")},
        {"nAge": float("inf")},
    ],
    ids=lambda nonsense: str(nonsense)[:40],
)
def test_nonsense_is_refused_in_a_sentence_and_changes_nothing(
    nonsense: dict[str, Any],
) -> None:
    instance = recorded(make.instance("trade", "ele01"))

    with pytest.raises(DataError) as refused:
        checkin(**{"bOnline": False, "nXlog": 77, **nonsense})

    said = str(refused.value).partition("\nHINT")[0]
    assert said.endswith(".")
    assert len(said) < 250
    assert Instance.objects.get() == instance
    assert Instance.objects.get().is_online
    assert (Server.objects.count(), Discovery.objects.count()) == (1, 0)


@pytest.mark.parametrize(
    "value",
    ["'online'", "'2026-01-01'::date", "ARRAY[1]"],
)
def test_other_types_are_refused_by_the_database(value: str) -> None:
    with pytest.raises(DatabaseError):
        call(
            "SELECT utility.sp_instance_checkin('trade', 'ele01', 5432, "
            f"bOnline => {value})"
        )


def test_null_bytes_cannot_be_sent() -> None:
    with pytest.raises(DatabaseError):
        checkin(sHerd="tra\x00de")


def test_a_version_of_the_future_is_only_a_version() -> None:
    instance = recorded(make.instance("trade", "ele01"))

    checkin(sVer="99devel")

    instance.refresh_from_db()
    assert instance.version == "99devel"


def test_a_host_lists_so_many_instances_and_no_more() -> None:
    make.server("ele01")
    for port in range(6001, 6201):
        checkin(nPort=port, bOnline=True)

    with pytest.raises(DatabaseError, match="wait for a place already"):
        checkin(nPort=7000, bOnline=True)
    checkin(nPort=6001, bOnline=False)

    assert Discovery.objects.count() == 200
    assert Discovery.objects.filter(is_online=False).count() == 1


# Floods ------------------------------------------------------------------------


def version_of(table: str) -> Any:
    """Return what changes whenever the one row of a table is written."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT ctid::text, xmin::text FROM {table}")
        return cursor.fetchall()


def test_a_flood_of_the_same_report_writes_nothing() -> None:
    recorded(make.instance("trade", "ele01"))
    checkin(bOnline=True, sMasterHost="", nXlog=1)
    before = version_of("ele_instance"), version_of("ele_server")

    for position in range(2, 30):
        checkin(bOnline=True, sMasterHost="", nXlog=position)

    assert (version_of("ele_instance"), version_of("ele_server")) == before


def test_a_change_is_written_at_once() -> None:
    instance = recorded(make.instance("trade", "ele01"))
    checkin(bOnline=True)

    checkin(bOnline=False)

    instance.refresh_from_db()
    assert not instance.is_online


def test_a_flood_about_an_unplaced_instance_writes_nothing() -> None:
    checkin(sHost="ele09", bOnline=True)
    before = version_of("ele_discovery"), version_of("ele_server")

    for position in range(30):
        checkin(sHost="ele09", bOnline=True, nXlog=position)

    assert (version_of("ele_discovery"), version_of("ele_server")) == before


# Rights ------------------------------------------------------------------------


def test_agents_call_three_functions_and_read_no_table() -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT c.relname FROM pg_class c"
            " WHERE c.relnamespace = 'utility'::regnamespace"
            " AND c.relkind IN ('r', 'v', 'p', 'm') AND has_table_privilege("
            "     'agents', c.oid, 'SELECT, INSERT, UPDATE, DELETE, TRUNCATE,"
            " REFERENCES, TRIGGER')"
        )
        assert cursor.fetchall() == []
        cursor.execute(
            "SELECT proname FROM pg_proc WHERE pronamespace = 'utility'::regnamespace"
            " AND prosecdef AND has_function_privilege('agents', oid, 'EXECUTE')"
            " ORDER BY proname"
        )
        assert [name for (name,) in cursor] == [
            *("sp_discover_server", "sp_get_herd", "sp_instance_checkin")
        ]
        cursor.execute(
            "SELECT has_schema_privilege('agents', 'utility', 'CREATE'), rolcanlogin"
            " FROM pg_roles WHERE rolname = 'util_exec'"
        )
        assert cursor.fetchone() == (False, False)


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT count(*) FROM utility.ele_instance",
        "UPDATE utility.ele_instance SET is_online = false",
        "SELECT count(*) FROM utility.v_flat_instance",
        "SELECT utility.sp_sole_primary(1, 1)",
        "SELECT utility.sp_take_in(1, 'a', 1, '/a', '', '')",
        "CREATE TABLE utility.mine ()",
    ],
)
def test_everything_else_is_denied(statement: str) -> None:
    with pytest.raises(DatabaseError, match="permission denied"):
        call(statement)


def test_who_is_no_agent_reports_nothing() -> None:
    with connection.cursor() as cursor:
        cursor.execute("CREATE ROLE stranger LOGIN")
        cursor.execute("GRANT USAGE ON SCHEMA utility TO stranger")

    with pytest.raises(DatabaseError, match="permission denied"):
        checkin(role="stranger")


def test_temporary_tables_of_a_caller_are_not_taken_for_ours() -> None:
    instance = recorded(make.instance("trade", "ele01"))
    call("SELECT set_config('search_path', 'pg_temp, utility', true)")
    with connection.cursor() as cursor:
        cursor.execute("CREATE TEMP TABLE ele_server (LIKE utility.ele_server)")

    assert checkin(bOnline=False) == instance.pk


def test_an_agent_bound_to_its_host_reports_for_no_other() -> None:
    recorded(make.instance("trade", "ele01"))
    make.instance("trade", "ele02")

    assert checkin(role="ele01", bOnline=False) is not None
    with pytest.raises(DatabaseError, match="reports for its own host only"):
        checkin(role="ele01", sHost="ele02", bOnline=False)
    with pytest.raises(DatabaseError, match="reports for its own host only"):
        call("SELECT utility.sp_discover_server('ele77')", role="ele01")

    assert Instance.objects.get(server__hostname="ele02").is_online


def test_roles_that_migrate_may_not_make_are_made_later_as_documented() -> None:
    page = (ROOT / "docs" / "discovery.md").read_text()
    by_hand = next(
        block
        for block in re.findall(r"```sql\n(.*?)```", page, re.DOTALL)
        if "CREATE ROLE util_exec NOLOGIN" in block
    )
    may = (
        "SELECT has_function_privilege(to_regrole('util_exec'), oid, 'EXECUTE')"
        " FROM pg_proc WHERE proname = 'sp_instance_checkin'"
    )
    with connection.cursor() as cursor:
        cursor.execute("DROP OWNED BY util_exec")
        cursor.execute("DROP ROLE util_exec, util_exec_host")
        cursor.execute("CREATE ROLE plain")
        cursor.execute("SET LOCAL ROLE plain")
        cursor.execute((FOLDER / "agents_roles.sql").read_text())
        cursor.execute("RESET ROLE")
        cursor.execute((FOLDER / "agents_rights.sql").read_text())
        cursor.execute(may)
        assert cursor.fetchone() == (None,)
        cursor.execute(by_hand)
        cursor.execute(may)
        assert cursor.fetchone() == (True,)
