"""When a fault strikes."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Moment:
    """When a fault strikes.

    Attributes:
        kind: ``before`` the plan is asked for, ``planned`` (before the yes), some time
            ``after-yes``, or when a step ``begins`` or ``ended``.
        step: the name of the step.
        later: seconds after that.
    """

    kind: str
    step: str = ""
    later: float = 0.0

    def __str__(self) -> str:
        words = f"{self.step} {self.kind}".strip()
        return f"{words} +{self.later * 1000:.0f} ms" if self.later else words
