"""A herd as a tree drawn from the primary down, with what is wrong with each member."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from herds import conf
from herds.domain.words import listed, size
from herds.models import Instance

from .inventory import InstanceState, Member, lag_of, state_of


class Weight(StrEnum):
    """How bad something is: it is down or wrong, or it needs a look."""

    FAILED = "failed"
    ATTENTION = "attention"


@dataclass(frozen=True, kw_only=True)
class Problem:
    """What is wrong with a member, as a sentence without its host's name."""

    weight: Weight
    words: str


@dataclass(frozen=True, kw_only=True)
class Node:
    """One member, and those that follow it."""

    instance: Instance
    problems: tuple[Problem, ...]
    followers: list[Node] = field(default_factory=list)


def herd_tree(members: Sequence[Member]) -> list[Node]:
    """Draw a herd's members as trees, primaries first; asks the database nothing.

    Args:
        members: as ``inventory.members_of`` gives them, in the order of the drawing.
    """
    primaries = [each.instance for each in members if follows_nobody(each.instance)]
    roots: list[Node] = []
    path: list[Node] = []
    for member in members:
        node = Node(
            instance=member.instance,
            problems=tuple(_problems(member, primaries)),
        )
        del path[member.depth :]
        (path[-1].followers if path else roots).append(node)
        path.append(node)
    return roots


def follows_nobody(instance: Instance) -> bool:
    """Tell whether an instance is taken for a primary, as ``trouble.IS_PRIMARY`` does.

    One that follows a host outside of its herd is none.
    """
    return instance.is_primary and not instance.upstream_host


def writers(members: Iterable[Instance]) -> list[Instance]:
    """Give the members that were seen to take writes.

    Of what is in recovery it is known whether it streams, even where it follows nobody.
    """
    return [
        each
        for each in members
        if follows_nobody(each)
        and each.is_streaming is None
        and state_of(each) is InstanceState.ONLINE
    ]


def _problems(member: Member, primaries: Sequence[Instance]) -> Iterator[Problem]:
    instance = member.instance
    yield from _of_fence(instance)
    if follows_nobody(instance):
        yield from _of_primary(instance, primaries)
    else:
        yield from _of_standby(member, primaries)
    limits = conf.attention()
    if instance.slot_octets is not None and instance.slot_octets > limits.slot:
        yield Problem(
            weight=Weight.ATTENTION,
            words=f"Slot {instance.slot_name}, which nobody uses, holds "
            f"{size(instance.slot_octets)} of WAL.",
        )


def _of_fence(instance: Instance) -> Iterator[Problem]:
    if hasattr(instance, "fence"):
        yield Problem(
            weight=Weight.ATTENTION,
            words="Was failed over from, and is fenced: rebuild it to have it follow.",
        )


def _of_primary(instance: Instance, primaries: Sequence[Instance]) -> Iterator[Problem]:
    if instance.is_streaming is not None and state_of(instance) is InstanceState.ONLINE:
        yield Problem(
            weight=Weight.FAILED,
            words="Is in recovery and follows nobody: it takes no writes.",
        )
    writable = writers(primaries)
    others = [each for each in writable if each.pk != instance.pk]
    if others and instance in writable:
        names = listed([each.server.hostname for each in others])
        yield Problem(
            weight=Weight.FAILED,
            words=f"Takes writes, as {names} does. Decide which one stays, and demote "
            "the other.",
        )


def _of_standby(member: Member, primaries: Sequence[Instance]) -> Iterator[Problem]:
    instance = member.instance
    if instance.upstream_host and instance.is_primary:
        yield Problem(
            weight=Weight.ATTENTION,
            words=f"Follows {instance.upstream_host}, which is no member of this herd.",
        )
    elif member.depth == 0:
        yield Problem(
            weight=Weight.ATTENTION,
            words="What it follows leads to no primary: refresh the herd.",
        )
    if state_of(instance) is not InstanceState.ONLINE:
        return
    if instance.is_streaming is False:
        yield Problem(
            weight=Weight.FAILED, words="Receives no WAL: it does not stream."
        )
    newest = max((each.timeline or 0 for each in primaries), default=0)
    if instance.timeline is not None and instance.timeline < newest:
        yield Problem(
            weight=Weight.FAILED,
            words=f"Is on timeline {instance.timeline}; the primary is on {newest}.",
        )
    lag = lag_of(instance)
    limit = conf.attention().lag
    if lag is not None and lag.octets is not None and lag.octets > limit:
        yield Problem(
            weight=Weight.ATTENTION,
            words=f"Is {size(lag.octets)} behind; {size(limit)} are too much.",
        )
