"""Says what this machine's processors allow, where they do the hosts' work too.

In a lab the hosts are processes of this machine. In a data centre what they do for a
switchover is done on processors of their own, so it is told apart here: what was
measured, the time below which this machine cannot come, and what follows by computing
for hosts whose processors are idle.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from bench.figures import Run, Series


@dataclass(frozen=True, kw_only=True)
class Ceiling:
    """What many herds at once and one alone took, in seconds.

    Attributes:
        herds: how many at once.
        processors: of this machine.
        wall: of all at once.
        alone: of one by itself.
        worker: the worker's own CPU time for all.
        beside: that of the metadata's server and of measuring, for all.
        busy: that of the whole machine meanwhile.
    """

    herds: int
    processors: int
    wall: float
    alone: float
    worker: float
    beside: float
    busy: float

    @classmethod
    def of(cls, one: Series, many: Series, *, herds: int, processors: int) -> Ceiling:
        """Take the medians of what was measured."""
        return cls(
            herds=herds,
            processors=processors,
            wall=many.wall,
            alone=one.wall,
            worker=many.cpu,
            beside=_median(many.runs, "beside"),
            busy=_median(many.runs, "busy"),
        )

    @property
    def hosts(self) -> float:
        """CPU seconds of everything else: the hosts, and whatever ran beside them."""
        return max(0.0, self.busy - self.worker - self.beside)

    @property
    def floor(self) -> float:
        """Seconds in which the processors can do the hosts' work, and nothing else."""
        return self.hosts / self.processors

    @property
    def computed(self) -> float:
        """Seconds for all where hosts have idle processors of their own.

        The worker is one Python process: its own work is done one after the other.
        """
        return max(self.worker, self.alone)

    def lines(self) -> list[str]:
        """Say it in sentences for a person."""
        each = self.hosts / self.herds
        worker = self.worker / self.herds
        used = self.busy / (self.wall * self.processors)
        return [
            f"{self.herds} herds: the {self.processors} processors worked "
            f"{self.busy:.1f} s in {self.wall:.1f} s ({used:.0%} of what they can): "
            f"{self.worker:.1f} s for the worker, {self.beside:.1f} s for its metadata "
            f"and for measuring, {self.hosts:.1f} s for the hosts.",
            f"The hosts' own work is {each:.2f} CPU-s a herd: {self.herds} herds "
            f"cannot take less than {self.floor:.1f} s on {self.processors} "
            f"processors. The worker's part is {worker:.3f} CPU-s a herd.",
            "Computed from these, not measured: on hosts with idle processors of their "
            f"own, {self.herds} herds take the worker's {self.worker:.1f} s or one "
            f"herd's {self.alone:.2f} s, whichever is longer: "
            f"{self.computed / self.alone:.1f} times as long as one.",
        ]


def _median(runs: Sequence[Run], name: str) -> float:
    return statistics.median(getattr(run, name) for run in runs)
