"""The pages for people, cut into what tests compare with the code."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = [
    ROOT / "README.md",
    ROOT / "CHANGELOG.md",
    *sorted((ROOT / "docs").glob("*.md")),
]


def blocks(page: Path, language: str) -> list[str]:
    """Return the contents of a page's fenced blocks of one language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", page.read_text(), re.M | re.S)


def commands(page: Path) -> list[str]:
    """Return what a page tells to type: what stands behind a prompt, ``$`` or ``#``.

    A command goes on over the next lines until its quotation marks are closed.
    """
    found: list[str] = []
    for block in blocks(page, "console"):
        is_open = False
        for line in block.splitlines():
            if is_open:
                found[-1] += f"\n{line}"
            elif line.startswith(("$ ", "# ")):
                found.append(line[2:])
            else:
                continue
            is_open = not _is_whole(found[-1])
    return found


def _is_whole(command: str) -> bool:
    try:
        return bool(shlex.split(command))
    except ValueError:
        return False


def section(page: Path, heading: str) -> str:
    """Return the text under a heading, up to the next one."""
    found = re.search(
        rf"^#+ {re.escape(heading)}\n(.*?)(?=^#+ |\Z)", page.read_text(), re.M | re.S
    )
    assert found, f"{page.name} has no heading {heading!r}"
    return found[1]


def tables(text: str) -> list[list[list[str]]]:
    """Return the tables of a text, each as its rows of cells, without the head."""
    found = re.findall(r"(?:^\|.*\n?)+", text, re.M)
    return [
        [
            [cell.strip() for cell in row.strip("|").split(" | ")]
            for row in each.splitlines()[2:]
        ]
        for each in found
    ]


def codes(cell: str) -> list[str]:
    """Return what stands in backticks."""
    return re.findall(r"`([^`]+)`", cell)
