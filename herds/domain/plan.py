"""What a verb intends for each target, with the checks it was judged by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Verdict(StrEnum):
    """What a check says about going on."""

    OK = "ok"
    WARN = "warn"  # may go on once somebody has acknowledged it
    STOP = "stop"  # this target does not go


@dataclass(frozen=True, kw_only=True)
class Check:
    """One check: how it was made, what was seen, and what that means."""

    name: str
    how: str
    observed: str
    threshold: str = ""
    verdict: Verdict = Verdict.OK
    observed_at: str | None = None  # ISO 8601, or None where nothing was read

    def as_json(self) -> dict[str, Any]:
        """Give the row as stored in the plan of a target."""
        return {
            "name": self.name,
            "how": self.how,
            "observed": self.observed,
            "threshold": self.threshold,
            "verdict": self.verdict.value,
            "observed_at": self.observed_at,
        }


@dataclass(frozen=True, kw_only=True)
class Option:
    """One way to do it, possible or not, with what it takes or why not."""

    value: str
    label: str
    possible: bool = True
    why: str = ""

    def as_json(self) -> dict[str, Any]:
        """Give the row as stored in the plan of a target."""
        return {
            "value": self.value,
            "label": self.label,
            "possible": self.possible,
            "why": self.why,
        }


@dataclass(frozen=True, kw_only=True)
class Choice:
    """Something the person may choose otherwise than the plan does."""

    name: str
    label: str
    options: tuple[Option, ...]
    default: str

    def as_json(self) -> dict[str, Any]:
        """Give the choice as stored in the plan of a target."""
        return {
            "name": self.name,
            "label": self.label,
            "options": [option.as_json() for option in self.options],
            "default": self.default,
        }


@dataclass(frozen=True, kw_only=True)
class PlannedTarget:
    """What will happen to one target, or why nothing will."""

    now: str
    will: str
    steps: tuple[str, ...] = ()
    checks: tuple[Check, ...] = ()
    wave: int = 0  # targets of a herd run wave after wave, a wave at once
    choices: tuple[Choice, ...] = ()
    refusal: str = ""
    no_return: int | None = None  # how many of the steps can be undone, where not all
    afterwards: str = ""  # what will be true, where it differs from target to target
    typed: str = ""  # what the person has to type before this target goes
    runbook: tuple[str, ...] = ()  # the same by hand: lines of shell, quoted already
    facts: Mapping[str, Any] = field(default_factory=dict)  # compared when it is run
    identity: Mapping[str, Any] = field(default_factory=dict)  # which cluster was seen

    def as_json(self) -> dict[str, Any]:
        """Give the plan as stored with the target and drawn on the page."""
        return {
            "now": self.now,
            "will": self.will,
            "steps": list(self.steps),
            "checks": [check.as_json() for check in self.checks],
            "choices": [choice.as_json() for choice in self.choices],
            "refusal": self.refusal,
            "no_return": self.no_return,
            "afterwards": self.afterwards,
            "typed": self.typed,
            "runbook": list(self.runbook),
            "facts": dict(self.facts),
            "identity": dict(self.identity),
        }
