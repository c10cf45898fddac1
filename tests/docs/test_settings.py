"""The page of settings says what the code does."""

from __future__ import annotations

import ast
import re
from dataclasses import fields
from typing import Any

import pytest
from django.conf import settings

from herds.conf import (
    AttentionSettings,
    DnsSettings,
    MetricsSettings,
    NotificationSettings,
    OperationSettings,
    RefreshSettings,
    RetentionSettings,
    SshSettings,
)
from herds.domain.links import KINDS, problems
from herds.management.terminal import EXIT_STATUS
from herds.operations.registry import all_actions
from herds.postgres import commands
from herds.selectors.trouble import Kind
from tests.docs.pages import ROOT, blocks, codes, section, tables

MONITORING = ROOT / "docs" / "monitoring.md"
LINKS_SECTION = "Links to other programs"
PAGE = ROOT / "docs" / "settings.md"
EXAMPLE = ROOT / "elephaas" / "local_settings.example.py"


def documented(heading: str) -> dict[str, str]:
    """Return the keys of a section's table, each with the default it gives."""
    (rows,) = tables(section(PAGE, heading))
    return {codes(row[0])[0]: codes(row[1])[0] for row in rows}


@pytest.mark.parametrize(
    ("heading", "kind"),
    [
        ("`SSH`: how the service logs in on the database hosts", SshSettings),
        (
            "`OPERATIONS`: how much at once, and how long to wait",
            OperationSettings,
        ),
        ("`REFRESH`: how workers keep the inventory fresh", RefreshSettings),
        ("`DNS`: how virtual hosts follow the primary", DnsSettings),
        ("`NOTIFICATIONS`: who is told of what", NotificationSettings),
        (
            "`RETENTION`: how long `manage.py prune` keeps what grows",
            RetentionSettings,
        ),
        ("`ATTENTION`: from where on something needs a person", AttentionSettings),
        ("`METRICS`: who may read them", MetricsSettings),
    ],
)
def test_every_key_is_explained_with_its_default(heading: str, kind: Any) -> None:
    shown = {
        key: ast.literal_eval(default) for key, default in documented(heading).items()
    }

    defaults = kind()
    expected = {
        field.name.upper(): getattr(defaults, field.name) for field in fields(kind)
    }
    assert {key: str(value) for key, value in shown.items()} == {
        key: str(value) for key, value in expected.items()
    }


def tables_of_commands() -> list[list[list[str]]]:
    return tables(section(PAGE, "`COMMANDS`: what is run on the database hosts"))


def test_every_command_is_explained_with_its_default() -> None:
    keys, _ = tables_of_commands()

    shown = {codes(row[0])[0]: codes(row[1])[0] for row in keys}

    assert shown == settings.COMMANDS
    assert set(shown) == commands.KEYS


def test_every_field_of_commands_is_explained() -> None:
    _, rows = tables_of_commands()

    shown = {code.strip("{}") for row in rows for code in codes(row[0])}

    assert shown == {"COMMANDS[base]", "version[0]", *commands._FIELDS}


def test_the_examples_plain_pg_ctl_can_be_used_as_it_stands() -> None:
    commented = re.search(
        r"^# COMMANDS = (\{\n.*?^# \})", EXAMPLE.read_text(), re.M | re.S
    )
    assert commented

    templates = ast.literal_eval(re.sub("^# ", "", commented[1], flags=re.M))

    assert commands.validate(templates) == []
    assert "pg_ctlcluster" not in str(templates)


def test_the_example_shows_the_defaults() -> None:
    text = EXAMPLE.read_text()

    for key, default in documented(
        "`OPERATIONS`: how much at once, and how long to wait"
    ).items():
        assert f'"{key}": {default},' in text
    for key, default in documented(
        "`SSH`: how the service logs in on the database hosts"
    ).items():
        assert f'"{key}": {default},' in text


def test_every_check_at_start_up_is_explained() -> None:
    source = (ROOT / "herds" / "checks.py").read_text()

    (rows,) = tables(section(PAGE, "Checks at start-up"))

    shown = [codes(row[0])[0] for row in rows]

    assert sorted(shown) == sorted(set(re.findall(r'id="(herds\.[EW]\d+)"', source)))


def test_the_exit_statuses_are_those_of_the_terminal() -> None:
    (rows,) = tables(section(ROOT / "docs" / "operations.md", "From a terminal"))

    assert {int(row[0]) for row in rows} == {*EXIT_STATUS.values(), 1, 2}


def test_every_action_is_explained() -> None:
    (rows,) = tables(
        section(ROOT / "docs" / "operations.md", "From the choice to the outcome")
    )

    assert {row[0] for row in rows} == {action.name for action in all_actions()}


def test_every_actions_permission_is_explained() -> None:
    (rows,) = tables(section(ROOT / "docs" / "permissions.md", "Everywhere"))
    shown = {f"herds.{code}" for row in rows for code in codes(row[0])}

    assert {action.permission for action in all_actions()} <= shown


def test_every_kind_of_attention_is_explained() -> None:
    (rows,) = tables(section(MONITORING, "The front page"))

    assert [codes(row[0])[0] for row in rows] == [kind.value for kind in Kind]


def test_every_metric_is_explained_with_its_labels() -> None:
    (rows,) = tables(section(MONITORING, "Metrics"))
    source = (ROOT / "herds" / "monitoring" / "metrics.py").read_text()

    shown = {codes(row[0])[0].removesuffix("_total") for row in rows}

    assert shown == set(re.findall(r'"(elephaas_\w+)"', source))


def test_the_links_shown_can_be_used_as_they_stand() -> None:
    (shown,) = (
        block for block in blocks(MONITORING, "python") if block.startswith("LINKS")
    )

    assert list(problems(ast.literal_eval(shown.partition("=")[2].strip()))) == []
    fields = set(re.findall(r"`\{(\w+)\}`", section(MONITORING, LINKS_SECTION)))
    assert fields == KINDS["instance"]
