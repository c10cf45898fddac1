"""A person at a real terminal is asked, follows, and may leave."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from herds.models import Herd, Operation
from herds.operations.worker import WorkerProcess
from tests.doubles.clusters import SimulatedFleet
from tests.doubles.engine import Gate, on, states

from .conftest import Manage


class Terminal:
    """A terminal with a command on it."""

    def __init__(self, start: Callable[..., subprocess.Popen[Any]]) -> None:
        self._ours, theirs = pty.openpty()
        self.screen = ""
        self.process = start(
            stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True
        )
        os.close(theirs)

    def read_until(self, words: str, seconds: float = 30.0) -> None:
        """Read until something was printed, or fail."""
        deadline = time.monotonic() + seconds
        while words not in self.screen:
            left = deadline - time.monotonic()
            assert left > 0, f"{words!r} did not come: {self.screen}"
            self._read(left)

    def end(self) -> int:
        """Read to the end, and give the exit status."""
        while self._read(30):
            pass
        return self.process.wait(30)

    def type(self, text: str) -> None:
        """Type something."""
        os.write(self._ours, text.encode())

    def close(self) -> None:
        os.close(self._ours)

    def _read(self, seconds: float) -> bool:
        ready, _, _ = select.select([self._ours], [], [], seconds)
        if not ready:
            return False
        try:
            chunk = os.read(self._ours, 4096)
        except OSError:  # the other side was closed
            return False
        self.screen += chunk.decode("utf-8", "replace")
        return bool(chunk)


@pytest.fixture
def operate(manage: Manage) -> Iterator[Callable[..., Terminal]]:
    """Runs ``manage.py operate`` on a terminal."""
    terminals: list[Terminal] = []

    def run(*arguments: str) -> Terminal:
        terminal = Terminal(lambda **options: manage("operate", *arguments, **options))
        terminals.append(terminal)
        return terminal

    yield run
    for terminal in terminals:
        terminal.close()


Operate = Callable[..., Terminal]


def test_a_typed_yes_acts_and_progress_is_written_over(
    operate: Operate, trade: Herd, fleet: SimulatedFleet, worker: WorkerProcess
) -> None:
    gate = fleet[on(trade, "ele03")].before = Gate("stop")
    terminal = operate("restart", "--herd", "trade")
    terminal.read_until("Restart 3 instances? Type yes: ")
    assert "replica, running" in terminal.screen
    assert fleet.log == []

    terminal.type("yes\n")

    terminal.read_until("◐ 1 of 3 ended; ele03: Stop PostgreSQL (fast)")
    gate.opened.set()
    assert terminal.end() == 0
    assert terminal.screen.endswith("All 3 instances were restarted.\r\n")
    # Each line of progress is cleared before anything else is written.
    assert re.search(r"◐ [^\r\n]*\r\x1b\[K✔ trade on ele0[13]: ", terminal.screen)
    assert not re.search(r"◐ [^\r]*\n", terminal.screen)


@pytest.mark.parametrize("answer", ["no\n", "\n", "y\n", "\x04", "\x03"])
def test_anything_but_yes_does_nothing(
    operate: Operate, trade: Herd, answer: str
) -> None:
    terminal = operate("restart", "--herd", "trade")
    terminal.read_until("Type yes: ")
    if answer == "\x03":
        # Without a controlling terminal the key is a signal that we send ourselves.
        terminal.process.send_signal(signal.SIGINT)
    else:
        terminal.type(answer)

    assert terminal.end() == 1
    assert "Nothing was done." in terminal.screen
    assert not Operation.objects.exists()


def test_who_leaves_is_told_how_to_come_back_and_the_operation_goes_on(
    operate: Operate, trade: Herd, fleet: SimulatedFleet, worker: WorkerProcess
) -> None:
    gate = fleet[on(trade, "ele02")].before = Gate("stop")
    terminal = operate("restart", "--herd", "trade", "--yes")
    terminal.read_until("◐ 0 of 3 ended; ele02: Stop PostgreSQL (fast)")

    terminal.process.send_signal(signal.SIGINT)

    assert terminal.end() == 1
    number = Operation.objects.get().pk
    assert f"Operation {number} goes on without this terminal." in terminal.screen
    assert f"operate show --operation {number}" in terminal.screen
    assert f"operate cancel --operation {number}" in terminal.screen
    assert "Traceback" not in terminal.screen
    assert states(Operation.objects.get())["ele02"] == "running"
    gate.opened.set()
