"""The options of the nemesis, a line for each run, and the sum of them."""

from __future__ import annotations

import argparse
import os
import secrets
import signal
import sys
import time
import traceback
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from herds.operations import registry
from lab import LabError
from tests.nemesis import keeping
from tests.nemesis.arena import Arena, arena
from tests.nemesis.by_hand import BY_HAND, KINDS
from tests.nemesis.checker import NO_FAULT
from tests.nemesis.faults import FAULTS
from tests.nemesis.run import Result, Run
from tests.nemesis.scenario import FAILOVER, SWITCHOVER, Scenario, draw

EVIDENCE = Path("/var/tmp/elephaas-nemesis")


def main(arguments: Sequence[str]) -> int:
    """Run the nemesis; exit status 1 where a rule was broken."""
    options = _options(arguments)
    if os.geteuid() != 0:
        print("The lab needs root. Run: sudo make nemesis", file=sys.stderr)
        return 2
    # Who ends it by a signal finds no lab left behind.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    scenarios = _scenarios(options)
    with arena() as made:
        broken = play_all(made, scenarios, options.evidence, keep_all=options.keep_all)
    return 1 if broken else 0


def play_all(
    made: Arena, scenarios: Sequence[Scenario], evidence: Path, *, keep_all: bool
) -> int:
    """Play runs one after the other; give how many broke a rule."""
    results: list[Result] = []
    broken = 0
    for scenario in scenarios:
        try:
            result = play(made, scenario)
        except (LabError, AssertionError):
            # What the nemesis itself could not do says nothing of the product, and
            # yet no run may pass for a good one that was none.
            broken += 1
            print(f"{scenario.name:>12}  the run itself failed", flush=True)
            traceback.print_exc()
            continue
        results.append(result)
        print(line(result), flush=True)
        broken += bool(result.violations)
        if result.violations or keep_all:
            kept = keeping.keep(evidence, made, result)
            print(f"{'':14}kept in {kept}", flush=True)
    print("\n".join(summary(results, broken)))
    return broken


def play(made: Arena, scenario: Scenario) -> Result:
    """Play one run."""
    with made.product(scenario.herd) as product:
        return Run(made, product, scenario).play()


def line(result: Result) -> str:
    """Give the line of a run, and one for each rule that it broke."""
    scenario = result.scenario
    fault, when = scenario.fault, str(scenario.moment)
    if scenario.action == FAILOVER:
        fault += f" ({scenario.loss})"
    if scenario.fault == NO_FAULT:
        when = "-"
    elif not result.struck:
        when += ", too late"
    elif scenario.hold is not None:
        when += f", for {scenario.hold:.1f} s"
    verdict = "ok" if not result.violations else "VIOLATED"
    first = (
        f"{scenario.name:>12}  {scenario.herd:<6} {scenario.action:<10} {fault:<24} "
        f"{when:<36} {result.states:<24} {result.outage * 1000:6.0f} ms  "
        f"{result.seconds:4.1f} s  {verdict}"
    )
    return "\n".join([first, *(f"{'':14}{each}" for each in result.violations)])


def summary(results: Sequence[Result], broken: int) -> list[str]:
    """Give the sum of all runs."""
    ends = Counter(
        (each.scenario.action, each.evidence.endings[0].state)
        for each in results
        if each.evidence.endings
    )
    lines = ["", f"{len(results)} runs, {broken} of them broke a rule."]
    lines += [
        f"  {action:<10} {state:<12} {count:4}"
        for (action, state), count in sorted(ends.items())
    ]
    rules = Counter(each.rule for result in results for each in result.violations)
    lines += [f"  broken: {rule:<28} {count:4}" for rule, count in rules.items()]
    clean = [each.outage for each in results if not each.struck and not each.violations]
    if clean:
        lines.append(f"  median outage without a fault: {median(clean) * 1000:.0f} ms")
    lines.append("  longest outages:")
    lines += [
        f"    {each.outage:6.1f} s  {each.scenario.name}  {each.scenario.action}, "
        f"{each.scenario.fault}: {each.states}"
        for each in sorted(results, key=lambda each: -each.outage)[:5]
    ]
    commits = sum(len(each.evidence.commits) for each in results)
    lines.append(f"  acknowledged commits: {commits}")
    return lines


def _scenarios(options: argparse.Namespace) -> list[Scenario]:
    seed, numbers = options.seed, range(options.runs)
    if options.replay:
        seed_word, _, number = options.replay.partition(":")
        seed, numbers = int(seed_word), range(int(number), int(number) + 1)
    print(f"Seed {seed}; the same again: --seed {seed}, one run: --replay {seed}:RUN")
    return [
        draw(
            seed,
            number,
            herds=options.herds,
            actions=options.actions,
            faults=options.faults,
        )
        for number in numbers
    ]


def _known_actions() -> list[str]:
    known = [action.name for action in registry.all_actions()]
    return [name for name in (SWITCHOVER, FAILOVER) if name in known] or [BY_HAND]


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.nemesis",
        description="Breaks things while switchovers and failovers run, and checks.",
    )
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument(
        "--seed", type=int, default=secrets.randbelow(10**6), help="random by default"
    )
    parser.add_argument(
        "--replay",
        metavar="SEED:RUN",
        help="play one run again; give --actions, --herds and --faults as it had them",
    )
    parser.add_argument(
        "--faults", nargs="+", choices=list(FAULTS), default=[], metavar="FAULT"
    )
    parser.add_argument(
        "--actions",
        nargs="+",
        choices=[SWITCHOVER, FAILOVER, *KINDS],
        default=_known_actions(),
        metavar="ACTION",
    )
    parser.add_argument(
        "--herds", nargs="+", choices=["trade", "quote"], default=["trade", "quote"]
    )
    parser.add_argument(
        "--evidence",
        type=Path,
        default=EVIDENCE / time.strftime("%Y-%m-%d-%H%M%S"),
        help="where what broken rules left is kept",
    )
    parser.add_argument(
        "--keep-all", action="store_true", help="keep what runs leave that are ok, too"
    )
    return parser.parse_args(arguments)
