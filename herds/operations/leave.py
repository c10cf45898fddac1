"""Whether a person may act where a target lies: rights, freezes, a second person."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.utils import timezone

from herds.domain.states import TargetState
from herds.errors import NotAllowed, PreconditionFailed
from herds.models import Environment, Freeze, Herd, Instance, OperationTarget
from herds.models.inventory import Approval
from herds.selectors.rights import Rights, rights_of, who_may
from herds.services.actions import Action

if TYPE_CHECKING:
    from django.contrib.auth.models import User

OVERRIDE = "herds.override_freeze"

Places = Mapping[int | None, Environment | None]
"""Environments by number; None is where there is none."""


@dataclass(frozen=True, kw_only=True)
class Requester:
    """Who asks, and from where.

    Without a user it is somebody at the terminal of the service itself, who could
    do everything there anyway.
    """

    name: str
    source: str  # "admin", "terminal" or "worker"
    user: User | None = None
    address: str = ""

    @property
    def rights(self) -> Rights:
        """What this person may do, and where."""
        return rights_of(self.user)

    def may(self, permission: str, environment_id: int | None = None) -> bool:
        """Tell whether this person has a permission, such as herds.stop_instance."""
        return self.rights.may(permission, environment_id)

    def require(self, permission: str, verb: str) -> None:
        """Refuse who may do something nowhere.

        Raises:
            NotAllowed: with the permission that is missing.
        """
        if not self.rights.may_somewhere(permission):
            raise NotAllowed(
                f"{self.name} may not {verb.lower()} ({permission} is missing).",
                hint="Ask an administrator for the permission.",
            )


def refusals(
    action: Action, members: Sequence[Instance], requester: Requester
) -> dict[int, str]:
    """Say on which members this person may not act, and why, by their numbers.

    Args:
        action: what is asked for.
        members: with their herds and the herds' environments.
        requester: who asks.
    """
    places: Places = {
        each.herd.environment_id: each.herd.environment for each in members
    }
    why = _why_not(action, places, requester)
    return {
        each.pk: why[each.herd.environment_id]
        for each in members
        if each.herd.environment_id in why
    }


def refuse_forbidden(
    action: Action,
    targets: Sequence[OperationTarget],
    requester: Requester,
    reason: str,
) -> None:
    """Refuse, at the moment of the yes, the targets on which this person may not act.

    Raises:
        PreconditionFailed: a freeze would be overridden without a reason.
    """
    places, lies_in = _places_of(targets)
    frozen = _freezes(action, places)
    overridden = [each for each in frozen.values() if requester.may(OVERRIDE, each[0])]
    if overridden and not reason.strip():
        raise PreconditionFailed(
            f"{overridden[0][1]} Overriding that takes a reason.",
            hint="Write why it cannot wait, then confirm again.",
        )
    why = _why_not(action, places, requester)
    refused = [each for each in targets if lies_in.get(each.herd_id or 0) in why]
    for target in refused:
        target.state = TargetState.REFUSED
        target.outcome = f"{why[lies_in[target.herd_id or 0]]} Nothing was done."
    OperationTarget.objects.bulk_update(refused, ["state", "outcome"], batch_size=500)


def require_all(
    action: Action, targets: Sequence[OperationTarget], requester: Requester
) -> None:
    """Refuse who may not act on every one of some targets.

    Raises:
        NotAllowed: naming an environment, and who may.
    """
    places, _ = _places_of(targets)
    for number, place in places.items():
        if sentence := _denial(action, number, place, requester):
            raise NotAllowed(sentence, hint="Nothing was changed.")


def wants_second_person(action: Action, targets: Sequence[OperationTarget]) -> str:
    """Name the environments of targets in which another person has to say yes too."""
    if not action.confirm:
        return ""
    places, _ = _places_of(targets)
    wanted = {Approval.ALWAYS.value}
    if action.destroys:
        wanted.add(Approval.DESTRUCTIVE.value)
    named = {each.env_name for each in places.values() if each}
    asking = {
        each.env_name for each in places.values() if each and each.approval in wanted
    }
    return ", ".join(sorted(named & asking))


def _why_not(
    action: Action, places: Places, requester: Requester
) -> dict[int | None, str]:
    why: dict[int | None, str] = {}
    frozen = _freezes(action, places)
    for number, place in places.items():
        if sentence := _denial(action, number, place, requester):
            why[number] = sentence
        elif number in frozen and not requester.may(OVERRIDE, number):
            why[number] = frozen[number][1]
    return why


def _denial(
    action: Action, number: int | None, place: Environment | None, requester: Requester
) -> str:
    """Say that this person may not do it there, and who may; empty where they may."""
    if requester.may(action.permission, number):
        return ""
    able = who_may(action.permission, number)
    others = (
        f"members of {' and '.join(able)} may" if able else "nobody else may either"
    )
    where = place.env_name if place else "no environment"
    return f"{where}: {requester.name} may not {action.verb.lower()} here; {others}."


def _freezes(action: Action, places: Places) -> dict[int | None, tuple[int, str]]:
    """Give the freezes that last now: environment's number and sentence, by number."""
    if not action.confirm or action.is_urgent:
        return {}
    now = timezone.now()
    found = Freeze.objects.filter(
        environment__in=_numbers(places), begins_at__lte=now, ends_at__gt=now
    ).select_related("environment")
    return {
        each.environment_id: (
            each.environment_id,
            f"{each.environment.env_name} accepts no changes until "
            f"{each.ends_at:%Y-%m-%d %H:%M} UTC ({each.reason}).",
        )
        for each in found.order_by("ends_at")
    }


def _numbers(places: Places) -> Collection[int]:
    return [number for number in places if number is not None]


def _places_of(
    targets: Sequence[OperationTarget],
) -> tuple[Places, dict[int, int | None]]:
    """Give the environments of targets, and which herd lies in which; one query."""
    herds = Herd.objects.filter(
        pk__in={each.herd_id for each in targets if each.herd_id}
    ).select_related("environment")
    lies_in = {herd.pk: herd.environment_id for herd in herds}
    return {herd.environment_id: herd.environment for herd in herds}, lies_in
