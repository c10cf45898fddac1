"""The style sheet's colours can be read in light and in dark."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

STYLE = Path(__file__).parents[2] / "static" / "herds" / "herds.css"
PAPER = {"light": ["#ffffff", "#f8f8f8", "#ffffcc"], "dark": ["#121212", "#212121"]}
ENVIRONMENTS = ["prod", "stage", "dev", "none", *(f"hue{n}" for n in range(6))]
STATES = ["fine", "working", "attention", "failed", "unknown"]
READABLE = 4.5


def colours() -> dict[str, dict[str, str]]:
    """Return every colour of the style sheet by theme."""
    found = re.findall(
        r"--ele-([a-z0-9-]+): light-dark\((#\w{6}), (#\w{6})\)", STYLE.read_text()
    )
    return {
        "light": {name: light for name, light, _ in found},
        "dark": {name: dark for name, _, dark in found},
    }


def luminance(colour: str) -> float:
    """Relative luminance (WCAG 2.2, https://www.w3.org/TR/WCAG22/)."""
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4
        for part in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    brighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (brighter + 0.05) / (darker + 0.05)


def test_contrast_is_that_of_the_recommendation() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("state", STATES)
def test_states_can_be_read_on_every_row(theme: str, state: str) -> None:
    for paper in PAPER[theme]:
        assert contrast(colours()[theme][state], paper) >= READABLE, paper


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_environments_can_be_read_on_their_band(theme: str, environment: str) -> None:
    known = colours()[theme]

    assert contrast(known[f"{environment}-fg"], known[f"{environment}-bg"]) >= READABLE
