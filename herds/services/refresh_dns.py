"""Refresh DNS: point a virtual host at its herd's recorded primary; read it back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from herds import conf
from herds.domain.cluster import Observation
from herds.domain.outcome import FollowUp, Outcome
from herds.domain.plan import Check, PlannedTarget, Verdict
from herds.errors import ElephaasError, PreconditionFailed
from herds.selectors.choosing import primaries_of

from . import vhost
from .actions import Action
from .company import hosts, look_at_others
from .lifecycle import plan_each, state_sentence
from .target import Target

if TYPE_CHECKING:
    from herds.models import Instance

_STEPS = (
    "See who takes the herd's writes",
    "Point the virtual host at the primary",
    "Read it back from every name server",
)

_HINT = "Refresh the herd's instances first: DNS follows what is recorded."


def _plan(members: Sequence[Instance]) -> list[PlannedTarget]:
    planned = plan_each(members, will="", steps=(), waves=[0] * len(members))
    return [
        replace(
            plan,
            will=f"{member.herd.vhost} points at it",
            steps=_STEPS,
            refusal=_refusal(member),
        )
        for member, plan in zip(members, planned, strict=True)
    ]


def _refusal(member: Instance) -> str:
    herd = member.herd
    if not herd.vhost:
        return f"{herd.herd_name} has no virtual host."
    if conf.dns() is None:
        return (
            f"DNS is not managed here, so {herd.vhost} stays where it points. The "
            "setting DNS tells how it is moved."
        )
    if not member.is_primary:
        return f"No primary of {herd.herd_name} is recorded. {_HINT}"
    return ""


def _examine(target: Target) -> PlannedTarget:
    """Plan from what the name servers say and what the herd's members are doing."""
    role = _role(target)
    aim = vhost.see(target, target.host)
    at = aim.look.target
    checks = (role, *vhost.checks_of(target, aim, drift=Verdict.OK))
    plan = PlannedTarget(
        now=aim.look.words(),
        will="nothing: it points there already"
        if aim.is_so
        else f"{aim.look.name} points at {aim.wanted}"
        + (f", no longer at {at}" if at and at != aim.wanted else ""),
        steps=_STEPS,
        checks=checks,
        facts={"vhost": at},
    )
    stops = [check for check in checks if check.verdict is Verdict.STOP]
    if stops:
        return replace(plan, refusal=f"{stops[0].name}: {stops[0].observed}.")
    return plan


def _role(target: Target) -> Check:
    """See whether the recorded primary takes writes, and nobody else does.

    Raises:
        PreconditionFailed: it is seen not to, or another one does.
    """
    own = _look(target)
    writers = [sight for sight in look_at_others(target) if sight.takes_writes]
    if isinstance(own, Observation):
        _refuse_others(target, own)
    if not isinstance(own, Observation) or own.in_recovery is None:
        if writers:
            raise PreconditionFailed(
                f"{target.host} is recorded as the primary, but {hosts(writers)} takes "
                "the herd's writes.",
                host=target.host,
                hint=_HINT,
            )
        why = own.message if isinstance(own, ElephaasError) else own.trouble
        return _row(target, f"unknown: {why.strip()}", Verdict.WARN)
    if writers:
        return _row(
            target,
            f"{target.host} takes writes, and so does {hosts(writers)}",
            Verdict.WARN,
        )
    return _row(target, f"{target.host} takes writes", Verdict.OK)


def _look(target: Target) -> Observation | ElephaasError:
    try:
        return target.look()
    except ElephaasError as error:
        return error


def _refuse_others(target: Target, seen: Observation) -> None:
    """Refuse a recorded primary that is a standby, or does not run.

    Raises:
        PreconditionFailed: with what it is.
    """
    if seen.in_recovery or not seen.is_running:
        raise PreconditionFailed(
            f"{target.host} is recorded as the primary and takes no writes: "
            f"{state_sentence(target.host, seen)}",
            host=target.host,
            hint=_HINT,
        )


def _row(target: Target, observed: str, verdict: Verdict) -> Check:
    return Check(
        name="Primary",
        how="a look at every member of the herd",
        observed=observed.removesuffix("."),
        threshold=f"{target.host} alone takes writes",
        verdict=verdict,
        observed_at=target.clock.now().isoformat(),
    )


def _run(target: Target) -> Outcome:
    steps, plan = target.steps, target.plan
    with steps.step("role", _STEPS[0]) as step:
        step.note(f"{_role(target).observed}.")
    accepted = str(plan.get("facts", {}).get("vhost", ""))
    with vhost.prepare(target, target.host, target.host, accepted=accepted) as ready:
        steps.must_finish()
        with steps.step("move", ready.words) as step:
            moved = ready.send()
            if moved.is_done:
                step.note(moved.words)
            moved.demand()
        with steps.step("read_back", _STEPS[2]) as step:
            read_back = ready.confirm(target.patience)
            step.note(read_back.words)
    return Outcome(
        sentence=read_back.words,
        follow_ups=()
        if read_back.is_everywhere
        else (
            FollowUp(
                action="refresh_dns",
                instance_id=target.instance_id,
                words="Refresh DNS again once the servers that are behind answer.",
            ),
        ),
    )


REFRESH_DNS = Action(
    name="refresh_dns",
    verb="Refresh DNS of",
    past="refreshed in DNS",
    permission="herds.refresh_dns_instance",
    words="Points the virtual host at the herd's recorded primary, and reads it back "
    "from every name server.",
    afterwards="Every virtual host points at its herd's primary.",
    of_role="primary",
    plan=_plan,
    run=_run,
    examine=_examine,
    needs_members=True,
    menus=("herd", "disasterrecovery"),
    narrow=primaries_of,
)
