"""An action that looks like a switchover on every page, and touches no host."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from herds.domain.outcome import FollowUp, Outcome
from herds.domain.plan import Check, PlannedTarget, Verdict
from herds.models import Instance
from herds.services.actions import Action
from herds.services.lifecycle import facts_of
from herds.services.target import Target

STEPS = ("Write a checkpoint", "Stop the old primary", "Promote", "Move the name")
"""Two can be undone, the third is the point of no return."""

NUMBER_OF_CHECKS = 20


def narrow(chosen: Sequence[int]) -> list[int]:
    """Give of each herd the replica that was added first."""
    herds = Instance.objects.filter(pk__in=chosen).values("herd")
    replicas = Instance.objects.filter(herd__in=herds, master__isnull=False)
    by_herd = dict(replicas.order_by("-pk").values_list("herd", "pk"))
    return list(by_herd.values())


def checks(*, verdict: Verdict = Verdict.OK) -> tuple[Check, ...]:
    """Make as many checks as a switchover has; the first has this verdict."""
    return tuple(
        Check(
            name=f"Check {number}",
            how=f"SELECT {number}",
            observed=f"{number} kB behind",
            threshold="16 MB",
            verdict=verdict if number == 1 else Verdict.OK,
            observed_at="2026-11-25T02:31:07+00:00",
        )
        for number in range(1, NUMBER_OF_CHECKS + 1)
    )


def plan(members: Sequence[Instance]) -> list[PlannedTarget]:
    """Plan to cross over; a member that is not online cannot, and its check says so."""
    return [
        PlannedTarget(
            now="replica, running",
            will="becomes the primary",
            steps=STEPS,
            no_return=2,
            checks=checks(verdict=Verdict.OK if member.is_online else Verdict.STOP),
            refusal="" if member.is_online else f"{member.server.hostname} is stopped.",
            afterwards=f"{member.server.hostname} takes the writes.",
            typed=member.herd.herd_name,
            runbook=(
                f"ssh postgres@{member.server.hostname} "
                + shlex.quote(f"pg_ctl promote -D {member.data_directory}"),
            ),
            facts=facts_of(member),
        )
        for member in members
    ]


def run(target: Target) -> Outcome:
    """Say that it is done, and that the target itself has to be rebuilt."""
    return Outcome(
        sentence=f"{target.host} is the primary.",
        follow_ups=(
            FollowUp(
                action="rebuild",
                instance_id=target.instance_id,
                words=f"Rebuild {target.host}: it was not reachable.",
            ),
        ),
    )


CROSSING = Action(
    name="crossing",
    verb="Cross over",
    past="crossed over",
    permission="herds.promote_instance",
    words="Makes a replica the primary of its herd.",
    afterwards="Every herd has another primary.",
    plan=plan,
    run=run,
    menus=frozenset({"herd", "disasterrecovery"}),
    labels={"disasterrecovery": "Cross over to listed replica"},
    narrow=narrow,
)
