"""Figures of repeated runs, and how they are printed and kept."""

from __future__ import annotations

import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

BUSY = 1.5
"""Load per processor from which on a machine does more than is measured."""

_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, kw_only=True)
class Run:
    """One run of one contender.

    ``wall`` is in seconds. ``cpu`` is what the contender's own processes used, in
    seconds: the figure that carries over to real hosts, whose own work is not done by
    this machine's processors.

    ``busy`` is what all of this machine's processors did meanwhile, in seconds, and
    ``beside`` what was done there for the contender or for measuring, but on no host:
    its metadata's server and this process. Both are 0 where they were not read.
    """

    wall: float
    cpu: float
    busy: float = 0.0
    beside: float = 0.0


@dataclass(kw_only=True)
class Series:
    """The runs of one contender."""

    name: str
    runs: list[Run] = field(default_factory=list)

    @property
    def wall(self) -> float:
        """Median of the wall times in seconds."""
        return statistics.median(run.wall for run in self.runs)

    @property
    def cpu(self) -> float:
        """Median of the CPU times in seconds."""
        return statistics.median(run.cpu for run in self.runs)


@dataclass(kw_only=True)
class Spread:
    """The values that one figure of one contender took.

    ``load`` is how many processes wanted a processor just then: getloadavg(3).
    """

    name: str
    figure: str
    unit: str
    values: list[float] = field(default_factory=list)
    load: float = field(default_factory=lambda: os.getloadavg()[0])

    @property
    def median(self) -> float:
        """The value in the middle."""
        return statistics.median(self.values)


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Two contenders, and how many times quicker the first has to be."""

    ours: str
    theirs: str
    wanted: float


@dataclass(frozen=True, kw_only=True)
class Ratio:
    """Two contenders in one figure, and how far the second has to be above the first.

    ``wanted`` is the least that the second's median divided by the first's may be; None
    where the two are only set side by side.
    """

    figure: str
    ours: str
    theirs: str
    wanted: float | None = None


@dataclass(frozen=True, kw_only=True)
class Limit:
    """A figure that is to stay below a bound."""

    name: str
    value: float
    unit: str
    bound: float


@dataclass
class Report:
    """Everything measured in one go.

    ``busiest`` is the highest load average that was noted while measuring.
    """

    series: list[Series] = field(default_factory=list)
    comparisons: list[Comparison] = field(default_factory=list)
    limits: list[Limit] = field(default_factory=list)
    spreads: list[Spread] = field(default_factory=list)
    ratios: list[Ratio] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    busiest: float = 0.0

    def note_load(self) -> None:
        """Note how busy the machine is just now."""
        self.busiest = max(self.busiest, os.getloadavg()[0])

    def series_named(self, name: str) -> Series | None:
        """Return a contender's runs, None when it did not take part."""
        return next((one for one in self.series if one.name == name), None)

    def lines(self) -> list[str]:
        """Return the report for a person."""
        lines = self._table([one for one in self.series if one.runs])
        lines += [line for pair in self.comparisons for line in self._compared(pair)]
        for figure in dict.fromkeys(spread.figure for spread in self.spreads):
            lines += self._spread_out(figure)
        lines += [
            f"{limit.name}: {limit.value:.1f} {limit.unit}, wanted below "
            f"{limit.bound:g}: {_verdict(limit.value < limit.bound)}"
            for limit in self.limits
        ]
        lines += self.remarks
        lines += self._busy()
        return lines + [f"✖ Not measured: {failure}" for failure in self.failures]

    def save(self, directory: Path) -> Path:
        """Keep the figures as JSON, with where they were measured."""
        directory.mkdir(parents=True, exist_ok=True)
        path = directory / f"{time.strftime('%Y%m%d-%H%M%S')}.json"
        data: dict[str, Any] = {
            "processors": os.cpu_count(),
            "load": os.getloadavg(),
            "python": platform.python_version(),
            **asdict(self),
        }
        path.write_text(json.dumps(data, indent=1) + "\n")
        return path

    def _table(self, series: Sequence[Series]) -> list[str]:
        if not series:
            return []
        width = max(len(one.name) for one in series)
        return [
            f"{'':{width}}  {'wall':>9}  {'own CPU':>9}  runs",
            *(
                f"{one.name:{width}}  {one.wall:7.2f} s  {one.cpu:7.2f} s  "
                f"{len(one.runs):4}"
                for one in series
            ),
            "",
        ]

    def spread(self, figure: str, name: str) -> Spread | None:
        """Return what a figure of a contender was, None when it was not measured."""
        return next(
            (
                spread
                for spread in self.spreads
                if (spread.figure, spread.name) == (figure, name) and spread.values
            ),
            None,
        )

    def _spread_out(self, figure: str) -> list[str]:
        spreads = [one for one in self.spreads if one.figure == figure and one.values]
        if not spreads:
            return []
        width = max([len(figure), *(len(one.name) for one in spreads)])
        return [
            f"{figure:{width}}  {'median':>9}  {'least':>9}  {'most':>9}  runs  load",
            *(
                f"{one.name:{width}}  "
                + "  ".join(
                    f"{value:6.0f} {one.unit:2}"
                    for value in (one.median, min(one.values), max(one.values))
                )
                + f"  {len(one.values):4}  {one.load:4.1f}"
                for one in spreads
            ),
            *(
                line
                for ratio in self.ratios
                if ratio.figure == figure
                for line in self._ratio(ratio)
            ),
            "",
        ]

    def _ratio(self, pair: Ratio) -> list[str]:
        ours = self.spread(pair.figure, pair.ours)
        theirs = self.spread(pair.figure, pair.theirs)
        if ours is None or theirs is None or not ours.median:
            return []
        ratio = theirs.median / ours.median
        line = f"{pair.theirs}: {ratio:.1f} times that of {pair.ours}"
        if pair.wanted is None:
            return [line]
        return [f"{line}; wanted {pair.wanted:g}: {_verdict(ratio >= pair.wanted)}"]

    def _busy(self) -> list[str]:
        """Say so where others used the machine, for then the figures are not ours."""
        processors = os.cpu_count() or 1
        load = max([self.busiest, *(spread.load for spread in self.spreads)])
        if load <= BUSY * processors:
            return []
        return [
            f"▲ The load average was {load:.1f} on {processors} processors: the machine"
            " was busy with something else. Measure again when it is quiet."
        ]

    def _compared(self, pair: Comparison) -> list[str]:
        ours, theirs = self.series_named(pair.ours), self.series_named(pair.theirs)
        if ours is None or theirs is None or not (ours.runs and theirs.runs):
            return []
        ratio = theirs.wall / ours.wall
        cpu = f", {theirs.cpu / ours.cpu:.1f} times its own CPU" if ours.cpu else ""
        return [
            f"{pair.theirs} takes {ratio:.1f} times as long as {pair.ours}{cpu}; "
            f"wanted {pair.wanted:g}: {_verdict(ratio >= pair.wanted)}"
        ]


