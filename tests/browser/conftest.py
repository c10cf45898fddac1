"""A real browser, and a page of somebody who is logged in."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import Browser, ConsoleMessage, Page, sync_playwright
from pytest_django.live_server_helper import LiveServer

from tests import factories
from tests.admin.conftest import sshd
from tests.browser.screens import launch, log_in

__all__ = ["anna", "browser", "page", "sshd"]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """The distribution's Chromium."""
    # Playwright's loop runs in this thread, where Django refuses queries otherwise.
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"
    try:
        with sync_playwright() as playwright:
            chromium = launch(playwright.chromium)
            yield chromium
            chromium.close()
    finally:
        del os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"]


@pytest.fixture
def anna(transactional_db: None) -> User:
    """Somebody who may do everything."""
    return factories.user("anna", is_superuser=True)


@pytest.fixture
def page(browser: Browser, live_server: LiveServer, anna: User) -> Iterator[Page]:
    """A page of somebody who is logged in; an error in its console fails the test."""
    context = browser.new_context(base_url=live_server.url)
    page = context.new_page()
    complaints: list[str] = []

    def hear(said: ConsoleMessage) -> None:
        if said.type == "error":
            complaints.append(said.text)

    page.on("console", hear)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    log_in(page, live_server.url, "anna", "secret")
    yield page
    context.close()
    assert complaints == []
