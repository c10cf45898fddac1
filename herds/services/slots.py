"""Slots of a herd's standbys: made before they are needed, dropped when idle.

Whether a herd uses slots is said in the inventory. Each standby has one of its own on
its upstream, named as it names itself there.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress

from herds.domain.clock import watch
from herds.domain.probe import Probe
from herds.errors import ElephaasError, NotObserved, PreconditionFailed
from herds.postgres import slots
from herds.postgres.replication import slot_name

from .steps import Step
from .target import Member, Target


def slot_of(member: Member | Target) -> str:
    """Name the slot that a member streams through; empty where its herd uses none."""
    return _own_name(member) if member.cluster.ref.use_slots else ""


def needed_slots(members: Iterable[Member], upstream: Member) -> tuple[str, ...]:
    """Name the slots that a herd's members need on one of them that is its primary."""
    return tuple(
        filter(None, (slot_of(each) for each in members if not _same(each, upstream)))
    )


def make_slots(upstream: Member, members: Iterable[Member]) -> tuple[str, ...]:
    """Make what ``needed_slots`` names, also on a standby that is to be promoted.

    Returns:
        The names of those that were not there; drop them again if it comes to nothing.

    Raises:
        ElephaasError: as ``slots.create_slots``.
    """
    names = needed_slots(members, upstream)
    return slots.create_slots(upstream.cluster, names) if names else ()


def drop_idle_slots(
    holder: Member, members: Iterable[Member], *, spare: Collection[str] = ()
) -> tuple[str, ...]:
    """Drop slots on a member that are named like the herd's others and used by nobody.

    Also where the herd uses none (any more).

    Args:
        holder: the member whose slots they are.
        members: of the herd.
        spare: names of slots that stay.

    Returns:
        The names of those that were dropped.

    Raises:
        ElephaasError: as ``slots.drop_slots``.
    """
    return slots.drop_slots(holder.cluster, _others_names(holder, members, spare))


def has_slot_words(target: Target, upstream: Member) -> tuple[str, ...]:
    """Say for a plan that a slot comes about, where the herd uses them."""
    return (f"Have its slot on {upstream.host}",) if slot_of(target) else ()


@contextmanager
def slot_on(
    target: Target, upstream: Member, is_told: Callable[[], bool]
) -> Iterator[None]:
    """Have the target's slot on its upstream; WAL is held for it from now on.

    Left with an error, a slot that was made here goes again, unless the target was
    told to use it.

    Raises:
        ElephaasError: the upstream cannot have it; nothing else was done.
    """
    name = slot_of(target)
    if not name:
        yield
        return
    (words,) = has_slot_words(target, upstream)
    with target.steps.step("slot", words) as step:
        made = slots.create_slots(upstream.cluster, [name])
        step.note(f"{name} {'holds WAL from now on' if made else 'is there already'}.")
    try:
        yield
    except BaseException:
        if made and not is_told():
            with suppress(ElephaasError):
                slots.drop_slots(upstream.cluster, made)
        raise


def follower_slot_words(target: Target) -> tuple[str, ...]:
    """Say for a plan that slots of other standbys come about, where they need any."""
    me = target.member(target.instance_id)
    needed = needed_slots(_standbys(target), me)
    return ("Have the slots of the other standbys",) if needed else ()


@contextmanager
def slots_for_followers(target: Target) -> Iterator[None]:
    """Have the slots of the herd's other standbys on one that is to be promoted.

    They ask for them as soon as the herd's name leads to it. What cannot be made is
    noted and made by a rebuild. Where it is seen not to be promoted, they go again.
    """
    me, standbys = target.member(target.instance_id), _standbys(target)
    made: tuple[str, ...] = ()
    for words in follower_slot_words(target):
        with target.steps.step("slots", words) as step:
            try:
                made = make_slots(me, standbys)
                step.note(f"Made {', '.join(made)}." if made else "They are there.")
            except ElephaasError as trouble:
                step.note(f"{trouble.message} Rebuild them once it is promoted.")
    try:
        yield
    except (NotObserved, PreconditionFailed):
        if made:
            with suppress(ElephaasError):
                slots.drop_slots(target.cluster, made)
        raise


