"""``manage.py operate`` from end to end: what it prints, does, and exits with."""

from __future__ import annotations

import contextlib
import os
import pty
from collections.abc import Iterator

import pytest

from herds.models import Operation
from tests.lab.product import Product, RunningWorker, Shown, finish, states


@pytest.fixture(scope="module", autouse=True)
def worker(plain: Product) -> Iterator[RunningWorker]:
    """One worker for all tests of this module."""
    with plain.worker(SSH={"CONNECT_TIMEOUT": 1.5}) as worker:
        yield worker
    plain.make_whole()


def operate(product: Product, *arguments: str) -> Shown:
    """Run a command of the terminal to its end."""
    return finish(product.operate(*arguments))


def typed(product: Product, answer: str, *arguments: str) -> Shown:
    """Run a command at a terminal, and type an answer to its question."""
    ours, theirs = pty.openpty()
    with os.fdopen(ours, "r+b", buffering=0) as terminal:
        process = product.operate(*arguments, terminal=theirs)
        os.close(theirs)
        shown = b""
        with contextlib.suppress(OSError):  # the other end was closed
            while chunk := terminal.read(4096):
                shown += chunk
                if answer and b"Type yes: " in shown:
                    terminal.write(answer.encode())
                    answer = ""
        return Shown(process.wait(timeout=30), shown.decode(), "")


def latest() -> Operation | None:
    """Give the operation that was written last."""
    return Operation.objects.order_by("-pk").first()


def test_a_dry_run_shows_the_plan_and_leaves_nothing(plain: Product) -> None:
    before = latest()

    shown = operate(plain, "stop", "--environment", "stage", "--dry-run")

    assert shown.status == 0
    assert shown.out.startswith("Stop 2 instances of 1 herd in stage\n")
    lines = [line.split() for line in shown.out.splitlines()]
    assert ["ENVIRONMENT", "HERD", "CONTAINER", "NOW", "WILL"] in lines
    assert any(line[:3] == ["stage", "quote", "ele04"] for line in lines)
    assert "▲ quote: ele04 is the primary of quote" in shown.out
    assert latest() == before
    assert plain.is_running("quote@ele04")


def test_json_is_all_that_stands_on_standard_output(plain: Product) -> None:
    before = plain.began("risk")

    shown = operate(
        plain,
        *("restart", "--herd", "risk", "--server", "ele09", "--server", "ele04"),
        *("--yes", "--json", "--reason", "ticket 4711"),
    )

    assert shown.status == 0
    assert shown.json["state"] == "succeeded"
    assert shown.json["outcome"] == "The instance was restarted."
    assert shown.json["reason"] == "ticket 4711"
    (only,) = shown.json["targets"]
    assert (only["herd"], only["host"], only["state"]) == ("risk", "ele09", "succeeded")
    assert only["outcome"].startswith("Restarted. ele09 runs PostgreSQL 15")
    began = plain.began("risk")
    assert began["risk@ele09"] > before["risk@ele09"]
    assert began["risk@ele08"] == before["risk@ele08"], "different options narrow"
    kept = Operation.objects.get(pk=shown.json["operation"])
    assert (kept.source, kept.requested_by_name) == ("terminal", "root")


def test_in_a_pipe_every_target_is_a_line_as_it_ends(plain: Product) -> None:
    shown = operate(
        plain,
        "reload",
        "--instance",
        "risk@ele08",
        "--instance",
        "quote@ele05",
        "--yes",
    )

    assert shown.status == 0
    assert shown.err == ""
    ends = [line for line in shown.out.splitlines() if line.startswith("✔")]
    assert sorted(line.split(":")[0] for line in ends) == [
        "✔ quote on ele05",
        "✔ risk on ele08",
    ]
    assert shown.out.endswith("All 2 instances were reloaded.\n")
    assert "\x1b" not in shown.out


def test_nothing_is_done_without_a_yes(plain: Product) -> None:
    before = latest()

    shown = operate(plain, "stop", "--herd", "risk")

    assert shown.status == 1
    assert "Nothing was done. Add --yes to act without a question." in shown.err
    assert latest() == before, "no plan is left behind"
    assert plain.is_running("risk@ele08")


@pytest.mark.parametrize("answer", ["no\n", "\x03"])
def test_a_person_at_a_terminal_may_say_no(plain: Product, answer: str) -> None:
    before = latest()

    shown = typed(plain, answer, "stop", "--herd", "risk")

    assert "Stop 2 instances? Type yes: " in shown.out
    assert "Nothing was done." in shown.out
    assert "Traceback" not in shown.out
    assert shown.status == 1
    assert latest() == before
    assert plain.is_running("risk@ele08")


def test_a_person_at_a_terminal_says_yes_and_watches(plain: Product) -> None:
    shown = typed(plain, "yes\n", "restart", "--instance", "risk@ele09")

    assert shown.status == 0
    assert "Restart 1 instance? Type yes: " in shown.out
    assert "◐ 0 of 1 ended; " in shown.out
    assert "The instance was restarted." in shown.out


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["stop", "--herd", "riks", "--yes"], 1, "There is no herd named 'riks'."),
        (["stop", "--yes"], 1, "No instance was chosen."),
        (["show", "--operation", "999999"], 1, "There is no operation 999999."),
        (["explode", "--all"], 2, "invalid choice: 'explode'"),
    ],
)
def test_what_cannot_be_done_is_told_in_a_sentence(
    plain: Product, arguments: list[str], status: int, said: str
) -> None:
    shown = operate(plain, *arguments)

    assert shown.status == status
    assert said in shown.err
    assert shown.out == ""


def test_the_exit_status_tells_all_a_part_and_none(plain: Product) -> None:
    plain.lab.kill("ele09")
    try:
        part = operate(plain, "reload", "--herd", "risk", "--yes", "--json")
        none = operate(plain, "reload", "--instance", "risk@ele09", "--yes", "--json")
    finally:
        plain.lab.boot("ele09")

    assert (part.status, part.json["state"]) == (3, "partly")
    assert (none.status, none.json["state"]) == (1, "failed")
    assert "ele09 could not be reached over SSH" in none.json["targets"][0]["outcome"]

    again = operate(
        plain, "retry", "--operation", str(part.json["operation"]), "--yes", "--json"
    )

    assert again.status == 0, again.json
    assert states(Operation.objects.get(pk=again.json["operation"])) == {
        "risk@ele09": "succeeded"
    }
    assert again.json["operation"] > none.json["operation"], "a new operation"


def test_an_operation_can_be_left_alone_and_shown_later(plain: Product) -> None:
    left = operate(plain, "restart", "--herd", "quote", "--yes", "--json", "--detach")

    assert left.status == 0
    assert left.json["state"] in {"queued", "running"}

    number = str(left.json["operation"])
    shown = operate(plain, "show", "--operation", number, "--json")

    assert shown.status == 0
    assert shown.json["state"] == "succeeded"
