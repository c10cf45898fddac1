"""Sees all members of a herd at once, each by a probe: who writes, who follows whom."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from herds.domain.probe import Probe, Sender
from herds.domain.words import listed
from herds.errors import ElephaasError, HostUnreachable

from .target import Member, Target

T = TypeVar("T")
R = TypeVar("R")

_AT_ONCE = 16


@dataclass(frozen=True, kw_only=True)
class View:
    """One member with what a probe found, or why it found nothing."""

    member: Member
    probe: Probe | None = None
    trouble: ElephaasError | None = None

    @property
    def host(self) -> str:
        """The member's host."""
        return self.member.host

    @property
    def known(self) -> Probe:
        """What was found.

        Raises:
            ElephaasError: nothing was, with why.
        """
        if self.probe is None:
            raise self.trouble or HostUnreachable(self.host, "it was not looked at")
        return self.probe

    @property
    def takes_writes(self) -> bool:
        """Whether it is seen to run as a primary."""
        return self.probe is not None and self.probe.seen.in_recovery is False

    @property
    def is_standby(self) -> bool:
        """Whether it is seen to run as a standby that answers."""
        return self.probe is not None and self.probe.seen.in_recovery is True

    @property
    def was_shut_down(self) -> bool:
        """Whether it is stopped, and was a primary that was stopped in peace."""
        return (
            self.probe is not None
            and not self.probe.seen.is_running
            and self.probe.control is not None
            and self.probe.control.state == "shut down"
        )

    @property
    def name(self) -> str:
        """What its upstream calls it."""
        return self.member.name

    def sender_to(self, other: View) -> Sender | None:
        """Find the connection that it streams to another member over."""
        for sender in self.probe.senders if self.probe else ():
            if sender.application_name == other.name:
                return sender
        return None

    def words(self) -> str:
        """Say what it is, in words that follow "is"."""
        if self.probe is None:
            why = self.trouble.message.rstrip(".") if self.trouble else "not looked at"
            return f"unknown ({why})"
        if self.takes_writes:
            return f"a primary on timeline {self.probe.timeline}"
        if self.is_standby:
            return f"a standby on timeline {self.probe.timeline}"
        state = self.probe.control.state if self.probe.control else ""
        return self.probe.seen.activity.value + (f" ({state})" if state else "")


@dataclass(frozen=True, kw_only=True)
class Scene:
    """All members of a herd as they were seen at one time."""

    views: tuple[View, ...]

    @property
    def writers(self) -> tuple[View, ...]:
        """Those that take writes; a herd has one."""
        return tuple(view for view in self.views if view.takes_writes)

    @property
    def unknown(self) -> tuple[View, ...]:
        """Those of which nothing is known."""
        return tuple(view for view in self.views if view.probe is None)

    def between(self, view: View, *ends: Member) -> View | None:
        """Find the standby that feeds another one, where that is none of the ends.

        Who is fed by a standby that stays needs nothing when the primary is moved: it
        goes along to the new timeline.
        """
        for other in self.without(view.member, *ends):
            sender = other.sender_to(view) if other.is_standby else None
            if sender is not None and sender.state == "streaming":
                return other
        return None

    def of(self, member: Member) -> View:
        """Give the view of a member."""
        return next(
            view for view in self.views if view.member.instance_id == member.instance_id
        )

    def without(self, *members: Member) -> tuple[View, ...]:
        """Give the views of all others."""
        left_out = {member.instance_id for member in members}
        return tuple(
            view for view in self.views if view.member.instance_id not in left_out
        )


def look_at_herd(target: Target, *, without: Collection[Member] = ()) -> Scene:
    """Probe every member, all at once; a host that is lost stops nothing.

    Args:
        target: whose herd.
        without: members that are not asked: one that is known to be lost takes as
            long as a connection is waited for.
    """
    left_out = {member.instance_id for member in without}
    asked = [each for each in target.members if each.instance_id not in left_out]
    return Scene(
        views=(
            *at_once(view_of, asked),
            *(View(member=member) for member in without),
        )
    )


def fed_by_others(scene: Scene, *ends: Member) -> dict[int, Member]:
    """Give by instance id the standby that feeds another one, as ``Scene.between``."""
    found = {
        view.member.instance_id: scene.between(view, *ends)
        for view in scene.without(*ends)
    }
    return {number: feeder.member for number, feeder in found.items() if feeder}


def at_once(work: Callable[[T], R], items: Sequence[T]) -> list[R]:
    """Do the same for several members at the same time, in their order."""
    if not items:
        return []
    with ThreadPoolExecutor(max_workers=min(len(items), _AT_ONCE)) as pool:
        return list(pool.map(work, items))


def named(views: Collection[View]) -> str:
    """Name the hosts of some members: ele01, ele02 and ele03."""
    return listed(sorted(view.host for view in views))


def view_of(member: Member) -> View:
    """Probe a member; a host that is lost gives a view of nothing."""
    try:
        return View(member=member, probe=member.cluster.probe(sizes=False))
    except ElephaasError as error:
        return View(member=member, trouble=error)
