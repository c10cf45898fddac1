"""Writes a plan as a shell script: the same by hand, with the checks as comments."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from herds.domain.plan import Verdict
from herds.domain.way import way_of
from herds.errors import PreconditionFailed
from herds.models import Operation, OperationTarget

_VERDICTS = {
    Verdict.OK: "fine",
    Verdict.WARN: "WARNING",
    Verdict.STOP: "STOPS IT",
}


def has_runbook(operation: Operation) -> bool:
    """Tell whether the plan of any target is there as commands too."""
    return operation.targets.filter(plan__runbook__0__isnull=False).exists()


def runbook_of(operation: Operation) -> str:
    """Write the runbook of an operation, target by target, in their order.

    Raises:
        PreconditionFailed: its plan has no commands to write down.
    """
    if not has_runbook(operation):
        raise PreconditionFailed(
            f"Operation {operation.pk} has no runbook.",
            hint="Only plans that consist of commands for people have one.",
        )
    lines = list(_head(operation))
    for target in operation.targets.order_by("herd_key", "wave", "position"):
        lines += ["", *_target(target)]
    return "\n".join(lines) + "\n"


def _head(operation: Operation) -> Iterator[str]:
    yield "#!/bin/sh"
    yield from _comment(
        f"Runbook of operation {operation.pk}: {operation.headline}.",
        "",
        f"Planned by {operation.requested_by_name} at {_moment(operation.created_at)}.",
        f"This plan expires at {_moment(operation.expires_at)}: what was true when it "
        "was made may have changed by then. Plan it again, or make the checks again.",
        f"Why: {operation.reason}" if operation.reason else "",
        "",
        "Read it whole before you begin. Each command stands as it would be run, in "
        "order. It ends at the first one that fails; look at what is true before you "
        "go on. ElepHaaS does not know what is done by hand: refresh the herd "
        "afterwards.",
    )
    yield "set -eu"


def _target(target: OperationTarget) -> Iterator[str]:
    plan: dict[str, Any] = target.plan
    where = f" in {target.environment_name}" if target.environment_name else ""
    yield from _comment(f"==== {target.herd_name}{where}, on {target.hostname} ====")
    yield from _comment(f"Now: {plan.get('now', '')}", f"Will: {plan.get('will', '')}")
    if plan.get("checks"):
        yield from _comment("Checks:")
    for check in plan.get("checks", ()):
        yield from _comment(_check(check))
    if refusal := plan.get("refusal", ""):
        yield from _comment(f"CANNOT GO: {refusal}")
        return
    for part in way_of(plan):
        yield from _comment(f"{part.stretch}: {'; '.join(part.steps) or 'nothing'}")
    if afterwards := plan.get("afterwards", ""):
        yield from _comment(f"Afterwards: {afterwards}")
    lines = plan.get("runbook", ())
    if not lines:
        yield from _comment("It has no commands that are run by hand.")
    yield from lines


def _check(check: Mapping[str, Any]) -> str:
    verdict = _VERDICTS[Verdict(check.get("verdict", Verdict.OK))]
    parts = [f"{verdict}: {check['name']}: {check.get('observed', '')}"]
    if check.get("threshold"):
        parts.append(f"threshold {check['threshold']}")
    if check.get("how"):
        parts.append(f"how: {check['how']}")
    if check.get("observed_at"):
        parts.append(f"observed at {check['observed_at']}")
    return "  " + "; ".join(parts)


def _comment(*texts: str) -> Iterator[str]:
    """Write texts as comments, whatever stands in them."""
    for text in texts:
        # A line of a text must not become a line of the script, nor a control
        # character do anything to the terminal that shows it.
        for line in text.splitlines() or [""]:
            shown = "".join(char if char.isprintable() else "?" for char in line)
            yield f"# {shown}".rstrip()


def _moment(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
