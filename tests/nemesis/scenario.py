"""Draws from a seed what happens in a run; the same seed draws the same again."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from tests.nemesis.checker import NO_FAULT
from tests.nemesis.faults import FAULTS
from tests.nemesis.loss import LOSSES
from tests.nemesis.moment import Moment

SWITCHOVER = "switchover"
FAILOVER = "failover"

_ACTIONS = {SWITCHOVER: 3, FAILOVER: 1}
_CLEAN = 0.1
"""How much of the runs is to meet no fault at all."""

_STEPS = {
    SWITCHOVER: {"look": 1, "prepare": 2, "stop": 4, "compare": 2},
    FAILOVER: {"look": 1, "fence": 3, "freeze": 2, "compare": 2},
}
_STEPS_OF_ALL = {"promote": 4, "dns": 1, "followers": 2, "verify": 1}
"""The named steps, and how often each is the moment of a fault."""


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """One run, as drawn.

    Attributes:
        name: seed and number, by which it is drawn again.
        number: of the run.
        herd: which herd.
        action: what is asked for.
        choose: which of the standbys takes over.
        old_primary: what becomes of the old primary: ``prepared`` or ``rejoin``.
        loss: how a failover's primary is lost.
        fault: by name.
        moment: when it strikes.
        hold: seconds until it is mended; None for not before the operation has ended.
    """

    name: str
    number: int
    herd: str
    action: str
    choose: int
    old_primary: str
    loss: str
    fault: str
    moment: Moment
    hold: float | None

    def dice(self) -> random.Random:
        """Give the dice that the fault itself throws."""
        return random.Random(f"fault of {self.name}")


def draw(
    seed: int,
    number: int,
    *,
    herds: Sequence[str],
    actions: Sequence[str],
    faults: Sequence[str] = (),
) -> Scenario:
    """Draw a run.

    Args:
        seed: of the whole nemesis.
        number: of the run.
        herds: to choose from.
        actions: to choose from.
        faults: to choose from; all of them, and none now and then, where not given.
    """
    name = f"{seed}:{number}"
    dice = random.Random(name)
    weights = [_ACTIONS.get(action, 1) for action in actions]
    action = dice.choices(list(actions), weights)[0]
    herd = herds[number % len(herds)]
    fault = _fault(dice, action, herd, faults)
    return Scenario(
        name=name,
        number=number,
        herd=herd,
        action=action,
        choose=dice.randrange(2),
        old_primary=dice.choice(("prepared", "rejoin")),
        loss=dice.choice(LOSSES),
        fault=fault,
        moment=_moment(dice, action, fault),
        hold=_hold(dice),
    )


def _fault(dice: random.Random, action: str, herd: str, faults: Sequence[str]) -> str:
    clean = dice.random() < _CLEAN
    fitting = [name for name, kind in FAULTS.items() if kind.fits(action, herd)]
    wanted = [name for name in fitting if not faults or name in faults]
    chosen = dice.choice(wanted or [NO_FAULT])
    return NO_FAULT if clean and not faults else chosen


def _moment(dice: random.Random, action: str, fault: str) -> Moment:
    steps = _STEPS.get(action, _STEPS[SWITCHOVER]) | _STEPS_OF_ALL
    step = dice.choices(list(steps), list(steps.values()))[0]
    kind = dice.choices(("begins", "ended", "after-yes"), (5, 3, 2))[0]
    later = dice.choice((0.0, dice.uniform(0, 0.1), dice.uniform(0, 0.4)))
    fixed = FAULTS[fault].moment
    if fixed:
        return Moment(kind=fixed)
    if kind == "after-yes":
        return Moment(kind=kind, later=dice.uniform(0, 1.5))
    return Moment(kind=kind, step=step, later=later)


def _hold(dice: random.Random) -> float | None:
    return dice.choice((dice.uniform(0.05, 0.5), dice.uniform(0.5, 4.0), None))
