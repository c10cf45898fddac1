"""Sees those who streamed from a member come back to it, once it streams itself."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import suppress

from herds.domain.cluster import Observation
from herds.errors import ElephaasError
from herds.postgres import promotion

from .scene import at_once
from .target import Member, Target

_FOLLOWS = frozenset({"streaming", "catchup"})

# One that asks in vain for WAL that is gone is seen to catch up between its attempts.
_IS_BACK = frozenset({"streaming"})


def follower_names(
    seen: Observation, states: Collection[str] = _FOLLOWS
) -> tuple[str, ...]:
    """Name those who stream from a member, as it knows them itself."""
    named = {
        each.application_name or each.address
        for each in seen.followers
        if each.state in states
    }
    return tuple(sorted(named))


def see_followers_again(target: Target, names: Sequence[str]) -> str:
    """Wait for those who streamed from a member; give the sentence of how it went.

    One that does not come back makes no failure: the member itself is whole.

    Args:
        target: the member; it streams.
        names: who streamed from it before, as ``follower_names`` gives them.
    """
    if not names:
        return ""

    def missing(now: Observation) -> list[str]:
        back = follower_names(now, _IS_BACK)
        return [name for name in names if name not in back]

    try:
        with target.steps.step("followers", "See its followers stream again") as step:
            at_once(_wake, [each for each in target.members if each.name in set(names)])
            came, seen = target.await_state(lambda now: not missing(now))
            step.saw(seen)
    except ElephaasError as error:
        return f" Whether its followers stream again is not known: {error.message}"
    if came:
        return f" Its followers stream from it again ({', '.join(names)})."
    return (
        f" Not seen to stream from it again: {', '.join(missing(seen))}; look at them, "
        "and rebuild those that do not."
    )


def _wake(follower: Member) -> None:
    """Have a follower try at once; one that cannot be told tries by itself."""
    with suppress(ElephaasError):
        promotion.nudge(follower.cluster)
