"""Keeps a former primary from taking writes again, and the ledger of who must not.

A fenced cluster can only start as a standby of nobody: ``standby.signal``, and no
upstream. It leaves the ledger when it is seen to follow.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from django.utils import timezone

from herds.domain.cluster import Activity
from herds.domain.plan import PlannedTarget
from herds.errors import NotObserved
from herds.models import Fence
from herds.postgres import promotion, replication

from .actions import Action
from .lifecycle import plan_each
from .target import Target

if TYPE_CHECKING:
    from datetime import datetime

    from herds.models import Instance


def enter(
    instance_id: int, operation_id: int | None, attested: str, *, is_applied: bool
) -> None:
    """Write a former primary into the ledger."""
    Fence.objects.update_or_create(
        instance_id=instance_id,
        defaults={
            "operation_id": operation_id,
            "attested": attested,
            "applied_at": timezone.now() if is_applied else None,
            "since": timezone.now(),
        },
    )


def waiting() -> Sequence[int]:
    """Give the instances in the ledger that could not be fenced yet."""
    found = Fence.objects.filter(applied_at__isnull=True).order_by("instance_id")
    return list(found.values_list("instance_id", flat=True))


def note_applied(instance_id: int, at: datetime) -> None:
    """Note that a former primary can only be a standby now."""
    Fence.objects.filter(instance_id=instance_id).update(applied_at=at)


def apply_fence(target: Target) -> str:
    """Make a former primary one that can only be a standby of nobody.

    It is stopped at once if it takes writes: nobody may read from it what the herd
    does not have.

    Returns:
        What it was found to be.

    Raises:
        NotObserved: it does not end.
        ElephaasError: its host cannot be reached, or its files not be written.
    """
    seen = target.look()
    if seen.activity in {Activity.ABSENT, Activity.FOREIGN}:
        return "without a data directory"
    if seen.in_recovery:
        return "a standby"
    was = "stopped"
    if seen.is_running:
        was = "a primary that took writes" if seen.answers else "starting"
        promotion.quit_at_once(target.cluster)
        came, seen = target.await_state(lambda now: not now.is_running)
        if not came:
            raise NotObserved(
                f"{target.host} to end",
                observed=seen.activity.value,
                seconds=target.patience,
                host=target.host,
                hint="Power it off, or cut it off from its clients.",
            )
    replication.stop_following(target.cluster)
    target.look()
    return was


def _plan(members: Sequence[Instance]) -> list[PlannedTarget]:
    return plan_each(
        members,
        will="can only start as a standby from then on",
        steps=("Fence it",),
        waves=[0] * len(members),
    )


def _run(target: Target) -> str:
    with target.steps.step("fence", f"Fence {target.host}") as step:
        was = apply_fence(target)
        step.note(f"It was {was}.")
    target.keep(lambda: note_applied(target.instance_id, timezone.now()))
    return (
        f"{target.host} came back as {was}, and is fenced: it can only start as a "
        "standby. Rebuild it to have it follow again."
    )


FENCE = Action(
    name="fence",
    verb="Fence",
    past="fenced",
    permission="herds.failover_instance",
    is_urgent=True,
    words="Keeps a former primary that has come back from taking writes.",
    afterwards="It can only start as a standby.",
    plan=_plan,
    run=_run,
    menus=(),
    confirm=False,
)
