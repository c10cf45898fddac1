"""A start is over when the server runs, whatever its command still waits for."""

from __future__ import annotations

import pytest

from tests.lab.product import Product, said, target, until

SLOW = "{COMMANDS[base]} start && sleep 12 && echo on >/tmp/started"
"""A start that does something more, long after the server runs."""


@pytest.fixture(autouse=True, scope="module")
def whole(debian: Product) -> None:
    """The herds run and are registered, whatever came before."""
    debian.make_whole()


def test_a_start_is_over_when_the_server_runs(debian: Product) -> None:
    debian.stop("orders@ele08")
    with debian.worker(COMMANDS=debian.commands(start=SLOW)):
        debian.lab.exec("ele08", ["rm", "-f", "/tmp/started"])

        operation = debian.do("start", "orders@ele08")

        assert operation.state == "succeeded", said(operation)
        mark = ["test", "-e", "/tmp/started"]
        came = debian.lab.exec("ele08", mark, check=False).returncode == 0
        assert not came, "it was waited for"
        step = target(operation, "orders@ele08").steps.get(name="start")
        assert step.command.startswith("pg_ctlcluster 15 orders start && sleep")
        assert step.exit_status is None
        assert step.evidence["activity"] == "running"
        assert "it goes on" in step.message
        assert step.finished_at is not None
        assert (step.finished_at - step.started_at).total_seconds() < 10

        # Nor is it ended: what comes after the start is done as well.
        until(
            lambda: debian.lab.exec("ele08", mark, check=False).returncode == 0,
            30,
            "the rest of the command is done",
        )


def test_debians_two_seconds_are_not_waited_for(debian: Product) -> None:
    with debian.worker():
        debian.do("refresh", "orders")

        operation = debian.do("restart", "orders@ele08")

    assert operation.state == "succeeded", said(operation)
    step = target(operation, "orders@ele08").steps.get(name="start")
    assert step.exit_status is None, "pg_ctlcluster came back before it was seen to run"
    assert debian.is_running("orders@ele08")
