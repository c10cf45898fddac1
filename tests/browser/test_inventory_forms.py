"""The forms of the inventory in a real browser, also by keyboard or without script."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import Browser, Page, expect
from pytest_django.live_server_helper import LiveServer

from herds.models import Instance, Server
from herds.ssh.host_keys import HostKey
from tests import factories
from tests.browser.screens import log_in
from tests.unit.ssh_server import LocalSshd

pytestmark = pytest.mark.browser

ADD_INSTANCE = "/admin/herds/instance/add/"


@pytest.fixture
def two_environments(anna: User) -> None:
    """A herd and two servers in prod, one of each in dev."""
    factories.herd("trade", "prod")
    factories.herd("quote", "dev")
    factories.server("ele01", "prod")
    factories.server("ele02", "prod")
    factories.server("ele21", "dev")


def offered(page: Page) -> list[str]:
    return page.locator("#id_server option").all_inner_texts()


def test_the_server_list_follows_the_chosen_herd(
    page: Page, two_environments: None
) -> None:
    page.goto(ADD_INSTANCE)
    everything = offered(page)
    page.select_option("#id_herd", label="trade (prod)")
    of_prod = offered(page)
    page.select_option("#id_server", label="ele02 (prod)")
    page.select_option("#id_herd", label="quote (dev)")
    of_dev = offered(page)

    assert everything[1:] == ["ele01 (prod)", "ele02 (prod)", "ele21 (dev)"]
    assert of_prod[1:] == ["ele01 (prod)", "ele02 (prod)"]
    assert of_dev[1:] == ["ele21 (dev)"]
    assert page.input_value("#id_server") == ""


def test_without_script_a_server_of_another_environment_is_refused(
    browser: Browser, live_server: LiveServer, two_environments: None
) -> None:
    context = browser.new_context(base_url=live_server.url, java_script_enabled=False)
    page = context.new_page()
    log_in(page, live_server.url, "anna", "secret")

    page.goto(ADD_INSTANCE)
    page.select_option("#id_herd", label="trade (prod)")
    page.select_option("#id_server", label="ele21 (dev)")
    page.click("input[name=_save]")

    expect(page.locator(".field-server .errorlist")).to_contain_text(
        "ele21 belongs to dev, but herd trade belongs to prod."
    )
    expect(page.locator("#id_herd option:checked")).to_have_text("trade (prod)")
    context.close()
    assert not Instance.objects.exists()


def test_a_server_is_added_with_the_keyboard_alone(page: Page, sshd: LocalSshd) -> None:
    factories.environment("prod")
    page.goto("/admin/herds/server/add/")

    page.locator("#id_environment").focus()
    page.keyboard.type("prod")
    page.locator("#id_hostname").focus()
    page.keyboard.type("localhost")
    page.keyboard.press("Enter")
    shown = page.get_by_text(HostKey.parse(sshd.host_key()).fingerprint)
    expect(shown).to_be_visible()
    box = page.get_by_label("The fingerprints are the same")
    box.focus()
    page.keyboard.press("Space")
    page.keyboard.press("Enter")

    expect(page.locator(".messagelist .success")).to_contain_text("localhost")
    server = Server.objects.get()
    assert server.host_key == sshd.host_key()
    assert server.host_key_accepted_by == "anna"
