"""Switches many herds over at once, against one of them alone."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

from bench.ceiling import Ceiling
from bench.elephaas import REJOIN
from bench.figures import Limit, Report, Series
from bench.fleet import PLAIN, Fleet
from bench.installation import Worker, installation, operate
from lab import Lab, Layout
from lab.layout import FIRST_PORT, HerdSpec, default_data_root, host_names
from lab.prerequisites import choose_postgres

HERDS_TO_A_HOST = 2
"""Primaries on each host; as many standbys of others come on top."""

PATIENCE = 0.25
"""What all at once may take of what they would one after the other, if many."""


def layout_for(herds: int, version: str) -> Layout:
    """Return a layout of small herds, a primary and a standby each, evenly spread.

    The standbys of herds whose primaries share a host are on different ones, so that
    many at once are no burden for any one host. ``herds`` is 2 or more.
    """
    hosts = host_names(max(2, -(-herds // HERDS_TO_A_HOST)))
    return Layout(
        hosts, tuple(_herd(number, hosts, version) for number in range(herds))
    )


def _herd(number: int, hosts: tuple[str, ...], version: str) -> HerdSpec:
    layer, place = divmod(number, len(hosts))
    standby = (place + 1 + layer % (len(hosts) - 1)) % len(hosts)
    name = f"herd{number + 1}"
    return HerdSpec(
        name=name,
        environment="prod",
        port=FIRST_PORT + number,
        members=(hosts[place], hosts[standby]),
        data_root=default_data_root(name, version, "plain"),
        packaging="plain",
        version=version,
    )


def measure(report: Report, *, herds: int, rounds: int, lab: str) -> None:
    """Add what all herds take at once, and what the first takes alone."""
    one = Series(name="One herd switched over")
    all_of_them = Series(name=f"{herds} herds switched over at once")
    # Later the load is that of what is measured.
    report.note_load()
    with (
        _herds(herds, lab) as fleet,
        installation(fleet, PLAIN, moves_names=True) as installed,
    ):
        installed.enter_fleet()
        with installed.worker(installed.settings(PLAIN)) as worker:
            _look(worker)
            for _ in range(rounds):
                first = next(iter(fleet.lab.herds))
                one.runs.append(operate(worker, "switchover", _standbys(first), REJOIN))
                all_of_them.runs.append(
                    operate(worker, "switchover", _standbys(), REJOIN)
                )
    report.series += [one, all_of_them]
    report.remarks += Ceiling.of(
        one, all_of_them, herds=herds, processors=os.cpu_count() or 1
    ).lines()
    report.limits.append(
        Limit(
            name=f"{herds} herds at once against one alone",
            value=all_of_them.wall / one.wall,
            unit="times as long",
            bound=max(2, herds * PATIENCE),
        )
    )


@contextmanager
def _herds(count: int, name: str) -> Iterator[Fleet]:
    """Give a lab with so many herds, and say how long it took to come up."""
    version = choose_postgres(None)
    lab = Lab(name)
    began = time.monotonic()
    if not lab.up(layout_for(count, version), say=print):
        raise RuntimeError(f"A lab {name} is up already; take it down first.")
    try:
        print(f"  up after {time.monotonic() - began:.1f} s", flush=True)
        yield Fleet(lab=lab, version=version)
    finally:
        lab.down()


def _look(worker: Worker) -> None:
    """Have the inventory say who is primary."""
    from herds.models import Instance

    operate(worker, "refresh", Instance.objects.values_list("pk", flat=True))


def _standbys(herd: str = "") -> list[int]:
    """Return the standbys of a herd, or of all."""
    from herds.models import Instance

    found = Instance.objects.filter(master__isnull=False)
    if herd:
        found = found.filter(herd__herd_name=herd)
    return list(found.values_list("pk", flat=True))
