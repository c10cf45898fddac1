"""A host that nobody registered announces itself, and is placed in two clicks."""

from __future__ import annotations

import psycopg
import pytest
from django.contrib.auth.models import User
from django.db import connection
from playwright.sync_api import Page, expect

from herds.models import Instance
from lab.private_server import PrivateServer
from tests import factories
from tests.browser.pictures import picture

pytestmark = pytest.mark.browser


@pytest.fixture
def agent(private_server: PrivateServer, anna: User) -> psycopg.Connection:
    """The login of an agent, as on a database host."""
    with connection.cursor() as cursor:
        cursor.execute("CREATE ROLE agent LOGIN IN ROLE util_exec")
    with psycopg.connect(
        host=str(private_server.directory),
        port=private_server.port,
        dbname=connection.settings_dict["NAME"],
        user="agent",
        autocommit=True,
    ) as login:
        yield login
    with connection.cursor() as cursor:
        cursor.execute("DROP ROLE agent")


def test_a_host_that_nobody_registered_is_placed_in_two_clicks(
    page: Page, agent: psycopg.Connection
) -> None:
    factories.herd("trade", "prod", db_port=5432)
    factories.herd("quote", "stage", db_port=5432)
    report = (
        "SELECT utility.sp_instance_checkin(sHerd => %s, sHost => %s, nPort => 5432,"
        " sVer => '15.18', bOnline => true, sMasterHost => %s, nXlog => 123456789,"
        " sDataDir => %s)"
    )
    root = "/var/lib/postgresql/15/"
    for name, upstream in (("trade", ""), ("trade", "ele08"), ("main", "10.0.0.77")):
        host = {"": "ele08", "ele08": "ele09"}.get(upstream, "db17.example.com")
        agent.execute(report, [name, host, upstream, root + name])

    page.goto("/admin/herds/discovery/")
    picture(page, "discovered")
    page.get_by_role("link", name="Place trade on ele08").click()
    picture(page, "place")
    page.get_by_role("button", name="Place trade on ele08").click()

    expect(page.locator(".messagelist .success")).to_contain_text(
        "Placed trade on ele08"
    )
    picture(page, "placed")
    placed = Instance.objects.get()
    assert placed.server.environment == placed.herd.environment
    # What follows it has its place by the next report.
    row = agent.execute(report, ["trade", "ele09", "ele08", root + "trade"]).fetchone()
    assert row is not None
    assert Instance.objects.get(pk=row[0]).master == placed

    page.goto("/admin/herds/discovery/")
    page.get_by_role("link", name="Place main on db17").click()
    page.get_by_role("button", name="Place main on db17").click()
    expect(page.locator(".field-environment .errorlist")).to_contain_text("needs an")
    picture(page, "place-refused")
