"""The page of the agent names its settings, options and statuses as they are."""

from __future__ import annotations

from pgutil_report import cli, config
from tests.docs.pages import ROOT, blocks, codes, section, tables

PAGE = ROOT / "docs" / "agent.md"


def first_codes(rows: list[list[str]]) -> list[str]:
    return [code for row in rows for code in codes(row[0])]


def test_every_setting_is_named_with_its_default() -> None:
    upstream, report = tables(section(PAGE, "Settings"))

    assert set(first_codes(upstream)) == set(config.UPSTREAM_KEYS)
    assert set(first_codes(report)) == set(config.REPORT_KEYS)
    told = {row[0].strip("`"): row[1] for row in report}
    for name in ("interval", "heartbeat", "position_bytes", "timeout"):
        assert float(told[name]) == getattr(config.Config, name)
    assert told["os_user"] == f"`{config.Config.os_user}`"
    assert config.Upstream.user in {code for row in upstream for code in codes(row[1])}


def test_the_example_is_taken() -> None:
    (example,) = blocks(PAGE, "ini")

    found = config.parse(example)

    assert found.upstream is not None


def test_every_option_and_status_is_named() -> None:
    options, statuses = tables(section(PAGE, "Options"))

    named = {code.split()[0] for code in first_codes(options)}
    known = {word for act in cli.parser()._actions for word in act.option_strings}
    assert named == known - {"-h", "--help"}
    assert [int(row[0]) for row in statuses] == [
        *(cli.DONE, cli.UNTOLD, cli.WRONG, cli.PARTLY_SEEN)
    ]


def test_every_file_that_is_shipped_is_named() -> None:
    page = PAGE.read_text()

    for file in (ROOT / "pgutil_report" / "packaging").iterdir():
        assert file.name in page
