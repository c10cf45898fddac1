"""The double of Shell is as strict as the tests that rely on it believe."""

from __future__ import annotations

import threading

import pytest

from herds.errors import CommandFailed, OperationCancelled, OutcomeUnknown
from herds.ssh.shell import Shell, Stream
from herds.ssh.testing import ScriptedShell


def run(shell: Shell, *argv: str) -> str:
    return shell.run(argv).stdout


def test_it_gives_each_answer_once_in_the_order_told() -> None:
    shell = ScriptedShell()
    shell.answer(["status"], stdout="starting")
    shell.answer(["status"], stdout="online")

    assert [run(shell, "status"), run(shell, "status")] == ["starting", "online"]
    with pytest.raises(AssertionError, match="Not scripted for ele01: status"):
        run(shell, "status")


def test_it_can_answer_always_by_beginning_or_by_decision() -> None:
    shell = ScriptedShell()
    shell.answer(["psql", ...], stdout="1", always=True)
    shell.answer(lambda argv: "x" in argv, stdout="2")

    assert [run(shell, "psql", "-c", "a"), run(shell, "psql")] == ["1", "1"]
    assert run(shell, "cat", "x") == "2"


def test_it_fails_as_hosts_do() -> None:
    lost = OutcomeUnknown("ele01", "stop", "the connection was lost")
    shell = ScriptedShell()
    shell.answer(["start"], status=2, stderr="no such cluster\n")
    shell.fail(["stop"], lost)

    with pytest.raises(CommandFailed, match="no such cluster") as failure:
        run(shell, "start")
    with pytest.raises(OutcomeUnknown):
        run(shell, "stop")

    assert failure.value.status == 2


def test_it_runs_nothing_once_cancelled() -> None:
    cancel = threading.Event()
    cancel.set()
    shell = ScriptedShell()

    with pytest.raises(OperationCancelled):
        shell.run(["stop"], cancel=cancel)

    assert shell.calls == []


def test_it_records_what_was_run_and_hands_out_its_output() -> None:
    heard: list[tuple[Stream, bytes]] = []
    shell = ScriptedShell("ele02")
    shell.answer(["cat"], status=1, stdout="out", stderr="err")

    shell.run(
        ["cat"],
        ok=None,
        stdin=b"in",
        timeout=5,
        on_output=lambda stream, chunk: heard.append((stream, chunk)),
    )

    assert heard == [(Stream.STDOUT, b"out"), (Stream.STDERR, b"err")]
    assert shell.calls[0].argv == ("cat",)
    assert (shell.calls[0].stdin, shell.calls[0].timeout) == (b"in", 5)


def test_it_tells_of_answers_that_nobody_asked_for() -> None:
    shell = ScriptedShell()
    shell.answer(["never"])

    with pytest.raises(AssertionError, match="Never run on ele01"):
        shell.assert_all_used()
