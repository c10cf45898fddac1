"""Small values: positions in the log, states and their sum, waiting by a clock."""

from __future__ import annotations

import itertools

import pytest

from herds.domain.clock import watch
from herds.domain.cluster import from_epoch
from herds.domain.lsn import Lsn
from herds.domain.states import (
    ACTIVE_TARGETS,
    GOOD_TARGETS,
    RETRYABLE_TARGETS,
    OperationState,
    TargetState,
    summarise,
)
from tests.doubles.stories import PassingClock


@pytest.mark.parametrize(
    ("text", "position"),
    [
        ("0/0", 0),
        ("0/3000000", 0x3000000),
        ("0/03000000", 0x3000000),
        ("16/B374D848", 0x16B374D848),
        ("FFFFFFFF/FFFFFFFF", 2**64 - 1),
        ("16/b374d848\n", 0x16B374D848),
    ],
)
def test_an_lsn_is_read_as_postgresql_writes_it(text: str, position: int) -> None:
    assert Lsn.parse(text).position == position


@pytest.mark.parametrize(
    "text", ["", "0", "0/", "/0", "0/0/0", "g/0", "123456789/0", "0/-1", "0x1/0"]
)
def test_what_is_no_lsn_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no LSN"):
        Lsn.parse(text)


@pytest.mark.parametrize("text", ["0/0", "0/3000000", "16/B374D848"])
def test_an_lsn_is_written_as_postgresql_writes_it(text: str) -> None:
    assert str(Lsn.parse(text)) == text


def test_lsns_compare_by_their_bytes_not_by_their_text() -> None:
    assert Lsn.parse("9/0") < Lsn.parse("10/0")
    assert Lsn.parse("1/FFFFFFFF") < Lsn.parse("2/0")
    assert Lsn.parse("2/0") - Lsn.parse("1/FFFFFFFF") == 1
    assert Lsn.parse("1/0") - Lsn.parse("2/0") == -(2**32)
    assert max(Lsn(1), Lsn(3), Lsn(2)) == Lsn(3)


@pytest.mark.parametrize("seconds", [None, ""])
def test_no_time_is_no_time(seconds: str | None) -> None:
    assert from_epoch(seconds) is None


def test_a_time_is_aware() -> None:
    moment = from_epoch("1700000000.5")

    assert moment is not None
    assert moment.isoformat() == "2023-11-14T22:13:20.500000+00:00"


T = TargetState


@pytest.mark.parametrize(
    ("targets", "operation"),
    [
        ([T.SUCCEEDED], OperationState.SUCCEEDED),
        ([T.SUCCEEDED, T.FOLLOW_UPS], OperationState.SUCCEEDED),
        ([T.SUCCEEDED, T.FAILED], OperationState.PARTLY),
        ([T.SUCCEEDED, T.REFUSED], OperationState.PARTLY),
        ([T.SUCCEEDED, T.CANCELLED], OperationState.PARTLY),
        ([T.FAILED, T.FAILED], OperationState.FAILED),
        ([T.FAILED, T.CANCELLED], OperationState.FAILED),
        ([T.ROLLED_BACK], OperationState.FAILED),
        ([T.REFUSED, T.REFUSED], OperationState.FAILED),
        ([T.CANCELLED, T.REFUSED], OperationState.CANCELLED),
        ([T.CANCELLED], OperationState.CANCELLED),
        ([T.SUCCEEDED, T.INTERRUPTED, T.FAILED], OperationState.INTERRUPTED),
        ([T.QUEUED, T.INTERRUPTED], OperationState.RUNNING),
        ([T.SUCCEEDED, T.RUNNING], OperationState.RUNNING),
        ([T.CANCELLING, T.CANCELLED], OperationState.RUNNING),
    ],
)
def test_an_operation_is_what_its_targets_are_together(
    targets: list[TargetState], operation: OperationState
) -> None:
    for order in itertools.permutations(targets):
        assert summarise(order) == operation


def test_a_target_is_in_one_group_at_most() -> None:
    assert ACTIVE_TARGETS.isdisjoint(GOOD_TARGETS)
    assert ACTIVE_TARGETS.isdisjoint(RETRYABLE_TARGETS)
    assert GOOD_TARGETS.isdisjoint(RETRYABLE_TARGETS)
    others = set(TargetState) - ACTIVE_TARGETS - GOOD_TARGETS - RETRYABLE_TARGETS
    assert others == {TargetState.PLANNED, TargetState.REFUSED}


def test_a_watch_looks_once_even_without_time() -> None:
    clock = PassingClock()

    assert watch(lambda: 1, lambda seen: False, clock=clock, timeout=0) == (False, 1)
    assert clock.passed == 0


def test_a_watch_ends_with_the_awaited_state() -> None:
    sights = iter("aab")
    clock = PassingClock()

    assert watch(
        lambda: next(sights), lambda seen: seen == "b", clock=clock, timeout=9
    ) == (True, "b")
    assert clock.passed < 1


def test_a_watch_ends_at_its_deadline_with_what_was_seen_last() -> None:
    clock, looks = PassingClock(), itertools.count()

    came, seen = watch(
        lambda: next(looks), lambda seen: False, clock=clock, timeout=2, interval=0.5
    )

    assert (came, seen) == (False, 4)
    assert clock.passed == 2
