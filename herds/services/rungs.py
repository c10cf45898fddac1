"""The rungs of the ladder: each brings a stopped member's data to its source's state.

Every one of them sets the node's own files aside on its host first, and ends with a
standby that is told whom to follow and is marked as incomplete until it is seen to
stream. Interrupted in between, the directory cannot start.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass

from herds.errors import (
    ElephaasError,
    HostUnreachable,
    OperationCancelled,
    PreconditionFailed,
)
from herds.postgres import basebackup, files, replication, rewind, rsync
from herds.postgres.backup_session import hold_backup, hold_wal, write_backup_files
from herds.postgres.copy_source import bin_directory
from herds.postgres.local_files import keep_local_files, restore_local_files
from herds.ssh.shell import Shell

from .ends import copy_source, has_cluster, refuse_unfit_upstream, upstream_of
from .outlook import Method, Outlook, tablespace_directory
from .rates import note_copy
from .steps import Step
from .target import Member, Target


@dataclass(kw_only=True)
class Climb:
    """One way back while it goes on.

    Attributes:
        target: the member that is to follow.
        source: the member that data is taken from.
        upstream: the primary that is to be followed.
        outlook: both ends as they were seen before.
        bandwidth: bytes a second at most, 0 for no limit.
        held: what is held on the source until the target streams.
        has_begun: whether something was sent that changes the target's data.
        is_brought: whether all that has to come has come.
        is_told: whether the target may have been told whom to follow.
    """

    target: Target
    source: Member
    upstream: Member
    outlook: Outlook
    bandwidth: int
    held: ExitStack
    has_begun: bool = False
    is_brought: bool = False
    is_told: bool = False

    @property
    def label(self) -> str:
        """What this is called on the source, in the backup label and in the marker."""
        ref = self.target.cluster.ref
        return f"elephaas rebuild of {ref.herd_name} on {ref.hostname}"

    @property
    def directory(self) -> str:
        """The target's data directory."""
        return self.target.cluster.ref.data_directory

    @property
    def from_directory(self) -> str:
        """The source's data directory."""
        return self.source.cluster.ref.data_directory

    @property
    def near(self) -> Shell:
        """Where the target's host takes commands."""
        return self.target.cluster.shell

    @property
    def far(self) -> Shell:
        """Where the source's host takes commands."""
        return self.source.cluster.shell


def bring_data(climb: Climb, method: Method) -> int:
    """Climb the chosen rung; where a rewind fails, go on with the next.

    Returns:
        The bytes that came.

    Raises:
        ElephaasError: it did not come to its end.
    """
    if method is Method.REWIND:
        try:
            return _rewind(climb)
        except (OperationCancelled, HostUnreachable, PreconditionFailed):
            raise
        except ElephaasError:
            if climb.outlook.rung(Method.RSYNC).why_not or not _can_stream(climb):
                raise
            # The failed step says why; its data is good enough to copy over.
            return _rsync(climb)
    rungs = {
        Method.FOLLOW: _follow,
        Method.RSYNC: _rsync,
        Method.BASEBACKUP: _basebackup,
    }
    return rungs[method](climb)


def _can_stream(climb: Climb) -> bool:
    """Tell whether a copy that comes another way would be of any use."""
    try:
        refuse_unfit_upstream(climb.target, climb.upstream, climb.outlook.mine)
    except ElephaasError:
        return False
    return True


def write_settings(climb: Climb) -> None:
    """Tell the target whom to follow; what its own connection said besides is kept.

    Raises:
        ElephaasError: as ``replication.follow``.
    """
    climb.is_told = True
    replication.follow(climb.target.cluster, upstream_of(climb.target, climb.upstream))


def _follow(climb: Climb) -> int:
    with climb.target.steps.step("settings", "Write the replication settings"):
        write_settings(climb)
    return 0


def _rewind(climb: Climb) -> int:
    target, source, mine = climb.target, climb.source, climb.outlook.mine
    tools, peer = mine.bin_directory, copy_source(source)
    with target.steps.step("checkpoint", f"Checkpoint on {source.host}") as step:
        # Before 16 pg_rewind believes the source's control file, which names the new
        # timeline only after a checkpoint.
        rewind.checkpoint(source.cluster, cancel=target.cancelled)
        missing = rewind.rights_missing(climb.near, peer, bin_directory=tools)
        if missing:
            rewind.grant_rewind_rights(climb.upstream.cluster, replication.USER)
            step.note(f"Granted to {replication.USER}: {', '.join(missing)}.")
        climb.held.enter_context(
            hold_wal(climb.far, climb.from_directory, name=climb.label)
        )
    with target.steps.step("rewind", f"Rewind to {source.host}") as step:
        keep_local_files(climb.near, climb.directory)
        climb.has_begun = True
        done = rewind.rewind(
            climb.near,
            bin_directory=tools,
            data_directory=climb.directory,
            source=peer,
            config_file=mine.config_file,
            words=climb.label,
            on_progress=_shown_in(step, "rewound"),
            cancel=target.cancelled,
        )
        _make_own(climb)
        files.enable(climb.near, climb.directory)
        _note(climb, step, Method.REWIND, done.bytes, done.seconds)
        step.note(f"{done.bytes:,} bytes came.")
    return done.bytes


