"""What a plan is made of, what may be chosen in it, and whether it still holds."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from herds.domain.plan import PlannedTarget, Verdict
from herds.domain.states import TargetState
from herds.domain.words import counted, listed
from herds.errors import PreconditionFailed
from herds.models import Instance, Operation, OperationTarget
from herds.services.actions import Action
from herds.services.identity import known_of
from herds.services.lifecycle import facts_of


def plan_by_herd(
    action: Action, members: Sequence[Instance]
) -> list[tuple[Instance, PlannedTarget]]:
    """Have an action plan the chosen members, herd by herd."""
    herds: dict[int, list[Instance]] = defaultdict(list)
    for member in members:
        herds[member.herd_id].append(member)
    return [
        pair
        for chosen in herds.values()
        for pair in zip(chosen, action.plan(chosen), strict=True)
    ]


def refused(why: str) -> PlannedTarget:
    """Give the plan of what cannot go: the sentence why, and nothing else."""
    return PlannedTarget(now="", will="", refusal=why)


def stored(
    action: Action, member: Instance, plan: PlannedTarget, named: set[int]
) -> dict[str, Any]:
    """Give a plan as it is stored, with the name to type where its place wants that.

    Args:
        action: what is planned.
        member: for which instance, with its herd and environment.
        plan: what will happen to it.
        named: the herds whose name another target of the plan asks for already; this
            one is added.
    """
    row = plan.as_json()
    row["identity"] = {
        **known_of(member),
        **plan.identity,
        "recorded": member.system_identifier,
    }
    place = member.herd.environment
    wants_name = action.destroys and place is not None and place.types_names
    if wants_name and not plan.refusal and member.herd_id not in named:
        row["typed"] = plan.typed or member.herd.herd_name
    if row["typed"]:
        named.add(member.herd_id)
    return row


def planned_row(
    operation: Operation,
    action: Action,
    position: int,
    member: Instance,
    plan: PlannedTarget,
    named: set[int],
) -> OperationTarget:
    """Give the row, not saved yet, of one planned target."""
    environment = member.herd.environment
    return OperationTarget(
        operation=operation,
        position=position,
        wave=plan.wave,
        herd=member.herd,
        instance=member,
        herd_key=f"herd:{member.herd_id}",
        herd_name=member.herd.herd_name,
        environment_name=environment.env_name if environment else "",
        hostname=member.server.hostname,
        plan=stored(action, member, plan, named),
        state=TargetState.REFUSED if plan.refusal else TargetState.PLANNED,
        outcome=plan.refusal,
    )


def headline(action: Action, members: Sequence[Instance]) -> str:
    """Say in a sentence what is asked for: Restart 5 instances of 2 herds in prod."""
    herds = len({member.herd_id for member in members})
    names = sorted(
        {
            member.herd.environment.env_name
            for member in members
            if member.herd.environment
        }
    )
    where = f" in {listed(names)}" if names else ""
    if action.narrow is not None:
        return f"{action.verb} {counted(herds, 'herd')}{where}"
    return (
        f"{action.verb} {counted(len(members), 'instance')} "
        f"of {counted(herds, 'herd')}{where}"
    )


def choose(targets: Sequence[OperationTarget], choices: Mapping[str, str]) -> None:
    """Keep what was chosen with each target.

    Raises:
        PreconditionFailed: something that is not offered, or not possible.
    """
    changed = []
    for target in targets:
        chosen = {}
        for choice in target.plan.get("choices", ()):
            name = choice["name"]
            value = choices.get(f"{target.pk}.{name}", choices.get(name))
            options = {option["value"]: option for option in choice["options"]}
            value = choice["default"] if value is None else value
            # What nothing can be assumed of has a default that is not possible.
            if value == choice["default"] and options[value]["possible"]:
                continue
            if value not in options or not options[value]["possible"]:
                why = options[value]["why"] if value in options else "it is not offered"
                raise PreconditionFailed(
                    f"{choice['label']} of {target.hostname} cannot be {value!r}: "
                    f"{why}."
                    if value
                    else f"{choice['label']}: choose; {why}.",
                    hint=f"Possible are {', '.join(_possible(choice))}.",
                )
            chosen[name] = value
        if chosen:
            target.plan["chosen"] = chosen
            changed.append(target)
    OperationTarget.objects.bulk_update(changed, ["plan"], batch_size=500)


def _possible(choice: Mapping[str, Any]) -> list[str]:
    return [each["value"] for each in choice["options"] if each["possible"]]


def warns(target: OperationTarget) -> bool:
    """Tell whether the plan of a target has a warning to acknowledge."""
    return any(check["verdict"] == Verdict.WARN for check in target.plan["checks"])


def refuse_untyped(
    targets: Sequence[OperationTarget], typed: Mapping[int, str]
) -> None:
    """Refuse a yes to what asks for a word, where the word was not typed.

    Raises:
        PreconditionFailed: naming the herds whose names are missing or differ.
    """
    missing = [
        target
        for target in targets
        if (word := target.plan.get("typed", ""))
        and target.instance_id is not None  # what is gone is refused in any case
        and typed.get(target.pk, "").strip() != word
    ]
    if missing:
        names = ", ".join(target.plan["typed"] for target in missing)
        raise PreconditionFailed(
            f"What this does cannot be undone, and the name was not typed: {names}.",
            hint="Type each name as it is written here, then confirm again.",
        )


def refuse_changed(targets: Sequence[OperationTarget]) -> None:
    """Refuse the targets whose facts are no longer those of the plan."""
    members = Instance.objects.select_related("herd", "server").in_bulk(
        [target.instance_id for target in targets if target.instance_id]
    )
    changed = []
    for target in targets:
        member = members.get(target.instance_id or 0)
        if member is None:
            target.outcome = (
                f"{target.herd_name} on {target.hostname} was deleted from the "
                "inventory since the plan; nothing was done to it."
            )
        elif another := _another_cluster(target, member):
            target.outcome = (
                f"{target.herd_name} on {target.hostname} is another cluster than when "
                f"the plan was made ({another}); nothing was done to it. Look at the "
                "host before you plan it again."
            )
        elif _moved(target.plan["facts"], facts_of(member)):
            target.outcome = (
                f"{target.herd_name} on {target.hostname} has changed since the plan "
                f"({_difference(target.plan['facts'], facts_of(member))}); nothing "
                "was done to it. Plan it again."
            )
        else:
            continue
        target.state = TargetState.REFUSED
        changed.append(target)
    OperationTarget.objects.bulk_update(changed, ["state", "outcome"], batch_size=500)


def _another_cluster(target: OperationTarget, member: Instance) -> str:
    """Say by which identifiers a cluster is another one; empty where it is not."""
    identity, now = target.plan.get("identity", {}), member.system_identifier
    # The inventory may have been behind what the plan saw, and have caught up.
    planned = {identity.get("system"), identity.get("recorded")} - {"", None}
    if not planned or not now or now in planned:
        return ""
    return f"system {now}, not {' or '.join(sorted(planned))}"


def _moved(before: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    """Tell whether the inventory differs; what was seen beside it, the verb checks."""
    return any(before.get(name) != value for name, value in now.items())


def _difference(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    if before.get("primary") != now.get("primary"):
        return "it is a primary now" if now["primary"] else "it is a replica now"
    return ", ".join(
        f"{name.replace('_', ' ')} was {before.get(name)}, is {value}"
        for name, value in now.items()
        if before.get(name) != value
    )
