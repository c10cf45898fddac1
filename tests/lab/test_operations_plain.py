"""Start, stop, restart and reload of clusters that only pg_ctl knows."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.lab.product import (
    PLAIN_COMMANDS,
    PLAIN_ODD_ROOT,
    PROJECT,
    Product,
    RunningWorker,
    said,
    states,
    target,
    until,
)


@pytest.fixture(scope="module", autouse=True)
def worker(plain: Product) -> Iterator[RunningWorker]:
    """One worker for all tests of this module."""
    with plain.worker() as worker:
        yield worker
    plain.make_whole()


def test_the_commands_tested_here_are_the_documented_ones() -> None:
    example = (PROJECT / "elephaas" / "local_settings.example.py").read_text()
    commented = example[example.index("# COMMANDS = {") :]
    block = commented[: commented.index("# }") + 3]
    scope: dict[str, dict[str, str]] = {}
    exec("\n".join(line.removeprefix("# ") for line in block.splitlines()), scope)

    assert scope["COMMANDS"] == PLAIN_COMMANDS


@pytest.mark.parametrize("herd", ["quote", "risk"])
def test_a_herd_is_stopped_started_restarted_and_reloaded(
    plain: Product, herd: str
) -> None:
    names = [f"{herd}@{host}" for host in plain.hosts(herd)]

    stopped = plain.do("stop", herd)

    assert stopped.state == "succeeded", said(stopped)
    assert not any(map(plain.is_running, names))

    started = plain.do("start", herd)

    assert started.state == "succeeded", said(started)
    before = plain.began(herd)

    restarted = plain.do("restart", herd)

    assert restarted.state == "succeeded", said(restarted)
    began = plain.began(herd)
    assert before[names[0]] < before[names[1]], "the primary was started first"
    assert before[names[0]] < began[names[1]] < began[names[0]]
    until(lambda: plain.streams(herd), 30, "its standby streams")

    reloaded = plain.do("reload", herd)

    assert reloaded.state == "succeeded", said(reloaded)
    assert "loaded its configuration at" in target(reloaded, names[0]).outcome


def test_the_odd_data_root_is_what_it_says() -> None:
    assert {"'", " ", ";"} <= set(PLAIN_ODD_ROOT)


def test_a_cluster_that_cannot_start_fails_with_postgresqls_own_words(
    plain: Product,
) -> None:
    with plain.configured("risk@ele09", "\nshared_buffers = 'plenty'\n"):
        operation = plain.do("restart", "risk@ele09")

    assert states(operation) == {"risk@ele09": "failed"}, said(operation)
    failed = target(operation, "risk@ele09")
    told = 'and said: invalid value for parameter "shared_buffers": "plenty"; '
    assert f"{told}configuration file " in failed.outcome
    assert " contains errors. Read the command's output" in failed.outcome
