"""How sizes, lengths of time and lists of names are written for people."""

from __future__ import annotations

from collections.abc import Sequence


def size(octets: int) -> str:
    """Write a number of bytes for people: ``512 bytes``, ``3.2 MB`` (1 MB = 2^20)."""
    amount = float(octets)
    if abs(amount) < 1024:
        return f"{octets} bytes" if abs(octets) != 1 else f"{octets} byte"
    for unit in ("kB", "MB", "GB", "TB"):
        amount /= 1024
        if abs(amount) < 1023.95:
            return f"{amount:.1f} {unit}"
    return f"{amount / 1024:.1f} PB"


def duration_in_words(seconds: float) -> str:
    """Write a length of time in its largest telling unit: ``4 s``, ``2 min``."""
    whole = max(0, int(seconds))
    for unit, length, until in (
        ("s", 1, 90),
        ("min", 60, 90 * 60),
        ("h", 3600, 36 * 3600),
    ):
        if whole < until:
            return f"{whole // length} {unit}"
    return f"{round(whole / 86400)} days"


def listed(names: Sequence[str]) -> str:
    """Write names as people do: ``ele01, ele02 and ele03``."""
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))


def counted(number: int, noun: str, plural: str = "") -> str:
    """Write a number with its noun: ``1 instance``, ``5 instances``."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"
