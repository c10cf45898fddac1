"""Two commands on two hosts talk through a relay, end together, and tell who failed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from herds.errors import (
    CommandTimedOut,
    ElephaasError,
    HostUnreachable,
    OperationCancelled,
    OutcomeUnknown,
    PreconditionFailed,
)
from herds.ssh.pool import ShellPool
from herds.ssh.relay import Relay, Relayed
from herds.ssh.shell import Shell
from herds.ssh.testing import ScriptedShell

from .ssh_server import LocalSshd, eventually, lives

NAME = 'printf "%s\\n" "$1"; shift; '
"""Names the far command in the first line, as rsync's transport does."""


def words(line: bytes) -> list[str]:
    return line.decode().split(" ")


def relayed(
    near: Shell,
    far: Shell,
    script: str,
    *,
    names: str = "cat",
    timeout: float = 60.0,
    cancel: threading.Event | None = None,
) -> Relayed:
    return Relay(near, far, accept=words).run(
        ["sh", "-c", NAME + script, "sh", names],
        timeout=timeout,
        cancel=cancel or threading.Event(),
    )


def test_what_one_prints_the_other_reads(shared_shell: Shell) -> None:
    done = relayed(
        shared_shell, shared_shell, "echo hello; read -r answer; echo $answer >&2"
    )

    assert done.near.stderr == "hello\n"
    assert done.far is not None
    assert (done.near.status, done.far.status) == (0, 0)
    assert (done.to_far, done.to_near) == (6, 6)


def test_much_goes_both_ways_at_once(shared_shell: Shell) -> None:
    # A background command would have no input of its own.
    near = (
        "echo far; exec 3<&0; head -c 20000000 <&3 | wc -c >&2 & reader=$!;"
        " head -c 30000000 /dev/zero; wait $reader"
    )
    far = "head -c 20000000 /dev/zero & head -c 30000000 | wc -c >&2; wait"

    done = Relay(shared_shell, shared_shell, accept=lambda line: ["sh", "-c", far]).run(
        ["sh", "-c", near], timeout=60.0, cancel=threading.Event()
    )

    assert done.far is not None
    assert int(done.far.stderr) == done.to_far == 30_000_000
    assert int(done.near.stderr) == done.to_near == 20_000_000


def test_a_far_command_that_does_not_read_yet_holds_nobody_back(
    shared_shell: Shell, tmp_path: Path
) -> None:
    flag = tmp_path / "read now"
    far = 'while [ ! -e "$1" ]; do sleep 0.02; done; head -c 30000000 | wc -c >&2'

    done = Relay(
        shared_shell,
        shared_shell,
        accept=lambda line: ["sh", "-c", far, "sh", str(flag)],
        on_message=lambda chunk: flag.touch(),
    ).run(
        ["sh", "-c", "echo far; head -c 30000000 /dev/zero; echo all >&2"],
        timeout=60.0,
        cancel=threading.Event(),
    )

    assert done.far is not None
    assert int(done.far.stderr) == done.to_far == 30_000_000


def test_messages_are_told_while_it_runs(shared_shell: Shell) -> None:
    heard: list[bytes] = []
    Relay(shared_shell, shared_shell, accept=words, on_message=heard.append).run(
        ["sh", "-c", "echo cat; echo 12 % >&2; echo go; read -r back"],
        timeout=60.0,
        cancel=threading.Event(),
    )

    assert b"".join(heard) == b"12 %\n"


def test_a_refused_far_command_is_never_run(shared_shell: Shell) -> None:
    def refuse(line: bytes) -> Sequence[str]:
        raise PreconditionFailed(f"not {line.decode()}")

    far = ScriptedShell("ele01")

    with pytest.raises(PreconditionFailed, match="not rm -r /"):
        Relay(shared_shell, far, accept=refuse).run(
            ["sh", "-c", "echo rm -r /; sleep 600"],
            timeout=60.0,
            cancel=threading.Event(),
        )

    assert far.calls == []


