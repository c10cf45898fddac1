"""Runs ``python -m bench``: everything, or what its options leave."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from bench import latency, memory, rebuild, reload
from bench.figures import Report
from bench.fleet import DEBIAN, PLAIN, fleet
from bench.installation import installation

RESULTS = Path(__file__).parent / "results"
ON_FLEET = ("reload", "latency", "memory")
MEASUREMENTS = (*ON_FLEET, "rebuild")


def main() -> int:
    """Measure, print, and keep the figures; exit status 0 whatever they are."""
    options = _options()
    if os.geteuid() != 0:
        print("The lab needs root. Run: sudo make bench", file=sys.stderr)
        return 2
    report = Report()
    if set(options.only) & set(ON_FLEET):
        _measure_fleet(options, report)
    if "rebuild" in options.only:
        with (
            rebuild.pair_of_hosts(f"{options.lab}-rebuild") as hosts,
            installation(hosts, PLAIN) as installed,
        ):
            installed.enter_fleet()
            rebuild.measure(hosts, installed, report, rounds=options.rounds)
    print("\n".join(["", *report.lines()]))
    print(f"\nKept in {report.save(RESULTS)}")
    return 0


def _measure_fleet(options: argparse.Namespace, report: Report) -> None:
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
                    rounds=options.rounds,
                    plain=plain,
                    peers_too=not options.no_peers,
                )
        if "latency" in options.only:
            latency.measure(installed, report)
        if "memory" in options.only:
            memory.measure(installed, report)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--hosts", type=int, default=100, help="of the lab it makes")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each contender")
    parser.add_argument(
        "--lab", default="bench", help="a lab that is up already is used and left up"
    )
    parser.add_argument(
        "--only", nargs="+", choices=MEASUREMENTS, default=list(MEASUREMENTS)
    )
    parser.add_argument(
        "--no-peers", action="store_true", help="leave pssh and ansible out"
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
