"""Brings a member back under its herd's primary, by the rung of the ladder chosen.

Until the first byte of its data is changed, whatever fails leaves the target as it was
and running if it ran. From then on its directory is marked as incomplete and cannot
start; the same rejoin can simply be run again.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace

from herds.domain.clock import watch
from herds.domain.cluster import Activity, Observation
from herds.errors import ElephaasError, NotObserved, PreconditionFailed, ServerRuns
from herds.postgres import files
from herds.postgres.lock import end_orphaned_copies
from herds.postgres.streaming import await_streaming, serves_standby

from .ends import has_cluster, upstream_of
from .following import follower_names, see_followers_again
from .freeze import freeze
from .lifecycle import bring_down, bring_up, runs_again
from .outlook import Method, Outlook, look_at_both
from .rungs import Climb, bring_data, write_settings
from .slots import settle_slots, slot_on
from .steps import Step
from .target import Member, Target


def rejoin(
    target: Target,
    source: Member,
    method: Method | None = None,
    *,
    upstream: Member | None = None,
    bandwidth: int = 0,
) -> str:
    """Make the target a standby that streams again; give the sentence of the outcome.

    Args:
        target: the member that is to follow; it may run, be stopped, or not exist.
        source: the member that data is taken from.
        method: the rung; None takes the one that brings least.
        upstream: the primary to stream from where that is another than the source.
        bandwidth: bytes a second at most, 0 for no limit.

    Raises:
        PreconditionFailed: it cannot be done, or not this way; nothing was changed.
        NotObserved: all was done, and it does not stream.
        ElephaasError: a step failed; the message says what is true of the target.
    """
    upstream = upstream or source
    with target.steps.step("look", "Look at both ends") as step:
        outlook = look_at_both(target, source, upstream)
        step.saw(outlook.mine.seen)
        chosen = _choose(target, source, outlook, method, step)
    followers = follower_names(outlook.mine.seen)
    # What is held on the source, its WAL above all, is held until the target streams.
    with ExitStack() as held:
        climb = Climb(
            target=target,
            source=source,
            upstream=upstream,
            outlook=outlook,
            bandwidth=bandwidth,
            held=held,
        )
        held.enter_context(slot_on(target, upstream, lambda: climb.is_told))
        if chosen is Method.FOLLOW and _follows_while_running(climb):
            return _stream(climb, chosen, 0) + see_followers_again(target, followers)
        try:
            if outlook.mine.seen.is_running:
                bring_down(target, outlook.mine.seen)
                chosen = _choose_at_rest(climb, chosen)
            _see_at_rest(climb)
            received = _bring_data(climb, chosen)
        except ElephaasError as error:
            raise _with_what_is_true(climb, error) from error
        target.steps.must_finish()
        climb.is_brought = True
        try:
            bring_up(target, ready=(Activity.RUNNING, Activity.STARTING))
            outcome = _stream(climb, chosen, received)
        except ElephaasError as error:
            raise _with_what_is_true(climb, error) from error
    # By now nothing is held on the source any more.
    return outcome + see_followers_again(target, followers)


def _choose(
    target: Target, source: Member, outlook: Outlook, method: Method | None, step: Step
) -> Method:
    """Take the rung that was chosen, or the one that brings least.

    Raises:
        PreconditionFailed: it is not possible.
    """
    chosen = method or outlook.first
    if outlook.rung(chosen).why_not and outlook.mine.is_incomplete:
        # An earlier attempt was cut off in a rung that does not begin twice.
        chosen = outlook.first
    if why_not := outlook.rung(chosen).why_not:
        raise PreconditionFailed(
            f"{outlook.rung(chosen).words} is not possible for {target.host}: "
            f"{why_not}.",
            host=target.host,
            hint="Choose another way.",
        )
    step.note(f"{outlook.rung(chosen).words}, from {source.host}.")
    return chosen


def _choose_at_rest(climb: Climb, chosen: Method) -> Method:
    """Judge the histories again: before, its end of WAL was moving.

    Raises:
        PreconditionFailed: it cannot follow after all.
    """
    if chosen is not Method.FOLLOW:
        return chosen
    target = climb.target
    with target.steps.step("judge", "Look again, now that it is stopped") as step:
        climb.outlook = look_at_both(target, climb.source, climb.upstream)
        return _choose(target, climb.source, climb.outlook, chosen, step)


def _see_at_rest(climb: Climb) -> None:
    """See that no process works in the target's data, and none is started again.

    Sessions that are busy outlive a postmaster that was killed, and go on writing.

    Raises:
        PreconditionFailed: something starts it again.
        NotObserved: processes are left.
    """
    target = climb.target
    if not has_cluster(climb.outlook.mine):
        return
    with target.steps.step("rest", "See its data at rest") as step:
        # Of a herd only one operation is at work: whoever began these is lost.
        if end_orphaned_copies(target.cluster.shell, climb.directory):
            step.note("Ended what an earlier attempt had left at work.")
        came, left = watch(
            target.cluster.leftovers,
            lambda left: not left,
            clock=target.clock,
            timeout=target.patience,
        )
        seen = target.look()
        step.saw(seen)
        if seen.is_running:
            raise runs_again(target.host)
        if not came:
            raise NotObserved(
                f"nothing to work in {climb.directory} on {target.host}",
                observed=f"process {', '.join(map(str, left))}",
                seconds=round(target.patience, 1),
                host=target.host,
                hint="End those processes on the host first.",
            )


def _bring_data(climb: Climb, method: Method) -> int:
    """Climb the rung; what it finds running was seen at rest just now.

    Raises:
        PreconditionFailed: something started it again.
        ElephaasError: it did not come to its end.
    """
    try:
        return bring_data(climb, method)
    except ServerRuns as error:
        raise runs_again(climb.target.host) from error


def _follows_while_running(climb: Climb) -> bool:
    """Point a running standby at its primary; False where it has to be restarted."""
    seen = climb.outlook.mine.seen
    if not seen.answers or not seen.in_recovery:
        return False
    with climb.target.steps.step("settings", "Write the replication settings") as step:
        held = _let_go_of_others(climb)
        write_settings(climb)
        step.note("Written on the running server, and reloaded." + held)
    return True


def _let_go_of_others(climb: Climb) -> str:
    """End what a standby receives from anybody but its upstream.

    Returns:
        Why it was not seen to end, as one more sentence; empty where it was.

    Settings that stay as they are make it connect to nobody anew: it would go on with
    whom the name of its upstream led to before.
    """
    target, upstream = climb.target, climb.upstream
    name = upstream_of(target, upstream).application_name
    if serves_standby(upstream.cluster, name)[1]:
        return ""
    held = freeze(target, [target.member(target.instance_id)])
    return "".join(f" {why.rstrip('.')}." for why in held.values())


def _stream(climb: Climb, method: Method, received: int) -> str:
    """See the target stream on the timeline of its upstream, and have what that has."""
    target, upstream = climb.target, climb.upstream
    with target.steps.step("stream", "See it stream") as step:
        seen = await_streaming(
            target.cluster,
            upstream.cluster,
            upstream_of(target, upstream).application_name,
            patience=target.patience,
            on_progress=lambda done, total: step.progress(
                "replayed", done=done, total=total
            ),
        )
        files.clear_incomplete(target.cluster.shell, climb.directory)
        step.note(f"It is {seen.words()}.")
        step.saw(_record_upstream(target, upstream))
    settle_slots(target, upstream, climb.outlook.mine, climb.outlook.theirs)
    came = f"; {received:,} bytes came" if received else ""
    return (
        f"{target.host} streams from {upstream.host} on timeline {seen.timeline} "
        f"({climb.outlook.rung(method).words}, from {climb.source.host}{came})."
    )


def _record_upstream(target: Target, upstream: Member) -> Observation:
    """Have the inventory name the upstream that was seen to stream to it."""
    seen = target.cluster.look()
    facts = {**seen.facts, "upstream": upstream.instance_id}
    target.record(replace(seen, facts=facts))
    return seen


def _with_what_is_true(climb: Climb, error: ElephaasError) -> ElephaasError:
    """Add to an error what is true of the target now; start it if it is unharmed."""
    target = climb.target
    # A person who cancelled wants to know it too.
    target.steps.must_finish()
    error.hint = f"{_what_is_true(climb)} {error.hint}".strip()
    return error


def _what_is_true(climb: Climb) -> str:
    host = climb.target.host
    try:
        probe = climb.target.cluster.probe()
    except ElephaasError:
        if not climb.has_begun:
            return f"The data of {host} is as it was; whether it runs is not known."
        return (
            f"Whether the data of {host} was changed is not known; if so, it is marked "
            "as incomplete and cannot start. Run the rebuild again."
        )
    if not has_cluster(probe):
        return f"{host} has no data; run the rebuild again."
    if probe.control is None:
        return (
            f"The data directory of {host} is incomplete and cannot start; run the "
            "rebuild again."
        )
    if probe.is_incomplete:
        does = "goes on trying" if probe.seen.is_running else "is stopped"
        return (
            f"{host} has all data as a standby and {does}; it stays marked as "
            "incomplete until a rebuild sees it stream."
        )
    if climb.is_brought:
        return (
            f"{host} {'runs as a standby' if probe.seen.is_running else 'is stopped'}."
        )
    was = f"The data of {host} is as it was"
    if probe.seen.is_running:
        return f"{was}, and it runs."
    if not climb.outlook.mine.seen.is_running:
        return f"{was}."
    try:
        bring_up(climb.target)
    except ElephaasError as trouble:
        return f"{was}, but it could not be started again ({trouble.message})"
    return f"{was}, and it was started again."
