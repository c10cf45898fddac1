"""The operation page in a real browser: what changes, and what must not move."""

from __future__ import annotations

from contextlib import suppress

import pytest
from django.contrib.auth.models import User
from django.utils import timezone
from playwright.sync_api import (
    Browser,
    Error,
    Page,
    Route,
    expect,
)
from pytest_django.live_server_helper import LiveServer

from herds.domain.states import OperationState, StepState, TargetState
from herds.models import Operation, OperationTarget
from tests import factories
from tests.browser.screens import log_in

pytestmark = pytest.mark.browser

POLICY = "default-src 'self'; img-src 'self' data:"


def under_policy(route: Route) -> None:
    """Answer as the site does, under a policy that allows nothing inline."""
    # A page that is left while it polls needs no answer any more.
    with suppress(Error):
        response = route.fetch()
        headers = {**response.headers, "content-security-policy": POLICY}
        route.fulfill(response=response, headers=headers)


@pytest.fixture
def running(anna: User) -> Operation:
    """A restart: ele01 runs and has ended one step, ele02 is queued."""
    operation = factories.operation(anna, OperationState.RUNNING)
    first = factories.target(
        operation,
        factories.instance("trade", "ele01"),
        TargetState.RUNNING,
        current_step="Stop PostgreSQL (fast)",
        started_at=timezone.now(),
    )
    factories.step(first, words="Look at what is true", evidence={"pid": 4711})
    factories.step(first, StepState.RUNNING, words="Stop PostgreSQL (fast)")
    factories.target(
        operation, factories.instance("trade", "ele02"), TargetState.QUEUED
    )
    return operation


def open_page(page: Page, operation: Operation, query: str = "") -> None:
    page.goto(f"/admin/herds/operation/{operation.pk}/{query}")


def end(operation: Operation) -> None:
    now = timezone.now()
    operation.targets.update(
        state=TargetState.SUCCEEDED, outcome="Restarted.", finished_at=now
    )
    Operation.objects.filter(pk=operation.pk).update(
        state=OperationState.SUCCEEDED,
        outcome="All 2 instances were restarted.",
        finished_at=now,
    )


def target_on(operation: Operation, host: str) -> OperationTarget:
    return operation.targets.get(hostname=host)


def test_the_page_follows_an_operation_to_its_end_and_then_stops_asking(
    page: Page, running: Operation
) -> None:
    open_page(page, running)
    expect(page.locator("#operation-elapsed")).to_contain_text("0 of 2 done")
    row = page.locator(f"#target-{target_on(running, 'ele02').pk}-state")
    expect(row).to_contain_text("queued")

    end(running)

    expect(row).to_contain_text("succeeded")
    expect(page.locator("#operation-state")).to_contain_text("succeeded")
    expect(page.locator("#operation-outcome")).to_have_text(
        "All 2 instances were restarted."
    )
    expect(page).to_have_title("✔ succeeded · Restart 2 instances of 1 herd in prod"
                               " | Elephant Herd as a Service")  # fmt: skip
    assert page.locator("[hx-trigger]").count() == 0


def test_an_unfolded_row_stays_open_and_grows_while_the_page_polls(
    page: Page, running: Operation
) -> None:
    target = target_on(running, "ele01")
    open_page(page, running)
    page.locator(f"#target-{target.pk}-unfold").click()
    unfolded = page.locator(f"#target-{target.pk}-unfolded")
    expect(unfolded).to_contain_text("Look at what is true")
    unfolded.locator("summary", has_text="What was seen").click()
    expect(unfolded.locator("dd")).to_be_visible()

    target.steps.filter(state=StepState.RUNNING).update(
        state=StepState.SUCCEEDED, finished_at=timezone.now()
    )
    factories.step(target, StepState.RUNNING, words="Start PostgreSQL")

    expect(unfolded).to_contain_text("Start PostgreSQL")
    expect(unfolded.locator(".ele-op-step")).to_have_count(3)
    # What was read is still there, unfolded as it was left.
    expect(unfolded.locator("dd")).to_be_visible()

    end(running)
    expect(page.locator("#operation-state")).to_contain_text("succeeded")
    expect(unfolded.locator("dd")).to_be_visible()


