"""Brings one host's directory to the state of another's, by rsync through the worker.

The target runs rsync; its transport is the worker's own connections to both hosts, so
that no host needs a key for another. The options are those that are safe for
PostgreSQL's files: see ``_OPTIONS``.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass

from herds.errors import CommandFailed, PreconditionFailed
from herds.ssh.relay import Relay
from herds.ssh.shell import Completed, Shell, Stream

from .complaint import called
from .lock import BUSY, busy
from .meter import Meter, Progress

_IO_TIMEOUT = 120  # seconds

_OPTIONS = (
    "--archive",
    "--delete-before",
    "--delete-excluded",
    "--numeric-ids",
    # Else rsync makes its pipes such that cat, unlike ssh, cannot wait on them.
    "--blocking-io",
    # Blocks change within files of up to a gigabyte: send the blocks, in place.
    "--inplace",
    "--no-whole-file",
    "--block-size=8192",
    # rsync's quick check compares whole seconds unless told to compare nanoseconds: a
    # block that changed within the second of the last copy would be passed over.
    "--modify-window=-1",
    "--stats",
    "--info=progress2",
    "--outbuf=N",
    # A network that takes no byte and tells nobody must not hold the copy for ever.
    f"--timeout={_IO_TIMEOUT}",
)

# Run on the target: standard input and output are the transport, messages go to
# standard error. rsync starts $ELEPHAAS_RELAY where it would start ssh; that names the
# server's command on the first line and then passes bytes on. As ssh does, it ends when
# the server has ended: rsync waits for that.
_NEAR = r"""
exec 3<&0 4>&1 >&2 </dev/null
export LC_ALL=C
if [ -n "$1" ]; then exec 9<"$1" && flock -n -E 75 9 || exit; fi
shift
export ELEPHAAS_RELAY='shift; printf "%s\0" "$@" >&4; echo >&4
exec 5<&0; cat <&5 >&4 & exec cat <&3'
exec rsync -e 'sh -c '\''eval "$ELEPHAAS_RELAY"'\'' relay' "$@"
"""

# What the target's rsync may ask of the source's: to read, in the ways of _OPTIONS.
_SENDER = ("rsync", "--server", "--sender")
_ASKED = re.compile(
    r"-[A-DF-Za-df-z]*(e[A-Za-z0-9.]*)?\Z|-B\d+\Z"
    r"|--(numeric-ids|inplace|stats|delete-before|delete-excluded|checksum)\Z"
    r"|--(timeout|bwlimit|block-size|modify-window)=[-\w]+\Z"
)

# "     31,457,280  74%  12.34MB/s    0:00:01 (xfr#3, to-chk=1/5)": what was gone
# through of the files that differ.
_PROGRESS = re.compile(rb"^ *([\d,]+) +\d+% ", re.MULTILINE)

VANISHED = 24
"""rsync's exit status for source files that vanished meanwhile: a live server's."""

_SILENT = 30  # rsync's status for its --timeout
_NO_PROGRAM = 127  # the shell's

# "rsync: [receiver] write failed on "/x/big": No space left on device (28)"
_SAID = re.compile(r"(rsync|cat|sh|flock)\b.*: |.*: not found\Z")
_REASON = re.compile(r"rsync: .*: [A-Z][\w ,/-]+ \((\d+)\)\Z")
_HINTS = {
    "1": "See who owns that file on {host}.",
    "13": "Let the remote user read and write that file on {host}, then try again.",
    "28": "Make room on {host}, then try again.",
    "30": "Make that file system of {host} writable, then try again.",
    "122": "Raise the disk quota on {host}, then try again.",
}
"""What to do next, by the system's number of the reason."""


@dataclass(frozen=True, kw_only=True)
class Synced:
    """What a run of rsync brought. All sizes are in bytes.

    ``differing`` is the size of the files that differed, whole; ``literal`` is what
    of them was sent, and ``received`` all that came over the wire.
    """

    total: int
    differing: int
    literal: int
    received: int
    seconds: float
    vanished: bool


