"""The names by which standbys follow, and the connection that leads to an upstream."""

from __future__ import annotations

import pytest
from psycopg.conninfo import conninfo_to_dict

from herds.errors import PreconditionFailed
from herds.postgres.replication import (
    Upstream,
    application_name,
    conninfo,
    slot_name,
)

TRADE = Upstream(host="trade.lab.test", port=5432, application_name="trade_ele02")


def test_a_standby_is_named_after_its_herd_and_host() -> None:
    assert application_name("trade", "ele02.lab.test") == "trade_ele02"


@pytest.mark.parametrize(
    ("base_name", "hostname", "name"),
    [
        ("trade", "ele02.lab.test", "trade_ele02"),
        ("Trade-1", "db-07", "trade_1_db_07"),
        ("t" * 70, "ele02", "t" * 63),
    ],
)
def test_a_slot_has_a_name_that_postgresql_takes(
    base_name: str, hostname: str, name: str
) -> None:
    assert slot_name(base_name, hostname) == name


def test_a_new_connection_has_what_the_contract_names() -> None:
    assert conninfo_to_dict(conninfo("", TRADE)) == {
        "host": "trade.lab.test",
        "port": "5432",
        "user": "replication",
        "application_name": "trade_ele02",
    }


@pytest.mark.parametrize(
    "existing",
    [
        "host=old hostaddr=10.0.0.9 port=5433 user=repl passfile='/etc/a b/pgpass' "
        "sslmode=verify-full tcp_user_timeout=3000 dbname=postgres",
        "postgresql://repl@old:5433/postgres?passfile=/etc/a%20b/pgpass"
        "&sslmode=verify-full&tcp_user_timeout=3000&hostaddr=10.0.0.9",
    ],
    ids=["words", "uri"],
)
def test_all_that_is_no_address_is_kept(existing: str) -> None:
    assert conninfo_to_dict(conninfo(existing, TRADE)) == {
        "host": "trade.lab.test",
        "port": "5432",
        "user": "replication",
        "application_name": "trade_ele02",
        "passfile": "/etc/a b/pgpass",
        "sslmode": "verify-full",
        "tcp_user_timeout": "3000",
        "dbname": "postgres",
    }


def test_an_unreadable_connection_is_refused_without_being_repeated() -> None:
    with pytest.raises(PreconditionFailed) as refused:
        conninfo("password=secret nonsense", TRADE)

    assert "secret" not in refused.value.sentence()
    assert refused.value.__cause__ is None
