"""The manual pages are well formed and name what there is."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from pgutil_report.cli import parser
from tests.docs.pages import ROOT

MANAGE = ROOT / "packaging" / "elephaas-manage.8"
AGENT = ROOT / "pgutil_report" / "packaging" / "pgutil_report.1"
COMMANDS = ROOT / "herds" / "management" / "commands"


@pytest.mark.parametrize("page", [MANAGE, AGENT], ids=lambda page: page.name)
def test_a_page_is_well_formed(page: Path) -> None:
    if not shutil.which("groff"):
        pytest.skip("groff is not installed (Debian: groff-base)")
    done = subprocess.run(
        ["groff", "-mdoc", "-Tutf8", "-ww", str(page)],
        capture_output=True,
        check=True,
        text=True,
    )

    assert not done.stderr
    assert page.stem.upper() in done.stdout


def test_every_option_of_the_agent_is_explained() -> None:
    text = AGENT.read_text()
    options = [
        option for action in parser()._actions for option in action.option_strings
    ]

    assert len(options) > 4
    for option in options:
        assert f"Fl {option[1:]}" in text, option


def test_every_command_is_named() -> None:
    own = {path.stem for path in COMMANDS.glob("[a-z]*.py")} - {"runserver"}

    assert own
    for command in own:
        assert f".It Cm {command}\n" in MANAGE.read_text(), command