def settle_slots(target: Target, upstream: Member, mine: Probe, theirs: Probe) -> None:
    """See a streaming target use its slot, and drop those that nobody uses any more.

    These are its own on other members, one of which was its upstream before, and those
    of other members on itself, which was a primary perhaps. What cannot be dropped is
    noted and stays: the target streams.

    Args:
        target: the member that streams.
        upstream: from which.
        mine: the target as it was before.
        theirs: where its data came from, as it was before.

    Raises:
        NotObserved: it streams, but not through its slot.
        ElephaasError: nothing is known of the upstream.
    """
    own, wanted = _own_name(target), slot_of(target)
    in_use = {each.name for each in mine.slots if each.is_active}
    idle = _idle_on(target, in_use)
    had = mine.settings.get("primary_slot_name", "") == own or any(
        each.name == own for each in theirs.slots
    )
    if not (wanted or had or idle):
        return
    with target.steps.step("slots", "Leave no slot that nobody uses") as step:
        if wanted:
            _see_in_use(target, upstream, wanted)
            step.note(f"It streams through {wanted}.")
        else:
            _await_idle(target, upstream, own)
        elsewhere = [
            each
            for each in target.members
            if not _same(each, target) and not (wanted and _same(each, upstream))
        ]
        if idle:
            _drop_on(target, idle, step)
        for host, dropped in _drop_everywhere(elsewhere, own):
            if dropped:
                step.note(f"Dropped {own} on {host}.")


def _own_name(member: Member | Target) -> str:
    ref = member.cluster.ref
    return slot_name(ref.base_name, ref.hostname)


def _standbys(target: Target) -> list[Member]:
    return [each for each in target.members if not each.is_primary]


def _same(one: Member | Target, other: Member | Target) -> bool:
    return one.instance_id == other.instance_id


def _others_names(
    holder: Member | Target, members: Iterable[Member], spare: Collection[str]
) -> list[str]:
    names = {_own_name(each) for each in members if not _same(each, holder)}
    return sorted(names - {_own_name(holder)} - set(spare))


def _idle_on(target: Target, in_use: Collection[str]) -> list[str]:
    """Name the idle slots on the target that are other members'.

    Those that were in use when this began have users that come back.
    """
    names = _others_names(target, target.members, in_use)
    if not names:
        return []
    with suppress(ElephaasError):
        there = slots.read_slots(target.cluster, names)
        return [name for name, is_active in there.items() if not is_active]
    return []


def _see_in_use(target: Target, upstream: Member, name: str) -> None:
    came, _ = watch(
        lambda: slots.read_slots(upstream.cluster, [name]).get(name, False),
        bool,
        clock=target.clock,
        timeout=target.patience,
    )
    if not came:
        raise NotObserved(
            f"{target.host} to stream through its slot {name} on {upstream.host}",
            observed="it streams, and nobody uses the slot",
            seconds=round(target.patience, 1),
            host=target.host,
            hint="Look at primary_slot_name in its configuration files and on the "
            "command line it was started with.",
        )


def _await_idle(target: Target, upstream: Member, name: str) -> None:
    """Wait for the connection that used the slot to go: another has taken over."""
    with suppress(ElephaasError):
        watch(
            lambda: slots.read_slots(upstream.cluster, [name]).get(name, False),
            lambda is_active: not is_active,
            clock=target.clock,
            timeout=target.patience,
        )


def _drop_on(target: Target, names: Sequence[str], step: Step) -> None:
    try:
        dropped = slots.drop_slots(target.cluster, names)
    except ElephaasError as trouble:
        step.note(f"{', '.join(names)} on {target.host} stay: {trouble.message}")
        return
    if dropped:
        step.note(f"Dropped {', '.join(dropped)} on {target.host}.")


def _drop_everywhere(
    members: Sequence[Member], name: str
) -> list[tuple[str, tuple[str, ...]]]:
    """Drop a slot wherever it is idle; a member that is lost or stopped is let be."""

    def drop(member: Member) -> tuple[str, tuple[str, ...]]:
        try:
            return member.host, slots.drop_slots(member.cluster, [name])
        except ElephaasError:
            return member.host, ()

    if not members:
        return []
    with ThreadPoolExecutor(max_workers=min(len(members), 16)) as pool:
        return list(pool.map(drop, members))
