"""Bring a diverged old primary back: ElepHaaS's ladder beside what is done by hand.

Everybody begins with the same: an old primary that runs on after another was promoted,
with changes of its own, 2 GB of data, one page in a hundred changed on the new primary.
The clock runs from the order to stop it until it streams on the new timeline. Bytes are
those that its network card received.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from bench.figures import Limit, Ratio, Report, Spread
from bench.fleet import PLAIN, Fleet
from bench.installation import Installation, Worker, ended, requester, wait_until
from bench.parted import Pair
from lab import HerdSpec, Lab, Layout
from lab.prerequisites import choose_postgres

MEGABYTES = 2000
HERD = "big"
STATE_ROOT = "LAB_STATE_ROOT"

LADDER = "ElepHaaS, the way it chooses"
REWIND = "ElepHaaS, rewind"
RSYNC = "ElepHaaS, rsync"
BASEBACKUP = "pg_basebackup by hand"
WHOLE_FILES = "rsync -W by hand"

WALL = "Rebuild, until streaming"
RECEIVED = "Rebuild, received"
PLANNED = "Rebuild, its plan"

_OURS = {LADDER: "", REWIND: "rewind", RSYNC: "rsync"}


@contextmanager
def pair_of_hosts(name: str) -> Iterator[Fleet]:
    """Give a lab of two hosts and one herd, both members of which pg_ctl starts."""
    version = choose_postgres(None)
    herd = HerdSpec(
        name=HERD,
        environment="prod",
        port=5432,
        members=("ele01", "ele02"),
        data_root=f"/var/lib/postgresql/{version}/{HERD}",
        packaging="plain",
    )
    with _on_disk():
        lab = Lab(name)
        made = lab.up(Layout(hosts=herd.members, herds=(herd,)), say=print)
        try:
            yield Fleet(lab=lab, version=version)
        finally:
            if made:
                lab.down()


@contextmanager
def _on_disk() -> Iterator[None]:
    """Have a lab keep its state on a disk, where gigabytes of data lie in real life."""
    chosen = os.environ.get(STATE_ROOT)
    os.environ[STATE_ROOT] = chosen or "/var/tmp"
    try:
        yield
    finally:
        if chosen is None:
            del os.environ[STATE_ROOT]


def measure(
    fleet: Fleet, installed: Installation, report: Report, *, rounds: int
) -> None:
    """Add every contender's times and bytes to the report; they take turns."""
    herd = fleet.lab.herds[HERD]
    pair = Pair(fleet.lab, herd, new=herd.members[0], old=herd.members[1])
    print(f"  {MEGABYTES:,} MB of data …", flush=True)
    pair.fill(MEGABYTES)
    names = (*_OURS, BASEBACKUP, WHOLE_FILES)
    walls = {name: Spread(name=name, figure=WALL, unit="ms") for name in names}
    bytes_ = {name: Spread(name=name, figure=RECEIVED, unit="MB") for name in names}
    plans = {name: Spread(name=name, figure=PLANNED, unit="ms") for name in _OURS}
    with installed.worker(installed.settings(PLAIN)) as worker:
        by_hand = {BASEBACKUP: pair.base_backup, WHOLE_FILES: pair.whole_files}
        for _ in range(rounds):
            for name in names:
                pair.part()
                if name in _OURS:
                    planned, work = _planned(pair, worker, _OURS[name])
                    plans[name].values.append(planned * 1000)
                else:
                    work = _timed(by_hand[name])
                before = pair.received()
                wall = work()
                received = (pair.received() - before) / 1e6
                pair.check()
                walls[name].values.append(wall * 1000)
                bytes_[name].values.append(received)
                print(f"  {name}: {wall:.2f} s, {received:,.0f} MB", flush=True)
    report.spreads += [*walls.values(), *bytes_.values(), *plans.values()]
    _compare(report, walls, bytes_)


def _compare(
    report: Report, walls: dict[str, Spread], bytes_: dict[str, Spread]
) -> None:
    report.ratios += [
        Ratio(figure=WALL, ours=LADDER, theirs=BASEBACKUP, wanted=2),
        *(
            Ratio(figure=WALL, ours=ours, theirs=theirs)
            for ours in _OURS
            for theirs in (BASEBACKUP, WHOLE_FILES)
            if (ours, theirs) != (LADDER, BASEBACKUP)
        ),
        *(
            Ratio(figure=RECEIVED, ours=ours, theirs=BASEBACKUP)
            for ours in (LADDER, REWIND)
        ),
    ]
    share = bytes_[RSYNC].median / bytes_[BASEBACKUP].median
    report.limits.append(
        Limit(
            name=f"{RSYNC}: received of what {BASEBACKUP} receives",
            value=share * 100,
            unit="%",
            bound=4,
        )
    )


def _steps(target: Any) -> str:
    """Tell where the time went: each step with its seconds."""
    return ", ".join(
        f"{step.name} {(step.finished_at - step.started_at).total_seconds():.2f}"
        for step in target.steps.order_by("number")
    )


def _timed(work: Callable[[], None]) -> Callable[[], float]:
    def run() -> float:
        begun = time.monotonic()
        work()
        return time.monotonic() - begun

    return run


def _planned(
    pair: Pair, worker: Worker, method: str
) -> tuple[float, Callable[[], float]]:
    """Plan the demotion of the old primary; give how long that took, and the rest."""
    from herds.domain.states import OperationState, TargetState
    from herds.models import Instance, Operation
    from herds.operations import requests

    Instance.objects.update(master=None)
    member = Instance.objects.get(server__hostname=pair.old)
    begun = time.monotonic()
    operation = requests.draft("demote", [member.pk], requester())
    written = Operation.objects.filter(pk=operation.pk, state=OperationState.PLANNED)
    wait_until(written.exists, "the plan is written", 120)
    planned = time.monotonic() - begun

    def run() -> float:
        requests.confirm(
            operation.pk,
            requester(),
            acknowledged=True,
            choices={"method": method} if method else {},
        )
        finished = ended(operation.pk)
        target = finished.targets.get()
        if target.state != TargetState.SUCCEEDED:
            raise RuntimeError(f"{target.state}: {target.outcome}")
        print(f"    {target.outcome}\n    {_steps(target)}", flush=True)
        wall = finished.finished_at - finished.confirmed_at
        return float(wall.total_seconds())

    return planned, run
