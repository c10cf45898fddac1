"""What is written in several places is the same everywhere."""

from __future__ import annotations

import re
import tomllib

from tests.docs.pages import ROOT
from tools.package import RELEASE

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_the_changelog_begins_with_this_version() -> None:
    newest = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.M)

    assert newest
    assert newest[1] == PROJECT["version"]


def test_the_packages_are_of_this_version() -> None:
    changes = (ROOT / "debian" / "changelog").read_text()
    spec = (ROOT / "rpm" / "elephaas.spec").read_text()

    assert changes.startswith(f"elephaas ({PROJECT['version']})")
    assert re.search(r"^Version: +(\S+)", spec, re.M)[1] == PROJECT["version"]  # type: ignore[index]
    assert PROJECT["version"] == RELEASE


def test_the_licence_is_the_one_that_is_declared() -> None:
    text = (ROOT / "LICENSE").read_text()

    assert PROJECT["license"] == "Apache-2.0"
    assert "Apache License\n" in text
    assert "Version 2.0, January 2004" in text
    assert "END OF TERMS AND CONDITIONS" in text


def test_the_documentation_asks_for_the_python_that_is_needed() -> None:
    oldest = PROJECT["requires-python"].removeprefix(">=")

    for page in ("README.md", "docs/install.md"):
        assert f"Python {oldest} or newer" in (ROOT / page).read_text()
