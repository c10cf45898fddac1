"""What pages tell browsers to refuse."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from django.conf import settings
from django.test import Client
from django.urls import reverse

from tests.docs.pages import ROOT

TEMPLATES = sorted((ROOT / "templates").rglob("*.html"))


def policy(client: Client, address: str) -> dict[str, str]:
    header = client.get(address)["Content-Security-Policy"]
    return dict(part.strip().split(" ", 1) for part in header.split(";"))


@pytest.mark.parametrize("page", ["admin:index", "admin:herds_instance_changelist"])
def test_pages_run_our_own_scripts_only(admin_client: Client, page: str) -> None:
    found = policy(admin_client, reverse(page))

    assert found["default-src"] == "'none'"
    assert found["script-src"] == "'self'"
    assert found["style-src"] == "'self'"
    assert found["frame-ancestors"] == "'none'"


def test_the_login_page_has_the_same_policy(client: Client, db: None) -> None:
    assert policy(client, reverse("admin:login"))["script-src"] == "'self'"


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: path.name)
def test_nothing_is_written_into_pages_that_the_policy_forbids(template: Path) -> None:
    text = template.read_text()

    assert not re.search(r"<script(?![^>]*\bsrc=)", text)
    assert not re.search(r"<style\b|\sstyle=|\son[a-z]+=|javascript:", text)


def test_scripts_cannot_read_the_session_and_it_ends_within_a_day() -> None:
    assert settings.SESSION_COOKIE_HTTPONLY
    assert settings.SESSION_COOKIE_AGE <= 24 * 3600
