"""Reload every instance of the fleet: ElepHaaS, its connections alone, the peers."""

from __future__ import annotations

from collections.abc import Callable

from bench.figures import Comparison, Report, Run, Series
from bench.fleet import DEBIAN, PLAIN, Fleet
from bench.installation import Installation, operate
from bench.kept import KeptConnections
from bench.peers import AT_ONCE, BEST_KEX, peers

WARM = "ElepHaaS, connections warm"
COLD = "ElepHaaS, connections cold"
KEPT_WARM = "SSH adapter alone, warm"
KEPT_COLD = "SSH adapter alone, cold"
PSSH = f"pssh -p {AT_ONCE}"
PSSH_BEST = f"pssh -p {AT_ONCE}, {BEST_KEX}"
ANSIBLE = f"ansible -m command -f {AT_ONCE}"


def measure(
    fleet: Fleet,
    installed: Installation,
    report: Report,
    *,
    rounds: int,
    plain: bool,
    peers_too: bool,
) -> None:
    """Add the runs of every contender to the report.

    All of them run the same command on the same instances. ElepHaaS also looks at each
    instance afterwards and records what it saw, which the others do not.
    """
    jobs = fleet.jobs(plain=plain)
    suffix = " (pg_ctl)" if plain else " (pg_ctlcluster)"
    series = {
        name: Series(name=name + suffix)
        for name in (WARM, COLD, KEPT_WARM, KEPT_COLD, PSSH, PSSH_BEST, ANSIBLE)
    }
    _measure_engine(installed, series, rounds, plain)
    kept = KeptConnections(fleet, jobs)
    _note(series[KEPT_WARM], lambda: kept.warm(rounds))
    _note(series[KEPT_COLD], lambda: [kept.cold() for _ in range(rounds)])
    if peers_too:
        with peers(fleet, jobs) as others:
            _note(series[PSSH], lambda: [others.pssh() for _ in range(rounds)])
            _note(
                series[PSSH_BEST],
                lambda: [others.pssh(kex=BEST_KEX) for _ in range(rounds)],
            )
            # The first run connects, and ansible keeps its connections for a minute.
            others.ansible()
            _note(
                series[ANSIBLE],
                lambda: [others.ansible() for _ in range(rounds)],
            )
    report.series += series.values()
    report.comparisons += [
        Comparison(ours=ours + suffix, theirs=theirs + suffix, wanted=wanted)
        for ours, theirs, wanted in (
            (WARM, PSSH, 10),
            (WARM, PSSH_BEST, 10),
            (WARM, ANSIBLE, 30),
            (COLD, PSSH_BEST, 1),
            (KEPT_WARM, PSSH, 10),
            (KEPT_WARM, ANSIBLE, 30),
            (KEPT_COLD, PSSH_BEST, 1),
        )
    ]


def _measure_engine(
    installed: Installation, series: dict[str, Series], rounds: int, plain: bool
) -> None:
    from herds.models import Instance

    ids = list(Instance.objects.values_list("pk", flat=True))
    settings = installed.settings(PLAIN if plain else DEBIAN)

    def cold() -> Run:
        with installed.worker(settings) as worker:
            return operate(worker, "reload", ids)

    _note(series[COLD], lambda: [cold() for _ in range(rounds)])
    with installed.worker(settings) as worker:
        operate(worker, "refresh", ids)
        _note(
            series[WARM],
            lambda: [operate(worker, "reload", ids) for _ in range(rounds)],
        )


def _note(series: Series, measure: Callable[[], list[Run]]) -> None:
    """Measure a contender, and say so, for it takes a while."""
    print(f"  {series.name} …", end=" ", flush=True)
    series.runs += measure()
    print(f"{series.wall:.2f} s", flush=True)
