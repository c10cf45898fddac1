"""Switch over: a herd's writes move to a standby while its primary is healthy.

Nothing is lost, or nothing is changed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from herds.domain.outcome import Outcome
from herds.domain.plan import Check, Choice, Option, PlannedTarget
from herds.errors import (
    ElephaasError,
    Interrupted,
    PreconditionFailed,
    RolledBack,
)

from . import logical_slots, pointing, vhost
from .actions import Action
from .aftermath import PREPARED, REJOIN, Aftermath, settle
from .byhand import switchover_by_hand
from .candidates import best_standbys
from .handover import Handover, go_on, hand_over, slots_unless_undone
from .identity import seen_of
from .lifecycle import plan_each
from .pair import look_at_pair
from .preflight import preflight, refusal, stops, warnings, with_lost_followers
from .scene import Scene, View, fed_by_others, look_at_herd, named
from .target import Member, Target
from .undo import UNDO_ONLY, may_be_promoted, roll_back

if TYPE_CHECKING:
    from herds.models import Instance

_CAN_BE_UNDONE = 4  # of the steps below: look, prepare, stop, compare


def _plan(members: Sequence[Instance]) -> list[PlannedTarget]:
    return [
        replace(plan, refusal=_refusal(member))
        for member, plan in zip(
            members,
            plan_each(members, will="takes over", steps=(), waves=[0] * len(members)),
            strict=True,
        )
    ]


def _refusal(member: Instance) -> str:
    if not member.is_primary:
        return ""
    return (
        f"No replica of {member.herd.herd_name} is online that could take over from "
        f"{member.server.hostname}. Refresh the herd, or start or rebuild a replica."
    )


def _examine(target: Target) -> PlannedTarget:
    """Plan from what is seen on every member; give the reasons where it cannot go."""
    scene = look_at_herd(target)
    old = _primary(target, scene)
    judged = {
        view.host: _judge(target, scene, old, view)
        for view in scene.without(old.member)
        if view.is_standby
    }
    new = scene.of(target.member(target.instance_id))
    checks = judged.get(new.host)
    if checks is None:
        raise PreconditionFailed(
            f"{new.host} is {new.words()}, and only a running standby can take over.",
            host=new.host,
            hint="Refresh the herd, and choose another standby.",
        )
    others = scene.without(old.member, new.member)
    points_at = vhost.pointing(target)
    return PlannedTarget(
        now=f"{old.host} is the primary, {new.host} its standby",
        will=_words(target, old, new, others),
        steps=_steps(target, old, new, others),
        no_return=_CAN_BE_UNDONE,
        checks=checks,
        choices=(_candidates(judged, new), _old_primary(old)),
        refusal=refusal(checks),
        runbook=switchover_by_hand(target, old, new, others, points_at=points_at),
        afterwards=(
            f"{new.host} takes the writes of {target.cluster.ref.herd_name}; nothing "
            "that was acknowledged is lost."
        ),
        identity=seen_of(new.known.seen, new.known),
        facts={
            "old": old.member.instance_id,
            "system": old.known.system_identifier,
            "timeline": old.known.timeline,
            "vhost": points_at,
            "lost_slots": {
                host: logical_slots.lost(each) for host, each in judged.items()
            },
            "warnings": {
                host: [check.name for check in warnings(each)]
                for host, each in judged.items()
            },
        },
    )


def _primary(target: Target, scene: Scene) -> View:
    """Find the one member that takes the herd's writes.

    Raises:
        PreconditionFailed: there is none, or more than one.
    """
    writers = scene.writers
    if len(writers) == 1:
        return writers[0]
    if writers:
        raise PreconditionFailed(
            f"{named(writers)} all take writes: the herd has more than one primary.",
            host=writers[0].host,
            hint="Decide which one stays, and demote the others first.",
        )
    states = "; ".join(f"{view.host} is {view.words()}" for view in scene.views)
    raise PreconditionFailed(
        f"No member of {target.cluster.ref.herd_name} is seen to take writes: "
        f"{states}.",
        host=target.host,
        hint="Start the primary. If it is lost, fail over instead.",
    )


def _judge(target: Target, scene: Scene, old: View, new: View) -> tuple[Check, ...]:
    pair = look_at_pair(target, scene, old, new)
    names = pointing.checks(target, old.host, must=True)
    return (*with_lost_followers(preflight(pair), pair), *names)


def _words(target: Target, old: View, new: View, others: Sequence[View]) -> str:
    ref = target.cluster.ref
    will = f"{old.host} stops, {new.host} takes its writes"
    if ref.vhost:
        will += f", {ref.vhost} points at it"
    if others:
        will += f", {named(others)} {'follows' if len(others) == 1 else 'follow'} it"
    return will


def _steps(
    target: Target, old: View, new: View, others: Sequence[View]
) -> tuple[str, ...]:
    vhost = target.cluster.ref.vhost
    return (
        "Look at every member",
        "Prepare both ends",
        f"Stop {old.host} (fast)",
        f"Compare what {new.host} has received",
        f"Promote {new.host}",
        *([f"Point {vhost} at {new.host}"] if vhost else []),
        f"Have {named([*others, old])} follow {new.host}",
        f"See what {new.host} does",
    )


def _candidates(judged: dict[str, tuple[Check, ...]], new: View) -> Choice:
    return Choice(
        name="candidate",
        label="New primary",
        options=tuple(
            Option(
                value=host,
                label=host + _warned(checks),
                possible=not stops(checks),
                why=refusal(checks).rstrip("."),
            )
            for host, checks in judged.items()
        ),
        default=new.host,
    )


def _warned(checks: Sequence[Check]) -> str:
    names = [check.name for check in warnings(checks)]
    return f" (warnings: {', '.join(names)})" if names else ""


def _old_primary(old: View) -> Choice:
    return Choice(
        name="old_primary",
        label=f"Afterwards, {old.host}",
        options=(
            Option(
                value=PREPARED,
                label="stays stopped as an emergency copy, prepared to follow",
            ),
            Option(value=REJOIN, label="follows the new primary at once"),
        ),
        default=PREPARED,
    )


def _run(target: Target) -> Outcome:
    with target.steps.step("look", "Look at every member") as step:
        scene = look_at_herd(target)
        new, old = _ends(target, scene)
        step.note(f"{old.host} is {old.words()}; {new.host} is {new.words()}.")
        resumed = target.steps.began("stop")
        if not resumed:
            _refuse_unasked(target, old)
            _refuse_drift(target, scene, old, new)
        move = pointing.prepare(target, old.member, new.member, must=not resumed)
    with move:
        course = _Course(scene=scene, old=old, new=new, target=target, move=move)
        if resumed:
            return _resume(course)
        return _forward(course, hand_over(course.handover))


@dataclass(frozen=True, kw_only=True)
class _Course:
    """A switchover while it goes on, told in the story of ``target``."""

    target: Target
    scene: Scene
    old: View
    new: View
    move: pointing.Pointing

    @property
    def others(self) -> list[Member]:
        """The members that neither take over nor are taken over from."""
        ends = (self.old.member, self.new.member)
        return [view.member for view in self.scene.without(*ends)]

    @property
    def below(self) -> dict[int, Member]:
        """By instance id, the standby that feeds another one and stays."""
        return fed_by_others(self.scene, self.old.member, self.new.member)

    @property
    def handover(self) -> Handover:
        """The outage of it."""
        follows = self.target.chosen("old_primary") == REJOIN
        direct = [each for each in self.others if each.instance_id not in self.below]
        return Handover(
            target=self.target,
            old=self.old.member,
            new=self.new.member,
            followers=[*direct, *([self.old.member] if follows else [])],
            on_promoted=self.move.move,
        )


def _refuse_unasked(target: Target, old: View) -> None:
    """Begin nothing that nobody asked for: the engine resumes only to go back.

    Raises:
        RolledBack: nothing had been stopped.
    """
    if target.parameters.get(UNDO_ONLY):
        raise RolledBack(
            f"The worker was lost before it had stopped anything: {old.host} is "
            f"{old.words()}. Nothing was promoted and nothing is lost.",
            host=old.host,
            hint="Plan it again.",
        )


def _resume(course: _Course) -> Outcome:
    """Go on from what is true: forward, once more, or back.

    Raises:
        RolledBack: the old primary takes writes, and nothing was promoted.
        Interrupted: what is true of an end is not known, or it was promoted and does
            not run.
        PreconditionFailed: both take writes, or a third one does.
    """
    target, old, new = course.target, course.old, course.new
    _refuse_others(course)
    if new.takes_writes:
        target.steps.must_finish()
        course.move.move()
        return _forward(course)
    _refuse_unclear(course)
    control = old.known.control
    is_stopped = old.was_shut_down and control is not None and new.is_standby
    if target.parameters.get(UNDO_ONLY) or not (is_stopped or old.takes_writes):
        with slots_unless_undone(course.handover):
            roll_back(course.handover.undo, _lost(course))
    if old.takes_writes or control is None:
        _refuse_drift(target, course.scene, old, new)
        return _forward(course, hand_over(course.handover))
    go_on(course.handover, control.checkpoint)
    return _forward(course)


def _refuse_others(course: _Course) -> None:
    """Leave everything as it is where the herd has another primary by now.

    Raises:
        PreconditionFailed: a third one takes writes, or both ends do.
    """
    writers = course.scene.writers
    if len(writers) > 1:
        _primary(course.target, course.scene)
    if writers and writers[0].host not in {course.old.host, course.new.host}:
        raise PreconditionFailed(
            f"{writers[0].host} takes the herd's writes by now, so somebody has moved "
            f"it otherwise; nothing was done. {course.old.host} is "
            f"{course.old.words()}.",
            host=writers[0].host,
            hint=f"Refresh the herd, and rebuild {course.old.host}.",
        )


def _refuse_unclear(course: _Course) -> None:
    """Do nothing unless it is certain that the new primary was not promoted.

    Raises:
        Interrupted: it is not, or an end cannot be seen.
    """
    old, new = course.old, course.new
    if unknown := [view for view in (old, new) if view.probe is None]:
        raise Interrupted(
            f"{named(unknown)} is {unknown[0].words()}, so neither going on nor going "
            "back is safe; nothing was done.",
            host=unknown[0].host,
            hint="Mend that, then resume. If the host is lost for good, fail over.",
        )
    if may_be_promoted(new, course.target.plan["facts"]["timeline"]):
        raise Interrupted(
            f"{new.host} is {new.words()}: it may have been promoted and have taken "
            f"writes, so {old.host} is not started. Nothing was done.",
            host=new.host,
            hint=(
                f"Start {new.host}, then resume: what is true is looked at first. If "
                "it is lost for good, fail over to another standby."
            ),
        )


def _lost(course: _Course) -> ElephaasError:
    return Interrupted(
        f"The switchover to {course.new.host} was interrupted before it had promoted "
        "anything."
    )


def _ends(target: Target, scene: Scene) -> tuple[View, View]:
    """Find who takes over from whom, by what was chosen and planned.

    Raises:
        PreconditionFailed: one of them is no member any more.
    """
    host = target.chosen("candidate")
    new = next((each for each in target.members if each.host == host), None)
    if new is None:
        new = target.member(target.instance_id)
    old = target.member(int(target.plan["facts"]["old"]))
    return scene.of(new), scene.of(old)


def _refuse_drift(target: Target, scene: Scene, old: View, new: View) -> None:
    """Look again at everything the plan rests on.

    Raises:
        PreconditionFailed: something has changed; nothing was done.
        ElephaasError: an end could not be asked.
    """
    facts = target.plan["facts"]
    primary = _primary(target, scene)
    if primary.host != old.host:
        raise _outdated(f"{primary.host} takes the writes now, and not {old.host}")
    if not new.is_standby:
        raise _outdated(f"{new.host} is {new.words()}")
    for what, now in (
        ("system", old.known.system_identifier),
        ("timeline", old.known.timeline),
    ):
        if facts[what] != now:
            raise _outdated(f"the {what} of {old.host} was {facts[what]} and is {now}")
    checks = _judge(target, scene, old, new)
    if refused := refusal(checks):
        raise _outdated(refused.rstrip("."))
    known = set(facts.get("warnings", {}).get(new.host, ()))
    fresh = [check for check in warnings(checks) if check.name not in known]
    if fresh:
        raise _outdated("; ".join(f"{check.name}: {check.observed}" for check in fresh))


def _outdated(what: str) -> PreconditionFailed:
    return PreconditionFailed(
        f"Since the plan was made something has changed ({what}); nothing was done.",
        hint="Plan it again, and read what is different.",
    )


def _forward(course: _Course, seconds: float | None = None) -> Outcome:
    """Do all that comes after the promotion, and say what is true."""
    outcome = settle(
        Aftermath(
            target=course.target,
            new=course.new.member,
            old=course.old.member,
            others=course.others,
            below=course.below,
            old_primary=course.target.chosen("old_primary") or PREPARED,
            move=course.move,
        )
    )
    old, new = course.old.host, course.new.host
    lost = course.target.plan["facts"].get("lost_slots", {}).get(new, "")
    sentence = outcome.sentence + logical_slots.words(lost, old, new)
    if seconds is not None:
        sentence += f" Writes were away for about {seconds * 1000:.0f} ms."
    return replace(outcome, sentence=sentence)


SWITCHOVER = Action(
    name="switchover",
    verb="Switch over",
    past="switched over",
    permission="herds.switchover_instance",
    destroys=True,
    words=(
        "Moves a herd's writes to its best standby, with the virtual host; loses "
        "nothing or changes nothing."
    ),
    afterwards="Each herd has a new primary, and its virtual host points there.",
    of_role="standby",
    of_running=True,
    plan=_plan,
    run=_run,
    examine=_examine,
    needs_members=True,
    menus=("disasterrecovery", "herd"),
    narrow=best_standbys,
    goes_back=True,
    labels={"disasterrecovery": "Switch over to listed replica"},
)
