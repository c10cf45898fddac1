"""Prints a plan for people: what will happen, and how it was judged."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.core.management.base import OutputWrapper

from herds.domain.plan import Verdict
from herds.domain.states import TargetState
from herds.domain.way import way_of
from herds.models import Operation, OperationTarget
from herds.operations import registry
from herds.services.identity import identity_words

_SIGNS = {Verdict.WARN: "▲", Verdict.STOP: "✖"}


def print_plan(operation: Operation, out: OutputWrapper) -> None:
    """Print the plan as a table: what will happen to which container, in order."""
    targets = sorted(
        operation.targets.all(),
        key=lambda each: (each.herd_key, each.wave, each.position),
    )
    out.write(f"{operation.headline}\n\n")
    rows = [("ENVIRONMENT", "HERD", "CONTAINER", "NOW", "WILL")]
    rows += [
        (
            target.environment_name or "-",
            target.herd_name,
            target.hostname,
            target.plan["now"],
            f"cannot go: {target.outcome}"
            if target.state == TargetState.REFUSED
            else target.plan["will"],
        )
        for target in targets
    ]
    _print_table(rows, out)
    if registry.get(operation.action).destroys:
        _print_identities(targets, out)
    _print_checks(targets, out)
    for target in targets:
        if target.state != TargetState.REFUSED:
            _print_way(target, out)
            _print_choices(target, out)
    if operation.afterwards:
        out.write(f"\nAfterwards: {operation.afterwards}\n")


def _print_table(rows: Sequence[Sequence[str]], out: OutputWrapper) -> None:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        out.write("  ".join(cells).rstrip() + "\n")


def _print_identities(targets: Sequence[OperationTarget], out: OutputWrapper) -> None:
    """Print which cluster exactly each line is about."""
    lines = [
        f"{target.herd_name} on {target.hostname}: {words}\n"
        for target in targets
        if target.state != TargetState.REFUSED
        if (words := identity_words(target.plan.get("identity", {})))
    ]
    if lines:
        out.write("\n" + "".join(lines))


def _print_checks(targets: Sequence[OperationTarget], out: OutputWrapper) -> None:
    """Print each check that is not fine, and how many are."""
    checks = [
        (target, check) for target in targets for check in target.plan.get("checks", ())
    ]
    lines = [
        _check_line(target, check)
        for target, check in checks
        if check["verdict"] != Verdict.OK
    ]
    if fine := len(checks) - len(lines):
        are = "check is" if fine == 1 else "checks are"
        lines.append(f"✔ {fine:,} {are} fine\n")
    if lines:
        out.write("\n" + "".join(lines))


def _check_line(target: OperationTarget, check: dict[str, Any]) -> str:
    sign = _SIGNS[Verdict(check["verdict"])]
    judged = "; ".join(filter(None, [check["observed"], check["threshold"]]))
    told = ": ".join(filter(None, [check["name"], check["how"]]))
    return f"{sign} {target.herd_name}: {judged} ({told})\n"


def _print_way(target: OperationTarget, out: OutputWrapper) -> None:
    """Print how far it can be undone, and what will be true of this target."""
    parts = [
        f"{part.stretch}: {', '.join(part.steps) or 'nothing'}"
        for part in way_of(target.plan)
    ]
    afterwards = target.plan.get("afterwards", "")
    if parts or afterwards:
        out.write(f"\n{target.herd_name} on {target.hostname}:\n")
    if parts:
        out.write(f"  {' | '.join(parts)}\n")
    if afterwards:
        out.write(f"  afterwards: {afterwards}\n")


def _print_choices(target: OperationTarget, out: OutputWrapper) -> None:
    """Print what may be chosen for a target, what is, and why the rest cannot be."""
    for choice in target.plan.get("choices", ()):
        out.write(
            f"\n{choice['label']} of {target.herd_name} on {target.hostname} "
            f"(--choose {choice['name']}=…):\n"
        )
        taken = target.plan.get("chosen", {}).get(choice["name"], choice["default"])
        for option in choice["options"]:
            sign = "●" if option["value"] == taken else "○"
            words = f"  {sign} {option['value']}: {option['label']}"
            if not option["possible"]:
                words = f"  ✖ {option['value']}: {option['label']}; {option['why']}"
            out.write(f"{words}\n")