def test_a_button_is_not_replaced_under_the_pointer(
    page: Page, running: Operation
) -> None:
    open_page(page, running)
    page.evaluate("document.querySelector('.ele-op-stop').isTheSame = true")
    Operation.objects.filter(pk=running.pk).update(reason="no change of state")
    running.targets.filter(hostname="ele01").update(current_step="Start PostgreSQL")

    expect(page.locator(".ele-op-targets")).to_contain_text("Start PostgreSQL")

    assert page.evaluate("document.querySelector('.ele-op-stop').isTheSame")


def test_an_address_that_names_a_target_unfolds_it(
    page: Page, running: Operation
) -> None:
    target = target_on(running, "ele01")

    open_page(page, running, f"#target-{target.pk}")

    expect(page.locator(f"#target-{target.pk}-unfolded")).to_contain_text(
        "Look at what is true"
    )


def test_a_row_unfolds_and_folds_by_the_keyboard(
    page: Page, running: Operation
) -> None:
    target = target_on(running, "ele01")
    open_page(page, running)
    link = page.locator(f"#target-{target.pk}-unfold")
    expect(link).to_have_attribute("aria-expanded", "false")

    link.focus()
    page.keyboard.press("Enter")
    expect(link).to_have_attribute("aria-expanded", "true")
    expect(page.locator(f"#target-{target.pk}-unfolded")).to_be_visible()

    page.keyboard.press("Enter")
    expect(page.locator(f"#target-{target.pk}-unfolded")).to_be_hidden()


def test_the_page_of_one_target_follows_it_to_its_end(
    page: Page, running: Operation
) -> None:
    target = target_on(running, "ele01")
    page.goto(f"/admin/herds/operation/{running.pk}/targets/{target.pk}/")
    expect(page.locator("#alone-state")).to_contain_text("running")

    target.steps.update(state=StepState.SUCCEEDED, finished_at=timezone.now())
    end(running)

    expect(page.locator("#alone-state")).to_contain_text("succeeded")
    expect(page.locator("#alone-line")).to_have_text("Restarted.")
    expect(page.locator(".ele-op-step")).to_have_count(2)
    assert page.locator("[hx-trigger]").count() == 0


def test_an_ended_session_leads_to_the_login_form(
    page: Page, running: Operation
) -> None:
    open_page(page, running)

    page.context.clear_cookies()

    page.wait_for_url("**/admin/login/?next=*")


def test_nothing_on_these_pages_is_inline(page: Page, running: Operation) -> None:
    page.route("**/admin/herds/**", under_policy)
    target = target_on(running, "ele01")
    plan = factories.operation(running.requested_by)
    factories.target(plan, target.instance)

    page.goto(f"/admin/herds/operation/{plan.pk}/confirm/")
    open_page(page, running)
    page.locator(f"#target-{target.pk}-unfold").click()
    expect(page.locator(".ele-op-step").first).to_be_visible()
    end(running)
    # The console of the page fixture would hold what the policy refused.
    expect(page.locator("#operation-state")).to_contain_text("succeeded")


def test_everything_is_there_without_javascript(
    browser: Browser, live_server: LiveServer, running: Operation
) -> None:
    context = browser.new_context(base_url=live_server.url, java_script_enabled=False)
    page = context.new_page()
    log_in(page, live_server.url, "anna", "secret")
    open_page(page, running)

    page.locator("a", has_text="Refresh").click()
    page.locator("a.ele-op-unfold", has_text="ele01").click()
    expect(page.locator("h1")).to_have_text("trade on ele01")
    expect(page.locator(".ele-op-steps")).to_contain_text("Stop PostgreSQL (fast)")
    page.go_back()
    page.locator("button", has_text="Cancel this operation").click()

    expect(page.locator("#operation-cancel-words")).to_contain_text(
        "anna asked to cancel."
    )
    context.close()


def test_a_plan_with_many_herds_unfolds_each_in_place(page: Page, anna: User) -> None:
    plan = factories.operation(anna)
    for index in range(102):
        factories.target(plan, factories.instance(f"herd{index:03}", f"ele{index:03}"))

    page.goto(f"/admin/herds/operation/{plan.pk}/confirm/")
    page.locator("summary", has_text="herd007").click()

    expect(page.locator(".ele-op-plan")).to_contain_text("ele007")
    assert page.locator(".ele-op-plan").count() == 1
