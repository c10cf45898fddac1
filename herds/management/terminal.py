"""Shows an operation on a terminal, in a pipe, or as JSON."""

from __future__ import annotations

import getpass
import json
import os
import shlex
import time
from collections.abc import Callable, Iterable
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
from herds.models import Instance, Operation, OperationTarget

_LOOK = 0.2  # seconds between looks at a running operation
_LOOKS_FOR_LOSSES = 25  # looks until lost workers are looked for

_SIGNS = {
    TargetState.PLANNED: "·",
    TargetState.QUEUED: "·",
    TargetState.RUNNING: "◐",
    TargetState.CANCELLING: "◐",
    TargetState.SUCCEEDED: "✔",
    TargetState.FOLLOW_UPS: "▲",
    TargetState.ROLLED_BACK: "▲",
    TargetState.REFUSED: "▲",
    TargetState.INTERRUPTED: "?",
    TargetState.CANCELLED: "·",
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
        "steps": target.plan.get("steps", []),
        "no_return": target.plan.get("no_return"),
        "checks": target.plan.get("checks", []),
        "afterwards": target.plan.get("afterwards", ""),
        "typed": target.plan.get("typed", ""),
        "runbook": target.plan.get("runbook", []),
        "follow_ups": target.follow_ups,
        "started_at": _moment(target.started_at),
        "finished_at": _moment(target.finished_at),
    }


def _moment(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None


def print_outcomes(operation: Operation, out: OutputWrapper) -> None:
    """Print how each target ended, or where it is, and the operation as a whole."""
    out.write("\n")
    for target in operation.targets.all():
        out.write(_ended_line(target))
    out.write(f"\n{operation.state}. {operation.outcome}".rstrip() + "\n")
    print_follow_ups(operation, out)


def print_follow_ups(operation: Operation, out: OutputWrapper) -> None:
    """Print what is left to do after an operation, as commands to type."""
    left = [each for target in operation.targets.all() for each in target.follow_ups]
    members = Instance.objects.select_related("herd", "server").in_bulk(
        [each["instance_id"] for each in left]
    )
    if left:
        out.write("\nLeft to do:\n")
    for each in left:
        out.write(f"▲ {each['words']}\n")
        if member := members.get(each["instance_id"]):
            name = shlex.quote(f"{member.herd.herd_name}@{member.server.hostname}")
            out.write(f"  manage.py operate {each['action']} --instance {name}\n")


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


def person() -> str:
    """Name who sits at the terminal: behind sudo, who came in."""
    try:
        return os.environ.get("SUDO_USER") or getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"