def test_a_first_line_without_an_end_is_not_waited_for(shared_shell: Shell) -> None:
    def refuse(line: bytes) -> Sequence[str]:
        raise PreconditionFailed(f"{len(line)} bytes")

    with pytest.raises(PreconditionFailed, match="bytes"):
        Relay(shared_shell, ScriptedShell("ele01"), accept=refuse).run(
            ["sh", "-c", "head -c 200000 /dev/zero; sleep 600"],
            timeout=60.0,
            cancel=threading.Event(),
        )


def test_a_near_command_that_names_nothing_has_no_far_one(shared_shell: Shell) -> None:
    done = Relay(shared_shell, ScriptedShell("ele01"), accept=words).run(
        ["sh", "-c", "echo no such program >&2; exit 127"],
        timeout=60.0,
        cancel=threading.Event(),
    )

    assert (done.near.status, done.far) == (127, None)


def test_the_near_command_ends_when_the_far_one_fails(shared_shell: Shell) -> None:
    done = relayed(shared_shell, shared_shell, "cat >&2; exit 12", names="false")

    assert done.far is not None
    assert (done.near.status, done.far.status) == (12, 1)


def test_a_far_host_that_is_away_is_the_reason(
    pool: ShellPool, shell: Shell, sshd: LocalSshd
) -> None:
    away = pool.shell("127.0.0.9", sshd.host_key())

    with pytest.raises(HostUnreachable, match=r"127\.0\.0\.9"):
        relayed(shell, away, "sleep 600")


class Family:
    """A near and a far command that sleep, and their process numbers."""

    NEAR = "echo the other; read -r far; echo $$ $far >&2; cat"
    FAR = ("sh", "-c", "echo $$; exec sleep 600")

    def __init__(self, then: Callable[[], None] = lambda: None) -> None:
        self._then = then
        self._said = b""

    def run(self, near: Shell, far: Shell, **options: Any) -> Relayed:
        relay = Relay(near, far, accept=lambda line: self.FAR, on_message=self._heard)
        return relay.run(
            ["sh", "-c", self.NEAR],
            **{"timeout": 60.0, "cancel": threading.Event(), **options},
        )

    def _heard(self, chunk: bytes) -> None:
        self._said += chunk
        if self._said.endswith(b"\n"):
            self._then()

    def assert_gone(self) -> None:
        pids = [int(word) for word in self._said.split()]
        assert len(pids) == 2
        eventually(lambda: not any(map(lives, pids)), "both have ended")


def test_a_far_connection_that_is_lost_is_the_reason(
    shared_shell: Shell, shell: Shell, sshd: LocalSshd
) -> None:
    with pytest.raises(OutcomeUnknown):
        Family(then=sshd.end_sessions).run(shared_shell, shell)


def test_both_commands_are_gone_after_a_cancellation(shared_shell: Shell) -> None:
    cancel = threading.Event()
    family = Family(then=cancel.set)

    with pytest.raises(OperationCancelled):
        family.run(shared_shell, shared_shell, cancel=cancel)

    family.assert_gone()


def test_both_commands_are_gone_when_time_is_over(shared_shell: Shell) -> None:
    family = Family()

    with pytest.raises(CommandTimedOut):
        family.run(shared_shell, shared_shell, timeout=1.0)

    family.assert_gone()


def test_both_commands_are_gone_when_nobody_wants_to_hear_more(
    shared_shell: Shell,
) -> None:
    def enough() -> None:
        raise PreconditionFailed("enough")

    family = Family(then=enough)

    with pytest.raises(PreconditionFailed, match="enough"):
        family.run(shared_shell, shared_shell)

    family.assert_gone()


def test_a_worker_without_room_says_so(
    shared_shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tempfile.TemporaryFile", full)

    with pytest.raises(ElephaasError, match="No space left on device") as failed:
        relayed(
            shared_shell,
            shared_shell,
            "head -c 30000000 /dev/zero; sleep 600",
            names="sleep 600",
        )

    assert "temporary files" in failed.value.hint
