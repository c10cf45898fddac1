"""What brings a cluster back is judged by where its WAL ends in a source's history."""

from __future__ import annotations

import pytest

from herds.domain.divergence import (
    EndOfWal,
    HistoryLine,
    Remedy,
    SourceWal,
    judge,
    parse_history,
)
from herds.domain.lsn import Lsn

FORK = "0/5000000"
BEFORE, AFTER = "0/4FFFF00", "0/5000078"
NOW = "0/7000000"


def history(*lines: tuple[int, str]) -> tuple[HistoryLine, ...]:
    return tuple(
        HistoryLine(timeline=timeline, switch=Lsn.parse(switch))
        for timeline, switch in lines
    )


def target(
    timeline: int, end: str, *before: tuple[int, str], digest: str = "same"
) -> EndOfWal:
    return EndOfWal(
        timeline=timeline, end=Lsn.parse(end), history=history(*before), digest=digest
    )


def source(
    timeline: int, position: str, *before: tuple[int, str], digest: str = "same"
) -> SourceWal:
    return SourceWal(
        timeline=timeline,
        position=Lsn.parse(position),
        history=history(*before),
        digest=digest,
    )


@pytest.mark.parametrize(
    ("ours", "theirs", "kind", "fork", "lost"),
    [
        pytest.param(
            target(1, BEFORE), source(1, NOW), Remedy.FOLLOW, BEFORE, 0, id="behind"
        ),
        pytest.param(target(1, NOW), source(1, NOW), Remedy.FOLLOW, NOW, 0, id="level"),
        pytest.param(
            target(1, BEFORE),
            source(2, NOW, (1, FORK)),
            Remedy.FOLLOW,
            BEFORE,
            0,
            id="left before the fork",
        ),
        pytest.param(
            target(1, FORK),
            source(2, NOW, (1, FORK)),
            Remedy.FOLLOW,
            FORK,
            0,
            id="left exactly at the fork",
        ),
        pytest.param(
            target(1, AFTER),
            source(2, NOW, (1, FORK)),
            Remedy.REWIND,
            FORK,
            0x78,
            id="wrote a shutdown checkpoint after the fork",
        ),
        pytest.param(
            target(1, AFTER),
            source(3, NOW, (1, FORK), (2, "0/6000000")),
            Remedy.REWIND,
            FORK,
            0x78,
            id="missed two promotions",
        ),
        pytest.param(
            target(2, "0/5800000", (1, FORK)),
            source(3, NOW, (1, FORK), (2, "0/6000000")),
            Remedy.FOLLOW,
            "0/5800000",
            0,
            id="missed one of two promotions",
        ),
        pytest.param(
            target(1, NOW),
            source(1, BEFORE),
            Remedy.COPY,
            BEFORE,
            Lsn.parse(NOW) - Lsn.parse(BEFORE),
            id="ahead on the same timeline",
        ),
        pytest.param(
            target(2, NOW, (1, FORK)),
            source(1, "0/6000000"),
            Remedy.REWIND,
            FORK,
            0x2000000,
            id="promoted by itself while the primary went on",
        ),
        pytest.param(
            target(2, NOW, (1, FORK)),
            source(2, NOW, (1, "0/4000000")),
            Remedy.COPY,
            "0/4000000",
            0x3000000,
            id="both promoted to a timeline of the same number",
        ),
        pytest.param(
            target(2, NOW, (1, FORK)),
            source(3, NOW, (1, FORK)),
            Remedy.REWIND,
            FORK,
            0x2000000,
            id="two promotions from the same place",
        ),
        pytest.param(
            target(3, NOW, (2, FORK)),
            source(4, NOW, (1, FORK)),
            Remedy.COPY,
            None,
            None,
            id="no timeline in common",
        ),
    ],
)
def test_the_remedy_follows_from_both_histories(
    ours: EndOfWal, theirs: SourceWal, kind: Remedy, fork: str | None, lost: int | None
) -> None:
    judged = judge(ours, theirs)

    assert judged.kind is kind
    assert judged.fork == (Lsn.parse(fork) if fork else None)
    assert judged.bytes_after_fork == lost


def test_two_that_wrote_to_one_timeline_are_told_apart_by_their_wal() -> None:
    judged = judge(target(1, BEFORE, digest="a"), source(1, NOW, digest="b"))

    assert judged.kind is Remedy.COPY
    assert judged.bytes_after_fork is None
    assert "both were written to" in judged.reason


def test_wal_that_the_source_removed_forbids_to_follow() -> None:
    removed = source(1, NOW, digest="")

    assert judge(target(1, BEFORE), removed).kind is Remedy.COPY
    assert judge(target(1, BEFORE), removed, has_archive=True).kind is Remedy.FOLLOW


def test_a_lost_history_file_is_taken_from_the_source_where_that_knows_it() -> None:
    theirs = source(3, NOW, (1, FORK), (2, "0/6000000"))

    def lost(timeline: int) -> EndOfWal:
        return EndOfWal(
            timeline=timeline, end=Lsn.parse("0/5800000"), history=None, digest="same"
        )

    assert judge(lost(2), theirs).kind is Remedy.FOLLOW
    assert judge(lost(4), theirs).kind is Remedy.COPY


def test_a_source_without_its_history_file_is_no_base_for_a_younger_cluster() -> None:
    theirs = SourceWal(timeline=3, position=Lsn.parse(NOW), history=None, digest="same")

    assert judge(target(2, BEFORE, (1, "0/4000000")), theirs).kind is Remedy.COPY
    assert judge(target(3, BEFORE, (2, "0/4000000")), theirs).kind is Remedy.FOLLOW


def test_a_younger_target_is_asked_about() -> None:
    judged = judge(target(2, NOW, (1, FORK)), source(1, "0/6000000"))

    assert "make sure that the source is the herd's true primary" in judged.reason


def test_a_history_file_is_read_as_postgresql_writes_it() -> None:
    text = (
        "1\t0/3027B68\tno recovery target specified\n"
        "\n"
        "# a comment\n"
        "2\t1A/40000A0\tbefore 2026-11-22 10:00:00+00\n"
    )

    assert parse_history(text) == history((1, "0/3027B68"), (2, "1A/40000A0"))
