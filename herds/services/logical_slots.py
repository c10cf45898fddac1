"""Tells which logical slots a new primary lacks, before it is one and afterwards."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from herds.domain.plan import Check, Verdict

from .pair import Pair

_NAME = "Logical slots"
_LOST = " would be lost"


def judge(pair: Pair) -> Iterator[Check]:
    """Write the row of a plan; a slot comes along only where it is synced (17 on)."""
    there = {slot.name for slot in pair.new_ready.logical_slots if slot.is_synced}
    lost = [
        slot.name for slot in pair.old_ready.logical_slots if slot.name not in there
    ]
    yield pair.row(
        _NAME,
        f"pg_replication_slots on both; synced to {pair.new.host} or not",
        f"{', '.join(lost) or 'none'}{_LOST}",
        "none lost: who reads from them misses changes",
        Verdict.WARN if lost else Verdict.OK,
    )


def lost(checks: Sequence[Check]) -> str:
    """Name the slots that do not come along, by the rows of a plan."""
    return next(
        (
            check.observed.removesuffix(_LOST)
            for check in checks
            if check.name == _NAME and check.verdict is Verdict.WARN
        ),
        "",
    )


def words(names: str, old: str, new: str) -> str:
    """Say what has become of them once the primary has moved; empty without any.

    Args:
        names: as ``lost`` gives them.
        old: the host of the former primary, which keeps them.
        new: the host of the primary.
    """
    if not names:
        return ""
    return (
        f" Logical slots stayed on {old}: {names}. Whoever reads from them makes new "
        f"ones on {new}, and copies anew what changed meanwhile; drop them on {old}, "
        "where they hold WAL."
    )
