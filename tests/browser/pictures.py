"""Takes pictures of the pages that a test comes by, for people to look at.

They are written to the directory that the environment variable ``PICTURES`` names, as
``NAME-light-wide.png`` and so on; without it none is taken.
"""

from __future__ import annotations

import os
from pathlib import Path

from playwright.sync_api import Page

from tests.browser.screens import SCHEMES, WIDTHS, take


def picture(page: Page, name: str) -> None:
    """Take pictures of a page as it is now: light and dark, wide and on a phone."""
    directory = os.environ.get("PICTURES")
    if not directory:
        return
    into = Path(directory)
    into.mkdir(parents=True, exist_ok=True)
    before = page.viewport_size
    for scheme in SCHEMES:
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        for width, (across, down) in WIDTHS.items():
            page.set_viewport_size({"width": across, "height": down})
            take(page, into / f"{name}-{scheme}-{width}.png")
    page.emulate_media(color_scheme="light")
    if before is not None:
        page.set_viewport_size(before)