def timed(cpu_seconds: Callable[[], float], work: Callable[[], object]) -> Run:
    """Run something once; ``cpu_seconds`` reads the contender's CPU clock."""
    cpu, wall = cpu_seconds(), time.monotonic()
    work()
    return Run(wall=time.monotonic() - wall, cpu=cpu_seconds() - cpu)


def median_of(values: Sequence[float]) -> float:
    """Return the median."""
    return statistics.median(values)


def descendants(pid: int) -> list[int]:
    """Return a process and all its descendants that live."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            after = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        parents[int(stat.parent.name)] = int(after[1])
    found = [pid]
    for parent in found:
        found += [child for child, of in parents.items() if of == parent]
    return found


def cpu_of(pids: Sequence[int]) -> float:
    """Return the CPU seconds that living processes have used, waited children too."""
    total = 0
    for pid in pids:
        try:
            after = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        total += sum(int(ticks) for ticks in after[11:15])
    return total / _TICKS


def busy_seconds(stat: str = "") -> float:
    """Return the CPU seconds this machine's processors have worked since it began.

    Args:
        stat: the text of /proc/stat (proc(5)); read here unless given. Waiting for
            disks is no work, and what a hypervisor took away is not this machine's.
    """
    stat = stat or Path("/proc/stat").read_text()
    fields = stat.splitlines()[0].split()[1:]
    user, nice, system, _, _, irq, softirq = map(int, fields[:7])
    return (user + nice + system + irq + softirq) / _TICKS


def resident_megabytes(pid: int) -> float:
    """Return a process's resident memory, in MB of 1,000,000 bytes."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def threads_of(pid: int) -> int:
    """Return how many threads a process has; a kept connection is one."""
    return len(list(Path(f"/proc/{pid}/task").iterdir()))


def _verdict(fine: bool) -> str:
    return "✔ reached" if fine else "✖ missed"
