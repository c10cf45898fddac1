"""What the inventory knows of virtual hosts: whether they lead to their primaries.

DNS is asked by workers; what they saw last stands with the herd, with its time.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

from django.db.models import Exists, F, OuterRef, Q, QuerySet, Value
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
    right = (
        Instance.objects.filter(herd=OuterRef("pk"), master__isnull=True)
        .annotate(
            target=OuterRef("vhost_target"),
            begin=Concat("server__hostname", Value(".")),
        )
        .filter(
            Q(target=F("server__hostname"))
            | Q(target__startswith=F("begin")) & ~Q(server__hostname__contains=".")
        )
    )
    return Herd.objects.filter(
        ~Exists(right),
        ~Q(vhost=""),
        vhost_seen_at__isnull=False,
        instances__master__isnull=True,
    ).distinct()
