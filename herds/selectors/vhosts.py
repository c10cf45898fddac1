"""What the inventory knows of virtual hosts: whether they lead to their primaries.

DNS is asked by workers; what they saw last stands with the herd, with its time.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

from django.db.models import F, Q, QuerySet, Value
from django.db.models.functions import Concat

from herds.models import Herd, Instance


class Aim(StrEnum):
    """Whether a virtual host leads to its herd's primary."""

    PRIMARY = "the primary"
    ASTRAY = "not the primary"
    UNKNOWN = "unknown"


def leads_to(target: str, hostname: str) -> bool:
    """Tell whether a full name in DNS is that of a registered host.

    A host that is registered by a name of one part lies in whichever domain.
    """
    return target == hostname or (
        "." not in hostname and target.startswith(f"{hostname}.")
    )


def state_of(herd: Herd, primaries: Sequence[Instance]) -> Aim:
    """Tell whether a herd's virtual host leads to its recorded primary."""
    if herd.vhost_seen_at is None or len(primaries) != 1:
        return Aim.UNKNOWN
    host = primaries[0].server.hostname
    return Aim.PRIMARY if leads_to(herd.vhost_target, host) else Aim.ASTRAY


def astray() -> QuerySet[Herd]:
    """Give the herds whose virtual host was seen to lead to no primary of theirs."""
    begin = Concat(F("server__hostname"), Value("."))
    has_domain = Q(server__hostname__contains=".")
    primaries = Instance.objects.filter(master__isnull=True)
    right = primaries.filter(
        Q(herd__vhost_target=F("server__hostname"))
        | (Q(herd__vhost_target__startswith=begin) & ~has_domain)
    )
    return Herd.objects.filter(
        ~Q(vhost=""), vhost_seen_at__isnull=False, pk__in=primaries.values("herd")
    ).exclude(pk__in=right.values("herd"))
