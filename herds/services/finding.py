"""Finds out what registering an instance comes to: what is there, what its herd has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from herds.domain.cluster import Activity
from herds.domain.plan import Check, Verdict
from herds.domain.probe import Probe
from herds.errors import PreconditionFailed
from herds.postgres.replication import application_name

from .company import Sight, hosts, look_at_others
from .target import Member, Target


class Way(StrEnum):
    """What registering comes to."""

    RECORD = "record"  # a cluster is there
    REPLICA = "replica"  # none is, and the herd has a primary
    CREATE = "create"  # none is, nor has the herd one anywhere


@dataclass(frozen=True, kw_only=True)
class Found:
    """What was found in the directory and in the herd.

    ``upstream`` is the member that a standby receives from, where that can be told.
    """

    way: Way
    probe: Probe
    primary: Member | None = None
    upstream: Member | None = None


def find(target: Target) -> Found:
    """Look at the directory and at the herd, and decide what registering comes to.

    Raises:
        PreconditionFailed: something else lies there, or nothing can be created.
        ElephaasError: nothing is known of the host.
    """
    probe = target.cluster.probe()
    company = look_at_others(target)
    writers = [sight for sight in company if sight.takes_writes]
    primary = writers[0].member if len(writers) == 1 else None
    _refuse_occupied(target, probe)
    if probe.seen.activity not in {Activity.ABSENT, Activity.FOREIGN}:
        _refuse_other_cluster(target, probe, company)
        return Found(
            way=Way.RECORD,
            probe=probe,
            primary=primary,
            upstream=_upstream(target, probe, company, primary),
        )
    if len(writers) > 1:
        raise PreconditionFailed(
            f"{hosts(writers)} both take the herd's writes; of which of them "
            f"{target.host} should be a replica is not clear.",
            host=target.host,
            hint="Decide which one stays, then register again.",
        )
    way = Way.REPLICA if primary else Way.CREATE
    if way is Way.CREATE:
        _refuse_second_cluster(target, company)
    return Found(way=way, probe=probe, primary=primary)


def _refuse_occupied(target: Target, probe: Probe) -> None:
    where = target.cluster.ref.data_directory
    if probe.seen.activity is Activity.FOREIGN and probe.is_occupied:
        raise PreconditionFailed(
            f"{where} on {target.host} is not empty and is no PostgreSQL data "
            "directory; it was not touched.",
            host=target.host,
            hint="Look at what lies there; move it away if it is not needed.",
        )


def _refuse_other_cluster(
    target: Target, probe: Probe, company: Sequence[Sight]
) -> None:
    """Refuse a cluster that is no copy of what the herd's other members have.

    Raises:
        PreconditionFailed: with both system identifiers.
    """
    mine = probe.system_identifier
    for sight in company:
        theirs = sight.seen.system_identifier if sight.seen else ""
        if mine and theirs and mine != theirs:
            raise PreconditionFailed(
                f"{target.cluster.ref.data_directory} on {target.host} holds another "
                f"cluster than the herd (system identifier {mine}; {sight.member.host} "
                f"has {theirs}); it was not touched.",
                host=target.host,
                hint="Check herd, server and data root of the instance.",
            )


def _refuse_second_cluster(target: Target, company: Sequence[Sight]) -> None:
    """Refuse to create a new cluster in a herd that may have one already.

    Raises:
        PreconditionFailed: a member has data, or may have.
    """
    having = [sight for sight in company if not _has_no_data(sight)]
    if having:
        states = ", ".join(
            f"{sight.member.host} is {sight.seen.activity.value}"
            if sight.seen
            else f"nothing is known of {sight.member.host}"
            for sight in having
        )
        raise PreconditionFailed(
            f"The herd has members with data, and none of them takes writes ({states}),"
            f" so {target.host} can become neither a replica nor a new cluster.",
            host=target.host,
            hint="Start or promote the herd's primary, then register again.",
        )


def _has_no_data(sight: Sight) -> bool:
    return sight.seen is not None and sight.seen.activity is Activity.ABSENT


def checks_of(target: Target, found: Found) -> Sequence[Check]:
    """Give what speaks for and against taking the cluster for a member of its herd."""
    seen = found.probe.seen
    at = target.clock.now().isoformat()
    checks = [
        Check(
            name="Same cluster",
            how="system identifier of every member",
            observed=found.probe.system_identifier or "not told",
            threshold="no member has another one",
            observed_at=at,
        )
    ]
    port = found.probe.settings.get("port", "")
    if port and port != str(target.cluster.ref.port):
        checks.append(
            Check(
                name="Port",
                how="setting of the running server",
                observed=port,
                threshold=f"{target.cluster.ref.port}, the herd's",
                verdict=Verdict.WARN,
                observed_at=at,
            )
        )
    if seen.in_recovery is False and found.primary is not None:
        checks.append(
            Check(
                name="Other primary",
                how="a look at every member of the herd",
                observed=f"{found.primary.host} takes writes too",
                threshold="a herd has one primary",
                verdict=Verdict.WARN,
                observed_at=at,
            )
        )
    if found.probe.is_incomplete:
        checks.append(
            Check(
                name="Complete",
                how="marker in the data directory",
                observed="a rebuild began here and did not end",
                threshold="rebuild it",
                verdict=Verdict.WARN,
                observed_at=at,
            )
        )
    return checks


def role_words(found: Found) -> str:
    """Say what the cluster is now."""
    seen = found.probe.seen
    if not seen.is_running:
        return (
            f"stopped, last as a {'standby' if _is_standby(found.probe) else 'primary'}"
        )
    if not seen.answers:
        return f"{seen.activity.value}, answers no connection"
    if not seen.in_recovery:
        return "primary, running"
    upstream = found.upstream
    return f"replica of {upstream.host if upstream else 'nobody known'}, running"


def _is_standby(probe: Probe) -> bool:
    """Tell whether it is a standby, or was when it stopped."""
    if probe.seen.in_recovery is not None:
        return probe.seen.in_recovery
    return "standby.signal" in probe.files


def _upstream(
    target: Target, probe: Probe, company: Sequence[Sight], primary: Member | None
) -> Member | None:
    """Tell whom a standby receives from.

    Its upstream lists it by its name. Its receiver names a host; the virtual host's
    name, or any other that is no member's, means the primary.
    """
    if not _is_standby(probe):
        return None
    ref = target.cluster.ref
    name = application_name(ref.base_name, ref.hostname)
    for sight in company:
        followers = sight.seen.followers if sight.seen else ()
        if any(each.application_name == name for each in followers):
            return sight.member
    if probe.receiver is not None:
        for sight in company:
            if _short(probe.receiver.host) == _short(sight.member.host):
                return sight.member
    return primary


def _short(hostname: str) -> str:
    return hostname.partition(".")[0]
