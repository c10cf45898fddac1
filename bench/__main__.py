"""Runs ``python -m bench``: everything, or what its options leave."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

from bench import (
    checkins,
    herds,
    latency,
    memory,
    pages,
    rebuild,
    refresh,
    reload,
    switchover,
)
from bench.figures import Report
from bench.fleet import DEBIAN, PLAIN, fleet
from bench.installation import installation

RESULTS = Path(__file__).parent / "results"
PLACES = (
    ("reload", "refresh", "latency", "memory"),
    ("switchover",),
    ("herds",),
    ("rebuild",),
    ("checkins",),
    ("pages",),
)
"""The measurements, by the hosts that they share."""

MEASUREMENTS = tuple(name for place in PLACES for name in place)


def main() -> int:
    """Measure, print, and keep the figures; exit status 0 whatever they are.

    It is 1 when somebody could not be measured.
    """
    options = parser().parse_args()
    if os.geteuid() != 0:
        print("The lab needs root. Run: sudo make bench", file=sys.stderr)
        return 2
    wanted = [[name for name in place if name in options.only] for place in PLACES]
    wanted = [place for place in wanted if place]
    if len(wanted) > 1:
        return _one_by_one(wanted)
    report = Report()
    if "switchover" in options.only:
        _switchover(options, report)
    elif "herds" in options.only:
        herds.measure(
            report, herds=options.herds, rounds=options.rounds or 3, lab=options.lab
        )
    elif "rebuild" in options.only:
        _rebuild(options, report)
    elif "checkins" in options.only:
        checkins.measure(report, rounds=options.rounds or 3)
    elif "pages" in options.only:
        pages.measure(report, rounds=options.rounds or 15)
    else:
        _fleet(options, report)
    print("\n".join(["", *report.lines()]))
    print(f"\nKept in {report.save(RESULTS)}")
    return 1 if report.failures else 0


def _one_by_one(places: list[list[str]]) -> int:
    """Measure in a process for each place: Django is set up once in a process."""
    # The last of two options counts, so that the others stay as they are.
    return max(
        subprocess.run(
            [sys.executable, "-m", "bench", *sys.argv[1:], "--only", *place],
            check=False,
        ).returncode
        for place in places
    )


def _switchover(options: argparse.Namespace, report: Report) -> None:
    left_out = switchover.PEERS if options.no_peers else ()
    switchover.measure(
        report,
        names=[name for name in options.contenders if name not in left_out],
        rounds=options.rounds or 10,
        lab=options.lab,
    )


def _rebuild(options: argparse.Namespace, report: Report) -> None:
    with (
        rebuild.pair_of_hosts(f"{options.lab}-rebuild") as hosts,
        installation(hosts, PLAIN) as installed,
    ):
        installed.enter_fleet()
        rebuild.measure(hosts, installed, report, rounds=options.rounds or 3)


def _fleet(options: argparse.Namespace, report: Report) -> None:
    """Measure what is measured on a hundred hosts."""
    with (
        fleet(options.lab, options.hosts) as hosts,
        installation(hosts, DEBIAN) as installed,
    ):
        installed.enter_fleet()
        if "reload" in options.only:
            for plain in (False, True):
                reload.measure(
                    hosts,
                    installed,
                    report,
                    rounds=options.rounds or 3,
                    plain=plain,
                    peers_too=not options.no_peers,
                )
        if "refresh" in options.only:
            refresh.measure(hosts, report, rounds=options.rounds or 5)
        if "latency" in options.only:
            latency.measure(installed, report)
        if "memory" in options.only:
            memory.measure(installed, report)


def parser() -> argparse.ArgumentParser:
    """Return what reads the command line."""
    made = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    made.add_argument("--hosts", type=int, default=100, help="of the lab it makes")
    made.add_argument(
        "--herds", type=int, default=40, help="that are switched over at once"
    )
    made.add_argument(
        "--rounds", type=int, help="runs of each contender: 10 switchovers, else 3"
    )
    made.add_argument(
        "--lab",
        default="bench",
        help="its name; one that is up already serves for reload, refresh, latency and "
        "memory, and is left up",
    )
    made.add_argument(
        "--only", nargs="+", choices=MEASUREMENTS, default=list(MEASUREMENTS)
    )
    made.add_argument(
        "--contenders",
        nargs="+",
        choices=list(switchover.CONTENDERS),
        default=list(switchover.CONTENDERS),
        help="whose switchovers are measured",
    )
    made.add_argument(
        "--no-peers", action="store_true", help="leave the other tools out"
    )
    return made


if __name__ == "__main__":
    sys.exit(main())
