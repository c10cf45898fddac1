"""Agents that report at the same moment make one row, and lose nothing."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import psycopg
import pytest
from django.db import connection

from herds.models import Discovery, Instance, Server
from lab.private_server import PrivateServer
from tests import factories as make
from tests.agents import recorded

pytestmark = pytest.mark.django_db(transaction=True)

CLIENTS = 8
PORT = 5432


@pytest.fixture
def clients(private_server: PrivateServer) -> Iterator[list[psycopg.Connection[Any]]]:
    """Connections of agents, each a login of its own."""
    with connection.cursor() as cursor:
        cursor.execute("CREATE ROLE agents LOGIN IN ROLE util_exec")
    address = {
        "host": str(private_server.directory),
        "port": private_server.port,
        "dbname": connection.settings_dict["NAME"],
        "user": "agents",
    }
    opened = [psycopg.connect(**address, autocommit=True) for _ in range(CLIENTS)]
    try:
        yield opened
    finally:
        for each in opened:
            each.close()
        with connection.cursor() as cursor:
            cursor.execute("DROP ROLE agents")


def at_once(clients: list[psycopg.Connection[Any]], statement: str) -> list[Any]:
    """Run a statement on all connections at the same moment; give what each got."""
    gate = Barrier(len(clients))

    def run(client: psycopg.Connection[Any], number: int) -> Any:
        gate.wait()
        row = client.execute(statement, {"number": number}).fetchone()
        return row[0] if row else None

    with ThreadPoolExecutor(len(clients)) as pool:
        return list(pool.map(run, clients, range(len(clients))))


def test_first_reports_of_a_host_at_the_same_moment_make_one_row(
    clients: list[psycopg.Connection[Any]],
) -> None:
    for host in ("ele08", "ele09", "ele10"):
        ids = at_once(clients, f"SELECT utility.sp_discover_server('{host}')")
        assert set(ids) == {Server.objects.get(hostname=host).pk}


def test_first_reports_of_an_instance_at_the_same_moment_make_one_row(
    clients: list[psycopg.Connection[Any]],
) -> None:
    make.herd("trade", db_port=PORT)
    for host in ("ele01", "ele02", "ele03"):
        make.server(host)
        ids = at_once(
            clients,
            f"SELECT utility.sp_instance_checkin('trade', '{host}', {PORT},"
            " bOnline => true, nXlog => %(number)s)",
        )
        assert set(ids) == {Instance.objects.get(server__hostname=host).pk}


def test_first_reports_without_a_place_at_the_same_moment_make_one_row(
    clients: list[psycopg.Connection[Any]],
) -> None:
    ids = at_once(
        clients,
        "SELECT utility.sp_instance_checkin('trade', 'ele09', 5432, nXlog => 7)",
    )

    assert set(ids) == {None}
    assert Discovery.objects.count() == 1


def test_a_change_that_waited_for_another_is_taken_as_well(
    clients: list[psycopg.Connection[Any]],
) -> None:
    instance = recorded(make.instance("trade", "ele01"))
    report = f"SELECT utility.sp_instance_checkin('trade', 'ele01', {PORT}, "
    first, second = clients[:2]

    with ThreadPoolExecutor(1) as pool:
        with first.transaction():
            first.execute(report + "nTimeline => 9)")
            waiting = pool.submit(second.execute, report + "bOnline => false)")
            wait_for_lock_of(second)
        waiting.result()

    instance.refresh_from_db()
    assert (instance.timeline, instance.is_online) == (9, False)


def wait_for_lock_of(client: psycopg.Connection[Any]) -> None:
    """Wait until a connection waits for somebody else's row."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT wait_event_type = 'Lock' FROM pg_stat_activity WHERE pid = %s",
                [client.info.backend_pid],
            )
            if cursor.fetchone() == (True,):
                return
        time.sleep(0.01)
    raise AssertionError("It did not wait.")
