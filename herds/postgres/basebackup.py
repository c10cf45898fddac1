"""Copies a whole running cluster into an empty directory by ``pg_basebackup``.

Source: https://www.postgresql.org/docs/current/app-pgbasebackup.html.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass

from herds.errors import PreconditionFailed
from herds.ssh.shell import Shell

from .complaint import called, program_failed
from .copy_source import CopySource
from .lock import BUSY, busy
from .look import script
from .meter import Meter, Progress

# "  24576/24576 kB (100%), 1/1 tablespace"
_PROGRESS = re.compile(rb"^ *(\d+)/(\d+) kB \(\d+%\)", re.MULTILINE)


_OCCUPIED = 66  # basebackup.sh: the directory is not empty


@dataclass(frozen=True, kw_only=True)
class Copied:
    """What a copy brought, in bytes, and how long it took."""

    bytes: int
    seconds: float


def base_backup(
    target: Shell,
    *,
    bin_directory: str,
    data_directory: str,
    source: CopySource,
    label: str,
    major: str,
    words: str = "",
    slot: str = "",
    create_slot: bool = False,
    max_rate: int = 0,
    tablespaces: Mapping[str, str] | None = None,
    wal_directory: str = "",
    on_progress: Progress = lambda done, total, rate: None,
    cancel: threading.Event | None = None,
    timeout: float = 86400.0,
) -> Copied:
    """Copy a cluster, with the WAL it needs to become consistent.

    The copy is a standby that nobody told yet whom to follow, and is marked as
    incomplete until the caller takes the marker away; ``files.enable`` lets it start.
    After a failure or cancellation what was written lies there, marked and without
    ``pg_control``, for ``rsync`` to go on with or for ``files.clear_directory`` to
    delete.

    Args:
        target: where the copy is written.
        bin_directory: the programs of the source's major version.
        data_directory: empty, as ``files.make_empty_directory`` leaves it.
        source: a primary or a standby.
        label: what the backup is called on the source.
        major: the source's major version, such as ``"15"``.
        words: what the marker of an incomplete copy says.
        slot: holds the source's WAL meanwhile; a temporary one is used without it.
        create_slot: make that slot first.
        max_rate: bytes a second, 0 for no limit; 32 kB to 1 GB.
        tablespaces: where they go, by where they are on the source.
        wal_directory: where the WAL goes if not into the data directory; empty.
        on_progress: told how far it has come.
        cancel: stops it when set.
        timeout: seconds for the whole.

    Raises:
        PreconditionFailed: the directory is not empty, or something else writes to it.
        CommandFailed: pg_basebackup's own words.
        ElephaasError: as ``Shell.run``.
    """
    begun = time.monotonic()
    argv = ["sh", "-c", script("basebackup.sh"), "elephaas"]
    argv += [data_directory, major, words or "a base backup"]
    argv += [
        f"{bin_directory}/pg_basebackup",
        "--no-password",
        "--no-clean",
        "--progress",
    ]
    argv += [f"--pgdata={data_directory}", f"--dbname={source.conninfo()}"]
    argv += ["--wal-method=stream", "--checkpoint=fast", f"--label={label}"]
    if slot:
        argv += [f"--slot={slot}", *(["--create-slot"] if create_slot else [])]
    if max_rate:
        argv += [f"--max-rate={min(max(32, max_rate // 1024), 1024 * 1024)}k"]
    if wal_directory:
        argv += [f"--waldir={wal_directory}"]
    argv += [
        f"--tablespace-mapping={_mapped(old)}={_mapped(new)}"
        for old, new in (tablespaces or {}).items()
    ]
    meter = Meter(_PROGRESS, on_progress)
    with called("pg_basebackup"):
        done = target.run(
            argv,
            ok=None,
            timeout=timeout,
            stdin=source.password_line(),
            on_output=meter.read,
            cancel=cancel,
            tethered=True,
        )
    if done.status == BUSY:
        raise busy(target.host, data_directory)
    if done.status == _OCCUPIED:
        raise PreconditionFailed(
            f"{data_directory} on {target.host} is not empty; nothing was changed.",
            host=target.host,
        )
    if done.status != 0:
        raise program_failed(target.host, "pg_basebackup", done.status, done.stderr)
    meter.end()
    return Copied(bytes=meter.done, seconds=time.monotonic() - begun)


def _mapped(path: str) -> str:
    """Write a path for --tablespace-mapping, where = divides and is escaped by \\."""
    return path.replace("=", "\\=")
