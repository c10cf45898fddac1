"""Holds a server in backup mode while its files are copied, and ends it properly.

The backup, and the WAL kept for it, belong to one session: the server itself drops both
when that session ends. Source:
https://www.postgresql.org/docs/current/continuous-archiving.html, "Making a Base Backup
Using the Low Level API"; for 14 the same page of that version.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from herds.domain.lsn import Lsn
from herds.errors import ElephaasError
from herds.ssh.shell import Shell

from . import files
from .session import Session, hold_session
from .sql_text import literal

HEARTBEAT = 2.0
"""Seconds between two signs of life. The server ends a session that has given none for
``_SILENCE``: a worker that is cut off without a word leaves no backup behind."""

_SILENCE = "120s"
_ANSWER = 60.0  # seconds that a short statement may take
_CHECKPOINT = 3600.0  # seconds; even a fast checkpoint may have much to write

# Those that the server's version has are set.
SETTINGS = {
    "statement_timeout": "0",
    "lock_timeout": "0",
    "transaction_timeout": "0",
    "idle_session_timeout": _SILENCE,
    # Only so does a server that waits for a checkpoint notice that psql is gone.
    "client_connection_check_interval": "2s",
}
_SET = (
    "SELECT set_config(name, v, false) FROM pg_settings JOIN (VALUES {values})"
    " AS wanted (n, v) ON n = name WHERE v <> setting \\g /dev/null"
)

# A server has room for so many slots; without a free one the copy goes on without.
_KEEP_WAL = (
    "SELECT pg_create_physical_replication_slot({name}, true, true) WHERE"
    " (SELECT count(*) FROM pg_replication_slots)"
    " < current_setting('max_replication_slots')::int;"
)

_FIFTEEN = 150000  # pg_start_backup became pg_backup_start in 15
_VERSION = "SELECT current_setting('server_version_num');"
_START = {
    True: "SELECT pg_backup_start({label}, fast => true);",
    False: "SELECT pg_start_backup({label}, true, false);",
}
_FACTS = "SELECT timeline_id, pg_is_in_recovery() FROM pg_control_checkpoint();"
_STOP = (
    "SELECT concat_ws(' ', lsn,"
    " encode(convert_to(labelfile, getdatabaseencoding()), 'hex'),"
    " encode(convert_to(spcmapfile, getdatabaseencoding()), 'hex')) FROM {function};"
)
_STOP_FUNCTION = {
    True: "pg_backup_stop(wait_for_archive => false)",
    False: "pg_stop_backup(false, false)",
}


class BackupLost(ElephaasError):
    """The session that held a copy's source ended; what was copied is worthless."""

    def __init__(self, host: str, why: ElephaasError) -> None:
        super().__init__(
            f"The session that held {host} ready for the copy ended too early "
            f"({why.message.rstrip('.')}). What was copied is of no use.",
            host=host,
            output=why.output,
            hint=f"See that PostgreSQL runs on {host}, then begin the copy anew.",
        )


@dataclass(frozen=True, kw_only=True)
class BackupFiles:
    """What belongs into a finished copy, byte for byte, and where its WAL must reach.

    ``tablespace_map`` is empty where the server has no tablespaces.
    """

    label: bytes
    tablespace_map: bytes
    stop: Lsn


class HeldWal:
    """A source that keeps its WAL for a copy; made by ``hold_wal``.

    ``keeps_wal`` is false where the server had no slot left for it.
    """

    def __init__(self, session: Session, *, in_recovery: bool, keeps_wal: bool) -> None:
        self.host = session.host
        self.in_recovery = in_recovery
        self.keeps_wal = keeps_wal
        self._session = session
        self._trouble: ElephaasError | None = None
        self._over = threading.Event()

    def check(self) -> None:
        """See that the session still lives; asks nobody.

        Raises:
            BackupLost: it does not.
        """
        if self._trouble is None and self._session.is_over:
            self._trouble = self._session.lost("it ended")
        if self._trouble is not None:
            raise BackupLost(self.host, self._trouble) from self._trouble

    def keep_alive(self) -> None:
        """Give signs of life until left; runs in a thread of its own."""
        while not self._over.wait(HEARTBEAT):
            try:
                self._session.ask("SELECT 1;", timeout=_ANSWER)
            except ElephaasError as trouble:
                self._trouble = self._trouble or trouble
                return

    def leave(self) -> None:
        """Give no further signs of life."""
        self._over.set()


