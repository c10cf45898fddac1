"""The front page in a browser: it follows the fleet, and leaves the reader alone."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from playwright.sync_api import Browser, Page, expect
from pytest_django.live_server_helper import LiveServer

from herds.domain.states import OperationState, TargetState
from herds.models import Discovery, Fence, Herd, Instance, Server
from tests import factories
from tests.browser import fleet
from tests.browser.pictures import picture
from tests.browser.screens import log_in

pytestmark = pytest.mark.browser

MB = 1024 * 1024


@pytest.fixture
def trade(transactional_db: None) -> Instance:
    """A herd of two, a worker, and nothing wrong."""
    factories.worker(heartbeat_at=timezone.now() + timedelta(hours=1))
    later = timezone.now() + timedelta(minutes=1)  # it does not go stale meanwhile
    primary = factories.instance("trade", "ele01", observed_at=later)
    factories.instance("trade", "ele02", master=primary, observed_at=later)
    return primary


def test_what_goes_wrong_appears_and_goes_again(page: Page, trade: Instance) -> None:
    page.goto("/admin/")
    attention = page.locator("#front-attention")
    expect(attention).to_contain_text("nothing needs you")
    menu = page.get_by_role("link", name="Herds", exact=True).first
    menu.focus()

    Instance.objects.filter(pk=trade.pk).update(is_online=False)

    expect(attention).to_contain_text("the primary ele01 is stopped", timeout=15_000)
    expect(page.locator("#front-summary")).to_have_text("1 now")
    expect(page.locator("#front-figures")).to_contain_text("1 ✖ stopped")
    expect(menu).to_be_focused()
    picture(page, "front-stopped")

    start = page.get_by_role("button", name="Start…")
    start.focus()
    factories.operation(
        state=OperationState.SUCCEEDED,
        finished_at=timezone.now(),
        outcome="All 2 instances were restarted.",
    )
    Herd.objects.update(vhost_target="ele02.", vhost_seen_at=timezone.now())

    expect(attention).to_contain_text("points at ele02.", timeout=15_000)
    expect(page.locator("#front-operations")).to_contain_text("were restarted")
    expect(start).to_be_focused()
    start.click()
    page.wait_for_url("**/admin/herds/operation/*/confirm/")


def test_it_needs_no_script(
    browser: Browser, live_server: LiveServer, page: Page, trade: Instance
) -> None:
    context = browser.new_context(java_script_enabled=False)
    plain = context.new_page()
    log_in(plain, live_server.url, "anna", "secret")
    Instance.objects.filter(pk=trade.pk).update(is_online=False)

    plain.get_by_role("link", name="Refresh this page").click()

    expect(plain.locator("#front-attention")).to_contain_text("ele01 is stopped")
    plain.get_by_role("button", name="Start…").click()
    plain.wait_for_url("**/confirm/")
    context.close()


def test_every_kind_of_trouble_fits_on_the_page(page: Page, settings: Any) -> None:
    settings.LINKS = {"Grafana": {"herd": "https://g.example/?herd={herd}"}}
    everything()
    page.goto("/admin/")

    expect(page.locator("#front-attention li").first).to_be_visible()
    picture(page, "front-trouble")
    for across in (390, 1280):
        page.set_viewport_size({"width": across, "height": 844})
        reach = page.evaluate("document.documentElement.scrollWidth")
        assert reach <= across
    page.get_by_role("link", name="trade (prod): trade.prod.example.com points").click()
    link = page.get_by_role("link", name="Grafana")
    expect(link).to_have_attribute("href", "https://g.example/?herd=trade")
    picture(page, "front-herd")
    page.goto("/admin/herds/herd/?attention=no-primary")
    expect(page.locator("#result_list tbody tr")).to_have_count(2)
    picture(page, "front-filter")


def everything() -> None:
    """Make every kind of trouble that the front page knows."""
    now = timezone.now()
    fleet.build_small()
    prod = Instance.objects.filter(herd__environment__env_name="prod")
    trade = prod.filter(herd__herd_name="trade")
    trade.filter(server__hostname="ele02").update(
        is_streaming=False, slot_name="trade_ele03", slot_octets=13_000 * MB
    )
    trade.filter(master__isnull=True).update(timeline=4)
    trade.filter(server__hostname="ele04").update(
        timeline=3, lag_octets=900 * MB, lag_seen_at=now
    )
    Herd.objects.filter(herd_name="trade", environment__env_name="prod").update(
        vhost_target="ele02.prod.example.com", vhost_seen_at=now
    )
    prod.filter(herd__herd_name="quote").update(master=None)
    stage = Instance.objects.filter(herd__environment__env_name="stage")
    stage.filter(master__isnull=True).update(is_online=False)
    for number in range(6):
        factories.instance(f"away{number}", f"far{number}", "remote")
    Instance.objects.filter(herd__environment__env_name="remote").update(
        unreachable_since=now - timedelta(minutes=4),
        observed_at=now - timedelta(minutes=4),
        unreachable_why="The host could not be reached over SSH.",
    )
    Fence.objects.create(instance=stage.filter(master__isnull=False)[0], applied_at=now)
    Server.objects.filter(hostname="found-by-an-agent").update(
        discovered_at=now - timedelta(minutes=3), reported_at=now
    )
    Discovery.objects.create(
        server=Server.objects.get(hostname="spare"),
        base_name="main",
        db_port=5477,
        why="No herd of dev has port 5477.",
    )
    factories.operation(
        state=OperationState.INTERRUPTED, headline="Rebuild 1 instance of trade in prod"
    )
    running = factories.operation(state=OperationState.RUNNING)
    for number, each in enumerate(trade[:3]):
        state = TargetState.SUCCEEDED if number else TargetState.RUNNING
        factories.target(running, each, state)
    for number, state in enumerate((OperationState.FAILED, OperationState.SUCCEEDED)):
        factories.operation(
            state=state,
            headline=f"Switch over {number + 1} herds in stage",
            finished_at=now - timedelta(minutes=9),
            outcome="The virtual host points at the new primary.",
        )
