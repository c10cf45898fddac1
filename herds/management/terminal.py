"""Shows a plan and an operation on a terminal, in a pipe, or as JSON."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any

from django.core.management.base import OutputWrapper
from django.db import InterfaceError, OperationalError, connection

from herds.domain.states import (
    ACTIVE_OPERATIONS,
    ACTIVE_TARGETS,
    OperationState,
    TargetState,
)
from herds.models import Operation, OperationTarget

_LOOK = 0.2  # seconds between looks at a running operation
_LOOKS_FOR_LOSSES = 25  # looks until lost workers are looked for

_SIGNS = {
    TargetState.PLANNED: "·",
    TargetState.QUEUED: "·",
    TargetState.RUNNING: "◐",
    TargetState.CANCELLING: "◐",
    TargetState.SUCCEEDED: "✔",
    TargetState.FOLLOW_UPS: "▲",
    TargetState.INTERRUPTED: "▲",
}


def as_json(operation: Operation) -> str:
    """Write an operation with its targets for machines."""
    return json.dumps(
        {
            "operation": operation.pk,
            "action": operation.action,
            "headline": operation.headline,
            "state": operation.state,
            "outcome": operation.outcome,
            "reason": operation.reason,
            "requested_by": operation.requested_by_name,
            "created_at": _moment(operation.created_at),
            "started_at": _moment(operation.started_at),
            "finished_at": _moment(operation.finished_at),
            "targets": [_target(target) for target in operation.targets.all()],
        },
        ensure_ascii=False,
        indent=2,
    )


def _target(target: OperationTarget) -> dict[str, Any]:
    return {
        "herd": target.herd_name,
        "environment": target.environment_name,
        "host": target.hostname,
        "instance": target.instance_id,
        "state": target.state,
        "outcome": target.outcome,
        "now": target.plan.get("now", ""),
        "will": target.plan.get("will", ""),
        "started_at": _moment(target.started_at),
        "finished_at": _moment(target.finished_at),
    }


def _moment(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None


def print_plan(operation: Operation, out: OutputWrapper) -> None:
    """Print the plan as a table: what will happen to which container, in order."""
    targets = list(operation.targets.all())
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
        for target in sorted(
            targets, key=lambda each: (each.herd_key, each.wave, each.position)
        )
    ]
    _print_table(rows, out)
    warnings = [
        f"{target.herd_name}: {check['observed']}; {check['threshold']}"
        for target in targets
        for check in target.plan["checks"]
        if check["verdict"] != "ok"
    ]
    if warnings:
        out.write("\n" + "".join(f"▲ {warning}\n" for warning in warnings))
    for target in targets:
        _print_choices(target, out)
    if operation.afterwards:
        out.write(f"\nAfterwards: {operation.afterwards}\n")


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


def print_outcomes(operation: Operation, out: OutputWrapper) -> None:
    """Print how each target ended, or where it is, and the operation as a whole."""
    out.write("\n")
    for target in operation.targets.all():
        out.write(_ended_line(target))
    out.write(f"\n{operation.state}. {operation.outcome}".rstrip() + "\n")


def _print_table(rows: Sequence[Sequence[str]], out: OutputWrapper) -> None:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        out.write("  ".join(cells).rstrip() + "\n")


def await_plan(operation: Operation) -> None:
    """Wait until a worker has written the plan of an operation."""
    while operation.state == OperationState.PLANNING:
        time.sleep(_LOOK)
        operation.refresh_from_db()


def follow(
    operation: Operation, out: OutputWrapper, each_look: Callable[[], object]
) -> Operation:
    """Print what happens until the operation has ended.

    While the metadata database is away it is waited for, as the workers do.

    Args:
        operation: the one to follow.
        out: where to print: lines as targets end, and on a terminal a last line
            that is written over.
        each_look: called now and then, to notice lost workers.

    Returns:
        The operation as it ended.
    """
    told: set[int] = set()
    looks = 0
    is_away = False
    while True:
        try:
            operation.refresh_from_db()
            targets = list(operation.targets.all())
            looks += 1
            if looks % _LOOKS_FOR_LOSSES == 0:
                each_look()
        except (OperationalError, InterfaceError) as away:
            connection.close()
            if not is_away:
                _clear(out)
                out.write(_away_line(away))
            is_away = True
            time.sleep(_LOOK)
            continue
        is_away = False
        _clear(out)
        for target in targets:
            if target.pk not in told and target.state not in ACTIVE_TARGETS:
                told.add(target.pk)
                out.write(_ended_line(target))
        if operation.state not in ACTIVE_OPERATIONS:
            return operation
        _write_progress(targets, out)
        time.sleep(_LOOK)


def _away_line(away: Exception) -> str:
    why = str(away).strip().splitlines()
    return (
        f"▲ The metadata database is away ({why[0] if why else 'no reason given'}). "
        "What has begun goes on; this terminal waits for the database.\n"
    )


def _ended_line(target: OperationTarget) -> str:
    sign = _SIGNS.get(TargetState(target.state), "✖")
    return (
        f"{sign} {target.herd_name} on {target.hostname}: "
        f"{target.state}. {target.outcome}\n"
    )


def _write_progress(targets: Iterable[OperationTarget], out: OutputWrapper) -> None:
    if not out.isatty():
        return
    targets = list(targets)
    done = sum(target.state not in ACTIVE_TARGETS for target in targets)
    working = [
        f"{target.hostname}: {target.current_step}"
        for target in targets
        if target.state in {TargetState.RUNNING, TargetState.CANCELLING}
    ]
    line = f"◐ {done} of {len(targets)} ended; {', '.join(working) or 'waiting'}"
    out.write(line[:100], ending="")
    out.flush()


def _clear(out: OutputWrapper) -> None:
    if out.isatty():
        out.write("\r\x1b[K", ending="")


EXIT_STATUS = {
    OperationState.SUCCEEDED: 0,
    OperationState.PARTLY: 3,
}
"""Exit status by how an operation ended; every other end is 1."""
