"""The parts of a plan that has a point of no return: back, over it, only forward."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Stretch(StrEnum):
    """A part of the way; its value is how people read it."""

    BACK = "can be undone"
    EDGE = "point of no return"
    ON = "only forward"


@dataclass(frozen=True, kw_only=True)
class Part:
    """The steps of one part, numbered on from the part before."""

    stretch: Stretch
    first: int
    steps: tuple[str, ...]


def way_of(plan: Mapping[str, Any]) -> tuple[Part, ...]:
    """Part the steps of a stored plan; nothing where all or none can be undone.

    The point of no return is the first step that cannot be undone.
    """
    steps = tuple(plan.get("steps", ()))
    edge = plan.get("no_return")
    if edge is None or not 0 <= edge < len(steps):
        return ()
    return (
        Part(stretch=Stretch.BACK, first=1, steps=steps[:edge]),
        Part(stretch=Stretch.EDGE, first=edge + 1, steps=steps[edge : edge + 1]),
        Part(stretch=Stretch.ON, first=edge + 2, steps=steps[edge + 1 :]),
    )


def edge_of(plan: Mapping[str, Any]) -> str:
    """Name the step that is the point of no return; empty where there is none.

    What was chosen otherwise than planned stands in the place of what was planned.
    """
    way = way_of(plan)
    if not way:
        return ""
    chosen = plan.get("chosen", {})
    instead = {
        choice["default"]: chosen.get(choice["name"], choice["default"])
        for choice in plan.get("choices", ())
    }
    return " ".join(instead.get(word, word) for word in way[1].steps[0].split(" "))
