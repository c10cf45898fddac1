"""What a fault is: something that strikes once in a run, and is mended."""

from __future__ import annotations

import random
from typing import ClassVar

from tests.nemesis.by_hand import KINDS
from tests.nemesis.scene import Scene

SWITCHOVER_ONLY = frozenset({"switchover", *KINDS})
_ALL = SWITCHOVER_ONLY | {"failover"}


class Fault:
    """Something that goes wrong once in a run, or nothing.

    ``strike`` says what it did to the scene: who is out of reach since then, whose
    server it stopped or started, which rules it breaks itself. ``mend`` follows in
    any case, and has nothing to do where ``strike`` never came.
    """

    actions: ClassVar[frozenset[str]] = _ALL
    moment: ClassVar[str] = ""  # the one it is bound to; any where empty
    herds: ClassVar[frozenset[str]] = frozenset()  # any where empty

    def __init__(self, scene: Scene, dice: random.Random) -> None:
        self.scene = scene
        self.dice = dice

    @classmethod
    def fits(cls, action: str, herd: str) -> bool:
        """Tell whether it says something about an action on a herd."""
        return action in cls.actions and (not cls.herds or herd in cls.herds)

    def strike(self) -> None:
        """Break something."""

    def mend(self) -> None:
        """Undo it, as far as a person would who knows nothing of the operation."""
