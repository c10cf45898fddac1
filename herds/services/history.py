"""What Django's own History page of an instance tells of operations."""

from __future__ import annotations

from django.contrib.admin.models import CHANGE, LogEntry

from herds.domain.states import TargetState
from herds.models import Instance, Operation, OperationTarget


def record_request(operation: Operation, verb: str) -> None:
    """Write into the History of each instance that an operation was asked for.

    Django's history belongs to a user and vanishes with that account, so a request of
    nobody known to Django writes nothing; the operation's own rows are the audit trail.

    Args:
        operation: the operation that was said yes to, its targets queued.
        verb: the action's verb: ``"Restart"``.
    """
    if operation.requested_by_id is None:
        return
    targets = OperationTarget.objects.filter(operation=operation).exclude(
        state=TargetState.REFUSED
    )
    instances = Instance.objects.filter(
        pk__in=targets.values("instance_id")
    ).select_related("herd", "server")
    LogEntry.objects.log_actions(
        user_id=operation.requested_by_id,
        queryset=instances,
        action_flag=CHANGE,
        change_message=_message(operation, verb),
    )


def _message(operation: Operation, verb: str) -> str:
    # Django takes a message that begins with "[" for JSON; this one begins with a verb.
    message = f"{verb} requested: operation {operation.pk}"
    return f"{message} — {operation.reason}" if operation.reason else message
