"""People at a browser work on real clusters, with and without script or mouse."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from django.utils import timezone
from playwright.sync_api import Browser, Locator, Page, expect

from herds.models import Environment, Herd, Instance, Operation, Server
from tests.browser.pictures import picture
from tests.browser.screens import log_in
from tests.lab.product import Product, ended, said, states, target
from tests.lab.zones import Zones

pytestmark = [pytest.mark.lab, pytest.mark.browser]

INSTANCES = "/admin/herds/instance/"
LONG = 60_000  # milliseconds for what hosts have to do

UNHURRIED = "{COMMANDS[base]} stop -m fast && sleep 2"
"""A stop that lasts, so that there is something to be watched and to be cancelled."""

Open = Callable[..., Page]


@pytest.fixture(scope="module", autouse=True)
def _worker(debian: Product) -> Iterator[None]:
    with debian.worker(COMMANDS=debian.commands(stop=UNHURRIED)):
        debian.do("refresh", *debian.herds)
        yield
    debian.make_whole()


@pytest.fixture
def open_page(browser: Browser, website: str) -> Iterator[Open]:
    """Opens a page of somebody who is logged in; console errors fail the test."""
    complaints: list[str] = []
    contexts = []

    def open_page(user: str = "admin", *, script: bool = True) -> Page:
        context = browser.new_context(base_url=website, java_script_enabled=script)
        context.set_default_timeout(20_000)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on(
            "console",
            lambda told: complaints.append(told.text) if told.type == "error" else None,
        )
        log_in(page, website, user, user)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert complaints == []


def box(page: Page, product: Product, name: str) -> Locator:
    """Find the box of an instance in the list."""
    value = product.instance(name).pk
    return page.locator(f'input[name="_selected_action"][value="{value}"]')


def choose(page: Page, action: str) -> None:
    """Choose an action for what is ticked, and go."""
    page.select_option('select[name="action"]', label=f"{action} selected instances")
    page.click('button[name="index"]')


def operation_of(page: Page) -> Operation:
    """Read the operation whose page is open."""
    return Operation.objects.get(pk=int(page.url.split("/operation/")[1].split("/")[0]))


def test_restart_of_several_herds_is_planned_confirmed_and_watched(
    debian: Product, open_page: Open
) -> None:
    before = debian.began("trade", "ledger")
    page = open_page()
    page.goto(INSTANCES)
    picture(page, "instances")
    page.click("#changelist-filter a:text-is('prod')")
    page.click("#changelist-filter a:text-is('Replica')")
    expect(page.locator('input[name="_selected_action"]')).to_have_count(4)
    for name in ("trade@ele02", "ledger@ele03"):
        box(page, debian, name).check()
    picture(page, "instances-ticked")
    choose(page, "Restart")

    expect(page.locator("h1")).to_have_text("Restart 2 instances of 2 herds in prod")
    expect(page.locator("#content")).to_contain_text("is stopped and started again")
    picture(page, "plan-restart")
    page.fill("#id_reason", "New shared_buffers, ticket 4711")
    page.click("input[type=submit][value='Restart 2 instances']")

    page.evaluate("window.isTheSamePage = true")
    expect(page.locator("#operation-state")).to_contain_text("running", timeout=LONG)
    picture(page, "operation-running")
    expect(page.locator("#operation-state")).to_contain_text("succeeded", timeout=LONG)
    assert page.evaluate("window.isTheSamePage"), "nobody reloaded the page"
    expect(page.locator("#operation-outcome")).to_have_text(
        "All 2 instances were restarted."
    )
    expect(page.locator("#content")).to_contain_text("New shared_buffers, ticket 4711")
    page.click("a.ele-op-unfold:has-text('ele02')")
    unfolded = page.locator(".ele-op-unfolded:visible")
    expect(unfolded).to_contain_text("Start PostgreSQL")
    expect(unfolded).to_contain_text("pg_ctlcluster 15 trade stop -m fast")
    expect(unfolded).to_contain_text("exit status 0")
    picture(page, "operation-unfolded")
    began = debian.began("trade", "ledger")
    assert {name for name in before if began[name] != before[name]} == {
        "trade@ele02",
        "ledger@ele03",
    }
    page.goto("/admin/")
    picture(page, "front-page")
    page.goto("/admin/herds/operation/")
    expect(page.locator("#result_list")).to_contain_text("New shared_buffers")
    picture(page, "operations")
    page.goto(f"{INSTANCES}{debian.instance('trade@ele02').pk}/history/")
    expect(page.locator("#content")).to_contain_text("ticket 4711")
    picture(page, "history")


def test_a_virtual_host_that_went_astray_is_led_back(
    debian: Product, open_page: Open
) -> None:
    zones = Zones(debian.lab, "ele01")
    zones.set("billing", f"5 CNAME ele05.{zones.domain}.")
    debian.do("refresh", "billing@ele04")
    page = open_page()
    herd = debian.instance("billing@ele04").herd_id
    page.goto(f"/admin/herds/herd/{herd}/change/")
    expect(page.locator("#content")).to_contain_text(
        f"billing.{zones.domain} points at ele05.{zones.domain} ✖ not the primary"
    )
    picture(page, "herd-astray")
    page.goto("/admin/herds/herd/")
    page.check(f'input[name="_selected_action"][value="{herd}"]')
    page.select_option('select[name="action"]', label="Refresh DNS of selected herds")
    page.click('button[name="index"]')

    expect(page.locator("h1")).to_have_text("Refresh DNS of 1 herd in stage")
    expect(page.locator("#content")).to_contain_text(
        f"points at ele04.{zones.domain}, no longer at ele05.{zones.domain}",
        timeout=LONG,
    )
    picture(page, "plan-refresh-dns")
    page.click("input[type=submit][value='Refresh DNS of 1 herd']")

    expect(page.locator("#operation-state")).to_contain_text("succeeded", timeout=LONG)
    expect(page.locator("#operation-outcome")).to_have_text(
        "The herd was refreshed in DNS."
    )
    assert zones.dig(f"billing.{zones.domain}", "CNAME") == f"ele04.{zones.domain}."
    page.goto(f"/admin/herds/herd/{herd}/change/")
    expect(page.locator("#content")).to_contain_text(
        f"points at ele04.{zones.domain} ✔ the primary"
    )


def test_an_operation_is_cancelled_between_two_targets(
    debian: Product, open_page: Open
) -> None:
    page = open_page()
    page.goto(f"{INSTANCES}?q=trade")
    page.check("#action-toggle")
    choose(page, "Restart")
    page.click("input[type=submit][value='Restart 3 instances']")
    first = target(operation_of(page), "trade@ele02")
    expect(page.locator(f"#target-{first.pk}-state")).to_contain_text(
        "running", timeout=LONG
    )
    picture(page, "operation-to-cancel")

    page.click("button:has-text('Cancel this operation')")

    expect(page.locator("#operation-cancel-words")).to_contain_text("admin asked to")
    picture(page, "operation-cancelling")
    expect(page.locator("#operation-state")).to_contain_text("partly", timeout=LONG)
    operation = operation_of(page)
    assert states(operation) == {
        "trade@ele01": "cancelled",
        "trade@ele02": "succeeded",
        "trade@ele03": "cancelled",
    }, said(operation)
    expect(page.locator("#content")).to_contain_text("Not begun; cancelled by admin.")
    picture(page, "operation-cancelled")
    assert debian.is_running("trade@ele02"), "what had begun came to a safe end"


def test_what_failed_is_read_corrected_and_retried(
    debian: Product, open_page: Open
) -> None:
    page = open_page()
    page.goto(f"{INSTANCES}?q=orders")
    for name in ("orders@ele08", "orders@ele09"):
        box(page, debian, name).check()
    with debian.configured("orders@ele08", "\nshared_buffers = 'plenty'\n"):
        choose(page, "Restart")
        page.click("input[type=submit][value='Restart 2 instances']")
        expect(page.locator("#operation-state")).to_contain_text("partly", timeout=LONG)
    page.click("a.ele-op-unfold:has-text('ele08')")
    expect(page.locator(".ele-op-unfolded:visible")).to_contain_text(
        'invalid value for parameter "shared_buffers": "plenty"'
    )
    picture(page, "operation-partly")
    page.click("#operation-filter a:has-text('failed')")
    expect(page.locator("a.ele-op-unfold")).to_have_count(1)
    page.goto(f"{INSTANCES}?q=orders")
    picture(page, "instances-one-stopped")
    page.go_back()

    page.click("button:has-text('Retry 1 that did not succeed')")
    expect(page.locator("h1")).to_have_text("Restart 1 instance of 1 herd in dev")
    page.click("input[type=submit][value='Restart 1 instance']")

    expect(page.locator("#operation-state")).to_contain_text("succeeded", timeout=LONG)
    expect(page.locator("#content")).to_contain_text("tries again what did not succeed")
    assert debian.is_running("orders@ele08")


def test_without_script_the_same_is_done_by_reloading(
    debian: Product, open_page: Open
) -> None:
    page = open_page(script=False)
    page.goto(f"{INSTANCES}?q=billing")
    for name in ("billing@ele05", "billing@ele04"):
        box(page, debian, name).check()
    choose(page, "Stop")
    # A primary among them: the plan warns, and wants the warning acknowledged.
    expect(page.locator("#content")).to_contain_text("a herd whose primary is stopped")
    picture(page, "plan-stop-warned")
    page.click("input[type=submit][value='Stop 2 instances']")
    assert page.url.endswith("/confirm/"), "the browser wants the box ticked"
    assert operation_of(page).state == "planned"
    page.get_by_label("I have read the warning").check()
    page.click("input[type=submit][value='Stop 2 instances']")
    operation = ended(operation_of(page))

    page.locator("a", has_text="Refresh").click()

    expect(page.locator("#operation-state")).to_contain_text("succeeded")
    page.click("a.ele-op-unfold:has-text('ele04')")
    expect(page.locator("h1")).to_have_text("billing on ele04")
    expect(page.locator(".ele-op-steps")).to_contain_text("Stop PostgreSQL (fast)")
    picture(page, "target")
    assert states(operation) == {
        "billing@ele04": "succeeded",
        "billing@ele05": "succeeded",
    }
    assert not debian.is_running("billing@ele04")

    page.goto(f"{INSTANCES}?q=billing")
    page.check(f'input[value="{debian.instance("billing@ele04").pk}"]')
    page.check(f'input[value="{debian.instance("billing@ele05").pk}"]')
    choose(page, "Start")
    page.click("input[type=submit][value='Start 2 instances']")
    assert ended(operation_of(page)).state == "succeeded"
    assert debian.is_running("billing@ele04")


def tab_to(page: Page, wanted: str, key: str = "Tab") -> None:
    """Press Tab until the focus is on what is wanted."""
    for _ in range(150):
        page.keyboard.press("Tab")
        if page.evaluate(
            "selector => document.activeElement.matches(selector)", wanted
        ):
            return
    raise AssertionError(f"the keyboard does not reach {wanted}")


def test_the_keyboard_alone_selects_confirms_and_unfolds(
    debian: Product, open_page: Open
) -> None:
    page = open_page()
    page.goto(f"{INSTANCES}?q=ledger")
    value = debian.instance("ledger@ele01").pk
    page.keyboard.press("Tab")
    tab_to(page, 'select[name="action"]')
    page.keyboard.type("Reload")
    tab_to(page, f'input[name="_selected_action"][value="{value}"]')
    page.keyboard.press("Space")
    tab_to(page, 'button[name="index"]', "Shift+Tab")
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_have_text("Reload 1 instance of 1 herd in prod")
    tab_to(page, "#id_reason")
    page.keyboard.type("by hand")
    tab_to(page, "input[type=submit]")
    picture(page, "plan-focus")
    page.keyboard.press("Enter")

    expect(page.locator("#operation-state")).to_contain_text("succeeded", timeout=LONG)
    tab_to(page, "a.ele-op-unfold")
    page.keyboard.press("Enter")
    expect(page.locator(".ele-op-unfolded:visible")).to_contain_text(
        "pg_ctlcluster 15 ledger reload"
    )
    assert operation_of(page).reason == "by hand"


@pytest.fixture
def many(debian: Product) -> Iterator[Environment]:
    """An environment of 130 instances on hosts that nobody knows."""
    lost = Environment.objects.create(env_name="lost")
    servers = Server.objects.bulk_create(
        Server(
            hostname=f"lost{number:03}",
            environment=lost,
            host_key=debian.lab.host_key("ele01"),
        )
        for number in range(130)
    )
    for number in range(0, 130, 10):
        herd = Herd.objects.create(
            herd_name=f"lost{number:03}",
            base_name="lost",
            environment=lost,
            db_port=6000,
            pgdata="/var/lib/postgresql/15/lost",
        )
        Instance.objects.bulk_create(
            Instance(
                herd=herd,
                server=server,
                version="15.4",
                is_online=True,
                observed_at=timezone.now(),
            )
            for server in servers[number : number + 10]
        )
    yield lost
    Herd.objects.filter(environment=lost).delete()
    Server.objects.filter(environment=lost).delete()
    lost.delete()


def test_everything_is_selected_across_pages(
    debian: Product, open_page: Open, many: Environment
) -> None:
    page = open_page()
    page.goto(INSTANCES)
    page.click("#changelist-filter a:text-is('lost')")
    page.check("#action-toggle")
    page.click("a:has-text('Select all 130 instances')")
    picture(page, "instances-all-selected")
    choose(page, "Reload")
    expect(page.locator("h1")).to_have_text("Reload 130 instances of 13 herds in lost")
    picture(page, "plan-large")
    page.click("input[type=submit][value='Reload 130 instances']")

    expect(page.locator("#operation-state")).to_contain_text("failed", timeout=LONG)
    operation = operation_of(page)
    assert operation.targets.filter(state="failed").count() == 130
    expect(page.locator("#content")).to_contain_text(
        "lost000 could not be reached over SSH (the name service did not answer)."
    )
    picture(page, "operation-large-failed")


def test_who_may_only_look_finds_no_actions_and_forges_none(
    debian: Product, open_page: Open, website: str
) -> None:
    plan = debian.draft("stop", "trade")
    page = open_page("viewer")
    page.goto(INSTANCES)
    assert page.locator('select[name="action"]').count() == 0
    picture(page, "instances-viewer")
    page.goto(f"{INSTANCES}{debian.instance('trade@ele01').pk}/change/")
    assert page.locator("button:has-text('Restart')").count() == 0
    picture(page, "instance-viewer")
    page.goto(f"/admin/herds/operation/{plan.pk}/confirm/")
    expect(page.locator("#content")).to_contain_text("You may read this plan.")
    assert page.locator("#content input[type=submit]").count() == 0
    picture(page, "plan-viewer")
    latest = Operation.objects.count()
    instance = debian.instance("trade@ele01").pk
    (token,) = [
        cookie["value"]
        for cookie in page.context.cookies()
        if cookie["name"] == "csrftoken"
    ]
    for path, form in (
        (INSTANCES, {"action": "restart", "_selected_action": str(instance)}),
        (f"{INSTANCES}{instance}/operate/restart/", {}),
        (f"/admin/herds/operation/{plan.pk}/confirm/", {"acknowledged": "on"}),
        (f"/admin/herds/operation/{plan.pk}/again/", {}),
    ):
        page.request.post(
            f"{website}{path}",
            form={**form, "csrfmiddlewaretoken": token, "index": "0"},
            headers={"Referer": f"{website}{path}"},
        )

    assert Operation.objects.count() == latest, "nothing was planned"
    plan.refresh_from_db()
    assert plan.state == "planned"
    assert debian.is_running("trade@ele01")


def test_a_forged_post_is_refused_with_the_reason(
    debian: Product, open_page: Open, website: str
) -> None:
    page = open_page("viewer")
    plan = debian.draft("reload", "trade")
    page.goto(INSTANCES)
    (token,) = [
        cookie["value"]
        for cookie in page.context.cookies()
        if cookie["name"] == "csrftoken"
    ]

    answer = page.request.post(
        f"{website}{INSTANCES}{debian.instance('trade@ele01').pk}/operate/reload/",
        form={"csrfmiddlewaretoken": token},
    )
    told = page.request.post(
        f"{website}/admin/herds/operation/{plan.pk}/confirm/",
        form={"csrfmiddlewaretoken": token, "reason": ""},
    )
    strange = page.request.post(
        f"{website}/admin/herds/operation/{plan.pk}/confirm/", form={"reason": ""}
    )

    assert answer.status == 403
    assert "Viewer may not reload (herds.reload_instance is missing)." in told.text()
    assert strange.status == 403, "without a token of ours"
    plan.refresh_from_db()
    assert plan.state == "planned"
