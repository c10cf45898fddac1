"""Permissions, a second person, freezes and the audit log in a real browser."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.auth.models import Group, User
from django.utils import timezone
from playwright.sync_api import Browser, Page, expect
from pytest_django.live_server_helper import LiveServer

from herds.models import Environment, Freeze, Grant, Instance
from herds.models.inventory import Approval
from herds.operations import requests
from tests import factories
from tests.browser.pictures import picture
from tests.browser.screens import log_in

pytestmark = pytest.mark.browser


def sideways(page: Page) -> bool:
    """Tell whether the page scrolls sideways at phone width."""
    page.set_viewport_size({"width": 390, "height": 844})
    found = page.evaluate(
        "document.documentElement.scrollWidth > document.documentElement.clientWidth"
    )
    page.set_viewport_size({"width": 1280, "height": 800})
    return bool(found)


@pytest.fixture
def members(anna: User) -> dict[str, Instance]:
    """A standby of prod, where much is asked for, and one of stage."""
    made = {}
    for env, host in (("stage", "sta"), ("prod", "ele")):
        primary = factories.instance("trade", f"{host}01", env)
        made[env] = factories.instance(
            "trade",
            f"{host}02",
            env,
            master=primary,
            system_identifier="7400000000000000001",
            xlog_pos=0x3000060,
        )
    Environment.objects.filter(env_name="prod").update(
        approval=Approval.DESTRUCTIVE, types_names=True
    )
    return made


def test_one_asks_and_another_approves(
    page: Page, browser: Browser, live_server: LiveServer, members: dict[str, Instance]
) -> None:
    bob = factories.user("bob")
    bob.groups.add(Group.objects.get(name="dba"))
    page.goto(f"/admin/herds/instance/{members['prod'].pk}/change/")
    page.get_by_role("button", name="Restart").click()
    expect(page.locator(".ele-op-identity")).to_contain_text(
        "system 7400000000000000001, WAL at 0/3000060, seen"
    )
    expect(page.get_by_text("In prod another person has to say yes")).to_be_visible()
    assert not sideways(page)
    picture(page, "plan-asks")
    page.get_by_label("Type trade to confirm").fill("trade")
    page.get_by_label("Reason").fill("new kernel")
    page.get_by_role("button", name="Ask to Restart 1 instance").click()
    expect(page.get_by_text("You asked for this")).to_be_visible()
    picture(page, "plan-asked")

    context = browser.new_context(base_url=live_server.url)
    theirs = context.new_page()
    log_in(theirs, live_server.url, "bob", "secret")
    theirs.goto(page.url)
    expect(theirs.get_by_text("anna asks for your yes")).to_be_visible()
    assert not sideways(theirs)
    picture(theirs, "plan-approve")
    theirs.get_by_label("Type trade to confirm").fill("trade")
    theirs.get_by_role("button", name="Approve: Restart 1 instance").click()
    expect(theirs.get_by_text("Accepted as operation")).to_be_visible()
    context.close()

    page.goto("/admin/herds/auditentry/")
    for event in ("planned", "asked for", "approved"):
        expect(page.locator("#result_list").get_by_text(event).first).to_be_visible()
    assert not sideways(page)
    picture(page, "audit-log")


def test_what_is_frozen_or_not_permitted_says_who_could(
    page: Page, browser: Browser, live_server: LiveServer, members: dict[str, Instance]
) -> None:
    cleo = factories.user("cleo")
    movers = Group.objects.create(name="movers")
    cleo.groups.add(movers, Group.objects.get(name="viewer"))
    stage = factories.environment("stage")
    Grant.objects.create(
        group=movers, environment=stage, permissions=["herds.restart_instance"]
    )
    now = timezone.now()
    Freeze.objects.create(
        environment=factories.environment("prod"),
        begins_at=now - timedelta(hours=1),
        ends_at=now + timedelta(days=2),
        reason="year-end closing",
    )
    context = browser.new_context(base_url=live_server.url)
    theirs = context.new_page()
    log_in(theirs, live_server.url, "cleo", "secret")
    both = [each.pk for each in members.values()]
    plan = requests.draft(
        "restart", both, requests.Requester(name="cleo", source="admin", user=cleo)
    )

    theirs.goto(f"/admin/herds/operation/{plan.pk}/confirm/")
    refusal = "prod: cleo may not restart here; members of dba and operator may."
    expect(theirs.get_by_text(refusal)).to_be_visible()
    assert not sideways(theirs)
    picture(theirs, "plan-denied")
    theirs.goto(f"/admin/herds/instance/{members['prod'].pk}/change/")
    expect(theirs.get_by_role("button", name="Restart")).to_have_count(0)
    theirs.goto(f"/admin/herds/instance/{members['stage'].pk}/change/")
    expect(theirs.get_by_role("button", name="Restart")).to_be_visible()
    context.close()

    page.goto(f"/admin/herds/environment/{stage.pk}/change/")
    expect(page.get_by_label("Accept host keys").first).to_be_visible()
    assert not sideways(page)
    picture(page, "environment")
    picture_of_frozen = requests.draft(
        "restart", both, requests.Requester(name="anna", source="admin", user=None)
    )
    page.goto(f"/admin/herds/operation/{picture_of_frozen.pk}/confirm/")
    picture(page, "plan-frozen")
