"""Plans with a point of no return in a real browser: the bar, the name, the expiry."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.utils import timezone
from playwright.sync_api import Browser, Page, expect
from pytest_django.live_server_helper import LiveServer

from herds.models import Instance, Operation
from herds.operations import registry, requests
from tests import factories
from tests.browser.pictures import picture
from tests.browser.screens import WIDTHS, log_in
from tests.browser.test_operation_live import under_policy
from tests.doubles.crossing import CROSSING

pytestmark = pytest.mark.browser


@pytest.fixture(autouse=True)
def crossing(monkeypatch: pytest.MonkeyPatch) -> None:
    """An action like a switchover is known to the engine."""
    monkeypatch.setitem(registry._ACTIONS, CROSSING.name, CROSSING)


@pytest.fixture
def plan(anna: User) -> Operation:
    """Herds trade and quote are to cross over."""
    for herd, host in (("trade", "ele"), ("quote", "quo")):
        primary = factories.instance(herd, f"{host}01")
        factories.instance(herd, f"{host}02", master=primary)
    return requests.draft(
        "crossing",
        Instance.objects.values_list("pk", flat=True),
        requests.Requester(name="anna", source="admin", user=anna),
    )


@pytest.fixture
def plain(browser: Browser, live_server: LiveServer, anna: User) -> Iterator[Page]:
    """A page of somebody who is logged in, without JavaScript."""
    context = browser.new_context(base_url=live_server.url, java_script_enabled=False)
    page = context.new_page()
    log_in(page, live_server.url, "anna", "secret")
    yield page
    context.close()


def open_plan(page: Page, plan: Operation) -> None:
    page.goto(f"/admin/herds/operation/{plan.pk}/confirm/")


def boxes(page: Page) -> list[dict[str, float]]:
    """Give where the three parts of the first bar stand."""
    parts = page.locator(".ele-op-way").first.locator("> li")
    assert parts.count() == 3
    return [parts.nth(number).bounding_box() for number in range(3)]


def test_the_bar_goes_to_the_right_and_on_a_phone_down(
    page: Page, plan: Operation
) -> None:
    open_plan(page, plan)
    picture(page, "crossing-plan")
    back, edge, on = boxes(page)
    assert back["x"] < edge["x"] < on["x"]
    assert back["y"] == edge["y"] == on["y"]

    across, down = WIDTHS["phone"]
    page.set_viewport_size({"width": across, "height": down})

    back, edge, on = boxes(page)
    assert back["x"] == edge["x"] == on["x"]
    assert back["y"] < edge["y"] < on["y"]
    assert page.evaluate("document.documentElement.scrollWidth") <= across


@pytest.mark.parametrize("width", WIDTHS)
def test_the_buttons_of_a_herd_cover_nothing(
    page: Page, plan: Operation, width: str
) -> None:
    across, down = WIDTHS[width]
    page.set_viewport_size({"width": across, "height": down})
    page.goto(f"/admin/herds/herd/{plan.targets.first().herd_id}/change/")

    name = page.locator("#content > h2").bounding_box()
    tools = page.locator(".object-tools").bounding_box()
    last = page.locator(".object-tools a").last.bounding_box()
    members = page.locator(".ele-members").bounding_box()

    assert name["y"] + name["height"] <= tools["y"]
    assert last["y"] + last["height"] <= members["y"]


def test_on_paper_the_checks_are_unfolded_and_nothing_asks(
    page: Page, plan: Operation
) -> None:
    open_plan(page, plan)
    checks = page.locator(".ele-op-checks table").first
    expect(checks).to_be_hidden()

    page.emulate_media(media="print")
    page.evaluate("window.dispatchEvent(new Event('beforeprint'))")

    expect(checks).to_be_visible()
    expect(page.locator("#operation-yes")).to_be_hidden()
    expect(page.locator(".ele-op-way").first).to_be_visible()
    page.evaluate("window.dispatchEvent(new Event('afterprint'))")
    expect(checks).to_be_hidden()


@pytest.mark.parametrize("which", ["page", "plain"])
def test_a_mistyped_name_loses_nothing_and_the_right_one_goes(
    request: pytest.FixtureRequest, plan: Operation, which: str
) -> None:
    page: Page = request.getfixturevalue(which)
    open_plan(page, plan)
    names = page.get_by_label("to confirm")
    expect(names).to_have_count(2)
    page.get_by_label("Reason").fill("ticket DB-7")
    page.get_by_label("Type quote to confirm").fill("quote")
    page.get_by_label("Type trade to confirm").fill("tarde")

    page.locator('input[value="Cross over 2 herds"]').click()

    expect(page.locator(".errorlist")).to_contain_text("This is not trade.")
    expect(page.get_by_label("Reason")).to_have_value("ticket DB-7")
    expect(page.get_by_label("Type quote to confirm")).to_have_value("quote")
    expect(page.get_by_label("Type trade to confirm")).to_have_value("tarde")

    page.get_by_label("Type trade to confirm").fill("trade")
    page.locator('input[value="Cross over 2 herds"]').click()

    page.wait_for_url(f"**/admin/herds/operation/{plan.pk}/")
    plan.refresh_from_db()
    assert (plan.state, plan.reason) == ("queued", "ticket DB-7")


def test_a_plan_that_expires_while_it_is_read_says_so_and_is_planned_again(
    page: Page, plan: Operation
) -> None:
    page.route("**/admin/herds/**", under_policy)
    Operation.objects.update(expires_at=timezone.now() + timedelta(seconds=3))
    open_plan(page, plan)
    expect(page.locator("#operation-expiry")).to_contain_text("This plan expires in")

    expect(page.get_by_role("alert")).to_contain_text("This plan has expired")
    expect(page.locator('input[value="Cross over 2 herds"]')).to_be_disabled()
    page.unroute("**/admin/herds/**")
    page.locator('input[value="Plan again"]').click()

    expect(page.locator("#operation-expiry")).to_contain_text("in 14 min")
    assert Operation.objects.latest("pk").pk != plan.pk


@pytest.mark.parametrize("which", ["page", "plain"])
def test_what_is_left_to_do_is_planned_by_its_button(
    request: pytest.FixtureRequest, plan: Operation, which: str
) -> None:
    page: Page = request.getfixturevalue(which)
    left = Instance.objects.get(server__hostname="ele02")
    words = "Rebuild ele02: it was not reachable."
    plan.targets.update(
        state="follow-ups",
        outcome="It is the primary.",
        follow_ups=[{"action": "rebuild", "instance_id": left.pk, "words": words}],
    )
    Operation.objects.update(state="succeeded", finished_at=timezone.now())
    page.goto(f"/admin/herds/operation/{plan.pk}/")
    picture(page, "crossing-left")
    button = page.get_by_role("button", name="Rebuild…").first
    expect(button).to_have_accessible_description(words)

    button.click()

    page.wait_for_url("**/confirm/")
    expect(page.locator("h1")).to_have_text("Rebuild 1 instance of 1 herd in prod")
