"""Sees those who streamed from a member come back to it, once it streams itself."""

from __future__ import annotations

from collections.abc import Sequence

from herds.domain.cluster import Observation
from herds.errors import ElephaasError

from .target import Target

_STREAMS = frozenset({"streaming", "catchup"})


def follower_names(seen: Observation) -> tuple[str, ...]:
    """Name those who stream from a member, as it knows them itself."""
    return tuple(
        sorted(
            {
                each.application_name or each.address
                for each in seen.followers
                if each.state in _STREAMS
            }
        )
    )


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
        back = follower_names(now)
        return [name for name in names if name not in back]

    try:
        with target.steps.step("followers", "See its followers stream again") as step:
            came, seen = target.await_state(lambda now: not missing(now))
            step.saw(seen)
    except ElephaasError as error:
        return f" Whether its followers stream again is not known: {error.message}"
    if came:
        return f" Its followers stream from it again ({', '.join(names)})."
    return (
        " Followers that do not stream from it any more: "
        f"{', '.join(missing(seen))}; rebuild them too."
    )
