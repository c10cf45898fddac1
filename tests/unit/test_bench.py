"""The benchmark's own arithmetic: journals, pauses, lost commits, layouts, reports."""

from __future__ import annotations

import os

import pytest

from bench import herds, writer
from bench.ceiling import Ceiling
from bench.figures import Ratio, Report, Run, Series, Spread, busy_seconds
from bench.observer import timeline_of
from bench.switchover import CONTENDERS, PEERS
from bench.writer import Commit

MILLISECOND = 1_000_000


def commits(*acknowledged: int, server: str = "10.0.0.1") -> list[Commit]:
    """Give commits acknowledged at these milliseconds, a millisecond after sending."""
    return [
        Commit(number, (at - 1) * MILLISECOND, at * MILLISECOND, server)
        for number, at in enumerate(acknowledged, 1)
    ]


def test_a_journal_is_read() -> None:
    assert writer.parse("1 10 20 10.0.0.1\n3 30 40 10.0.0.2\n") == [
        Commit(1, 10, 20, "10.0.0.1"),
        Commit(3, 30, 40, "10.0.0.2"),
    ]


def test_a_line_that_is_being_written_does_not_count() -> None:
    assert [one.sequence for one in writer.parse("1 10 20 a\n2 30 4")] == [1]
    assert writer.parse("1 10 2") == []
    assert writer.parse("") == []


def test_the_outage_is_the_longest_pause_between_acknowledgements() -> None:
    pause = writer.longest_pause(commits(5, 10, 130, 135))

    assert pause.milliseconds == 120
    assert (pause.before.sequence, pause.after.sequence) == (2, 3)


def test_a_pause_from_before_the_yes_is_not_the_tools() -> None:
    seen = commits(0, 500, 505, 605, 610)

    assert writer.longest_pause(seen, since=502 * MILLISECOND).milliseconds == 100


def test_a_pause_that_began_just_before_the_yes_counts_whole() -> None:
    seen = commits(0, 5, 205, 210)

    assert writer.longest_pause(seen, since=7 * MILLISECOND).milliseconds == 200


def test_without_commits_there_is_no_telling() -> None:
    with pytest.raises(ValueError, match="empty"):
        writer.longest_pause(commits(5))


def test_only_acknowledged_commits_can_be_lost() -> None:
    acknowledged = [one for one in commits(1, 2, 3, 4) if one.sequence != 3]

    assert writer.lost(acknowledged, [1, 3, 4]) == [2]
    assert writer.lost(acknowledged, [1, 2, 3, 4, 5]) == []


def test_the_timeline_is_read_from_the_name_of_a_wal_file() -> None:
    assert timeline_of("0000000A0000000000000003") == 10


def report(load: float = 0.5) -> Report:
    def spread(name: str, *values: float) -> Spread:
        return Spread(
            name=name, figure="outage", unit="ms", values=list(values), load=load
        )

    return Report(
        spreads=[spread("ours", 100, 400, 120), spread("theirs", 240, 300, 180)],
        ratios=[
            Ratio(figure="outage", ours="ours", theirs="theirs", wanted=3),
            Ratio(figure="outage", ours="ours", theirs="absent"),
        ],
    )


def test_a_report_gives_median_least_and_most_with_the_load() -> None:
    ours = next(line for line in report().lines() if line.startswith("ours"))

    assert " ".join(ours.split()) == "ours 120 ms 100 ms 400 ms 3 0.5"


def test_a_report_compares_medians() -> None:
    assert "theirs: 2.0 times that of ours; wanted 3: ✖ missed" in report().lines()
    assert not any("absent" in line for line in report().lines())


def test_a_report_that_lost_nothing_compares_with_nothing() -> None:
    nothing = Report(
        spreads=[
            Spread(name=name, figure="lost", unit="", values=[0]) for name in "ab"
        ],
        ratios=[Ratio(figure="lost", ours="a", theirs="b")],
    )

    assert not any("times" in line for line in nothing.lines())


def test_a_busy_machine_is_told_of() -> None:
    assert not any("busy" in line for line in report(load=0.5).lines())
    assert any("busy" in line for line in report(load=10_000).lines())
    assert any("busy" in line for line in Report(busiest=10_000).lines())


def test_who_could_not_be_measured_is_named() -> None:
    assert Report(failures=["repmgr: it says no"]).lines() == [
        "✖ Not measured: repmgr: it says no"
    ]


def test_contenders_differ_in_name() -> None:
    names = [kind.name for kind in CONTENDERS.values()]

    assert len(set(names)) == len(names)
    assert set(PEERS) < set(CONTENDERS)


@pytest.mark.parametrize("count", [2, 3, 7, 40, 41])
def test_many_herds_are_spread_evenly(count: int) -> None:
    layout = herds.layout_for(count, "15")
    layout.check()

    assert len(layout.herds) == count
    assert all(len(herd.members) == 2 for herd in layout.herds)
    for place in (0, 1):
        carried = [herd.members[place] for herd in layout.herds]
        assert max(map(carried.count, layout.hosts)) <= herds.HERDS_TO_A_HOST


def test_forty_herds_live_on_twenty_hosts_and_fail_apart() -> None:
    layout = herds.layout_for(40, "15")

    assert len(layout.hosts) == 20
    assert len({herd.members for herd in layout.herds}) == 40


def test_waiting_for_disks_is_no_work_of_the_processors() -> None:
    ticks = os.sysconf("SC_CLK_TCK")
    numbers = [5, 1, 3, 1000, 500, 1, 2, 70, 0, 0]
    line = "cpu  " + " ".join(str(number * ticks) for number in numbers)

    assert busy_seconds(f"{line}\ncpu0 1 1 1 1 1 1 1 1 1 1\n") == 5 + 1 + 3 + 1 + 2


def series(*runs: Run) -> Series:
    return Series(name="herds", runs=list(runs))


def test_what_the_machine_limits_is_told_apart_from_the_worker() -> None:
    one = series(Run(wall=0.8, cpu=0.07, busy=0.7, beside=0.02))
    many = series(
        Run(wall=14.0, cpu=2.8, busy=27.6, beside=0.8),
        Run(wall=15.0, cpu=2.8, busy=27.6, beside=0.8),
        Run(wall=90.0, cpu=2.8, busy=27.6, beside=0.8),
    )

    ceiling = Ceiling.of(one, many, herds=40, processors=2)

    assert ceiling.hosts == pytest.approx(24.0)
    assert ceiling.floor == pytest.approx(12.0)
    assert ceiling.computed == pytest.approx(2.8)
    told = " ".join(ceiling.lines())
    assert "0.60 CPU-s a herd: 40 herds cannot take less than 12.0 s" in told
    assert "92% of what they can" in told
    assert "Computed from these, not measured" in told
    assert "3.5 times as long as one" in told


def test_a_herd_that_takes_longer_than_the_worker_is_what_is_waited_for() -> None:
    one = series(Run(wall=5.0, cpu=0.07))
    ceiling = Ceiling.of(one, series(Run(wall=6, cpu=2.8)), herds=40, processors=2)

    assert ceiling.computed == 5.0
    assert ceiling.hosts == 0.0
