"""Whether a person may act where a target lies: rights, freezes, a second person."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.db.models import OuterRef, QuerySet, Subquery
from django.utils import timezone

from herds.domain.states import TargetState
from herds.errors import NotAllowed, PreconditionFailed
from herds.models import Environment, Freeze, Herd, Instance, OperationTarget
from herds.models.inventory import Approval
from herds.selectors.rights import Rights, others_may, rights_of, who_may
from herds.services.actions import Action

if TYPE_CHECKING:
    from django.contrib.auth.models import User

OVERRIDE = "herds.override_freeze"
CANCEL = "herds.cancel_operation"
_OVERRIDDEN = "overrides_freeze"

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
    why = _why_not(action, places, _freezes(action, places), requester)
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
) -> str:
    """Refuse, at the moment of the yes, the targets on which this person may not act.

    The others keep which freeze this yes overrides, for the worker that begins them.

    Returns:
        The names of the environments whose freeze it overrides; empty where none.

    Raises:
        PreconditionFailed: a freeze would be overridden without a reason.
    """
    places, lies_in = _places_of(targets)
    frozen = _freezes(action, places)
    why = _why_not(action, places, frozen, requester)
    overridden = {place: each for place, each in frozen.items() if place not in why}
    if overridden and not reason.strip():
        raise PreconditionFailed(
            f"{_frozen_words(next(iter(overridden.values())))} Overriding that takes a "
            "reason.",
            hint="Write why it cannot wait, then confirm again.",
        )
    changed = []
    for target in targets:
        place = lies_in.get(target.herd_id or 0)
        if place in why:
            target.state = TargetState.REFUSED
            target.outcome = f"{why[place]} Nothing was done."
        elif place is not None and place in overridden:
            target.plan[_OVERRIDDEN] = overridden[place].pk
        else:
            continue
        changed.append(target)
    OperationTarget.objects.bulk_update(
        changed, ["state", "outcome", "plan"], batch_size=500
    )
    return ", ".join(sorted(each.environment.env_name for each in overridden.values()))


def require_all(
    permission: str,
    verb: str,
    targets: Sequence[OperationTarget],
    requester: Requester,
) -> None:
    """Refuse who may not do something to every one of some targets.

    What is gone from the inventory lies nowhere: it takes the permission everywhere.

    Raises:
        NotAllowed: naming an environment, and who may.
    """
    places, lies_in = _places_of(targets)
    if not targets or any((each.herd_id or 0) not in lies_in for each in targets):
        places = {**places, None: None}
    if denials := _denials(permission, verb, places, requester):
        raise NotAllowed(next(iter(denials.values())), hint="Nothing was changed.")


def freezing_now() -> Subquery:
    """Give, of an ``OperationTarget`` in a query, the freeze that lasts there, if any.

    It costs no query of its own.
    """
    return Subquery(
        _lasting()
        .filter(environment=OuterRef("herd__environment"))
        .order_by("-ends_at", "-pk")
        .values("pk")[:1]
    )


def overrides(target: OperationTarget, freeze_id: int) -> bool:
    """Tell whether the yes to a target was given against this very freeze."""
    return bool(target.plan.get(_OVERRIDDEN) == freeze_id)


def refuse_frozen(held: Mapping[OperationTarget, int]) -> None:
    """Refuse what has waited for a worker until a freeze began.

    Args:
        held: targets that nobody has begun, with the numbers of the freezes.
    """
    freezes = Freeze.objects.select_related("environment").in_bulk(set(held.values()))
    for target, number in held.items():
        sentence = _frozen_words(freezes[number]) if number in freezes else "Frozen."
        target.state = TargetState.REFUSED
        target.outcome = (
            f"{sentence} It began before this had its turn; nothing was done."
        )
        target.finished_at = timezone.now()
    OperationTarget.objects.bulk_update(
        held, ["state", "outcome", "finished_at"], batch_size=500
    )


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
    action: Action,
    places: Places,
    frozen: Mapping[int, Freeze],
    requester: Requester,
) -> dict[int | None, str]:
    why = _denials(action.permission, action.verb, places, requester)
    for number, freeze in frozen.items():
        if number not in why and not requester.may(OVERRIDE, number):
            why[number] = _frozen_words(freeze)
    return why


def _denials(
    permission: str, verb: str, places: Places, requester: Requester
) -> dict[int | None, str]:
    """Say where this person may not do it, and who may; one query at most."""
    refused = [each for each in places if not requester.may(permission, each)]
    able = who_may(permission, refused) if refused else {}
    why = {}
    for number in refused:
        place = places[number]
        where = place.env_name if place else "no environment"
        why[number] = (
            f"{where}: {requester.name} may not {_lower(verb)} here; "
            f"{others_may(able[number])}."
        )
    return why


def _lower(verb: str) -> str:
    """Write a verb inside a sentence, its abbreviations as they are."""
    return verb[:1].lower() + verb[1:]


def is_held_by_freezes(action: Action) -> bool:
    """Tell whether an action waits for the end of a freeze."""
    return action.confirm and not action.is_urgent


def _freezes(action: Action, places: Places) -> dict[int, Freeze]:
    """Give the freezes that last now, by environment; of several the last to end."""
    if not is_held_by_freezes(action):
        return {}
    found = _lasting().filter(environment__in=_numbers(places))
    return {
        each.environment_id: each
        for each in found.select_related("environment").order_by("ends_at", "pk")
    }


def _lasting() -> QuerySet[Freeze]:
    now = timezone.now()
    return Freeze.objects.filter(begins_at__lte=now, ends_at__gt=now)


def _frozen_words(freeze: Freeze) -> str:
    return (
        f"{freeze.environment.env_name} accepts no changes until "
        f"{freeze.ends_at:%Y-%m-%d %H:%M} UTC ({freeze.reason})."
    )


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
