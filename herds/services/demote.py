"""Demote a primary: it becomes a standby of the one that has taken over its herd."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from herds.domain.cluster import Observation
from herds.domain.plan import Check, PlannedTarget
from herds.errors import PreconditionFailed

from .actions import Action
from .company import Sight, hosts, look_at_others
from .lifecycle import plan_each, refuse_no_cluster
from .rebuild import examine_rejoin, run_rejoin
from .target import Target

if TYPE_CHECKING:
    from herds.models import Instance


def _plan(members: Sequence[Instance]) -> list[PlannedTarget]:
    planned = plan_each(
        members,
        will="stops taking writes and becomes a replica of its herd's real primary",
        steps=("Stop PostgreSQL (fast)", "Bring the data", "Start PostgreSQL"),
        waves=[0] * len(members),
    )
    primaries = sum(member.is_primary for member in members)
    return [
        replace(plan, refusal=_refusal(member, primaries))
        for member, plan in zip(members, planned, strict=True)
    ]


def _refusal(member: Instance, primaries: int) -> str:
    herd = member.herd.herd_name
    if not member.is_primary:
        return (
            f"{member.server.hostname} is a replica of {herd} already; rebuild it if "
            "it does not follow."
        )
    if primaries > 1:
        return (
            f"{primaries} primaries of {herd} were chosen, and one has to stay; choose "
            "the one that goes."
        )
    return ""


def _examine(target: Target) -> PlannedTarget:
    """Plan from what is seen: whether it may be demoted, and the ways to do it."""
    _refuse_unfit(target, target.cluster.look())
    primary = _primary_instead(target)
    plan = examine_rejoin(target, primary.member)
    return replace(
        plan,
        will=f"stops taking writes and becomes a replica of {primary.member.host}: "
        f"{plan.will}",
        checks=(_check(target, primary), *plan.checks),
    )


def _check(target: Target, primary: Sight) -> Check:
    return Check(
        name="Real primary",
        how="a look at every member of the herd",
        observed=f"{primary.member.host} takes writes",
        threshold="exactly one other member does",
        observed_at=target.clock.now().isoformat(),
    )


def _primary_instead(target: Target) -> Sight:
    """Find who takes the herd's writes once this member does not.

    Raises:
        PreconditionFailed: nobody or more than one would.
    """
    company = look_at_others(target)
    writers = [sight for sight in company if sight.takes_writes]
    if not writers:
        raise PreconditionFailed(
            f"{target.host} is the last primary of its herd and is not demoted: no "
            f"other member is seen to take writes{_silent(company)}.",
            host=target.host,
            hint="Promote a replica first.",
        )
    if len(writers) > 1:
        raise PreconditionFailed(
            f"{hosts(writers)} take writes beside {target.host}; which of them is the "
            "herd's real primary is not clear.",
            host=target.host,
            hint="Decide which one stays, and stop the others first.",
        )
    return writers[0]


def _silent(company: Sequence[Sight]) -> str:
    lost = [sight for sight in company if sight.seen is None]
    return f"; nothing is known of {hosts(lost)}" if lost else ""


def _refuse_unfit(target: Target, seen: Observation) -> None:
    """Refuse what is no primary, or has somebody streaming from it.

    Raises:
        PreconditionFailed: with what was seen.
    """
    refuse_no_cluster(target, seen)
    stopped_as_standby = not seen.is_running and "recovery" in seen.control_state
    if seen.in_recovery or stopped_as_standby:
        raise PreconditionFailed(
            f"{target.host} is a standby already.",
            host=target.host,
            hint="Rebuild it if it does not follow.",
        )
    if seen.is_running and not seen.answers:
        raise PreconditionFailed(
            f"{target.host} runs but answers no connection, so nobody knows who "
            f"follows it: {seen.trouble.strip()}.",
            host=target.host,
            hint="Wait until it answers, or stop it first.",
        )
    if seen.followers:
        names = ", ".join(
            each.application_name or each.address for each in seen.followers
        )
        raise PreconditionFailed(
            f"{target.host} has followers ({names}) and is not demoted: they would "
            "lose their upstream.",
            host=target.host,
            hint="Rebuild them from the herd's real primary first.",
        )


def _run(target: Target) -> str:
    with target.steps.step("role", "See who takes the herd's writes") as step:
        # An interrupted attempt may have left nothing that still has a role.
        seen = target.look()
        if target.steps.earlier("role") is None:
            _refuse_unfit(target, seen)
        primary = _primary_instead(target)
        step.saw(seen)
        step.note(f"{primary.member.host} does.")
    return run_rejoin(target, primary.member)


DEMOTE = Action(
    name="demote",
    verb="Demote",
    past="demoted",
    permission="herds.demote_instance",
    destroys=True,
    words="Makes a primary a replica of the one that has taken over its herd.",
    afterwards="Every one of them streams from its herd's real primary.",
    of_role="primary",
    plan=_plan,
    run=_run,
    examine=_examine,
    needs_members=True,
)
