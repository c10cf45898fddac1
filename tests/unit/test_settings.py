"""The settings are safe by default, and the site's own file has the last word."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from herds.postgres import commands

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "elephaas" / "local_settings.example.py"


def settings_of(tmp_path: Path, text: str) -> dict[str, Any]:
    """Return the settings of a site with these local settings."""
    local = tmp_path / "settings of this site.py"
    local.write_text(text)
    script = (
        "import json; from elephaas import settings;"
        "print(json.dumps({k: v for k, v in vars(settings).items() if k.isupper()},"
        " default=str))"
    )
    printed = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        env={**os.environ, "ELEPHAAS_SETTINGS_FILE": str(local)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    found: dict[str, Any] = json.loads(printed)
    return found


def test_what_a_site_leaves_out_is_safe(tmp_path: Path) -> None:
    found = settings_of(tmp_path, "")

    assert found["DEBUG"] is False
    assert found["SECRET_KEY"] == ""
    assert found["ALLOWED_HOSTS"] == []
    assert found["SESSION_COOKIE_SECURE"] is True
    assert found["CSRF_COOKIE_SECURE"] is True


def test_the_example_lets_one_try_out_without_tls(tmp_path: Path) -> None:
    found = settings_of(tmp_path, EXAMPLE.read_text())

    assert found["DEBUG"] is True
    assert found["SECRET_KEY"] == found["DEBUGGING_KEY"]
    assert found["SESSION_COOKIE_SECURE"] is False


def test_a_site_has_the_last_word(tmp_path: Path) -> None:
    found = settings_of(
        tmp_path,
        "SECRET_KEY = 'own'\nSESSION_COOKIE_SECURE = False\nTIME_ZONE = 'Europe/Zurich'"
        "\nSTORAGES = {'default': {}, 'staticfiles': {}}"
        "\nDATABASES = {'default': {'CONN_MAX_AGE': 7}}",
    )

    assert found["SECRET_KEY"] == "own"
    assert found["SESSION_COOKIE_SECURE"] is False
    assert found["TIME_ZONE"] == "Europe/Zurich"
    assert found["STORAGES"] == {"default": {}, "staticfiles": {}}
    assert found["DATABASES"]["default"] == {
        "CONN_MAX_AGE": 7,
        "CONN_HEALTH_CHECKS": True,
    }


def test_the_debugging_key_is_never_used_outside_debug(tmp_path: Path) -> None:
    text = EXAMPLE.read_text().replace("DEBUG = True", "DEBUG = False")

    assert settings_of(tmp_path, text)["SECRET_KEY"] == ""


def test_the_example_shows_the_commands_that_are_used_without_it(
    tmp_path: Path,
) -> None:
    shown = settings_of(tmp_path, EXAMPLE.read_text())["COMMANDS"]

    assert shown == settings_of(tmp_path, "")["COMMANDS"]


@pytest.mark.parametrize("number", [0, 1], ids=["pg_ctlcluster", "pg_ctl"])
def test_the_commands_of_the_example_can_be_filled_in(number: int) -> None:
    blocks = re.findall(
        r"^(?:# )?COMMANDS = (\{.*?^(?:# )?\})",
        EXAMPLE.read_text(),
        re.MULTILINE | re.DOTALL,
    )
    templates = eval(re.sub(r"^# ", "", blocks[number], flags=re.MULTILINE))

    assert len(blocks) == 2
    assert commands.validate(templates) == []


def test_a_service_is_asked_over_tls_only(tmp_path: Path) -> None:
    found = settings_of(tmp_path, "")

    assert found["SECURE_SSL_REDIRECT"] is True
    assert found["SECURE_HSTS_SECONDS"] >= 365 * 24 * 3600
    assert found["SECURE_HSTS_INCLUDE_SUBDOMAINS"] is True


@pytest.mark.parametrize(
    "text", ["DEBUG = True", "SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = False"]
)
def test_a_site_without_tls_is_not_led_to_it(tmp_path: Path, text: str) -> None:
    found = settings_of(tmp_path, text)

    assert found["SECURE_SSL_REDIRECT"] is False
    assert found["SECURE_HSTS_SECONDS"] == 0
