"""The states of operations, targets and steps, and which of them are final."""

from __future__ import annotations

from collections.abc import Collection
from enum import StrEnum


class OperationState(StrEnum):
    """Where an operation stands."""

    PLANNING = "planning"  # a worker looks at the hosts to write the plan
    PLANNED = "planned"  # the plan waits for a person's yes
    QUEUED = "queued"  # accepted; no worker has begun
    RUNNING = "running"
    CANCELLING = "cancelling"  # asked to stop; begun targets come to a safe end
    SUCCEEDED = "succeeded"
    PARTLY = "partly"  # some targets succeeded, others did not
    FAILED = "failed"
    CANCELLED = "cancelled"
    INTERRUPTED = "interrupted"  # a worker was lost; can be resumed
    EXPIRED = "expired"  # the plan was never confirmed


class TargetState(StrEnum):
    """Where one herd or instance of an operation stands."""

    PLANNED = "planned"
    QUEUED = "queued"
    RUNNING = "running"
    CANCELLING = "cancelling"
    SUCCEEDED = "succeeded"
    FOLLOW_UPS = "follow-ups"  # succeeded, and something remains to be done
    FAILED = "failed"
    ROLLED_BACK = "rolled back"
    CANCELLED = "cancelled"
    INTERRUPTED = "interrupted"
    REFUSED = "refused"


class StepState(StrEnum):
    """Where one step of a target stands."""

    RUNNING = "running"
    SUCCEEDED = "succeeded"
    SKIPPED = "skipped"  # its result was true already
    FAILED = "failed"
    UNKNOWN = "unknown"  # the connection was lost; observed again afterwards
    INTERRUPTED = "interrupted"


ACTIVE_OPERATIONS = frozenset(
    {OperationState.QUEUED, OperationState.RUNNING, OperationState.CANCELLING}
)
ACTIVE_TARGETS = frozenset(
    {TargetState.QUEUED, TargetState.RUNNING, TargetState.CANCELLING}
)
GOOD_TARGETS = frozenset({TargetState.SUCCEEDED, TargetState.FOLLOW_UPS})
RETRYABLE_TARGETS = frozenset(
    {
        TargetState.FAILED,
        TargetState.ROLLED_BACK,
        TargetState.CANCELLED,
        TargetState.INTERRUPTED,
    }
)


def summarise(targets: Collection[TargetState]) -> OperationState:
    """Tell the state of an operation from the states of its targets.

    Refused targets count as not done: an operation whose every target was
    refused has failed.
    """
    if any(state in ACTIVE_TARGETS for state in targets):
        return OperationState.RUNNING
    if TargetState.INTERRUPTED in targets:
        return OperationState.INTERRUPTED
    good = sum(state in GOOD_TARGETS for state in targets)
    if good == len(targets):
        return OperationState.SUCCEEDED
    if good:
        return OperationState.PARTLY
    if all(
        state in {TargetState.CANCELLED, TargetState.REFUSED} for state in targets
    ) and (TargetState.CANCELLED in targets):
        return OperationState.CANCELLED
    return OperationState.FAILED
