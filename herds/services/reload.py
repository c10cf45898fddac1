"""Reload the configuration files of running instances."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from herds.domain.cluster import Activity, Observation
from herds.domain.plan import PlannedTarget
from herds.errors import NotObserved, PreconditionFailed

from .actions import Action
from .lifecycle import (
    clock_time,
    plan_each,
    refuse_no_cluster,
    state_sentence,
)
from .target import Target

if TYPE_CHECKING:
    from herds.models import Instance


def _plan(members: Sequence[Instance]) -> list[PlannedTarget]:
    return plan_each(
        members,
        will="reads its configuration files again; sessions go on",
        steps=("Reload the configuration",),
        waves=[0] * len(members),
    )


def _run(target: Target) -> str:
    with target.steps.step("reload", "Reload the configuration") as step:
        begun = target.clock.monotonic()

        def has_loaded(seen: Observation) -> bool:
            """Compare ages, each by one clock: host and service may disagree."""
            age = seen.facts.get("loaded_ago")
            return age is not None and age <= target.clock.monotonic() - begun

        acted = target.act(step, "reload", need_running=True)
        if acted is not None:
            refuse_no_cluster(target, acted.seen)
            if acted.status is None or acted.seen.activity is Activity.STOPPED:
                target.record(acted.seen)
                raise PreconditionFailed(
                    f"{target.host} is not running, so there is nothing to reload.",
                    host=target.host,
                    hint="Start it; it reads its configuration then.",
                )
        came, seen = target.await_state(
            lambda now: (
                _is_whole(now) and (has_loaded(now) or not now.answers or _refused(now))
            ),
            first=acted.seen if acted else None,
        )
        step.saw(seen)
        if not came or not (has_loaded(seen) or _refused(seen)):
            raise NotObserved(
                f"{target.host} to load its configuration",
                observed=state_sentence(target.host, seen),
                seconds=round(target.clock.monotonic() - begun, 1),
                host=target.host,
                hint="Read the command's output and the server's log on the host.",
            )
    return _outcome(target.host, seen)


def _is_whole(seen: Observation) -> bool:
    """Tell that nothing was left out: what the errors are takes a look of its own."""
    return not seen.facts.get("has_errors")


def _refused(seen: Observation) -> bool:
    """Tell that PostgreSQL takes nothing from its files, and so never loads them."""
    return bool(seen.facts.get("configuration_refused"))


def _outcome(host: str, seen: Observation) -> str:
    if _refused(seen):
        raise PreconditionFailed(
            f"{host} was told to reload, but its configuration has errors, so it took "
            f"nothing from its files and goes on as before: "
            f"{'; '.join(seen.configuration_errors)}.",
            host=host,
            hint="Correct the file on the host, then reload again.",
        )
    if seen.configuration_errors:
        raise PreconditionFailed(
            f"{host} was told to reload, but its configuration has errors and what "
            f"they touch stays as it was: {'; '.join(seen.configuration_errors)}.",
            host=host,
            hint="Correct the file on the host, then reload again.",
        )
    loaded = f" at {clock_time(seen.loaded_at)}" if seen.loaded_at else ""
    waiting = (
        f" Only a restart applies: {', '.join(seen.pending_restart)}."
        if seen.pending_restart
        else ""
    )
    return f"{host} loaded its configuration{loaded}.{waiting}"


RELOAD = Action(
    name="reload",
    verb="Reload",
    past="reloaded",
    permission="herds.reload_instance",
    words="Makes PostgreSQL read its configuration files again.",
    afterwards="Every one of them uses its configuration files as they are now.",
    of_running=True,
    plan=_plan,
    run=_run,
)
