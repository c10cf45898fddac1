"""The ends of a rejoin: how they reach each other, and what makes one unfit."""

from __future__ import annotations

from contextlib import suppress

from herds.domain.cluster import Activity
from herds.domain.probe import Probe
from herds.errors import ElephaasError, PreconditionFailed
from herds.postgres import replication
from herds.postgres.copy_source import CopySource
from herds.postgres.copy_source import bin_directory as binaries
from herds.postgres.wal import position_now

from .slots import slot_of
from .target import Member, Target


def copy_source(source: Member) -> CopySource:
    """Say how the target reaches the source: by its real host name, never the vhost."""
    return CopySource(
        host=source.host, port=source.cluster.ref.port, user=replication.USER
    )


def upstream_of(target: Target | Member, upstream: Member) -> replication.Upstream:
    """Say what the target is to stream from: the herd's virtual host if it has one."""
    ref = target.cluster.ref
    return replication.Upstream(
        host=ref.vhost or upstream.host,
        port=ref.port,
        application_name=replication.application_name(ref.base_name, ref.hostname),
        slot=slot_of(target),
    )


def has_cluster(probe: Probe) -> bool:
    """Tell whether a data directory holds a cluster, whole or not."""
    return probe.seen.activity not in {Activity.ABSENT, Activity.FOREIGN}


def refuse_unfit_source(source: Member, theirs: Probe) -> None:
    """Refuse a source that cannot give anything.

    Raises:
        PreconditionFailed: with what is wrong.
    """
    if not theirs.seen.answers:
        raise PreconditionFailed(
            f"{source.host} cannot be the source: it is {theirs.seen.activity.value}"
            + (f" ({theirs.seen.trouble})." if theirs.seen.trouble else "."),
            host=source.host,
            hint="Start it, or choose another source.",
        )
    if theirs.is_incomplete:
        raise PreconditionFailed(
            f"{source.host} cannot be the source: a rebuild of it did not end.",
            host=source.host,
            hint="Rebuild that one first.",
        )


def refuse_unfit_target(
    target: Target, source: Member, mine: Probe, theirs: Probe
) -> None:
    """Refuse a target whose data is not this herd's to replace.

    Raises:
        PreconditionFailed: with what is there.
    """
    where = target.cluster.ref.data_directory
    if source.instance_id == target.instance_id:
        raise PreconditionFailed(f"{target.host} cannot be rebuilt from itself.")
    if mine.seen.activity is Activity.FOREIGN and mine.is_occupied:
        raise PreconditionFailed(
            f"{where} on {target.host} is not empty and is no PostgreSQL data "
            "directory; it was not touched.",
            host=target.host,
            hint="Look at what lies there; move it away if it is not needed.",
        )
    ours, other = theirs.system_identifier, mine.system_identifier
    if other and ours and other != ours:
        raise PreconditionFailed(
            f"{where} on {target.host} holds another cluster (system identifier "
            f"{other}, this herd's is {ours}); it was not touched.",
            host=target.host,
            hint="Check herd and data root; move the data away if it is not needed.",
        )


def refuse_unfit_upstream(target: Target, upstream: Member, mine: Probe) -> None:
    """Refuse to go on where the target could not stream from it in the end.

    A replication connection is made from the target's host, with what its own says of
    passwords and TLS, to where the standby will connect.

    Raises:
        PreconditionFailed: the upstream is no primary, or the target does not reach
            it, with the reason.
        ElephaasError: a host could not be asked.
    """
    seen = upstream.cluster.look()
    if not seen.answers or seen.in_recovery is not False:
        state = "a standby" if seen.in_recovery else seen.activity.value
        raise PreconditionFailed(
            f"{upstream.host} is {state} and takes no writes, so it is not the primary "
            f"that {target.host} could follow; nothing was changed.",
            host=upstream.host,
            hint="Refresh the herd's instances, then plan again.",
        )
    if mine.is_incomplete:
        # Its own connection string is not to be had; it was tried when this began.
        return
    aim = upstream_of(target, upstream)
    told = replication.identify(
        target.cluster,
        replication.conninfo(_own_conninfo(target, mine), aim),
        bin_directory=binaries(mine, seen.version.split(".")[0]),
    )
    timeline, _ = position_now(upstream.cluster)
    there = ""
    if told.system_identifier != seen.system_identifier:
        there = "a server of another cluster"
    elif told.is_standby:
        there = "a standby"
    elif told.timeline != timeline:
        there = f"a server on timeline {told.timeline}"
    if there:
        raise PreconditionFailed(
            f"From {target.host}, {aim.host} leads to {there}, and not to "
            f"{upstream.host} on timeline {timeline}; nothing was changed.",
            host=target.host,
            hint=f"Have {aim.host} lead to {upstream.host} first.",
        )


def _own_conninfo(target: Target, mine: Probe) -> str:
    if mine.seen.answers:
        return mine.settings.get("primary_conninfo", "")
    if has_cluster(mine):
        with suppress(ElephaasError):
            return replication.read_conninfo(target.cluster)
    return ""
