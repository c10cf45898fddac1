"""Has a herd's virtual host follow its primary as part of a change of roles."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Self

from herds.domain.outcome import FollowUp
from herds.domain.plan import Check, Verdict
from herds.errors import ElephaasError

from . import vhost
from .target import Member, Target

_EVERYWHERE = 10.0  # seconds for servers that copy the zone


@dataclass(kw_only=True)
class Pointing:
    """A virtual host on its way to the new primary.

    ``ready`` is None where it could not be prepared; ``why`` says why then.
    """

    target: Target
    new: Member
    ready: vhost.Prepared | None
    why: str = ""
    is_moved: bool = False
    words: str = ""
    left: list[FollowUp] = field(default_factory=list)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        if self.ready is not None:
            self.ready.close()

    def move(self) -> None:
        """Move the name now: the new primary takes writes. Raises nothing."""
        if self.ready is None:
            self._leave(self.why)
            return
        if not self.ready.is_needed:
            self.words = self.ready.why_not
            return
        steps = self.target.steps
        try:
            with steps.step("dns", self.ready.words, urgent=True) as step:
                moved = self.ready.send()
                step.note(moved.words)
                moved.demand()
                self.is_moved = True
        except ElephaasError as error:
            self._leave(error.message)

    def confirm(self) -> None:
        """Read the name back from every server. Raises nothing."""
        if not self.is_moved or self.ready is None:
            return
        words = "Read the name back from every name server"
        with self.target.steps.step("dns_read", words) as step:
            try:
                seen = self.ready.confirm(_EVERYWHERE)
            except ElephaasError as error:
                step.note(error.message)
                self._leave(error.message)
                return
            step.note(seen.words)
            self.words = seen.words
            if not seen.is_everywhere:
                self._leave(seen.words)

    def _leave(self, why: str) -> None:
        self.words = ""
        self.left.append(
            FollowUp(
                action="refresh_dns",
                instance_id=self.new.instance_id,
                words=f"Refresh DNS: {why}",
            )
        )


def prepare(target: Target, old: Member, new: Member, *, must: bool) -> Pointing:
    """Make the move of a herd's virtual host ready; leave it to close it.

    Args:
        target: a member of the herd.
        old: where it points.
        new: where it shall point.
        must: whether what keeps it from being moved stops everything.

    Raises:
        ElephaasError: it cannot be moved, and it must.
    """
    accepted = str(target.plan.get("facts", {}).get("vhost", ""))
    try:
        ready = vhost.prepare(target, old.host, new.host, accepted=accepted)
    except ElephaasError as error:
        if must:
            raise
        return Pointing(target=target, new=new, ready=None, why=error.message)
    return Pointing(target=target, new=new, ready=ready)


def checks(target: Target, host: str, *, must: bool) -> Sequence[Check]:
    """Write a plan's rows on the virtual host; what need not be only warns."""
    rows: Iterable[Check] = vhost.checks(target, host)
    if must:
        return tuple(rows)
    return tuple(
        replace(row, verdict=Verdict.WARN) if row.verdict is Verdict.STOP else row
        for row in rows
    )
