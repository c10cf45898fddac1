"""A herd's page in a browser: its tree changes while one reads, and can be acted on."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.utils import timezone
from playwright.sync_api import Page, expect

from herds.domain.states import OperationState, TargetState
from herds.models import Herd, Instance
from tests import factories
from tests.browser.pictures import picture

pytestmark = pytest.mark.browser


@pytest.fixture
def herd(anna: User) -> Herd:
    """A herd with a cascade, and members that lag, are unknown or were left behind."""
    now = timezone.now()
    primary = factories.instance(timeline=4, xlog_pos=2**40, version="15.18")

    def standby(host: str, master: Instance, **values: object) -> Instance:
        return factories.instance(
            host=host,
            master=master,
            **{
                "timeline": 4,
                "xlog_pos": 2**40,
                "version": "15.18",
                "is_streaming": True,
                "lag_octets": 0,
                "lag_seen_at": now,
                **values,
            },
        )

    second = standby("ele02", primary)
    standby("ele03", second, xlog_pos=2**40 - 90 * 2**20, lag_octets=90 * 2**20)
    standby("ele04", primary, timeline=3, is_streaming=False)
    standby(
        "ele05",
        primary,
        observed_at=now - timedelta(minutes=12),
        unreachable_since=now - timedelta(minutes=11),
        unreachable_why="ele05 could not be reached over SSH (connection timed out)",
    )
    ended = factories.operation(
        anna, OperationState.SUCCEEDED, action="restart", finished_at=now
    )
    factories.target(ended, second, TargetState.SUCCEEDED, outcome="Restarted.")
    return primary.herd


def test_the_tree_changes_while_one_reads_and_menus_stay_open(
    page: Page, herd: Herd
) -> None:
    page.goto(f"/admin/herds/herd/{herd.pk}/change/")
    expect(page.locator(".ele-tree")).to_contain_text("Receives no WAL")
    picture(page, "herd")
    menu = page.locator("details", has=page.get_by_label("Actions on ele02"))
    menu.locator("summary").click()
    page.get_by_text("What readiness is judged by").click()
    judged = page.locator("#herd-judged")
    expect(judged).to_contain_text("ele02 streams")

    with page.expect_response("**/live/"):
        Instance.objects.filter(server__hostname="ele04").update(is_online=False)
        Instance.objects.filter(server__hostname="ele02").update(is_streaming=False)
    with page.expect_response("**/live/"):
        pass

    ele04 = page.locator(".ele-node", has=page.get_by_role("link", name="ele04"))
    expect(ele04).not_to_contain_text("Receives no WAL")
    expect(judged).to_be_visible()
    expect(judged).not_to_contain_text("ele02 streams")
    expect(menu).to_have_attribute("open", "")
    menu.get_by_role("button", name="Restart…").click()
    page.wait_for_url("**/confirm/")
