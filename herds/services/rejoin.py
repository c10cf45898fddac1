"""Brings a member back under its herd's primary, by the rung of the ladder chosen.

Until the first byte of its data is changed, whatever fails leaves the target as it was
and running if it ran. From then on its directory is marked as incomplete and cannot
start; the same rejoin can simply be run again.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass

from herds.domain.cluster import Activity
from herds.errors import (
    ElephaasError,
    HostUnreachable,
    OperationCancelled,
    PreconditionFailed,
)
from herds.postgres import basebackup, files, replication, rewind, rsync
from herds.postgres.backup_session import (
    hold_backup,
    hold_wal,
    write_backup_files,
)
from herds.postgres.copy_source import bin_directory
from herds.postgres.local_files import LOCAL_FILES
from herds.postgres.streaming import await_streaming

from .lifecycle import bring_down, bring_up
from .outlook import (
    Method,
    Outlook,
    copy_source,
    look_at_both,
)
from .steps import Step
from .target import Member, Target


@dataclass(kw_only=True)
class _Rejoin:
    """One rejoin while it goes on."""

    target: Target
    source: Member
    upstream: Member
    outlook: Outlook
    bandwidth: int = 0
    is_changed: bool = False  # the target's data is no longer what it was

    @property
    def label(self) -> str:
        """What this is called in a backup label and in the marker."""
        return f"elephaas rebuild of {self.target.host}"

    @property
    def directory(self) -> str:
        """The target's data directory."""
        return self.target.cluster.ref.data_directory

    def progress(self, step: Step, words: str) -> Callable[[int, int, float], None]:
        """Give what shows the progress of a copy in a step."""

        def show(done: int, total: int, rate: float) -> None:
            step.progress(words, done=done, total=total, rate=rate)

        return show


def rejoin(
    target: Target,
    source: Member,
    method: Method | None = None,
    *,
    upstream: Member | None = None,
    bandwidth: int = 0,
) -> str:
    """Make the target a standby that streams again; give the sentence of the outcome.

    Args:
        target: the member that is to follow; it may run, be stopped, or not exist.
        source: the member that data is taken from.
        method: the rung; None takes the one that brings least.
        upstream: the member to stream from where that is another than the source.
        bandwidth: bytes a second at most, 0 for no limit.

    Raises:
        PreconditionFailed: it cannot be done, or not this way; nothing was changed.
        NotObserved: all was done, and it does not stream.
        ElephaasError: a step failed; the message says what is true of the target.
    """
    with target.steps.step("look", "Look at both ends") as step:
        outlook = look_at_both(target, source)
        step.saw(outlook.mine.seen)
        chosen = method or outlook.first
        if why_not := outlook.rung(chosen).why_not:
            raise PreconditionFailed(
                f"{outlook.rung(chosen).words} is not possible for {target.host}: "
                f"{why_not}.",
                host=target.host,
                hint="Choose another way.",
            )
        step.note(f"{outlook.rung(chosen).words}, from {source.host}.")
    work = _Rejoin(
        target=target,
        source=source,
        upstream=upstream or source,
        outlook=outlook,
        bandwidth=bandwidth,
    )
    if chosen is Method.FOLLOW and _follows_while_running(work):
        return _stream(work, chosen, 0)
    was_running = outlook.mine.seen.is_running
    # What is held on the source, its WAL above all, is held until the target streams.
    with ExitStack() as held:
        try:
            if was_running:
                bring_down(target)
            received = _bring_data(work, chosen, held)
        except ElephaasError as error:
            raise _with_what_is_true(work, error, was_running=was_running) from error
        target.steps.must_finish()
        bring_up(target)
        return _stream(work, chosen, received)


