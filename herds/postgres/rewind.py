"""Brings a diverged cluster back onto its source's history by ``pg_rewind``.

Source: https://www.postgresql.org/docs/current/app-pgrewind.html.
"""

from __future__ import annotations

import re
import threading
import time
from dataclasses import dataclass

from herds.domain.probe import Probe
from herds.errors import PreconditionFailed, ServerRuns
from herds.ssh.shell import Completed, Shell

from .cluster import Cluster
from .complaint import called, program_failed
from .copy_source import CopySource, ask_source
from .lock import BUSY, busy
from .look import script
from .meter import Meter, Progress
from .sql_text import identifier, literal

_FUNCTIONS = (
    "pg_ls_dir(text, boolean, boolean)",
    "pg_stat_file(text, boolean)",
    "pg_read_binary_file(text)",
    "pg_read_binary_file(text, bigint, bigint, boolean)",
)
"""What a role must be allowed to execute that is no superuser (pg_rewind, Notes)."""

_MAY_NOT = (
    "SELECT f FROM (VALUES {wanted}) AS wanted (f)"
    " WHERE NOT has_function_privilege(('pg_catalog.' || f)::regprocedure, 'EXECUTE')"
)

# "   46080/46080 kB (100%) copied"; "need to copy 45 MB (total source directory …"
_PROGRESS = re.compile(rb"^ *(\d+)/(\d+) kB \(\d+%\) copied", re.MULTILINE)
_NEED = re.compile(r"need to copy (\d+) MB")
_NOT_NEEDED = "no rewind required"

_RUNNING = 73  # cluster.sh, ``need``: a server runs there
_NO_RECOVERY = 67  # rewind.sh: the crash recovery failed

_REFUSALS = {
    65: ("{} holds no PostgreSQL cluster", "Copy one there instead."),
    66: ("{} is marked as an incomplete copy", "Rebuild it by a copy."),
    _RUNNING: (
        "PostgreSQL runs in {}",
        "If it was stopped just now, something starts it again: take it away from that "
        "supervisor first.",
    ),
}
"""What the scripts say by their exit status, and what to do next."""


@dataclass(frozen=True, kw_only=True)
class RewindEstimate:
    """What ``pg_rewind --dry-run`` foresees: bytes to copy, to the nearest MB."""

    needed: bool
    bytes: int


@dataclass(frozen=True, kw_only=True)
class Rewound:
    """What a rewind brought, in bytes; not ``needed`` means that nothing was done."""

    needed: bool
    bytes: int
    seconds: float
    output: str


def reasons_against(
    target: Probe, *, major: str, config_file: str = ""
) -> tuple[str, ...]:
    """Tell why a cluster cannot be rewound, as far as its probe shows.

    What the probe cannot show is asked by ``files.obstacles`` and ``rights_missing``.

    Args:
        target: the cluster, stopped or still running.
        major: its major version, such as ``"15"``.
        config_file: its main configuration file where that lies elsewhere.

    Returns:
        Sentences; none where nothing speaks against it.
    """
    control, reasons = target.control, []
    if target.is_incomplete:
        reasons.append(
            "An earlier copy into it did not end, so it is no whole cluster."
        )
    if control is None:
        return (*reasons, "Its control file cannot be read.")
    if not control.wal_log_hints and not control.checksums:
        reasons.append(
            "It has neither data checksums nor wal_log_hints, so its WAL does not tell "
            "every block that changed."
        )
    if target.settings.get("full_page_writes") == "off":
        reasons.append("Its full_page_writes is off.")
    if "backup_label" in target.files and not target.seen.is_running:
        reasons.append(
            "A backup_label lies in it: it was copied or restored and never started."
        )
    has_configuration = config_file or "postgresql.conf" in target.files
    crashed = not target.seen.is_running and not control.is_shut_down
    if crashed and not has_configuration:
        reasons.append(
            "It was not shut down cleanly, and where its configuration lies is "
            "not known, so its crash recovery cannot be finished first."
        )
    return tuple(reasons)


def rights_missing(
    target: Shell, source: CopySource, *, bin_directory: str
) -> tuple[str, ...]:
    """Ask, over a connection from the target, which functions its role may not execute.

    Raises:
        PreconditionFailed: the connection does not come about, with the reason.
        ElephaasError: the target could not be asked.
    """
    wanted = ", ".join(f"({literal(each)})" for each in _FUNCTIONS)
    rows, trouble = ask_source(
        target, source, bin_directory, _MAY_NOT.format(wanted=wanted), dbname="postgres"
    )
    if trouble:
        raise PreconditionFailed(
            f"{target.host} cannot connect to {source.host}: {trouble}.",
            host=target.host,
            hint=f"Check pg_hba.conf on {source.host} and ~/.pgpass on {target.host}.",
        )
    return tuple(rows.splitlines())


