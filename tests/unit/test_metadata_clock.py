"""How far the metadata server's clock is ahead, read by a question that takes time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from herds.selectors.clock import difference

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("took", "there", "ahead"),
    [
        (0.002, 0.001, 0),
        (0.002, 0.6, 0),  # too little to matter
        (4.0, 0.1, 0),  # the answer came late
        (4.0, 3.9, 0),
        (0.002, 3600.001, 3600),
        (0.002, -3599.999, -3600),
        (4.0, 3602.0, 3600),
    ],
)
def test_only_what_the_question_does_not_explain_is_a_difference(
    took: float, there: float, ahead: float
) -> None:
    found = difference(
        NOON, NOON + timedelta(seconds=there), NOON + timedelta(seconds=took)
    )

    assert found == timedelta(seconds=ahead)
