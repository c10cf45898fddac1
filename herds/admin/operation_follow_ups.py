"""What a target has left to do, as buttons under its outcome."""

from __future__ import annotations

from dataclasses import dataclass

from herds.models import OperationTarget
from herds.operations import registry
from herds.services.actions import Action


@dataclass(frozen=True, kw_only=True)
class FollowUpRow:
    """One thing that is left to do.

    Attributes:
        number: where it stands among those of its target.
        words: what it does and why.
        action: what plans it; None where the application that had it is gone.
        instance_id: what it is done to.
    """

    number: int
    words: str
    action: Action | None
    instance_id: int

    @property
    def button(self) -> str:
        """Name the button; empty where it would lead nowhere."""
        if self.action is None:
            return ""
        return self.action.verb + ("…" if self.action.confirm else "")

    @property
    def permission(self) -> str:
        """Name the permission that a person needs for it."""
        return self.action.permission if self.action else ""


def follow_ups_of(target: OperationTarget) -> list[FollowUpRow]:
    """Give what a target has left to do, in the order it was told; no query."""
    known = {action.name: action for action in registry.all_actions()}
    return [
        FollowUpRow(
            number=number,
            words=stored["words"],
            action=known.get(stored["action"]),
            instance_id=stored["instance_id"],
        )
        for number, stored in enumerate(target.follow_ups, start=1)
    ]