def _bring_data(work: _Rejoin, method: Method, held: ExitStack) -> int:
    """Climb the chosen rung; where a rewind fails, go on with the next.

    Returns:
        The bytes that came.
    """
    if method is Method.REWIND:
        try:
            return _rewind(work, held)
        except (OperationCancelled, HostUnreachable):
            raise
        except ElephaasError:
            if work.outlook.rung(Method.RSYNC).why_not:
                raise
            # The failed step says why; its data is good enough to copy over.
            return _rsync(work, held)
    climb = {
        Method.FOLLOW: _follow,
        Method.RSYNC: _rsync,
        Method.BASEBACKUP: _basebackup,
    }
    return climb[method](work, held)


def _follow(work: _Rejoin, held: ExitStack) -> int:
    with work.target.steps.step("settings", "Write the replication settings"):
        _write_settings(work)
    return 0


def _rewind(work: _Rejoin, held: ExitStack) -> int:
    target, source, mine = work.target, work.source, work.outlook.mine
    near, tools, peer = target.cluster.shell, mine.bin_directory, copy_source(source)
    with target.steps.step("checkpoint", f"Checkpoint on {source.host}") as step:
        # Before 16 pg_rewind believes the source's control file, which names the new
        # timeline only after a checkpoint.
        rewind.checkpoint(source.cluster, cancel=target.cancelled)
        missing = rewind.rights_missing(near, peer, bin_directory=tools)
        if missing:
            rewind.grant_rewind_rights(work.upstream.cluster, replication.USER)
            step.note(f"Granted to {replication.USER}: {', '.join(missing)}.")
        held.enter_context(
            hold_wal(source.cluster.shell, source.cluster.ref.data_directory)
        )
    with target.steps.step("rewind", f"Rewind to {source.host}") as step:
        saved = _save_local_files(work)
        work.is_changed = True
        done = rewind.rewind(
            near,
            bin_directory=tools,
            data_directory=work.directory,
            source=peer,
            config_file=mine.config_file,
            words=work.label,
            on_progress=work.progress(step, "rewound"),
            cancel=target.cancelled,
        )
        _restore_local_files(work, saved)
        _write_settings(work)
        step.note(f"{done.bytes:,} bytes came.")
    return done.bytes


def _rsync(work: _Rejoin, held: ExitStack) -> int:
    target, source = work.target, work.source
    near, far = target.cluster.shell, source.cluster.shell
    from_directory = source.cluster.ref.data_directory
    with target.steps.step("copy", f"Copy what differs from {source.host}") as step:
        work.is_changed = True
        files.mark_incomplete(near, work.directory, work.label)
        files.remove_control(near, work.directory)
        backup = held.enter_context(
            hold_backup(far, from_directory, label=work.label, cancel=target.cancelled)
        )

        def show(done: int, total: int, rate: float) -> None:
            backup.check()
            step.progress("copied", done=done, total=total, rate=rate)

        received = rsync.sync_data_directory(
            near,
            far,
            source_directory=from_directory,
            target_directory=work.directory,
            bandwidth=work.bandwidth,
            on_progress=show,
            cancel=target.cancelled,
        ).received
        received += _sync_tablespaces(work, show)
        backup.check()
        control = rsync.read_control(far, from_directory)
        write_backup_files(near, work.directory, backup.finish())
        _write_settings(work)
        # Only now can it start: as a standby that begins where the backup began.
        rsync.put_control(near, work.directory, control)
        step.note(f"{received:,} bytes came.")
    return received


def _sync_tablespaces(work: _Rejoin, show: Callable[[int, int, float], None]) -> int:
    theirs = work.outlook.theirs
    if theirs.control is None:
        return 0
    major = theirs.seen.version.split(".")[0]
    return sum(
        rsync.sync_tablespace(
            work.target.cluster.shell,
            work.source.cluster.shell,
            target_directory=work.directory,
            oid=tablespace.oid,
            source_path=tablespace.path,
            target_path=tablespace.path,
            catalog_directory=f"PG_{major}_{theirs.control.catalog_version}",
            bandwidth=work.bandwidth,
            on_progress=show,
            cancel=work.target.cancelled,
        ).received
        for tablespace in theirs.tablespaces
    )