def grant_rewind_rights(primary: Cluster, user: str) -> None:
    """Let a role do on the herd's servers what ``pg_rewind`` does as a source's client.

    Args:
        primary: where it is granted; standbys get it by replication.
        user: the role, usually the one that standbys replicate as.

    Raises:
        CommandFailed: the server refused, in its own words.
        ElephaasError: it does not run, or its host could not be asked.
    """
    primary.psql(
        "\n".join(
            f"GRANT EXECUTE ON FUNCTION pg_catalog.{each} TO {identifier(user)};"
            for each in _FUNCTIONS
        ),
        words="GRANT EXECUTE",
    )


def checkpoint(
    cluster: Cluster,
    *,
    timeout: float = 3600.0,
    cancel: threading.Event | None = None,
) -> None:
    """Have a server write all it has to its files.

    Up to 15, ``pg_rewind`` sees a promotion only after it.

    Raises:
        ElephaasError: as ``Cluster.psql``.
    """
    cluster.psql("CHECKPOINT;", words="CHECKPOINT", timeout=timeout, cancel=cancel)


def estimate(
    target: Shell,
    *,
    bin_directory: str,
    data_directory: str,
    source: CopySource,
    timeout: float = 300.0,
) -> RewindEstimate:
    """Foresee what a rewind would copy; change nothing.

    Args:
        target: where the cluster is that is to be rewound; it was stopped cleanly.
        bin_directory: the programs of its major version.
        data_directory: the cluster.
        source: what it is to become.
        timeout: seconds.

    Raises:
        PreconditionFailed: it runs.
        CommandFailed: pg_rewind's own words: the WAL since the fork is gone, the
            role may not do it, or the cluster was not stopped cleanly.
        ElephaasError: the target could not be asked.
    """
    with called("pg_rewind"):
        done = target.run(
            [
                *("sh", "-c", script("rewind_dry.sh"), "elephaas"),
                *(data_directory, bin_directory, source.conninfo(dbname="postgres")),
            ],
            ok=None,
            timeout=timeout,
            stdin=source.password_line(),
        )
    _judge(target.host, data_directory, done)
    need = _NEED.search(done.stdout)
    return RewindEstimate(
        needed=_NOT_NEEDED not in done.stdout,
        bytes=int(need[1]) * 1024 * 1024 if need else 0,
    )


def rewind(
    target: Shell,
    *,
    bin_directory: str,
    data_directory: str,
    source: CopySource,
    config_file: str = "",
    words: str = "",
    on_progress: Progress = lambda done, total, rate: None,
    cancel: threading.Event | None = None,
    timeout: float = 86400.0,
) -> Rewound:
    """Rewind a stopped cluster; a crashed one finishes its recovery first.

    Interrupted in whatever way, it either is what it was or has no control file and
    cannot start. After success it is a standby that nobody told yet whom to follow
    (``standby.signal``), with the marker of an incomplete copy, which the caller takes
    away when it streams, and with the source's files: its configuration inside the data
    directory, ``postgresql.auto.conf`` and all. ``files.enable`` lets it start.

    Args:
        target: where the cluster is.
        bin_directory: the programs of its major version.
        data_directory: the cluster.
        source: what it is to become; promoted servers up to 15 did a checkpoint.
        config_file: its main configuration file where that lies elsewhere.
        words: what the marker says.
        on_progress: told how far it has come.
        cancel: stops it when set.
        timeout: seconds for the whole.

    Raises:
        PreconditionFailed: it runs, is marked incomplete, or something else writes to
            it; nothing was changed.
        CommandFailed: pg_rewind's own words, or those of the crash recovery.
        ElephaasError: as ``Shell.run``.
    """
    begun = time.monotonic()
    meter = Meter(_PROGRESS, on_progress)
    with called("pg_rewind"):
        done = target.run(
            [
                *("sh", "-c", f": postgres\n{script('rewind.sh')}", "elephaas"),
                *(data_directory, bin_directory, config_file),
                *(source.conninfo(dbname="postgres"), words or "a rewind"),
            ],
            ok=None,
            timeout=timeout,
            stdin=source.password_line(),
            on_output=meter.read,
            cancel=cancel,
            tethered=True,
        )
    _judge(target.host, data_directory, done)
    meter.end()
    return Rewound(
        needed=_NOT_NEEDED not in done.stdout,
        bytes=meter.done,
        seconds=time.monotonic() - begun,
        output=done.stdout,
    )


def _judge(host: str, data_directory: str, done: Completed) -> None:
    """Raise what a status other than 0 means."""
    if done.status == 0:
        return
    if done.status == BUSY:
        raise busy(host, data_directory)
    if done.status in _REFUSALS:
        why, hint = _REFUSALS[done.status]
        refused = ServerRuns if done.status == _RUNNING else PreconditionFailed
        raise refused(
            f"{why.format(data_directory)} on {host}; nothing was changed.",
            host=host,
            hint=hint,
        )
    what = "postgres --single" if done.status == _NO_RECOVERY else "pg_rewind"
    raise program_failed(host, what, done.status, f"{done.stdout}\n{done.stderr}")
