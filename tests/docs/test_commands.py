"""Every command in the documentation exists and takes the options shown with it."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path

import pytest
from django.core.management import get_commands, load_command_class

from bench import __main__ as bench
from lab import cli
from pgutil_report import cli as agent
from tests.docs.pages import PAGES, ROOT, codes, commands, section, tables
from tools.package import RELEASE

INSTALLATION = ROOT / "docs" / "install.md"
"""``test_install`` types every command of this page."""

TYPED = {
    *(("backup.md", name) for name in ("pg_dump", "createdb", "pg_restore", "tar")),
    ("packages.md", "runuser"),
}
"""Programs that ``test_backup`` and ``test_packages`` type as these pages show them."""

EVERY = sorted({(page.name, line) for page in PAGES for line in commands(page)})


def make_targets() -> dict[str, str]:
    """Return what ``make help`` lists: the targets with their sentences."""
    listed = subprocess.run(
        ["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    return dict(re.findall(r"^  (\S+) +(\S.*)$", listed, re.M))


def check_make(words: list[str]) -> None:
    assert set(words) <= set(make_targets())


def check_manage(words: list[str]) -> None:
    """Let the command's own parser read the arguments; it exits where it cannot."""
    name, *arguments = words
    command = load_command_class(get_commands()[name], name)
    command.create_parser("manage.py", name).parse_args(arguments)


def check_lab(words: list[str]) -> None:
    own, _ = cli.split(words)
    cli._parser().parse_args(own)


def check_package(name: str) -> None:
    """See that a package of this name and version is built."""
    package, version = re.split("[_-](?=[0-9])", Path(name).name, maxsplit=1)

    assert package in (ROOT / "debian" / "control").read_text()
    assert f"Name:           {package}" in (ROOT / "rpm" / "elephaas.spec").read_text()
    assert version.startswith(RELEASE)


def check_units(names: list[str]) -> None:
    """See that the packages bring what is started and stopped."""
    folders = ("packaging", "pgutil_report/packaging")
    known = {
        path.name for folder in folders for path in (ROOT / folder).glob("*.[st]*")
    }

    assert {name if "." in name else f"{name}.service" for name in names} <= known


@pytest.mark.parametrize(("page", "line"), EVERY)
def test_every_command_shown_can_be_typed(page: str, line: str) -> None:
    words = shlex.split(line)
    if words[0] == "make":
        check_make(words[1:])
    elif words[:2] == ["python", "manage.py"]:
        check_manage(words[2:])
    elif words[0] == "elephaas-manage":
        check_manage(words[1:])
    elif words[0] == "systemctl":
        check_units([word for word in words[2:] if not word.startswith("-")])
    elif words[0] in {"apt-get", "dnf"}:
        check_package(words[-1])
    elif (page, words[0]) in TYPED:
        assert line in commands(ROOT / "docs" / page)
    elif words[:3] == [".venv/bin/python", "-m", "lab"]:
        check_lab(words[3:])
    elif words[0] == "pgutil_report":
        agent.parser().parse_args(words[1:])
    elif words[:3] == [".venv/bin/python", "-m", "bench"]:
        bench.parser().parse_args(words[3:])
    else:
        assert line in commands(INSTALLATION)


def test_commands_are_found_in_the_pages() -> None:
    shown = {line for _, line in EVERY}

    assert {"make demo", "make test", "createdb admin"} <= shown


def test_make_explains_each_target() -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.M))

    unexplained = targets - set(make_targets())

    assert all(target.startswith("ready") for target in unexplained)
    assert set(make_targets()) >= {
        *("setup", "demo", "demo-up", "demo-down", "test", "lint", "bench", "nemesis")
    }


def test_the_lab_page_names_every_command_of_the_lab() -> None:
    page = ROOT / "docs" / "lab.md"
    (rows,) = tables(page.read_text())
    named = {code.split()[0] for row in rows for code in codes(row[0])}

    assert named == lab_commands()


def lab_commands() -> set[str]:
    """Return the commands that ``python -m lab --help`` lists."""
    listed = cli._parser().format_help().partition("COMMAND")[2]
    return set(re.findall(r"^    ([a-z-]+) ", listed, re.M))


def test_links_lead_somewhere() -> None:
    missing = [
        f"{page.name}: {target}"
        for page in PAGES
        for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text())
        if not target.startswith("https://")
        and not (page.parent / Path(target)).exists()
    ]

    assert missing == []


def test_the_readme_names_only_folders_that_are_there() -> None:
    (rows,) = tables(section(ROOT / "README.md", "What is where"))
    folders = [code for row in rows for code in codes(row[0])]

    assert folders
    assert [folder for folder in folders if not (ROOT / folder).is_dir()] == []
