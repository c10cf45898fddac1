"""Promote a standby: from then on it takes writes; the rest of its herd stays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from herds.domain.cluster import Activity, Observation
from herds.domain.plan import Check, PlannedTarget, Verdict
from herds.errors import ElephaasError, NotObserved, PreconditionFailed
from herds.postgres.rewind import checkpoint
from herds.postgres.wal import position_now

from .actions import Action
from .company import Sight, hosts, look_at_others
from .identity import seen_of
from .lifecycle import look_first, plan_each, refuse_no_cluster, state_sentence
from .slots import follower_slot_words, slots_for_followers
from .target import Target

if TYPE_CHECKING:
    from herds.models import Instance

_STEPS = ("Promote", "Checkpoint on the new timeline")


def _plan(members: Sequence[Instance]) -> list[PlannedTarget]:
    planned = plan_each(
        members,
        will="becomes a primary on a new timeline and takes writes; "
        "the rest of its herd stays as it is",
        steps=_STEPS,
        waves=[0] * len(members),
    )
    replicas = sum(not _is_known_primary(member) for member in members)
    return [
        replace(plan, refusal=_refusal(member, replicas))
        for member, plan in zip(members, planned, strict=True)
    ]


def _is_known_primary(member: Instance) -> bool:
    return member.is_primary and member.observed_at is not None


def _refusal(member: Instance, replicas: int) -> str:
    herd = member.herd.herd_name
    if _is_known_primary(member):
        return f"{member.server.hostname} is a primary of {herd} already."
    if replicas > 1:
        return (
            f"{replicas} replicas of {herd} were chosen, and only one can take over; "
            "choose it alone."
        )
    return ""


def _examine(target: Target) -> PlannedTarget:
    """Plan from what is seen of the standby and of the rest of its herd."""
    seen = target.cluster.look()
    _refuse_unfit(target, seen)
    company = look_at_others(target)
    look, *steps = target.plan.get("steps", ())
    return PlannedTarget(
        now=target.plan.get("now", ""),
        will=target.plan.get("will", ""),
        steps=(look, *follower_slot_words(target), *steps),
        checks=(_writers(target, company), *_received(target, seen, company)),
        identity=seen_of(seen),
        facts={"writers": _writing(company)},
    )


def _refuse_unfit(target: Target, seen: Observation) -> None:
    """Refuse what is not a running standby.

    Raises:
        PreconditionFailed: with what it is.
    """
    refuse_no_cluster(target, seen)
    if seen.activity is not Activity.RUNNING or not seen.answers:
        raise PreconditionFailed(
            f"{state_sentence(target.host, seen)} Only a running standby can be "
            "promoted.",
            host=target.host,
            hint="Start it, and see that it has all it can get.",
        )
    if seen.in_recovery is False:
        raise PreconditionFailed(
            f"{target.host} is a primary already; nothing was done.", host=target.host
        )


def _writing(company: Sequence[Sight]) -> list[str]:
    return sorted(sight.member.host for sight in company if sight.takes_writes)


def _writers(target: Target, company: Sequence[Sight]) -> Check:
    writing = [sight for sight in company if sight.takes_writes]
    unknown = [sight for sight in company if sight.seen is None]
    if writing:
        observed = (
            f"{hosts(writing)} takes writes; with {target.host} the herd will have "
            f"{len(writing) + 1} members that do, and neither gets the other's"
        )
    elif unknown:
        observed = f"nothing is known of {hosts(unknown)}: {unknown[0].trouble}"
    else:
        observed = "no other member takes writes"
    return Check(
        name="Other primary",
        how="a look at every member of the herd",
        observed=observed,
        threshold="none, or it is meant so",
        verdict=Verdict.WARN if writing or unknown else Verdict.OK,
        observed_at=target.clock.now().isoformat(),
    )


def _received(
    target: Target, seen: Observation, company: Sequence[Sight]
) -> tuple[Check, ...]:
    """Compare with the primary, where one is seen: what is missing stays missing."""
    ahead = [
        sight.seen.position
        for sight in company
        if sight.takes_writes and sight.seen is not None and sight.seen.position
    ]
    if not ahead or seen.position is None:
        return ()
    missing = max(0, max(ahead) - seen.position)
    return (
        Check(
            name="Received WAL",
            how="positions of both, one after the other",
            observed=f"{missing:,} bytes behind",
            threshold="what it has not received by then, it will never have",
            verdict=Verdict.WARN if missing else Verdict.OK,
            observed_at=target.clock.now().isoformat(),
        ),
    )


def _run(target: Target) -> str:
    before = target.steps.earlier("look")
    seen = look_first(target)
    if before is not None and before.get("in_recovery") and seen.in_recovery is False:
        # An interrupted attempt promoted it; what comes after that may be missing.
        return _settle(target, seen, "Promoted already.")
    _refuse_unfit(target, seen)
    _refuse_new_writer(target)
    timeline, _ = position_now(target.cluster)
    target.steps.must_finish()
    with slots_for_followers(target):
        seen = _promote(target)
    return _settle(target, seen, f"Promoted from timeline {timeline}.")


def _refuse_new_writer(target: Target) -> None:
    """Refuse where another member has become a primary since the plan was read.

    Raises:
        PreconditionFailed: naming it.
    """
    known = set(target.plan.get("facts", {}).get("writers", ()))
    new = [
        sight
        for sight in look_at_others(target)
        if sight.takes_writes and sight.member.host not in known
    ]
    if new:
        raise PreconditionFailed(
            f"{hosts(new)} takes writes now and did not when this was planned; "
            f"{target.host} was not promoted.",
            host=target.host,
            hint="Plan it again if it is still wanted.",
        )


def _promote(target: Target) -> Observation:
    with target.steps.step("promote", "Promote") as step:
        acted = target.act(step, "promote", need_running=True)
        came, seen = target.await_state(
            lambda now: now.in_recovery is False or not now.is_running,
            first=acted.seen if acted else None,
        )
        step.saw(seen)
        if not came or seen.in_recovery is not False:
            raise NotObserved(
                f"{target.host} to leave recovery",
                observed=state_sentence(target.host, seen).rstrip("."),
                seconds=round(target.patience, 1),
                host=target.host,
                hint="Read the command's output and the server's log on the host.",
            )
    return seen


def _settle(target: Target, seen: Observation, done: str) -> str:
    """Have the new timeline written to the control file, and say what is true.

    Up to 15, pg_rewind takes the control file's word for the timeline, which tells of
    the promotion only after a checkpoint.
    """
    late = ""
    try:
        with target.steps.step("checkpoint", "Checkpoint on the new timeline") as step:
            checkpoint(target.cluster)
            timeline, _ = position_now(target.cluster)
            step.note(f"{target.host} writes on timeline {timeline}.")
            step.saw(target.look())
        done = f"{done} It writes on timeline {timeline}."
    except ElephaasError as error:
        late = (
            f" Its first checkpoint is still to come ({error.message.rstrip('.')}); "
            "members that were ahead cannot be rewound before."
        )
    return f"{done} {state_sentence(target.host, seen)}{late}"


PROMOTE = Action(
    name="promote",
    verb="Promote",
    past="promoted",
    permission="herds.promote_instance",
    destroys=True,
    words="Makes a replica a primary that takes writes; the rest of its herd stays.",
    afterwards="Each of them is a primary on a timeline of its own.",
    of_role="standby",
    of_running=True,
    plan=_plan,
    run=_run,
    examine=_examine,
    needs_members=True,
)
