"""Words of a command reach the program unchanged, and output comes back readable."""

from __future__ import annotations

import pytest

from herds.errors import CommandFailed
from herds.ssh.output import Capture
from herds.ssh.shell import MAX_COMMAND_BYTES, Shell, Stream, quoted

AWKWARD = [
    "plain",
    "two words",
    "it's",
    'say "hello"',
    "a;b",
    "$(touch /tmp/never)",
    "`id`",
    "$HOME",
    "a\nb",
    "a\tb",
    "back\\slash",
    "*",
    "~",
    "!!",
    "-n",
    "--",
    "#no comment",
    "größe ☃ 🐘",
    "",
    "x" * 300,
    "\udcff\udc80",
]


def test_every_word_reaches_the_program_unchanged(shared_shell: Shell) -> None:
    done = shared_shell.run(["printf", r"%s\0", *AWKWARD], ok=(0,))

    received = done.stdout.split("\0")[:-1]
    # Bytes that are no text come back spelled out.
    assert received == [*AWKWARD[:-1], r"\xff\x80"]


@pytest.mark.parametrize(
    ("argv", "why"),
    [
        ([], "needs a program"),
        (["", "x"], "needs a program"),
        (["echo", "a\0b"], "NUL"),
        (["echo", "x" * MAX_COMMAND_BYTES], "standard input"),
    ],
)
def test_what_no_command_line_can_say_is_refused(argv: list[str], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        quoted(argv)


def test_output_that_is_not_utf8_is_spelled_out(shared_shell: Shell) -> None:
    done = shared_shell.run(["printf", r"caf\351 \303\251"])

    assert done.stdout == r"caf\xe9 é"


def test_both_outputs_are_told_apart(shared_shell: Shell) -> None:
    chunks: list[tuple[Stream, bytes]] = []

    done = shared_shell.run(
        ["sh", "-c", "echo out; echo err >&2"],
        on_output=lambda stream, chunk: chunks.append((stream, chunk)),
    )

    assert (done.stdout, done.stderr, done.status) == ("out\n", "err\n", 0)
    assert sorted(chunks, key=str) == [
        (Stream.STDERR, b"err\n"),
        (Stream.STDOUT, b"out\n"),
    ]


def test_text_on_standard_error_is_no_failure(shared_shell: Shell) -> None:
    done = shared_shell.run(["sh", "-c", "echo careful >&2"])

    assert done.status == 0


def test_a_status_that_was_not_allowed_is_a_failure_with_its_reason(
    shared_shell: Shell,
) -> None:
    with pytest.raises(CommandFailed) as failure:
        shared_shell.run(["sh", "-c", "echo first; echo 'no space' >&2; exit 3"])

    assert failure.value.status == 3
    assert failure.value.output == "no space"
    assert failure.value.host == shared_shell.host
    assert "ended with exit status 3" in failure.value.sentence()
    assert "no space" in failure.value.sentence()


def test_allowed_statuses_are_results(shared_shell: Shell) -> None:
    assert shared_shell.run(["sh", "-c", "exit 3"], ok=(0, 3)).status == 3
    assert shared_shell.run(["sh", "-c", "exit 77"], ok=None).status == 77


def test_a_program_that_is_not_there_ends_with_127(shared_shell: Shell) -> None:
    with pytest.raises(CommandFailed) as failure:
        shared_shell.run(["no-such-program-anywhere"])

    assert failure.value.status == 127


def test_a_command_without_input_reads_nothing(shared_shell: Shell) -> None:
    assert shared_shell.run(["cat"]).stdout == ""


def test_input_of_any_bytes_arrives_whole(shared_shell: Shell) -> None:
    data = bytes(range(256)) * 10

    done = shared_shell.run(["od", "-An", "-v", "-tx1"], stdin=data)

    assert bytes.fromhex(done.stdout) == data


def test_input_larger_than_every_buffer_comes_back_while_it_is_sent(
    shared_shell: Shell,
) -> None:
    data = b"0123456789abcdef" * (20 * 1024 * 1024 // 16)
    received = bytearray()

    done = shared_shell.run(
        ["cat"], stdin=data, on_output=lambda _, chunk: received.extend(chunk)
    )

    assert bytes(received) == data
    assert done.truncated


def test_a_command_that_stops_reading_still_ends_well(shared_shell: Shell) -> None:
    done = shared_shell.run(["head", "-c", "4"], stdin=b"abcd" * 5_000_000)

    assert done.stdout == "abcd"


def test_fifty_megabytes_on_both_outputs_are_counted_and_cut(
    shared_shell: Shell,
) -> None:
    size = 50 * 1024 * 1024
    counted = {Stream.STDOUT: 0, Stream.STDERR: 0}

    def count(stream: Stream, chunk: bytes) -> None:
        counted[stream] += len(chunk)

    both = f"head -c {size} /dev/zero & head -c {size} /dev/zero >&2; wait"
    done = shared_shell.run(["sh", "-c", both], on_output=count)

    assert counted == {Stream.STDOUT: size, Stream.STDERR: size}
    assert done.truncated
    assert f"{size - 2 * 64 * 1024:,} bytes left out" in done.stdout
    assert len(done.stdout) < 140_000
    assert len(done.stderr) < 140_000


def test_a_capture_keeps_both_ends_of_an_output() -> None:
    capture = Capture(keep=4)

    for chunk in (b"ab", b"cde", b"fghi", b"", b"jklmnopq"):
        capture.feed(chunk)

    assert capture.truncated
    assert capture.text() == "abcd\n[… 9 bytes left out …]\nnopq"


def test_a_capture_of_a_short_output_keeps_it_whole() -> None:
    capture = Capture(keep=4)

    capture.feed(b"abcdefgh")

    assert not capture.truncated
    assert capture.text() == "abcdefgh"
