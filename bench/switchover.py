"""Switches the primary of three nodes over, with every tool, while a client writes.

Every contender gets a cluster of its own, made anew and equal to the others', and runs
alone. The client is the same for all: it knows every node, and commits every few
milliseconds. What a client sees that knows only the virtual host is measured apart, for
those that move it.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psycopg

from bench import writer
from bench.autofailover import AutoFailover, AutoFailoverAsync
from bench.cluster import Cluster, cluster
from bench.contenders import Contender, Floor
from bench.elephaas import ElepHaaS
from bench.figures import Ratio, Report, Spread
from bench.observer import Observer
from bench.patroni import Patroni
from bench.repmgr import Repmgr
from bench.writer import Writer
from herds.errors import ElephaasError
from lab.errors import LabError

OUTAGE = "Write outage of the client"
FOLLOWING = "From yes to all nodes streaming, the old primary too"
LOST = "Acknowledged commits lost"

PEERS: dict[str, type[Contender]] = {
    "repmgr": Repmgr,
    "patroni": Patroni,
    "autofailover": AutoFailover,
    "autofailover-async": AutoFailoverAsync,
}
CONTENDERS: dict[str, type[Contender]] = {
    "elephaas": ElepHaaS,
    "floor": Floor,
    **PEERS,
}

_STEADY = 200
"""Commits before anything is begun, and after everything has ended."""


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What one switchover was like; times are in milliseconds."""

    outage: float
    following: float | None
    lost: int


def measure(report: Report, *, names: Sequence[str], rounds: int, lab: str) -> None:
    """Add the figures of some CONTENDERS to the report.

    One that fails is reported so, and keeps no other from being measured.

    Args:
        report: where they are added.
        names: whom to measure.
        rounds: switchovers of each.
        lab: a name for the labs that are made, one after the other.
    """
    for kind in (CONTENDERS[name] for name in names):
        try:
            with cluster(lab) as made, kind(made) as contender:
                _measure(contender, made.by_address, kind.name, rounds, report)
                if contender.moves_name:
                    title = f"{kind.name}, by virtual host"
                    _measure(contender, made.by_name, title, rounds, report)
        except (RuntimeError, LabError, ElephaasError, psycopg.Error) as failure:
            print(f"\n  ✖ {failure}", flush=True)
            report.failures.append(f"{kind.name}: {failure}")
    report.ratios += [
        Ratio(figure=figure, ours=ElepHaaS.name, theirs=CONTENDERS[name].name)
        for figure in (OUTAGE, FOLLOWING)
        for name in names
        if name != "elephaas"
    ]


def _measure(
    contender: Contender, conninfo: str, title: str, rounds: int, report: Report
) -> None:
    print(f"  {title} …", end=" ", flush=True)
    way = "nodes" if title == contender.name else "name"
    runs: list[Seen] = []
    with tempfile.TemporaryDirectory(prefix="bench-") as directory:
        for number in range(rounds):
            run = switch(contender, conninfo, Path(directory), f"{way}{number}")
            print(f"{run.outage:.0f}", end=" ", flush=True)
            runs.append(run)
    print(f"ms, load {os.getloadavg()[0]:.1f}", flush=True)
    report.spreads += _spreads(title, runs)


def _spreads(title: str, runs: Sequence[Seen]) -> list[Spread]:
    following = [run.following for run in runs if run.following is not None]
    return [
        Spread(name=title, figure=OUTAGE, unit="ms", values=[r.outage for r in runs]),
        Spread(name=title, figure=FOLLOWING, unit="ms", values=following),
        Spread(name=title, figure=LOST, unit="", values=[float(r.lost) for r in runs]),
    ]


def switch(contender: Contender, conninfo: str, directory: Path, name: str) -> Seen:
    """Run one switchover under a client; return what was seen of it."""
    cluster = contender.cluster
    old = cluster.primary()
    new = cluster.successor(old)
    with Writer(cluster.lab, conninfo, directory, name) as client:
        client.await_commits(_STEADY, 30)
        switch = contender.plan(old, new)
        client.await_commits(_STEADY, 30)
        with Observer(cluster, old) as observer:
            told = time.monotonic_ns()
            switch()
            if contender.brings_followers:
                observer.await_followers(120)
            client.await_commits(_STEADY, 120)
    commits = client.commits()
    if not contender.brings_followers:
        contender.restore(old, new)
    _await_whole(cluster, old)
    found = cluster.written(cluster.primary(), name)
    pause = writer.longest_pause(commits, since=told)
    if pause.before.server == pause.after.server:
        raise RuntimeError(
            f"{name}: the longest pause, {pause.milliseconds:.0f} ms, is not that of "
            f"the switchover: {pause.before.server} acknowledged on either side."
        )
    return Seen(
        outage=pause.milliseconds,
        following=(observer.streaming_at - told) / 1e6
        if observer.streaming_at
        else None,
        lost=len(writer.lost(commits, found)),
    )


def _await_whole(cluster: Cluster, old: str) -> None:
    """Return when everybody streams, so that the next round finds what this one did."""
    with Observer(cluster, old) as observer:
        observer.await_followers(120)
