"""How a target ended well: the sentence of what is true, and what is left to do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class FollowUp:
    """Something that remains to be done: an action on one instance, a click away."""

    action: str
    instance_id: int
    words: str  # what it does and why: "Rebuild ele03: it was not reachable."

    def as_json(self) -> dict[str, Any]:
        """Give the row as stored with the target."""
        return {
            "action": self.action,
            "instance_id": self.instance_id,
            "words": self.words,
        }


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """A good end, with what is left to do."""

    sentence: str
    follow_ups: tuple[FollowUp, ...] = ()
