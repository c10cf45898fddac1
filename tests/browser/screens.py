"""Take pictures of pages of a running site: light and dark, wide and at phone width.

    python -m tests.browser.screens --into DIR [--url URL] [--user U --password P]
        [--no-script] NAME=PATH...

``NAME=PATH`` names a picture and the page below the site's address, such as
``instances=/admin/herds/instance/``. Writes ``DIR/NAME-light-wide.png`` and so on, and
says which pages scroll sideways at phone width.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

CHROMIUM = "/usr/bin/chromium"
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
WIDTHS = {"wide": (1280, 800), "phone": (390, 844)}
SCHEMES = ("light", "dark")


def main() -> None:
    """Log in once a theme and width, then visit every page."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--url", default="http://localhost:8123")
    parser.add_argument("--user", default="admin")
    parser.add_argument("--password", default="admin")
    parser.add_argument("--into", type=Path, required=True)
    parser.add_argument("--no-script", action="store_true")
    parser.add_argument("--only", help="one theme and width, such as light-wide")
    parser.add_argument("pages", nargs="+", metavar="NAME=PATH")
    options = parser.parse_args()
    options.into.mkdir(parents=True, exist_ok=True)
    pages = dict(page.split("=", 1) for page in options.pages)

    with sync_playwright() as playwright:
        browser = launch(playwright.chromium)
        for scheme in SCHEMES:
            for width in WIDTHS:
                if options.only in (None, f"{scheme}-{width}"):
                    context = open_context(
                        browser, scheme, width, script=not options.no_script
                    )
                    page = context.new_page()
                    log_in(page, options.url, options.user, options.password)
                    for name, path in pages.items():
                        page.goto(options.url + path)
                        take(page, options.into / f"{name}-{scheme}-{width}.png")
                    context.close()
        browser.close()


def launch(chromium) -> Browser:  # type: ignore[no-untyped-def]
    """Start the distribution's Chromium without a window."""
    return chromium.launch(executable_path=CHROMIUM, args=FLAGS)


def open_context(
    browser: Browser, scheme: str, width: str, *, script: bool = True
) -> BrowserContext:
    """Open a browser window that prefers a theme and has a width."""
    across, down = WIDTHS[width]
    return browser.new_context(
        color_scheme=scheme,  # type: ignore[arg-type]
        viewport={"width": across, "height": down},
        java_script_enabled=script,
    )


def log_in(page: Page, url: str, user: str, password: str) -> None:
    """Log in to the admin."""
    page.goto(f"{url}/admin/login/?next=/admin/")
    page.fill("#id_username", user)
    page.fill("#id_password", password)
    page.click("input[type=submit]")
    page.wait_for_url(f"{url}/admin/")


def take(page: Page, picture: Path) -> None:
    """Take a picture of the whole page, and tell what sticks out sideways."""
    page.screenshot(path=str(picture), full_page=True)
    print(picture)
    across = page.viewport_size["width"] if page.viewport_size else 0
    reach = page.evaluate("document.documentElement.scrollWidth")
    if reach > across:
        print(f"  is {reach} pixels wide in a window of {across}")


if __name__ == "__main__":
    main()