def _basebackup(work: _Rejoin, held: ExitStack) -> int:
    target, source, mine = work.target, work.source, work.outlook.mine
    near = target.cluster.shell
    major = work.outlook.theirs.seen.version.split(".")[0]
    with target.steps.step("copy", f"Copy everything from {source.host}") as step:
        saved: dict[str, bytes] = {}
        held.enter_context(
            hold_wal(source.cluster.shell, source.cluster.ref.data_directory)
        )
        if mine.seen.activity not in {Activity.ABSENT, Activity.FOREIGN}:
            saved = _save_local_files(work)
            work.is_changed = True
            files.clear_directory(near, work.directory, mine.system_identifier)
        files.make_empty_directory(near, work.directory)
        work.is_changed = True
        done = basebackup.base_backup(
            near,
            bin_directory=bin_directory(mine, major),
            major=major,
            data_directory=work.directory,
            source=copy_source(source),
            label=work.label,
            max_rate=work.bandwidth,
            on_progress=work.progress(step, "copied"),
            cancel=target.cancelled,
        )
        _restore_local_files(work, saved)
        _write_settings(work)
        step.note(f"{done.bytes:,} bytes came.")
    return done.bytes


def _save_local_files(work: _Rejoin) -> dict[str, bytes]:
    """Read the node's own files that a copy or rewind would replace."""
    near = work.target.cluster.shell
    saved = {}
    for name in LOCAL_FILES:
        data = files.read_small(near, f"{work.directory}/{name}")
        if data is not None:
            saved[name] = data
    return saved


def _restore_local_files(work: _Rejoin, saved: dict[str, bytes]) -> None:
    for name, data in saved.items():
        files.write_atomically(
            work.target.cluster.shell, f"{work.directory}/{name}", data
        )


def _follows_while_running(work: _Rejoin) -> bool:
    """Point a running standby at its primary; False where it has to be restarted."""
    if not work.outlook.mine.seen.answers or not work.outlook.mine.seen.in_recovery:
        return False
    with work.target.steps.step("settings", "Write the replication settings") as step:
        _write_settings(work)
        step.note("Written on the running server, and reloaded.")
    return True


def _write_settings(work: _Rejoin) -> None:
    ref = work.target.cluster.ref
    replication.follow(
        work.target.cluster,
        replication.Upstream(
            host=ref.vhost or work.upstream.host,
            port=ref.port,
            application_name=replication.application_name(ref.base_name, ref.hostname),
        ),
        # After a copy the settings are the source's; what this node's own connection
        # said of passwords and TLS is kept.
        existing=work.outlook.mine.settings.get("primary_conninfo", ""),
    )


def _stream(work: _Rejoin, method: Method, received: int) -> str:
    """See the target stream on the timeline of the source, and have what it has."""
    target, upstream = work.target, work.upstream
    ref = target.cluster.ref
    with target.steps.step("stream", "See it stream") as step:
        seen = await_streaming(
            target.cluster,
            upstream.cluster,
            replication.application_name(ref.base_name, ref.hostname),
            patience=target.patience,
            on_progress=lambda done, total: step.progress(
                "replayed", done=done, total=total
            ),
        )
        files.clear_incomplete(target.cluster.shell, work.directory)
        step.note(f"It is {seen.words()}.")
        step.saw(target.look())
    came = f"; {received:,} bytes came" if received else ""
    return (
        f"{target.host} streams from {upstream.host} on timeline {seen.timeline} "
        f"({work.outlook.rung(method).words}, from {work.source.host}{came})."
    )


def _with_what_is_true(
    work: _Rejoin, error: ElephaasError, *, was_running: bool
) -> ElephaasError:
    """Add to an error what is true of the target now; start it if it is unharmed."""
    host = work.target.host
    if work.is_changed:
        now = (
            f"The data directory of {host} is incomplete and cannot start; "
            "run the rebuild again."
        )
    elif was_running:
        work.target.steps.must_finish()
        with suppress(ElephaasError):
            bring_up(work.target)
        now = f"The data of {host} is as it was, and it was started again."
    else:
        now = f"The data of {host} is as it was."
    error.hint = f"{now} {error.hint}".strip()
    return error
