"""The agent runs on a database host as it is: old Python, psycopg2, nothing else."""

from __future__ import annotations

import ast
import configparser
import re
import subprocess
import sys
from pathlib import Path

import pytest

from pgutil_report import config

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "pgutil_report"
OLDEST = (3, 9)
DRIVER_AT_HOME = {"database.py", "upstream.py"}

MODULES = sorted(PACKAGE.glob("*.py"))
PROGRAM = PACKAGE / "packaging" / "pgutil_report"

each_module = pytest.mark.parametrize(
    "path", [*MODULES, PROGRAM], ids=lambda path: path.name
)


def imported(path: Path) -> set[str]:
    """Return the first part of the name of everything a module imports."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(), str(path))):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0
            found.add(str(node.module).partition(".")[0])
    return found


@each_module
def test_only_the_standard_library_and_psycopg2_are_imported(path: Path) -> None:
    allowed = {*sys.stdlib_module_names, "pgutil_report"}
    if path.name in DRIVER_AT_HOME:
        allowed.add("psycopg2")

    assert imported(path) - allowed == set()


def test_there_are_modules_to_look_at() -> None:
    assert {"cli.py", "finders.py", *DRIVER_AT_HOME} <= {each.name for each in MODULES}
    assert "psycopg2" in imported(PACKAGE / "database.py")


@each_module
def test_the_oldest_python_can_read_it(path: Path) -> None:
    ast.parse(path.read_text(), str(path), feature_version=OLDEST)


def test_the_oldest_python_has_all_that_is_called() -> None:
    target = ".".join(map(str, OLDEST))
    command = [str(Path(sys.executable).with_name("vermin")), f"--target={target}-"]
    done = subprocess.run(
        [*command, "--violations", "--no-tips", str(PACKAGE), str(PROGRAM)],
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stderr) == (0, ""), done.stdout


def test_it_needs_no_driver_to_say_how_it_is_used() -> None:
    command = [sys.executable, "-m", "pgutil_report", "--help"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)

    for option in ("--config", "--once", "--dry-run", "--json"):
        assert option in done.stdout


def test_the_example_of_the_configuration_is_one() -> None:
    text = (PACKAGE / "packaging" / "pgutil_report.ini").read_text()
    with_all = re.sub(r"(?m)^#(?=[a-z_]+ =|  )", "", text)

    settings = config.parse(with_all)

    assert settings.upstream is not None
    assert settings.upstream.ssl["sslmode"] == "verify-full"
    assert settings.data_roots == ("/srv/postgresql",)
    assert config.parse(text).interval == settings.interval == config.Config.interval
    assert config.parse(text).heartbeat == settings.heartbeat


@pytest.mark.parametrize("name", ["pgutil_report", "pgutil_report-loop"])
def test_services_run_as_the_owner_and_keep_their_state(name: str) -> None:
    unit = configparser.ConfigParser(interpolation=None, strict=False)
    unit.optionxform = str  # type: ignore[assignment, method-assign]
    unit.read(PACKAGE / "packaging" / f"{name}.service")

    assert unit["Service"]["User"] == "postgres"
    assert unit["Service"]["StateDirectory"] == "pgutil_report"
    assert unit["Service"]["ExecStart"].startswith("/usr/bin/pgutil_report")