class HeldBackup(HeldWal):
    """A backup that is under way; made by ``hold_backup``.

    ``start`` is where its WAL begins, on ``timeline``.
    """

    def __init__(
        self,
        session: Session,
        *,
        start: Lsn,
        timeline: int,
        in_recovery: bool,
        keeps_wal: bool,
    ) -> None:
        super().__init__(session, in_recovery=in_recovery, keeps_wal=keeps_wal)
        self.start = start
        self.timeline = timeline

    def finish(self) -> BackupFiles:
        """End the backup properly; everything must have been copied before.

        The WAL is kept until the session is left. The server does not wait for its
        archive: the copy gets its WAL by streaming.

        Raises:
            BackupLost: it had ended already, or the server refused: a standby that
                was promoted meanwhile gives no usable backup.
        """
        self.check()
        function = _STOP_FUNCTION[self._session.version >= _FIFTEEN]
        try:
            (line,) = self._session.ask(
                _STOP.format(function=function), timeout=_CHECKPOINT
            )
        except ElephaasError as trouble:
            raise BackupLost(self.host, trouble) from trouble
        stop, label, tablespaces, *_ = [*line.split(" "), ""]
        return BackupFiles(
            label=bytes.fromhex(label),
            tablespace_map=bytes.fromhex(tablespaces),
            stop=Lsn.parse(stop),
        )


@contextmanager
def hold_wal(shell: Shell, data_directory: str, *, name: str) -> Iterator[HeldWal]:
    """Have a server keep its WAL from now on, until this is left.

    Args:
        shell: where it runs.
        data_directory: what it serves.
        name: of the session, as in ``hold_session``.

    Raises:
        OutcomeUnknown: no session came about, with the server's words.
    """
    with hold_session(shell, data_directory, name) as session:
        keeps_wal = _settle(session, None)
        (facts,) = session.ask(_FACTS, timeout=_ANSWER)
        held = HeldWal(session, in_recovery=facts.endswith("t"), keeps_wal=keeps_wal)
        with _alive(held):
            yield held


@contextmanager
def hold_backup(
    shell: Shell,
    data_directory: str,
    *,
    label: str,
    cancel: threading.Event | None = None,
) -> Iterator[HeldBackup]:
    """Put a server into backup mode; leaving without ``finish`` aborts the backup.

    Args:
        shell: where the source runs, a primary or a standby.
        data_directory: what it serves.
        label: what the backup is called in its ``backup_label``, and the session, as
            in ``hold_session``.
        cancel: gives up waiting for the first checkpoint.

    Raises:
        OutcomeUnknown: no session came about, or the server refused, in its words.
        OperationCancelled: cancel was set; no backup is under way.
    """
    with hold_session(shell, data_directory, label) as session:
        keeps_wal = _settle(session, cancel)
        start, facts = session.ask(
            _START[session.version >= _FIFTEEN].format(label=literal(label)) + _FACTS,
            timeout=_CHECKPOINT,
            cancel=cancel,
        )
        timeline, in_recovery = facts.split("|")
        held = HeldBackup(
            session,
            start=Lsn.parse(start),
            timeline=int(timeline),
            in_recovery=in_recovery == "t",
            keeps_wal=keeps_wal,
        )
        with _alive(held):
            yield held


def write_backup_files(shell: Shell, data_directory: str, given: BackupFiles) -> None:
    """Put into a copy what its first start needs; it must never be left out.

    ``tablespace_map`` is left out: a server that finds it makes the links of its
    tablespaces anew, to the source's paths, and the copy's are in place already.

    Raises:
        ElephaasError: it could not be written.
    """
    path = f"{data_directory.rstrip('/')}/backup_label"
    files.write_atomically(shell, path, given.label)


@contextmanager
def _alive(held: HeldWal) -> Iterator[None]:
    pulse = threading.Thread(target=held.keep_alive, daemon=True)
    pulse.start()
    try:
        yield
    finally:
        held.leave()


def _settle(session: Session, cancel: threading.Event | None) -> bool:
    """Prepare a session that will be long; tell whether it keeps WAL."""
    values = ", ".join(
        f"({literal(name)}, {literal(value)})" for name, value in SETTINGS.items()
    )
    version, *slot = session.ask(
        _SET.format(values=values)
        + f"\n{_VERSION}\n"
        + _KEEP_WAL.format(name=literal(f"elephaas_{secrets.token_hex(4)}")),
        timeout=_ANSWER,
        cancel=cancel,
    )
    session.version = int(version)
    return bool(slot)
