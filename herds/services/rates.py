"""Tells how fast a copy will go: as fast as the last one of its kind went."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from herds.domain.states import StepState
from herds.models import OperationStep

from .outlook import Method
from .steps import Step
from .target import Member, Target

ASSUMED = 50e6
"""Bytes a second that a plan takes for granted where nothing was measured."""

_TELLING = 16e6  # bytes; of a smaller copy most of the time is not its bytes'
_LOOKED_THROUGH = 50  # copies to a host, the latest ones

# Both bring bytes and compare nothing, so that one tells of the other where it must.
_ALIKE = {
    Method.REWIND: (Method.REWIND, Method.BASEBACKUP),
    Method.RSYNC: (Method.RSYNC,),
    Method.BASEBACKUP: (Method.BASEBACKUP, Method.REWIND),
}


@dataclass(frozen=True, kw_only=True)
class Rate:
    """Bytes a second, and how that is known.

    ``measured_at`` is None where it is assumed; ``limit`` is what was asked for at
    most, 0 for no limit.
    """

    measured: float
    measured_at: datetime | None = None
    source: str = ""
    limit: float = 0.0

    @property
    def is_limited(self) -> bool:
        """Whether it is the limit that counts."""
        return 0 < self.limit < self.measured

    def seconds_for(self, size: float) -> float:
        """Tell how long a size takes."""
        return size / (self.limit if self.is_limited else self.measured)


def note_copy(
    step: Step,
    method: Method,
    source: Member,
    *,
    size: int,
    seconds: float,
    is_limited: bool,
) -> None:
    """Record in a step how fast its copy went, for later plans.

    Args:
        step: the step that copied.
        method: how.
        source: from where.
        size: bytes as a plan foretells them: what comes, or of a copy by blocks the
            files that are gone through.
        seconds: how long they took.
        is_limited: whether it was asked to be no faster; then it tells nothing.
    """
    if not is_limited:
        step.measured(
            way=method.value,
            source=source.host,
            bytes_copied=size,
            copy_seconds=round(seconds, 3),
        )


def rates(target: Target, source: Member) -> Mapping[Method, Rate]:
    """Tell how fast each kind of copy from a source to a target goes.

    The last one of its kind between these two hosts counts, else the last one to the
    target's host from any other; where there was none, it is assumed.
    """
    limit = float(target.parameters.get("bandwidth", 0))
    known = target.keep(partial(_measured, target.host))
    found = {}
    for method, alike in _ALIKE.items():
        candidates = [
            rate
            for each in alike
            for rate in sorted(
                known.get(each, []), key=lambda rate: rate.source != source.host
            )
        ]
        best = candidates[0] if candidates else Rate(measured=ASSUMED)
        found[method] = Rate(
            measured=best.measured,
            measured_at=best.measured_at,
            source=best.source,
            # pg_rewind knows no limit.
            limit=0.0 if method is Method.REWIND else limit,
        )
    return found


def age_words(age: timedelta) -> str:
    """Say how long ago something was measured, roughly: 40 s, 5 min, 2 h, 3 days."""
    seconds = max(age.total_seconds(), 0.0)
    for unit, size, above in (("s", 1, 120), ("min", 60, 7200), ("h", 3600, 172800)):
        if seconds < above:
            return f"{seconds / size:.0f} {unit} ago"
    return f"{seconds / 86400:.0f} days ago"


def _measured(host: str) -> dict[Method, list[Rate]]:
    """Give what the last copies to a host tell, by their kind, the latest first."""
    latest = (
        OperationStep.objects.filter(
            target__hostname=host,
            name__in=("copy", "rewind"),
            state=StepState.SUCCEEDED,
            finished_at__isnull=False,
            evidence__has_key="bytes_copied",
        )
        .order_by("-finished_at")
        .values_list("evidence", "finished_at")[:_LOOKED_THROUGH]
    )
    found: dict[Method, list[Rate]] = {}
    for evidence, at in latest:
        size, seconds = evidence["bytes_copied"], evidence["copy_seconds"]
        if size < _TELLING or seconds <= 0:
            continue
        rate = Rate(measured=size / seconds, measured_at=at, source=evidence["source"])
        found.setdefault(Method(evidence["way"]), []).append(rate)
    return found
