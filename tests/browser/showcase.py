"""Makes the pictures of the documentation: a browser walks through a demonstration.

    python -m tests.browser.showcase [--into docs/images]

A lab of its own is brought up and taken down again (root). The pictures show what a
person sees who follows the README: the front page, a herd, a plan, a switchover of
every herd at once.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Page, expect, sync_playwright

from lab.demo import Demo
from lab.lab import Lab
from tests.browser.screens import launch, log_in

LAB = "showcase"
WINDOW = {"width": 1200, "height": 800}
PHONE = {"width": 390, "height": 844}


def main() -> None:
    """Bring the demonstration up, take the pictures, take it down."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--into", type=Path, default=Path("docs/images"))
    into = parser.parse_args().into
    into.mkdir(parents=True, exist_ok=True)
    lab = Lab(LAB)
    lab.down()
    demo = Demo(lab, lambda sentence: print(sentence, file=sys.stderr, flush=True))
    try:
        demo.up()
        with sync_playwright() as playwright:
            browser = launch(playwright.chromium)
            page = browser.new_page(viewport=WINDOW, color_scheme="light")
            log_in(page, demo.address, "admin", demo.password("admin"))
            for name, show in PICTURES.items():
                show(page, demo.address)
                page.screenshot(path=str(into / f"{name}.png"))
                print(into / f"{name}.png", flush=True)
            browser.close()
    finally:
        lab.down()


def _choose(page: Page, address: str, menu: str, action: str) -> None:
    """Tick everything in a list and choose an action; its plan is shown then."""
    page.goto(f"{address}/admin/herds/{menu}/")
    page.locator("#action-toggle").check()
    page.locator("select[name=action]").select_option(label=action)
    page.locator("button[name=index]").click()


def _front(page: Page, address: str) -> None:
    page.goto(f"{address}/admin/")


def _plan(page: Page, address: str) -> None:
    _choose(page, address, "disasterrecovery", "Switch over to listed replica")
    # A worker looks at the hosts first; the page shows the plan when it is there.
    expect(page.locator(".ele-op-yes-buttons")).to_be_visible(timeout=60_000)


def _operation(page: Page, _: str) -> None:
    """Say yes, and see how the herds end."""
    for box in page.locator("form input[type=checkbox]:visible").all():
        box.check()
    page.locator(".ele-op-yes-buttons input[type=submit]").click()
    expect(page.locator("#operation-state")).to_contain_text(
        "succeeded", timeout=60_000
    )


def _herd(page: Page, address: str) -> None:
    page.goto(f"{address}/admin/herds/herd/")
    page.get_by_role("link", name="trade").first.click()
    expect(page.locator(".ele-ready")).to_be_visible()


def _phone(page: Page, address: str) -> None:
    page.set_viewport_size(PHONE)  # type: ignore[arg-type]
    page.goto(f"{address}/admin/")


PICTURES: dict[str, Callable[[Page, str], None]] = {
    "front": _front,
    "herd": _herd,
    "plan": _plan,
    "switchover": _operation,
    "phone": _phone,
}
"""By name, in the order of a walk: each begins where the one before it ended."""


if __name__ == "__main__":
    main()
