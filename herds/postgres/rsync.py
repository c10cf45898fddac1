"""Copies a running cluster's files onto a stopped one's, only what differs, by rsync.

Under a held backup (``backup_session``) and with ``pg_control`` last this is a base
backup; without either it is worthless. Source of what is left out:
https://www.postgresql.org/docs/current/continuous-archiving.html, "Backing Up The Data
Directory", and src/backend/backup/basebackup.c.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence

from herds.errors import (
    CommandFailed,
    ElephaasError,
    PreconditionFailed,
    ServerRuns,
)
from herds.ssh.shell import Shell

from . import files
from .local_files import LOCAL_FILES
from .look import script
from .meter import Progress
from .pull import Synced, pull

_PRIVATE = (files.INCOMPLETE, "log", "pg_log", "pg_wal")
"""Kept on the target whatever it holds; never taken from the source."""

_NOT_COPIED = (
    # Contents only: the server wants the directories.
    *("/pg_replslot/*", "/pg_dynshmem/*", "/pg_notify/*", "/pg_serial/*"),
    *("/pg_snapshots/*", "/pg_stat_tmp/*", "/pg_subtrans/*", "/pg_tblspc/*"),
    *("/backup_label", "/backup_label.old", "/backup_manifest", "/backup_manifest.tmp"),
    *("/tablespace_map", "/tablespace_map.old"),
    *("/standby.signal", "/recovery.signal", "/recovery.conf", "/recovery.done"),
    *("/postmaster.pid", "/postmaster.opts", "/postgresql.auto.conf.tmp"),
    *("/current_logfiles", "/current_logfiles.tmp"),
    # Comes last, by put_control.
    "/global/pg_control",
)
_TEMPORARY = ("pgsql_tmp*", "pg_internal.init", "pg_internal.init.*")

_CONTROL_BYTES = 8192
_ATTEMPTS = 10


def data_filters(kept: Iterable[str]) -> list[str]:
    """Write the rules of what rsync leaves out and leaves alone.

    ``H`` hides on the source; what is hidden is deleted on the target unless ``P``
    protects it there.

    Args:
        kept: names inside the data directory that the target keeps as its own.
    """
    rules = []
    for name in (*_PRIVATE, *kept):
        rules += [f"P /{name}", f"H /{name}", f"P /{name}/**"]
    return [*rules, *(f"H {pattern}" for pattern in (*_NOT_COPIED, *_TEMPORARY))]


def estimate(
    target: Shell,
    source: Shell,
    *,
    source_directory: str,
    target_directory: str,
    tablespaces: Iterable[tuple[str, str]] = (),
    keep: Sequence[str] = LOCAL_FILES,
    checksum: bool = False,
    cancel: threading.Event | None = None,
    timeout: float = 600.0,
) -> Synced:
    """Foresee what a copy would bring; change nothing.

    Args:
        target: where files would be written.
        source: where they would be read.
        source_directory: the source's data directory.
        target_directory: an existing data directory.
        tablespaces: directories to copy besides, on the source and on the target.
        keep: see ``sync_data_directory``.
        checksum: see there.
        cancel: stops it when set.
        timeout: seconds for each directory.

    Raises:
        ElephaasError: as ``pull``.
    """
    directories = [(source_directory, target_directory), *tablespaces]
    found: list[Synced] = []
    for number, (from_path, to_path) in enumerate(directories):
        kept = _existing(target, to_path, keep) if number == 0 else ()
        found.append(
            pull(
                target,
                source,
                source_directory=from_path,
                target_directory=to_path,
                filters=data_filters(kept) if number == 0 else _tablespace_filters(),
                extra=_extra(checksum),
                dry_run=True,
                cancel=cancel,
                timeout=timeout,
            )
        )
    return total(found)


def sync_data_directory(
    target: Shell,
    source: Shell,
    *,
    source_directory: str,
    target_directory: str,
    keep: Sequence[str] = LOCAL_FILES,
    checksum: bool = False,
    bandwidth: int = 0,
    expected: int = 0,
    on_progress: Progress = lambda done, total, rate: None,
    cancel: threading.Event | None = None,
    timeout: float = 86400.0,
) -> Synced:
    """Make the target's data directory the source's: all but WAL and ``pg_control``.

    The target's ``pg_wal`` is emptied, also where it is a link. Slots, statistics of
    the moment and temporary files are not copied. Tablespaces are copied on their own
    (``sync_tablespace``). Local files are those of ``keep`` that the target has.
    Files count as equal only where size and time are the same, to the nanosecond, and
    the target's was not written by a server since it was copied.

    Args:
        target: where files are written; PostgreSQL does not run there.
        source: where they are read, in backup mode.
        source_directory: the source's data directory.
        target_directory: an existing directory of the target.
        keep: names inside it that stay the target's own where they are.
        checksum: compare the contents of all files: reads everything on both sides.
        bandwidth: bytes a second, 0 for no limit.
        expected: ``differing`` of the estimate, for the progress.
        on_progress: told how much of the files that differ was gone through.
        cancel: stops both sides when set.
        timeout: seconds.

    Raises:
        ServerRuns: PostgreSQL runs in the target.
        CommandFailed: with the words that tell why, and the file.
        ElephaasError: as ``pull``.
    """
    kept = _existing(target, target_directory, keep)
    _run(target, "prepare", target_directory, timeout=600.0)
    return pull(
        target,
        source,
        source_directory=source_directory,
        target_directory=target_directory,
        filters=data_filters(kept),
        extra=_extra(checksum),
        bandwidth=bandwidth,
        expected=expected,
        on_progress=on_progress,
        cancel=cancel,
        timeout=timeout,
    )


def sync_tablespace(
    target: Shell,
    source: Shell,
    *,
    oid: int,
    catalog_directory: str,
    source_path: str,
    target_path: str,
    target_directory: str,
    checksum: bool = False,
    bandwidth: int = 0,
    expected: int = 0,
    on_progress: Progress = lambda done, total, rate: None,
    cancel: threading.Event | None = None,
    timeout: float = 86400.0,
) -> Synced:
    """Copy one tablespace, and link it into the target's data directory.

    Only the directory of this major version is touched; others may share the path.

    Args:
        target: where files are written.
        source: where they are read, in backup mode.
        oid: the tablespace's, which names its link.
        catalog_directory: such as ``PG_15_202209061``, from ``catalog_directory``.
        source_path: where it is on the source.
        target_path: where it goes; made if it does not exist.
        target_directory: the data directory that gets the link.
        checksum: as in ``sync_data_directory``, and so the rest.
        bandwidth: bytes a second, 0 for no limit.
        expected: for the progress.
        on_progress: told how much was gone through.
        cancel: stops both sides when set.
        timeout: seconds.

    Raises:
        CommandFailed: with the words that tell why.
        ElephaasError: as ``pull``.
    """
    _run(
        target, "tablespace", target_directory, str(oid), target_path, catalog_directory
    )
    return pull(
        target,
        source,
        source_directory=f"{source_path}/{catalog_directory}",
        target_directory=f"{target_path}/{catalog_directory}",
        filters=_tablespace_filters(),
        extra=_extra(checksum),
        bandwidth=bandwidth,
        expected=expected,
        on_progress=on_progress,
        cancel=cancel,
        timeout=timeout,
    )


def catalog_directory(major: str, catalog_version: str) -> str:
    """Name the directory that a tablespace has for a version of PostgreSQL."""
    return f"PG_{major}_{catalog_version}"


def read_control(source: Shell, source_directory: str) -> bytes:
    """Read ``pg_control`` after everything else, before the backup is ended.

    The server may write it meanwhile, so it is read until it comes out the same twice.

    Raises:
        ElephaasError: it could not be read.
    """
    path = f"{source_directory.rstrip('/')}/global/pg_control"
    before = files.read_small(source, path)
    for _ in range(_ATTEMPTS):
        again = files.read_small(source, path)
        if again is not None and again == before and len(again) == _CONTROL_BYTES:
            return again
        before = again
    raise ElephaasError(
        f"The control file of {source.host} could not be read whole.",
        host=source.host,
        hint="See whether PostgreSQL is well there, then try again.",
    )


def put_control(target: Shell, target_directory: str, control: bytes) -> None:
    """Give a copy its ``pg_control``: from now on it can start.

    ``backup_label`` and ``standby.signal`` lie there already. All that was copied is
    on disk before.

    Raises:
        PreconditionFailed: one of the two is missing; the copy still cannot start.
        ElephaasError: it could not be written.
    """
    _run(target, "flush", target_directory, timeout=3600.0)
    path = f"{target_directory.rstrip('/')}/global/pg_control"
    files.write_atomically(target, path, control)


def total(parts: Sequence[Synced]) -> Synced:
    """Add up several copies."""
    return Synced(
        total=sum(each.total for each in parts),
        differing=sum(each.differing for each in parts),
        literal=sum(each.literal for each in parts),
        received=sum(each.received for each in parts),
        seconds=sum(each.seconds for each in parts),
        vanished=any(each.vanished for each in parts),
    )


def _extra(checksum: bool) -> list[str]:
    return ["--checksum"] if checksum else []


def _tablespace_filters() -> list[str]:
    return [f"H {pattern}" for pattern in _TEMPORARY]


def _existing(target: Shell, directory: str, names: Sequence[str]) -> list[str]:
    done = _run(target, "existing", directory, *names)
    return [name for name in names if name in done.splitlines()]


def _run(shell: Shell, verb: str, path: str, *more: str, timeout: float = 60.0) -> str:
    done = shell.run(
        ["sh", "-c", script("rsync.sh"), "elephaas", verb, path, *more],
        ok=None,
        timeout=timeout,
    )
    said = (done.stderr.strip().splitlines() or [""])[-1]
    if done.status in {65, 73}:
        refused = ServerRuns if done.status == 73 else PreconditionFailed
        raise refused(f"On {shell.host}, {said}.", host=shell.host)
    if done.status != 0:
        raise CommandFailed(shell.host, f"{verb} {path}", done.status, done.stderr)
    return done.stdout
