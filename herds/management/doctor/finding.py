"""A finding of the doctor: what was examined, what was seen, how to mend it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum


class Health(StrEnum):
    """How a part of the installation is."""

    FINE = "fine"
    ATTENTION = "attention"
    BROKEN = "broken"
    UNKNOWN = "unknown"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One line of the doctor's report.

    Attributes:
        part: what was examined, such as ``metadata``.
        health: how it is.
        observed: what was seen, a sentence.
        mend: what to do about it; empty where it is fine.
    """

    part: str
    health: Health
    observed: str
    mend: str = ""

    def as_dict(self) -> dict[str, str]:
        """Give the finding for machines."""
        return asdict(self)


def fine(part: str, observed: str) -> Finding:
    """Give a finding that needs nobody."""
    return Finding(part=part, health=Health.FINE, observed=observed)


def attention(part: str, observed: str, mend: str) -> Finding:
    """Give a finding that somebody should see to; the service works."""
    return Finding(part=part, health=Health.ATTENTION, observed=observed, mend=mend)


def broken(part: str, observed: str, mend: str) -> Finding:
    """Give a finding that keeps the service from working."""
    return Finding(part=part, health=Health.BROKEN, observed=observed, mend=mend)


def unknown(part: str, observed: str, mend: str) -> Finding:
    """Give a finding of what could not be examined."""
    return Finding(part=part, health=Health.UNKNOWN, observed=observed, mend=mend)
