"""The layers of DESIGN.md: imports go down only, and each library has one home."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

LAYERS = {
    "errors": 0,
    "domain": 0,
    "conf": 0,
    "sql": 0,
    "models": 1,
    "migrations": 1,
    "ssh": 1,
    "postgres": 1,
    "nameserver": 1,
    "messenger": 1,
    "selectors": 2,
    "services": 3,
    "operations": 4,
    "admin": 5,
    "monitoring": 5,
    "management": 5,
    "templatetags": 5,
    "checks": 5,
    "logins": 5,
    "apps": 5,
}

# Packages of one layer do not know each other, except where this says so.
NEIGHBOURS = {
    ("errors", "domain"),
    ("domain", "errors"),
    ("postgres", "ssh"),
    ("migrations", "sql"),
    ("migrations", "models"),  # a migration names the validators of a field
    ("management", "admin"),
    ("templatetags", "admin"),
    ("admin", "templatetags"),
    ("apps", "checks"),
    ("apps", "logins"),
    ("apps", "management"),  # the roles are made after a migration
    ("admin", "logins"),
    ("checks", "monitoring"),
    ("management", "apps"),  # the name of the schema
}

# Adapters and values are used from anywhere, so they know no web framework.
WITHOUT_DJANGO = ("errors", "domain", "ssh", "postgres", "nameserver", "messenger")

HOMES = {
    "paramiko": {"ssh"},
    "dns": {"nameserver"},
    "apprise": {"messenger"},
    "prometheus_client": {"monitoring"},
    "procrastinate": {"operations", "admin"},  # the admin hides the queue's own menus
}

# Waiting belongs to the clock that is handed around, so that tests need not wait.
SLEEPERS = {
    "herds/domain/clock.py": "the clock",
    "herds/ssh/remote_shell.py": "waits for a free session of a host",
    "herds/management/terminal.py": "draws progress for a person",
}


# Runs on the control host, inside the application, to enter the demo's fleet.
REGISTRAR = "lab.demo_fleet"


def modules(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


def imported(path: Path) -> Iterator[str]:
    """Yield the dotted name of everything a module imports, wherever it does."""
    package = path.relative_to(ROOT).with_suffix("").parts
    for node in ast.walk(ast.parse(path.read_text(), str(path))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level] if node.level else ()
            start = ".".join([*base, *filter(None, [node.module])])
            yield from (f"{start}.{alias.name}" for alias in node.names)


def part_of(name: str) -> str:
    """Return which part of ``herds`` a dotted name belongs to."""
    return name.split(".")[1]


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts)


def test_every_part_of_the_application_has_its_layer() -> None:
    parts = {part_of(name_of(path)) for path in modules("herds")} - {"__init__"}

    assert parts <= set(LAYERS)


def test_imports_go_down_only() -> None:
    upwards = [
        f"{name_of(path)} imports {name}"
        for path in modules("herds")
        for name in imported(path)
        if name.startswith("herds.") and not _may(part_of(name_of(path)), part_of(name))
    ]

    assert upwards == []


def _may(importer: str, target: str) -> bool:
    return (
        importer == target
        or LAYERS[importer] > LAYERS[target]
        or (importer, target) in NEIGHBOURS
    )


# What may be known of SSH where PostgreSQL is spoken: commands as values, input that is
# written while they run, and two of them joined. They stand on the protocol ``Shell``
# alone, not on how a host is reached.
PROTOCOLS = ("herds.ssh.shell", "herds.ssh.feed", "herds.ssh.relay")


def test_postgres_knows_of_ssh_only_the_protocols() -> None:
    known = {
        name.rpartition(".")[0]
        for path in modules("herds/postgres")
        for name in imported(path)
        if name.startswith("herds.ssh")
    }

    assert known <= set(PROTOCOLS)


def test_the_protocols_know_no_way_to_reach_a_host() -> None:
    known = {
        name.rpartition(".")[0]
        for protocol in PROTOCOLS
        for name in imported(ROOT / f"{protocol.replace('.', '/')}.py")
        if name.startswith("herds.ssh")
    }

    assert known <= set(PROTOCOLS)


@pytest.mark.parametrize("part", WITHOUT_DJANGO)
def test_adapters_and_values_know_no_web_framework(part: str) -> None:
    paths = [path for path in modules("herds") if part_of(name_of(path)) == part]

    assert [
        name_of(path)
        for path in paths
        if any(name.split(".")[0] == "django" for name in imported(path))
    ] == []


@pytest.mark.parametrize("library", HOMES)
def test_a_library_is_known_in_one_place_only(library: str) -> None:
    knowing = {
        part_of(name_of(path))
        for path in modules("herds")
        if any(name.split(".")[0] == library for name in imported(path))
    }

    assert knowing <= HOMES[library]


@pytest.mark.parametrize("program", ["lab", "pgutil_report"])
def test_programs_of_their_own_know_nothing_of_the_application(program: str) -> None:
    assert [
        name_of(path)
        for path in modules(program)
        if name_of(path) != REGISTRAR
        and any(name.split(".")[0] in {"herds", "elephaas"} for name in imported(path))
    ] == []


def test_only_the_clock_sleeps() -> None:
    asleep = {
        str(path.relative_to(ROOT))
        for path in modules("herds")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute)
        and node.attr == "sleep"
        and isinstance(node.value, ast.Name)
        and node.value.id == "time"
    }

    assert asleep == set(SLEEPERS)


def test_every_module_says_its_responsibility_first() -> None:
    silent = [
        name_of(path)
        for folder in ("herds", "elephaas", "lab", "pgutil_report", "tests", "bench")
        for path in modules(folder)
        if path.stat().st_size and not ast.get_docstring(ast.parse(path.read_text()))
    ]

    assert silent == []