def _rsync(climb: Climb) -> int:
    target = climb.target
    with target.steps.step(
        "copy", f"Copy what differs from {climb.source.host}"
    ) as step:
        keep_local_files(climb.near, climb.directory)
        _disable(climb)
        backup = climb.held.enter_context(
            hold_backup(
                climb.far,
                climb.from_directory,
                label=climb.label,
                cancel=target.cancelled,
            )
        )
        show = _shown_in(step, "compared and copied")

        def check_and_show(done: int, total: int, rate: float) -> None:
            backup.check()
            show(done, total, rate)

        synced = rsync.sync_data_directory(
            climb.near,
            climb.far,
            source_directory=climb.from_directory,
            target_directory=climb.directory,
            bandwidth=climb.bandwidth,
            expected=climb.outlook.rung(Method.RSYNC).size or 0,
            on_progress=check_and_show,
            cancel=target.cancelled,
        )
        received = synced.received + _sync_tablespaces(climb, check_and_show)
        backup.check()
        control = rsync.read_control(climb.far, climb.from_directory)
        write_backup_files(climb.near, climb.directory, backup.finish())
        _make_own(climb)
        # Only now can it start: as a standby that begins where the backup began.
        rsync.put_control(climb.near, climb.directory, control)
        _note(climb, step, Method.RSYNC, synced.differing, synced.seconds)
        step.note(f"{received:,} bytes came.")
        if synced.vanished:
            step.note("Files vanished meanwhile on the source, as its server's do.")
    return received


def _disable(climb: Climb) -> None:
    """Make sure that the target cannot start from here on.

    Raises:
        PreconditionFailed: it runs; it is as it was.
    """
    climb.has_begun = True
    files.mark_incomplete(climb.near, climb.directory, climb.label)
    try:
        files.remove_control(climb.near, climb.directory)
    except PreconditionFailed:
        if not climb.outlook.mine.is_incomplete:
            files.clear_incomplete(climb.near, climb.directory)
        raise


def _sync_tablespaces(climb: Climb, show: Callable[[int, int, float], None]) -> int:
    theirs = climb.outlook.theirs
    return sum(
        rsync.sync_tablespace(
            climb.near,
            climb.far,
            target_directory=climb.directory,
            oid=tablespace.oid,
            source_path=tablespace.path,
            target_path=tablespace.path,
            catalog_directory=tablespace_directory(theirs),
            bandwidth=climb.bandwidth,
            on_progress=show,
            cancel=climb.target.cancelled,
        ).received
        for tablespace in theirs.tablespaces
    )


def _basebackup(climb: Climb) -> int:
    target, source, mine = climb.target, climb.source, climb.outlook.mine
    major = climb.outlook.theirs.seen.version.split(".")[0]
    with target.steps.step("copy", f"Copy everything from {source.host}") as step:
        climb.held.enter_context(
            hold_wal(climb.far, climb.from_directory, name=climb.label)
        )
        if has_cluster(mine):
            keep_local_files(climb.near, climb.directory)
            climb.has_begun = True
            files.clear_directory(
                climb.near,
                climb.directory,
                climb.outlook.theirs.system_identifier,
                words=climb.label,
            )
        files.make_empty_directory(climb.near, climb.directory)
        climb.has_begun = True
        done = basebackup.base_backup(
            climb.near,
            bin_directory=bin_directory(mine, major),
            major=major,
            data_directory=climb.directory,
            source=copy_source(source),
            label=climb.label,
            words=climb.label,
            max_rate=climb.bandwidth,
            on_progress=_shown_in(step, "copied"),
            cancel=target.cancelled,
        )
        _make_own(climb)
        files.enable(climb.near, climb.directory)
        _note(climb, step, Method.BASEBACKUP, done.bytes, done.seconds)
        step.note(f"{done.bytes:,} bytes came.")
    return done.bytes


def _note(climb: Climb, step: Step, method: Method, size: int, seconds: float) -> None:
    """Have later plans know how fast this went, unless it was not to go faster."""
    note_copy(
        step,
        method,
        climb.source,
        size=size,
        seconds=seconds,
        is_limited=bool(climb.bandwidth),
    )


def _make_own(climb: Climb) -> None:
    """Give the target its own files back, and tell it whom to follow."""
    if has_cluster(climb.outlook.mine):
        restore_local_files(climb.near, climb.directory)
    write_settings(climb)


def _shown_in(step: Step, words: str) -> Callable[[int, int, float], None]:
    """Give what shows the progress of a copy in a step."""

    def show(done: int, total: int, rate: float) -> None:
        step.progress(words, done=done, total=total, rate=rate)

    return show
