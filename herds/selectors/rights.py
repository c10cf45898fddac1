"""Who may do what where: Django's permissions everywhere, grants in an environment."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from django.contrib.auth.models import Group
from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import Exists, OuterRef

from herds.domain.words import listed
from herds.models import Grant

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractBaseUser, AnonymousUser, User

_KEPT = "_elephaas_rights"


@dataclass(frozen=True, kw_only=True)
class Rights:
    """What one person may do; asked once, it costs one query a person and request.

    Attributes:
        user: None for who is at the service's own terminal, and may do everything.
        grants: permissions by the number of an environment.
        numbers: of those environments, by their names.
    """

    user: User | None
    grants: Mapping[int, frozenset[str]] = field(default_factory=dict)
    numbers: Mapping[str, int] = field(default_factory=dict)

    def may(self, permission: str, environment_id: int | None) -> bool:
        """Tell whether they may do it to something in an environment, or in none."""
        if self.user is None or self.user.has_perm(permission):
            return True
        if environment_id is None:
            return False
        return permission in self.grants.get(environment_id, frozenset())

    def may_in(self, permission: str, environment_name: str) -> bool:
        """Tell the same of an environment by its name, empty where there is none."""
        number = self.numbers.get(environment_name)
        return self.may(permission, number)

    def may_somewhere(self, permission: str) -> bool:
        """Tell whether there is anything they may do it to."""
        if self.user is None or self.user.has_perm(permission):
            return True
        return any(permission in granted for granted in self.grants.values())


def rights_of(user: User | AbstractBaseUser | AnonymousUser | None) -> Rights:
    """Give the rights of a person; they are kept with the object, as Django's are."""
    if user is None:
        return Rights(user=None)
    kept: Rights | None = getattr(user, _KEPT, None)
    if kept is None:
        grants, numbers = _grants_of(user)
        kept = Rights(user=user, grants=grants, numbers=numbers)  # type: ignore[arg-type]
        setattr(user, _KEPT, kept)
    return kept


def who_may(
    permission: str, environment_ids: Collection[int | None]
) -> dict[int | None, list[str]]:
    """Name the groups whose members may do something, by environment; one query."""
    app, _, codename = permission.partition(".")
    everywhere = Group.permissions.through.objects.filter(
        group=OuterRef("pk"),
        permission__content_type__app_label=app,
        permission__codename=codename,
    )
    here = Grant.objects.filter(
        group=OuterRef("pk"), permissions__contains=[permission]
    )
    rows = Group.objects.annotate(
        holds=Exists(everywhere), places=ArraySubquery(here.values("environment_id"))
    ).values_list("name", "holds", "places")
    named: dict[int | None, set[str]] = {each: set() for each in environment_ids}
    for name, holds, places in rows:
        for each, names in named.items():
            if holds or each in places:
                names.add(name)
    return {each: sorted(names) for each, names in named.items()}


def others_may(groups: Sequence[str]) -> str:
    """Say whose members may do what somebody may not, as the end of a sentence."""
    return f"members of {listed(groups)} may" if groups else "nobody else may either"


def _grants_of(
    user: User | AbstractBaseUser | AnonymousUser,
) -> tuple[dict[int, frozenset[str]], dict[str, int]]:
    found: dict[int, frozenset[str]] = {}
    numbers: dict[str, int] = {}
    if not user.is_active or getattr(user, "is_superuser", False):
        return found, numbers
    grants = Grant.objects.filter(group__user=user.pk)
    for number, name, permissions in grants.values_list(
        "environment_id", "environment__env_name", "permissions"
    ):
        found[number] = found.get(number, frozenset()) | frozenset(permissions)
        numbers[name] = number
    return found, numbers
