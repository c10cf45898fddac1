"""Switchovers as people do them by hand: what the nemesis itself is tried on."""

from __future__ import annotations

import threading
import time
from contextlib import suppress

from lab import LabError
from tests.nemesis.moment import Moment
from tests.nemesis.scene import Scene

BY_HAND = "by-hand"
CARELESS = "careless"
IMPATIENT = "impatient"
KINDS = (BY_HAND, CARELESS, IMPATIENT)
"""People: all do without checks; one stops nothing, one waits for nobody."""

_STEPS = ("stop", "promote", "dns", "old_primary")


class ByHand:
    """Stop, promote, move the name, start the old primary as a standby; no checks."""

    def __init__(self, scene: Scene, kind: str) -> None:
        self._scene = scene
        self._kind = kind
        self._began: list[str] = []
        self._at = time.monotonic()
        self._thread = threading.Thread(target=self._work, daemon=True)

    def begin(self) -> None:
        """Begin to work."""
        self._at = time.monotonic()
        self._thread.start()

    def is_over(self) -> bool:
        """Tell whether the person has given up or is done."""
        return not self._thread.is_alive()

    def wait_for(self, moment: Moment, seconds: float) -> bool:
        """Wait for a moment of the work; False where its end comes first."""
        if moment.kind == "after-yes":
            time.sleep(max(0.0, self._at + moment.later - time.monotonic()))
            return True
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and not self.is_over():
            if moment.step in self._began:
                time.sleep(moment.later)
                return True
            time.sleep(0.003)
        return False

    def _work(self) -> None:
        with suppress(LabError):
            for step in _STEPS:
                self._began.append(step)
                getattr(self, f"_{step}")()

    def _stop(self) -> None:
        # A fast stop would wait for the standbys to receive everything.
        mode = "immediate" if self._kind == IMPATIENT else "fast"
        if self._kind != CARELESS:
            self._scene.pg_ctl(self._scene.old, "-m", mode, "-w", "stop")

    def _promote(self) -> None:
        self._scene.sql(self._scene.candidate, "SELECT pg_promote(true, 4)")

    def _dns(self) -> None:
        self._scene.lead(self._scene.candidate)

    def _old_primary(self) -> None:
        scene = self._scene
        if self._kind == BY_HAND:
            scene.in_data(scene.old, "touch standby.signal")
            scene.pg_ctl(scene.old, "-w", *scene.start_words())
