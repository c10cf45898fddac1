"""Brings one host's directory to the state of another's, by rsync through the worker.

The target runs rsync; its transport is the worker's own connections to both hosts, so
that no host needs a key for another. The options are those that are safe for
PostgreSQL's files: see ``_OPTIONS``.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from herds.errors import CommandFailed, PreconditionFailed
from herds.ssh.relay import Relay
from herds.ssh.shell import Shell

Progress = Callable[[int, float], None]
"""Is given the bytes received so far, and the bytes a second of late."""

_OPTIONS = (
    "--archive",
    "--delete-before",
    "--delete-excluded",
    "--numeric-ids",
    # Blocks change within files of up to a gigabyte: send the blocks, in place.
    "--inplace",
    "--no-whole-file",
    "--block-size=8192",
    # rsync's quick check compares whole seconds unless told to compare nanoseconds: a
    # block that changed within the second of the last copy would be passed over.
    "--modify-window=-1",
    # Paths travel inside the protocol and never meet a shell.
    "--secluded-args",
    "--stats",
    "--outbuf=L",
)

# Run on the target: standard input and output are the transport, messages go to
# standard error. rsync starts $ELEPHAAS_RELAY where it would start ssh; that names the
# server's command on the first line and then passes bytes on. As ssh does, it ends when
# the server has ended: rsync waits for that.
_NEAR = r"""
exec 3<&0 4>&1 >&2 </dev/null
export LC_ALL=C
export ELEPHAAS_RELAY='shift; printf "%s\0" "$@" >&4; echo >&4
exec 5<&0; cat <&5 >&4 & exec cat <&3'
exec rsync -e 'sh -c '\''eval "$ELEPHAAS_RELAY"'\'' relay' "$@"
"""

_SERVER = re.compile(r"-[A-Za-z]*s[A-Za-z]*(e[A-Za-z0-9.]+)?\Z")

VANISHED = 24
"""rsync's exit status for source files that vanished meanwhile: a live server's."""


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
    on_progress: Progress = lambda done, rate: None,
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
        on_progress: told how far it has come.
        cancel: stops both sides when set.
        timeout: seconds for the whole.

    Raises:
        CommandFailed: an exit status other than 0 and 24.
        ElephaasError: the hosts could not be reached, or the run was cut off.
    """
    begun = time.monotonic()
    messages: list[bytes] = []
    relay = Relay(target, source, accept=_server_command, on_message=messages.append)
    argv = [
        "sh",
        "-c",
        _NEAR,
        "rsync",
        *_OPTIONS,
        *(["--dry-run"] if dry_run else []),
        *([f"--bwlimit={max(1, bandwidth // 1024)}k"] if bandwidth else []),
        *(f"--filter={rule}" for rule in filters),
        *extra,
        f"source:{source_directory.rstrip('/')}/",
        f"{target_directory.rstrip('/')}/",
    ]
    stop_telling = threading.Event()
    teller = threading.Thread(
        target=_tell, args=[relay, on_progress, stop_telling], daemon=True
    )
    teller.start()
    try:
        done = relay.run(argv, timeout=timeout, cancel=cancel or threading.Event())
    finally:
        stop_telling.set()
        teller.join()
    said = done.near.stderr
    if done.near.status not in {0, VANISHED}:
        raise CommandFailed(
            target.host, "rsync", done.near.status, _complaint(said, done.far.stderr)
        )
    on_progress(done.to_near, 0.0)
    stats = read_stats(said)
    return Synced(
        total=stats.get("Total file size", 0),
        differing=stats.get("Total transferred file size", 0),
        literal=stats.get("Literal data", 0),
        received=done.to_near,
        seconds=time.monotonic() - begun,
        vanished=done.near.status == VANISHED,
    )


def _server_command(line: bytes) -> list[str]:
    """Accept what the target's rsync asks the source to run, and nothing else.

    Raises:
        PreconditionFailed: it is not rsync's reading side without a path.
    """
    words = [word.decode("utf-8", "replace") for word in line.split(b"\0") if word]
    if (
        len(words) < 4
        or words[:3] != ["rsync", "--server", "--sender"]
        or not _SERVER.match(words[3])
        or not all(
            re.match(r"--[a-z-]+(=[\w.-]+)?\Z|\.\Z|-[A-Za-z.0-9]+\Z", w)
            for w in words[4:]
        )
    ):
        raise PreconditionFailed(
            f"The target's rsync asked for an unexpected command ({words[:6]}); "
            "nothing was copied.",
            hint="Check the rsync program on the target; 3.2.5 or newer is needed.",
        )
    return words


def _tell(relay: Relay, on_progress: Progress, stop: threading.Event) -> None:
    last, last_at = 0, time.monotonic()
    while not stop.wait(0.5):
        now, done = time.monotonic(), relay.bytes_to_near
        on_progress(done, (done - last) / (now - last_at))
        last, last_at = done, now


def read_stats(text: str) -> dict[str, int]:
    """Read the numbers of ``rsync --stats``, by the words before them."""
    found = re.findall(r"^([A-Z][\w ]+): ([\d,]+)", text, re.MULTILINE)
    return {name: int(number.replace(",", "")) for name, number in found}


def _complaint(near: str, far: str) -> str:
    """Give the lines that say why, without the numbers of --stats."""
    lines = [line for line in (near + "\n" + far).splitlines() if "rsync" in line]
    return "\n".join(lines) or near
