"""Commands end when they are to end, whole, and only they."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator

import pytest

from herds.errors import CommandTimedOut, OperationCancelled, OutcomeUnknown
from herds.ssh.feed import Feed
from herds.ssh.shell import Shell, Stream

from .ssh_server import LocalSshd, eventually, lives

# Prints the numbers of a parent and of its child, then works on for ten minutes.
FAMILY = "sleep 600 & echo $$ $!; wait"
STUBBORN = f"trap '' TERM; {FAMILY}"


class Watched:
    """Takes the process numbers that a command prints, and acts on the first line."""

    def __init__(self, then: Callable[[], None] = lambda: None) -> None:
        self.pids: list[int] = []
        self._then = then
        self._text = b""

    def __call__(self, stream: Stream, chunk: bytes) -> None:
        self._text += chunk
        if b"\n" in self._text and not self.pids:
            self.pids = [int(word) for word in self._text.split(b"\n")[0].split()]
            self._then()

    def all_gone(self) -> bool:
        return bool(self.pids) and not any(map(lives, self.pids))

    def kill(self) -> None:
        for pid in filter(lives, self.pids):
            os.kill(pid, signal.SIGKILL)


@pytest.fixture
def watched() -> Iterator[Watched]:
    """Watch a command; nothing of it outlives the test."""
    watching = Watched()
    yield watching
    watching.kill()


@pytest.mark.parametrize("script", [FAMILY, STUBBORN])
@pytest.mark.parametrize("tethered", [False, True])
def test_cancelling_leaves_no_process(
    shared_shell: Shell, script: str, tethered: bool
) -> None:
    cancel = threading.Event()
    watched = Watched(then=cancel.set)

    with pytest.raises(OperationCancelled) as cancelled:
        shared_shell.run(
            ["sh", "-c", script], on_output=watched, cancel=cancel, tethered=tethered
        )

    assert cancelled.value.stopped
    assert watched.all_gone()
    assert "was cancelled" in cancelled.value.sentence()
    assert "was stopped" in cancelled.value.sentence()


def test_a_deadline_stops_the_whole_group_and_tells_what_was_said(
    shared_shell: Shell, watched: Watched
) -> None:
    with pytest.raises(CommandTimedOut) as late:
        shared_shell.run(["sh", "-c", FAMILY], timeout=0.5, on_output=watched)

    assert late.value.stopped
    assert watched.all_gone()
    assert "did not end within 0.5 s" in late.value.sentence()
    assert late.value.output == " ".join(map(str, watched.pids))


def test_nothing_is_started_once_cancelled(shared_shell: Shell) -> None:
    cancel = threading.Event()
    cancel.set()
    heard: list[bytes] = []

    with pytest.raises(OperationCancelled, match="before it was started"):
        shared_shell.run(
            ["echo", "hello"], cancel=cancel, on_output=lambda _, c: heard.append(c)
        )

    assert heard == []


def test_a_process_with_a_session_of_its_own_is_left_alone(
    shared_shell: Shell, watched: Watched
) -> None:
    # As a postmaster is, that pg_ctl has started before it was stopped.
    script = "setsid sleep 600 >/dev/null 2>&1 & sleep 0.2; pgrep -s $! sleep; wait"

    with pytest.raises(CommandTimedOut) as late:
        shared_shell.run(["sh", "-c", script], timeout=1.0, on_output=watched)

    assert late.value.stopped
    assert [lives(pid) for pid in watched.pids] == [True]


def test_what_a_command_leaves_behind_does_not_hold_it_up(
    shared_shell: Shell, watched: Watched
) -> None:
    # The sleep inherits the output, whose end therefore never comes.
    done = shared_shell.run(
        ["sh", "-c", "sleep 600 & echo $!"], timeout=300, on_output=watched
    )

    assert done.status == 0
    assert lives(watched.pids[0])


def test_output_that_follows_the_exit_is_not_lost(shared_shell: Shell) -> None:
    # 3 MB stay in flight when the writer ends, more than a channel's window.
    done = shared_shell.run(
        ["sh", "-c", "head -c 3000000 /dev/zero & wait; echo end >&2; printf end"]
    )

    assert done.stdout.endswith("end")
    assert f"{3_000_003 - 2 * 64 * 1024:,} bytes left out" in done.stdout


def test_a_callers_failure_stops_the_command(shared_shell: Shell) -> None:
    class Full(Exception):
        pass

    def disk_is_full() -> None:
        raise Full

    watched = Watched(then=disk_is_full)

    with pytest.raises(Full):
        shared_shell.run(["sh", "-c", FAMILY], on_output=watched)

    assert watched.all_gone()


def test_a_killed_command_has_no_known_outcome(shared_shell: Shell) -> None:
    with pytest.raises(OutcomeUnknown) as unknown:
        shared_shell.run(["sh", "-c", "echo half; kill -KILL $$"])

    assert "without an exit status" in unknown.value.sentence()
    assert unknown.value.output == "half"


def test_a_lost_connection_makes_the_outcome_unknown(
    shell: Shell, sshd: LocalSshd
) -> None:
    watched = Watched(then=sshd.end_sessions)

    with pytest.raises(OutcomeUnknown) as unknown:
        shell.run(["sh", "-c", FAMILY], on_output=watched)

    assert "the connection was lost" in unknown.value.sentence()
    watched.kill()


def test_a_tethered_command_dies_with_its_connection(
    shell: Shell, sshd: LocalSshd
) -> None:
    watched = Watched(then=sshd.end_sessions)

    with pytest.raises(OutcomeUnknown):
        shell.run(["sh", "-c", FAMILY], on_output=watched, tethered=True)

    eventually(watched.all_gone, "the tethered processes are gone")


def test_a_tethered_command_behaves_as_any_other(shared_shell: Shell) -> None:
    done = shared_shell.run(
        ["sh", "-c", 'cat; printf "%s" "$1"; echo err >&2; exit 5', "sh", "a 'b' $c"],
        ok=(5,),
        tethered=True,
    )

    assert (done.stdout, done.stderr) == ("a 'b' $c", "err\n")
    assert done.seconds < 60


def test_a_tethered_command_reads_the_text_it_is_given(shared_shell: Shell) -> None:
    done = shared_shell.run(
        ["sh", "-c", "cat; echo over"], stdin=b"it's $a\n\n", tethered=True
    )

    assert done.stdout == "it's $a\n\nover\n"


def test_a_tethered_command_with_input_dies_with_its_connection(
    shell: Shell, sshd: LocalSshd
) -> None:
    watched = Watched(then=sshd.end_sessions)

    with pytest.raises(OutcomeUnknown):
        shell.run(
            ["sh", "-c", FAMILY], stdin=b"secret\n", on_output=watched, tethered=True
        )

    eventually(watched.all_gone, "the tethered processes are gone")


@pytest.mark.parametrize("stdin", [Feed(), b"a\0b"])
def test_a_tethered_command_reads_nothing_that_is_no_text(
    shared_shell: Shell, stdin: Feed | bytes
) -> None:
    with pytest.raises(ValueError, match="nothing but a given text"):
        shared_shell.run(["cat"], stdin=stdin, tethered=True)


def test_a_host_that_hangs_is_given_up_at_the_deadline(
    sshd: LocalSshd, watched: Watched
) -> None:
    from .conftest import pool_for

    watched = Watched(then=sshd.freeze)
    with pool_for(sshd, connect_timeout=0.5) as pool:
        shell = pool.shell(sshd.address, sshd.host_key())

        with pytest.raises(CommandTimedOut) as late:
            shell.run(["sh", "-c", FAMILY], timeout=0.5, on_output=watched)

        assert not late.value.stopped
        assert "may still be running" in late.value.sentence()
        sshd.thaw()
        watched.kill()
        # One hanging host costs later commands nothing once it answers again.
        assert pool.shell(sshd.address, sshd.host_key()).run(["true"]).status == 0
