"""What start, stop, restart and reload have in common: bring up, bring down, say so."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from herds.domain.cluster import Activity, Observation
from herds.domain.plan import PlannedTarget
from herds.errors import NotObserved, PreconditionFailed
from herds.postgres.cluster import Acted
from herds.postgres.startup import telling_words

from .target import Target

if TYPE_CHECKING:
    from herds.models import Instance

_LOOK = "Look at what is true"


def look_first(target: Target) -> Observation:
    """See the cluster before anything is done to it.

    Raises:
        PreconditionFailed: there is no cluster in the data directory.
        ElephaasError: nothing is known of the host.
    """
    with target.steps.step("look", _LOOK) as step:
        seen = target.look()
        step.saw(seen)
    refuse_no_cluster(target, seen)
    return seen


def refuse_no_cluster(target: Target, seen: Observation) -> None:
    """Refuse to act where the data directory holds no cluster.

    Raises:
        PreconditionFailed: with what is there instead.
    """
    where = target.cluster.ref.data_directory
    if seen.activity is Activity.ABSENT:
        raise PreconditionFailed(
            f"{target.host} has no directory {where}; nothing was done.",
            host=target.host,
            hint="Correct the data root, or create the instance.",
        )
    if seen.activity is Activity.FOREIGN:
        raise PreconditionFailed(
            f"{where} on {target.host} is not a PostgreSQL data directory "
            "(no readable PG_VERSION); nothing was done.",
            host=target.host,
            hint="Correct the data root, or look at what lies there.",
        )


def bring_up(
    target: Target, *, ready: Collection[Activity] = (Activity.RUNNING,)
) -> Observation:
    """Start a stopped cluster and see it run.

    Args:
        target: the cluster.
        ready: what counts as running. A copy replays WAL before it accepts connections.

    Raises:
        NotObserved: it did not come up by the deadline.
        ElephaasError: nothing is known of the host.
    """
    with target.steps.step("start", "Start PostgreSQL") as step:
        acted = target.act_until(
            step, "start", lambda now: now.activity is Activity.RUNNING
        )
        came, seen = target.await_state(
            lambda now: now.activity in ready or _gave_up(acted, now),
            first=acted.seen if acted else None,
        )
        step.saw(seen)
        if not came or seen.activity not in ready:
            raise _not_seen(target, acted, seen, "to accept connections")
    return seen


def bring_down(target: Target, before: Observation | None = None) -> Observation:
    """Stop a running cluster and see its postmaster gone.

    Args:
        target: the cluster.
        before: what was seen of it, to tell its postmaster from another one.

    Raises:
        PreconditionFailed: another one was started in its place.
        NotObserved: it did not go by the deadline.
        ElephaasError: nothing is known of the host.
    """

    def is_another(now: Observation) -> bool:
        return before is not None and now.is_running and now.pid != before.pid

    with target.steps.step("stop", "Stop PostgreSQL (fast)") as step:
        acted = target.act(step, "stop")
        came, seen = target.await_state(
            lambda now: not now.is_running or is_another(now),
            first=acted.seen if acted else None,
        )
        step.saw(seen)
        if is_another(seen):
            raise runs_again(target.host)
        if not came:
            raise _not_seen(target, acted, seen, "to stop")
    return seen


def runs_again(host: str) -> PreconditionFailed:
    """Give the error for what was stopped and did not stay so."""
    return PreconditionFailed(
        f"PostgreSQL was stopped on {host} and runs again: something there starts it.",
        host=host,
        hint="Take it away from that supervisor first.",
    )


def _gave_up(acted: Acted | None, now: Observation) -> bool:
    """Tell that waiting longer is vain: the command failed and nothing runs."""
    return (
        acted is not None
        and not acted.goes_on
        and acted.status != 0
        and not now.is_running
    )


def _not_seen(
    target: Target, acted: Acted | None, seen: Observation, awaited: str
) -> NotObserved:
    error = NotObserved(
        f"{target.host} {awaited}",
        observed=_phrase(seen),
        seconds=round(target.patience, 1),
        host=target.host,
        hint="Read the command's output and the server's log on the host.",
    )
    if acted is not None:
        error.command = acted.command
        error.status = acted.status
        error.output = acted.stderr or acted.stdout
        if acted.status:
            said = telling_words(error.output)
            error.message = (
                f"{target.host} is {_phrase(seen)}: the command ended with exit "
                f"status {acted.status}"
                + (f" and said: {said.removesuffix('.')}." if said else ".")
            )
    return error


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else ""


def _phrase(seen: Observation) -> str:
    """Say what was seen in words that follow "is"."""
    words = {
        Activity.STOPPED: "stopped",
        Activity.STARTING: "still starting",
        Activity.STOPPING: "still stopping",
        Activity.RUNNING: "running",
        Activity.ABSENT: "without a data directory",
        Activity.FOREIGN: "without a cluster in the data directory",
    }[seen.activity]
    if seen.activity is Activity.STOPPED and seen.control_state:
        return f"{words} (pg_control says {seen.control_state!r})"
    if seen.trouble:
        return f"{words} ({_last_line(seen.trouble)})"
    return words


def state_sentence(host: str, seen: Observation) -> str:
    """Say what is true of a cluster now, as the end of an outcome."""
    if seen.activity is not Activity.RUNNING:
        return f"{host} is {_phrase(seen)}."
    since = f" since {clock_time(seen.started_at)}" if seen.started_at else ""
    if not seen.answers:
        return (
            f"{host} runs{since}, but answers no connection: {_last_line(seen.trouble)}"
        )
    role = "a standby" if seen.in_recovery else "a primary"
    return f"{host} runs PostgreSQL {seen.version} as {role}{since}."


def clock_time(moment: datetime) -> str:
    """Write a time of day so that it is not mistaken for a local one."""
    return f"{moment:%H:%M:%S} UTC"


def now_words(instance: Instance) -> str:
    """Say what the inventory believes of an instance, for the plan."""
    role = "primary" if instance.is_primary else "replica"
    if instance.observed_at is None:
        return "never seen"
    if instance.unreachable_since is not None:
        return f"{role}, state unknown"
    return f"{role}, {'running' if instance.is_online else 'stopped'}"


def facts_of(instance: Instance) -> dict[str, object]:
    """Give what must still be so when the plan is carried out."""
    return {
        "primary": instance.is_primary,
        "host": instance.server.hostname,
        "port": instance.herd.db_port,
        "data_directory": instance.data_directory,
    }


def plan_each(
    members: Sequence[Instance],
    *,
    will: str,
    steps: tuple[str, ...],
    waves: Sequence[int],
) -> list[PlannedTarget]:
    """Plan the same for every member, in the given waves."""
    return [
        PlannedTarget(
            now=now_words(member),
            will=will,
            steps=(_LOOK, *steps),
            wave=wave,
            facts=facts_of(member),
        )
        for member, wave in zip(members, waves, strict=True)
    ]


def primary_first(members: Sequence[Instance]) -> list[int]:
    """Order a herd's members: its primary, then all standbys at once."""
    return [0 if member.is_primary else 1 for member in members]


def primary_last(members: Sequence[Instance]) -> list[int]:
    """Order a herd's members: one standby after the other, then its primary."""
    standbys = sum(not member.is_primary for member in members)
    waves, next_standby = [], 0
    for member in members:
        if member.is_primary:
            waves.append(standbys)
        else:
            waves.append(next_standby)
            next_standby += 1
    return waves
