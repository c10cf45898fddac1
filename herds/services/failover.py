"""Fail over: a standby takes over from a primary that is lost; a person decides."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from herds.domain.outcome import FollowUp, Outcome
from herds.domain.plan import Check, Choice, Option, PlannedTarget, Verdict
from herds.errors import (
    ElephaasError,
    Interrupted,
    PreconditionFailed,
)

from . import pointing, vhost
from .actions import Action
from .aftermath import LOST, Aftermath, settle
from .candidates import best_standbys
from .identity import seen_of
from .lifecycle import plan_each
from .preflight import refusal
from .scene import Scene, View, look_at_herd, named
from .standings import (
    LastSeen,
    furthest,
    last_seen,
    loss_check,
    position_of,
    standing_checks,
)
from .takeover import ATTESTED, FENCE_IT, Course, go_back, take_over
from .target import Member, Target
from .undo import may_be_promoted
from .vantage import Vantage, judge_loss, look_and_hear

if TYPE_CHECKING:
    from herds.models import Instance

_CAN_BE_UNDONE = 4  # of the steps below: look, fence, freeze, compare


def _plan(members: Sequence[Instance]) -> list[PlannedTarget]:
    return [
        replace(
            plan,
            refusal=""
            if not member.is_primary
            else f"No replica of {member.herd.herd_name} was online when it was last "
            "seen. Refresh the herd, or start a replica.",
        )
        for member, plan in zip(
            members,
            plan_each(members, will="takes over", steps=(), waves=[0] * len(members)),
            strict=True,
        )
    ]


@dataclass(frozen=True, kw_only=True)
class _Seen:
    """A herd whose primary is lost: its members, who takes over, and the checks."""

    scene: Scene
    old: View
    new: View
    checks: tuple[Check, ...]


def _judge(
    target: Target, candidate: str, scene: Scene, heard: tuple[Vantage, ...]
) -> _Seen:
    """Judge a herd whose primary is taken for lost.

    Args:
        target: whose herd.
        candidate: the host that is to take over; empty for the best one.
        scene: the herd as it was seen just now. A lost host takes as long to look at
            as a connection is waited for, so it is looked at once.
        heard: what its standbys hear of the primary.

    Raises:
        PreconditionFailed: it is not clear who was the primary, or nobody is there to
            take over.
    """
    old = scene.of(_recorded_primary(target))
    best = furthest(scene, old, target.host)
    new = next((view for view in scene.views if view.host == candidate), best)
    if not new.is_standby:
        new = best
    last = last_seen(
        target,
        old,
        LastSeen(position=old.member.position, at=old.member.seen_at, is_exact=False),
    )
    checks = (
        *judge_loss(target, scene, old, heard),
        *standing_checks(target, scene, old, new),
        loss_check(target, new, last),
        *pointing.checks(target, old.host, must=False),
        *_silent(target, scene, old),
    )
    return _Seen(scene=scene, old=old, new=new, checks=checks)


def _recorded_primary(target: Target) -> Member:
    facts = target.plan.get("facts", {})
    if "old" in facts:
        return target.member(int(facts["old"]))
    primaries = [
        member
        for member in target.members
        if member.is_primary and member.instance_id != target.instance_id
    ]
    if len(primaries) != 1:
        names = ", ".join(member.host for member in primaries) or "none"
        raise PreconditionFailed(
            f"The inventory has {names} for the primary of "
            f"{target.cluster.ref.herd_name}; who was lost is not clear.",
            host=target.host,
            hint="Refresh the herd, then plan again.",
        )
    return primaries[0]


def _silent(target: Target, scene: Scene, old: View) -> tuple[Check, ...]:
    """Warn where a standby that does not answer may have more than all others."""
    silent = [view for view in scene.without(old.member) if not view.is_standby]
    if not silent:
        return ()
    return (
        Check(
            name="All standbys seen",
            how="a look at every member",
            observed=", ".join(f"{view.host} is {view.words()}" for view in silent),
            threshold="all: one that is not seen may have received more",
            verdict=Verdict.WARN,
            observed_at=target.clock.now().isoformat(),
        ),
    )


def _examine(target: Target) -> PlannedTarget:
    scene, heard = look_and_hear(target, _recorded_primary(target))
    seen = _judge(target, "", scene, heard)
    old, new, ref = seen.old, seen.new, target.cluster.ref
    others = [
        view for view in seen.scene.without(old.member, new.member) if view.is_standby
    ]
    verb = "follows" if len(others) == 1 else "follow"
    follow = f", {named(others)} {verb} it" if others else ""
    points = f", {ref.vhost} points at it" if ref.vhost else ""
    return PlannedTarget(
        now=f"{old.host} was the primary and is {old.words()}",
        will=f"{new.host} takes the writes{points}{follow}; {old.host} is fenced",
        steps=(
            "Look at the herd from every side",
            f"Keep {old.host} from coming back",
            "Have the standbys receive nothing more",
            "Compare what they have",
            f"Promote {new.host}",
            *([f"Point {ref.vhost} at {new.host}"] if ref.vhost else []),
            *([f"Have {named(others)} follow {new.host}"] if others else []),
            f"See what {new.host} does",
        ),
        no_return=_CAN_BE_UNDONE,
        checks=seen.checks,
        choices=(_candidates(seen), _fences(old)),
        refusal=refusal(seen.checks),
        typed=ref.herd_name,
        afterwards=(
            f"{new.host} takes the writes of {ref.herd_name}. What {old.host} wrote "
            f"and {new.host} had not received is lost to the herd."
        ),
        identity=seen_of(new.known.seen, new.known),
        facts={
            "old": old.member.instance_id,
            "system": new.known.system_identifier,
            "timeline": new.known.timeline,
            "vhost": vhost.pointing(target),
        },
    )


def _candidates(seen: _Seen) -> Choice:
    standbys = seen.scene.without(seen.old.member)
    return Choice(
        name="candidate",
        label="New primary",
        options=tuple(
            Option(
                value=view.host,
                label=f"{view.host}, at {position_of(view)}"
                if view.is_standby
                else view.host,
                possible=view.is_standby,
                why="" if view.is_standby else f"it is {view.words()}",
            )
            for view in standbys
        ),
        default=seen.new.host,
    )


def _fences(old: View) -> Choice:
    """Ask how the lost primary is kept from coming back; nothing is assumed of it."""
    label = f"What keeps {old.host} from taking writes again"
    if old.probe is not None:
        words = "this service: it can only start as a standby from then on"
        option = Option(value=FENCE_IT, label=words)
        return Choice(name="fence", label=label, options=(option,), default=FENCE_IT)
    return Choice(
        name="fence",
        label=label,
        options=(
            Option(
                value="",
                label="(choose)",
                possible=False,
                why="its host cannot be reached, so a person has to say it",
            ),
            *(Option(value=value, label=words) for value, words in ATTESTED.items()),
        ),
        default="",
    )


def _run(target: Target) -> Outcome:
    resumed = target.steps.began("fence")
    new: View | None = None
    with target.steps.step("look", "Look at the herd from every side") as step:
        lost = _recorded_primary(target)
        if resumed:
            scene = look_at_herd(target)
            new = _promoted(target, scene, scene.of(lost))
        if new is None:
            scene, heard = look_and_hear(target, lost)
        else:
            step.note(f"{new.host} is {new.words()}.")
    if new is None:
        course = _before(target, scene, heard, resumed=resumed)
        with pointing.prepare(
            target, course.old.member, course.new.member, must=False
        ) as move:
            take_over(target, course)
            return _go_forward(target, course, move)
    old = scene.of(lost)
    with pointing.prepare(target, old.member, new.member, must=False) as move:
        return _go_forward(target, Course(scene=scene, old=old, new=new), move)


def _promoted(target: Target, scene: Scene, old: View) -> View | None:
    """Find who was promoted by an earlier attempt; None where nobody was.

    Raises:
        Interrupted: the one that was told to cannot be seen, or does not run.
        PreconditionFailed: more than one takes writes.
    """
    writers = [view for view in scene.writers if view.host != old.host]
    if len(writers) > 1:
        raise PreconditionFailed(
            f"{named(writers)} take writes: the herd has more than one primary.",
            host=writers[0].host,
            hint="Decide which one stays, and demote the others first.",
        )
    if writers:
        return writers[0]
    if target.steps.began("promote"):
        host = target.chosen("candidate")
        told = next((view for view in scene.views if view.host == host), None)
        timeline = int(target.plan["facts"]["timeline"])
        if told is not None and may_be_promoted(told, timeline):
            raise Interrupted(
                f"{host} was told to promote and is {told.words()}: it may have taken "
                "writes. Nothing was done.",
                host=host,
                hint=(
                    f"Start {host}, then resume: what is true is looked at first. If "
                    "it is lost for good, plan another failover."
                ),
            )
    return None


def _before(
    target: Target, scene: Scene, heard: tuple[Vantage, ...], *, resumed: bool
) -> Course:
    """Refuse where the herd, as it is seen now, is not as it was read.

    Raises:
        PreconditionFailed: it is not; nothing was done.
        RolledBack: it is not, and what an earlier attempt did was taken back.
    """
    try:
        seen = _judge(target, target.chosen("candidate"), scene, heard)
        _refuse_drift(target, seen)
    except ElephaasError as error:
        if not resumed:
            raise
        scene = look_at_herd(target)
        old = scene.of(_recorded_primary(target))
        standbys = [
            view.member for view in scene.without(old.member) if view.is_standby
        ]
        go_back(target, old, standbys, error, fenced=False)
    return Course(scene=seen.scene, old=seen.old, new=seen.new)


def _refuse_drift(target: Target, seen: _Seen) -> None:
    """Refuse where what the person has read is no longer so.

    Raises:
        PreconditionFailed: with what is different; nothing was done.
    """
    chosen = target.chosen("candidate")
    facts = target.plan["facts"]
    refused = refusal(seen.checks)
    if not refused and chosen and seen.new.host != chosen:
        refused = f"{chosen} is no running standby any more."
    if not refused and facts["system"] != seen.new.known.system_identifier:
        refused = f"{seen.new.host} holds another cluster now."
    if not refused and facts["timeline"] != seen.new.known.timeline:
        refused = f"{seen.new.host} is on timeline {seen.new.known.timeline} now."
    if refused:
        raise PreconditionFailed(
            f"Nothing was done. {refused}",
            hint="Plan it again, and read what is different.",
        )


def _go_forward(target: Target, course: Course, move: pointing.Pointing) -> Outcome:
    """Do all that comes after the promotion; the lost primary is left for later."""
    old, new = course.old.member, course.new.member
    target.steps.must_finish()
    move.move()
    return settle(
        Aftermath(
            target=target,
            new=new,
            old=old,
            others=[view.member for view in course.scene.without(old, new)],
            below=course.below,
            old_primary=LOST,
            move=move,
            left=(
                FollowUp(
                    action="rebuild",
                    instance_id=old.instance_id,
                    words=f"{old.host} is fenced; rebuild it to have it follow."
                    if course.old.probe is not None
                    else f"{old.host} is fenced once it is seen; rebuild it then.",
                ),
            ),
        )
    )


FAILOVER = Action(
    name="failover",
    verb="Fail over",
    past="failed over",
    permission="herds.failover_instance",
    destroys=True,
    is_urgent=True,
    words=(
        "Makes a standby the primary of a herd whose primary is lost; says before what "
        "may be lost with it."
    ),
    afterwards="Each herd has a new primary; the lost ones are fenced.",
    of_role="standby",
    plan=_plan,
    run=_run,
    examine=_examine,
    needs_members=True,
    menus=("disasterrecovery", "herd"),
    labels={"disasterrecovery": "Fail over to listed replica (primary lost)"},
    narrow=best_standbys,
)