def pull(
    target: Shell,
    source: Shell,
    *,
    source_directory: str,
    target_directory: str,
    filters: Sequence[str] = (),
    extra: Sequence[str] = (),
    dry_run: bool = False,
    bandwidth: int = 0,
    expected: int = 0,
    on_progress: Progress = lambda done, total, rate: None,
    cancel: threading.Event | None = None,
    timeout: float = 86400.0,
) -> Synced:
    """Make the target's directory equal to the source's.

    Args:
        target: where files are written.
        source: where they are read.
        source_directory: an absolute path; its contents are copied.
        target_directory: an absolute path that exists.
        filters: rsync filter rules, anchored at the directory.
        extra: further options, such as ``--checksum``.
        dry_run: compare names, sizes and times; change nothing.
        bandwidth: bytes a second at most, 0 for no limit.
        expected: bytes of the files that differ, for the progress; 0 if not known.
        on_progress: told how much of them was gone through.
        cancel: stops both sides when set.
        timeout: seconds for the whole.

    Raises:
        CommandFailed: an exit status other than 0 and 24.
        ElephaasError: the hosts could not be reached, or the run was cut off.
    """
    begun = time.monotonic()
    meter = Meter(_PROGRESS, on_progress, unit=1, total=expected)
    relay = Relay(
        target,
        source,
        accept=lambda line: server_command(line, source_directory),
        on_message=lambda chunk: meter.read(Stream.STDERR, chunk),
    )
    argv = [
        "sh",
        "-c",
        _NEAR,
        "rsync",
        "" if dry_run else target_directory,
        *_OPTIONS,
        *(["--dry-run"] if dry_run else []),
        *([f"--bwlimit={max(1, bandwidth // 1024)}k"] if bandwidth else []),
        *(f"--filter={rule}" for rule in filters),
        *extra,
        f"source:{source_directory.rstrip('/')}/",
        f"{target_directory.rstrip('/')}/",
    ]
    with called("rsync"):
        done = relay.run(argv, timeout=timeout, cancel=cancel or threading.Event())
    said = done.near.stderr
    if done.near.status == BUSY:
        raise busy(target.host, target_directory)
    if done.near.status not in {0, VANISHED}:
        raise failure(target.host, source.host, done.near, done.far)
    meter.end()
    stats = read_stats(said)
    return Synced(
        total=stats.get("Total file size", 0),
        differing=stats.get("Total transferred file size", 0),
        literal=stats.get("Literal data", 0),
        received=done.to_near,
        seconds=time.monotonic() - begun,
        vanished=done.near.status == VANISHED,
    )


def server_command(line: bytes, source_directory: str) -> list[str]:
    """Accept what the target's rsync asks the source to run, and nothing else.

    The path is not the one it asks for but the one that is meant: it never meets a
    shell, and no target can ask for another.

    Args:
        line: the words it would have given to ssh, each ended by a NUL.
        source_directory: what is to be read.

    Raises:
        PreconditionFailed: it is not rsync's reading side, or has an unknown option.
    """
    words = [word.decode("utf-8", "replace") for word in line.split(b"\0")[:-1]]
    program, rest = tuple(words[:3]), words[3:]
    options = rest[: rest.index(".")] if "." in rest else []
    unknown = [each for each in options if not _ASKED.match(each)]
    if program != _SENDER or not options or unknown:
        asked = " ".join(unknown or words)[:200]
        raise PreconditionFailed(
            f"The target's rsync asked the source for something unexpected ({asked}); "
            "nothing was copied.",
            hint="Check the rsync program on the target.",
        )
    return [*program, *options, ".", f"{source_directory.rstrip('/')}/"]


def read_stats(text: str) -> dict[str, int]:
    """Read the numbers of ``rsync --stats``, by the words before them."""
    found = re.findall(r"^([A-Z][\w ]+): ([\d,]+)", text, re.MULTILINE)
    return {name: int(number.replace(",", "")) for name, number in found}


def failure(
    target: str, source: str, near: Completed, far: Completed | None
) -> CommandFailed:
    """Give the error of a run that ended badly: where, which file, why.

    Args:
        target: the host where rsync was started.
        source: the host that was read.
        near: what the target's rsync came to.
        far: what the source's came to, where it was started.
    """
    lines = [*near.stderr.splitlines(), *(far.stderr.splitlines() if far else ())]
    said = [line for line in lines if _SAID.match(line)]
    # What names a file and the system's reason tells more than what rsync sums up.
    telling = next(filter(_REASON.search, said), said[-1] if said else "")
    reason = _REASON.search(telling)
    host = source if "[sender]" in telling else target
    hint = _HINTS.get(reason[1] if reason else "", "")
    if near.status == _NO_PROGRAM or (far and far.status == _NO_PROGRAM):
        host = target if near.status == _NO_PROGRAM else source
        telling, hint = "it is not installed there", "Install rsync on {host}."
    elif near.status == _SILENT:
        telling = f"nothing came from {source} for {_IO_TIMEOUT} s"
    return CommandFailed(
        host,
        "rsync",
        near.status,
        "\n".join([*said, telling]),
        hint=hint.format(host=host),
    )
