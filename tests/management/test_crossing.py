"""``manage.py operate`` where there is a point of no return, and a name to type."""

from __future__ import annotations

import json
import os
import pty
from collections.abc import Callable, Iterator

import pytest

from herds.models import Herd, Instance, Operation
from herds.operations import registry
from herds.operations.worker import WorkerProcess
from tests.doubles.crossing import CROSSING, NUMBER_OF_CHECKS, STEPS
from tests.doubles.engine import make_herd, on

from .conftest import Ended

Operate = Callable[..., Ended]


@pytest.fixture(autouse=True)
def crossing(monkeypatch: pytest.MonkeyPatch) -> None:
    """An action like a switchover is known to the engine."""
    monkeypatch.setitem(registry._ACTIONS, CROSSING.name, CROSSING)


@pytest.fixture
def quote(transactional_db: None) -> Herd:
    """A herd whose replica is stopped, so that it cannot go."""
    herd = make_herd("quote", ["ele11", "ele12"], "stage")
    Instance.objects.filter(server__hostname="ele12").update(is_online=False)
    return herd


def test_the_plan_shows_the_point_of_no_return_and_what_stops_a_target(
    operate: Operate, trade: Herd, quote: Herd
) -> None:
    out = operate("crossing", "--all", "--dry-run").out

    assert "Cross over 2 herds in prod and stage" in out
    assert (
        "can be undone: Write a checkpoint, Stop the old primary | "
        "point of no return: Promote | only forward: Move the name\n"
    ) in out
    assert "  afterwards: ele02 takes the writes.\n" in out
    assert "✖ quote: 1 kB behind; 16 MB (Check 1: SELECT 1)\n" in out
    assert f"✔ {2 * NUMBER_OF_CHECKS - 1} checks are fine\n" in out
    assert "cannot go: ele12 is stopped." in out
    # What does not go has no way that would be gone.
    assert out.count("point of no return") == 1


def test_as_json_the_plan_is_there_whole(operate: Operate, trade: Herd) -> None:
    end = operate("crossing", "--herd", "trade", "--dry-run", "--json")

    target = json.loads(end.out)["targets"][0]
    assert target["steps"] == list(STEPS)
    assert target["no_return"] == 2
    assert len(target["checks"]) == NUMBER_OF_CHECKS
    assert target["typed"] == "trade"
    assert target["follow_ups"] == []
    assert target["runbook"][0].startswith("ssh postgres@ele02 ")


def test_yes_alone_is_not_enough_where_a_name_has_to_be_typed(
    operate: Operate, trade: Herd
) -> None:
    for names in ([], ["--confirm-herd", "Trade"]):
        end = operate("crossing", "--herd", "trade", "--yes", *names)

        assert end.status == 1
        assert "needs the herd's name: trade." in end.err
        assert "add --confirm-herd trade." in end.err
        assert not Operation.objects.exists()


Type = Callable[[str], object]


@pytest.fixture
def types(monkeypatch: pytest.MonkeyPatch) -> Iterator[Type]:
    """Types something at a terminal that is the standard input."""
    ours, theirs = pty.openpty()
    with os.fdopen(theirs) as keyboard:
        monkeypatch.setattr("sys.stdin", keyboard)
        yield lambda text: os.write(ours, text.encode())
    os.close(ours)


@pytest.mark.parametrize("typed", ["trade\n", "Trade\nquote\ntrade\n"])
def test_at_a_terminal_the_name_is_asked_for_and_may_be_mistyped(
    operate: Operate, trade: Herd, worker: WorkerProcess, types: Type, typed: str
) -> None:
    types("yes\n" + typed)

    end = operate("crossing", "--herd", "trade")

    assert end.status == 0, end.err
    assert "Cross over 1 herd? Type yes: " in end.err
    assert "Type trade to confirm (prod, ele02): " in end.err
    assert end.err.count("This is not trade.") == typed.count("\n") - 1


@pytest.mark.parametrize("typed", ["\n", "\x04", "yes\nyes\nyes\n"])
def test_whoever_does_not_type_the_name_does_nothing(
    operate: Operate, trade: Herd, types: Type, typed: str
) -> None:
    types("yes\n" + typed)

    end = operate("crossing", "--herd", "trade")

    assert end.status == 1
    assert "Nothing was done." in end.err
    assert not Operation.objects.exists()


def test_the_name_lets_it_go_and_what_is_left_is_told_as_a_command(
    operate: Operate, trade: Herd, worker: WorkerProcess
) -> None:
    arguments = ("crossing", "--herd", "trade", "--yes", "--confirm-herd", "trade")
    end = operate(*arguments)

    assert end.status == 0, end.err
    assert "▲ trade on ele02: follow-ups. ele02 is the primary." in end.out
    left = (
        "\nLeft to do:\n▲ Rebuild ele02: it was not reachable.\n"
        "  manage.py operate rebuild --instance trade@ele02\n"
    )
    assert end.out.endswith(left)
    shown = operate("show", "--operation", str(Operation.objects.get().pk))
    assert shown.out.endswith(left)
    told = json.loads(operate(*arguments, "--json").out)
    assert told["targets"][0]["follow_ups"][0]["action"] == "rebuild"
    assert told["targets"][0]["follow_ups"][0]["instance_id"] == on(trade, "ele02").pk


def test_what_is_left_of_an_instance_that_is_gone_is_no_command(
    operate: Operate, trade: Herd, worker: WorkerProcess
) -> None:
    operate("crossing", "--herd", "trade", "--yes", "--confirm-herd", "trade")
    on(trade, "ele02").delete()

    shown = operate("show", "--operation", str(Operation.objects.get().pk))

    assert shown.out.endswith("▲ Rebuild ele02: it was not reachable.\n")


def test_the_runbook_is_all_that_is_printed(operate: Operate, trade: Herd) -> None:
    dry = operate("crossing", "--herd", "trade", "--dry-run", "--runbook")
    assert dry.status == 0
    assert dry.out.startswith("#!/bin/sh\n# Runbook of operation ")
    assert "\nssh postgres@ele02 " in dry.out
    assert not Operation.objects.exists()

    operate(
        "crossing", "--herd", "trade", "--yes", "--confirm-herd", "trade", "--detach"
    )
    number = str(Operation.objects.get().pk)
    shown = operate("show", "--operation", number, "--runbook")

    assert shown.out.startswith(f"#!/bin/sh\n# Runbook of operation {number}:")


def test_a_runbook_of_what_has_none_is_refused_and_leaves_nothing(
    operate: Operate, trade: Herd
) -> None:
    end = operate("restart", "--herd", "trade", "--dry-run", "--runbook")

    assert end.status == 1
    assert "has no runbook" in end.err
    assert not Operation.objects.exists()


def test_asking_for_a_runbook_never_acts(operate: Operate, trade: Herd) -> None:
    end = operate("restart", "--herd", "trade", "--yes", "--runbook")

    assert end.status == 1
    assert "Nothing was done." in end.err
    assert not Operation.objects.exists()
