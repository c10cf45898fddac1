"""Who may do what where: Django's permissions everywhere, grants in an environment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.contrib.auth.models import Group
from django.db.models import Q

from herds.models import Grant

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractBaseUser, AnonymousUser, User

_KEPT = "_elephaas_grants"


@dataclass(frozen=True, kw_only=True)
class Rights:
    """What one person may do; asked once, it costs one query a person and request.

    Attributes:
        user: None for who is at the service's own terminal, and may do everything.
        grants: permissions by the number of an environment.
    """

    user: User | None
    grants: Mapping[int, frozenset[str]]

    def may(self, permission: str, environment_id: int | None) -> bool:
        """Tell whether they may do it to something in an environment, or in none."""
        if self.user is None or self.user.has_perm(permission):
            return True
        if environment_id is None:
            return False
        return permission in self.grants.get(environment_id, frozenset())

    def may_somewhere(self, permission: str) -> bool:
        """Tell whether there is anything they may do it to."""
        if self.user is None or self.user.has_perm(permission):
            return True
        return any(permission in granted for granted in self.grants.values())


def rights_of(user: User | AbstractBaseUser | AnonymousUser | None) -> Rights:
    """Give the rights of a person; grants are kept with the object, as Django's are."""
    if user is None:
        return Rights(user=None, grants={})
    kept: dict[int, frozenset[str]] | None = getattr(user, _KEPT, None)
    if kept is None:
        kept = _grants_of(user)
        setattr(user, _KEPT, kept)
    return Rights(user=user, grants=kept)  # type: ignore[arg-type]


def who_may(permission: str, environment_id: int | None) -> list[str]:
    """Name the groups whose members may do something in an environment."""
    app, _, codename = permission.partition(".")
    everywhere = Q(permissions__content_type__app_label=app) & Q(
        permissions__codename=codename
    )
    here = Q(
        grants__environment_id=environment_id,
        grants__permissions__contains=[permission],
    )
    wanted = everywhere if environment_id is None else everywhere | here
    names = Group.objects.filter(wanted).values_list("name", flat=True)
    return sorted(set(names))


def _grants_of(
    user: User | AbstractBaseUser | AnonymousUser,
) -> dict[int, frozenset[str]]:
    if not user.is_active or getattr(user, "is_superuser", False):
        return {}
    found: dict[int, frozenset[str]] = {}
    grants = Grant.objects.filter(group__user=user.pk)
    for number, permissions in grants.values_list("environment_id", "permissions"):
        found[number] = found.get(number, frozenset()) | frozenset(permissions)
    return found
