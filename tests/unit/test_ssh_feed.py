"""Input that is written while the command runs arrives, and never blocks for ever."""

from __future__ import annotations

import hashlib
import threading

import pytest

from herds.errors import HostUnreachable
from herds.ssh.feed import Feed
from herds.ssh.pool import ShellPool
from herds.ssh.shell import Shell, Stream

from .ssh_server import LocalSshd


def test_a_conversation_with_a_command(shared_shell: Shell) -> None:
    feed = Feed()
    answers: list[bytes] = []

    def answer(stream: Stream, chunk: bytes) -> None:
        answers.append(chunk)
        if len(answers) == 1:
            feed.put(b"second\n")
        else:
            feed.close()

    feed.put(b"first\n")
    done = shared_shell.run(
        ["sh", "-c", 'while read -r line; do echo "got $line"; done; echo over'],
        stdin=feed,
        on_output=answer,
    )

    assert done.stdout == "got first\ngot second\nover\n"
    assert len(answers) >= 2


def test_a_feed_with_little_room_lets_everything_through(shared_shell: Shell) -> None:
    feed = Feed(room=64 * 1024)
    chunk = b"x" * 32 * 1024

    def write() -> None:
        for _ in range(200):
            assert feed.put(chunk)
        feed.close()

    writer = threading.Thread(target=write)
    writer.start()
    done = shared_shell.run(["wc", "-c"], stdin=feed)
    writer.join()

    assert int(done.stdout) == 200 * len(chunk)


def test_a_writer_is_released_when_the_command_stops_reading(
    shared_shell: Shell,
) -> None:
    feed = Feed(room=1024)
    refused = threading.Event()

    def write() -> None:
        while feed.put(b"x" * 1024):
            pass
        refused.set()

    writer = threading.Thread(target=write)
    writer.start()
    shared_shell.run(["head", "-c", "10"], stdin=feed)
    writer.join()

    assert refused.is_set()


def test_a_writer_is_released_when_the_command_was_never_sent(
    pool: ShellPool, sshd: LocalSshd
) -> None:
    feed = Feed(room=1)
    feed.put(b"xx")
    put: list[bool] = []
    writer = threading.Thread(target=lambda: put.append(feed.put(b"more")))
    writer.start()

    with pytest.raises(HostUnreachable):
        pool.shell("127.0.0.9", sshd.host_key()).run(["cat"], stdin=feed)
    writer.join()

    assert put == [False]


def test_what_finds_no_room_waits_in_a_file_and_in_order(shared_shell: Shell) -> None:
    feed = Feed(room=100_000, spills=True)
    numbers = [f"{number}\n".encode() * 100 for number in range(2000)]

    for number in numbers[:1500]:
        assert feed.put(number)
    early = feed.take() + feed.take()
    for number in numbers[1500:]:
        assert feed.put(number)
    feed.close()
    done = shared_shell.run(["sh", "-c", "cat | md5sum"], stdin=feed)

    rest = b"".join(numbers).removeprefix(early)
    assert early == numbers[0] + numbers[1]
    assert done.stdout.split()[0] == hashlib.md5(rest).hexdigest()
    assert feed.is_over()


def test_a_feed_that_spilt_takes_in_memory_again() -> None:
    feed = Feed(room=10, spills=True)

    for _ in range(3):
        for letter in (b"aaaaaaaaaaaa", b"bbb", b"ccc"):
            assert feed.put(letter)
        taken = b"".join(iter(feed.take, b""))
        assert taken == b"aaaaaaaaaaaabbbccc"
        assert feed.take() == b""

    feed.close()
    assert feed.is_over()


def test_what_spilt_is_forgotten_when_the_command_has_ended() -> None:
    feed = Feed(room=1, spills=True)
    feed.put(b"first")
    feed.put(b"spilt")

    feed.abandon()

    assert not feed.put(b"more")
    assert feed.take() == b""
