"""Finds the instances that somebody names by herd, server, environment or pair."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from django.db.models import Case, F, Q, QuerySet, When

from herds.errors import PreconditionFailed
from herds.models import Environment, Herd, Instance, Server

from .inventory import BY_ROLE
from .trouble import IS_RUNNING


def choose_instances(
    *,
    herds: Sequence[str] = (),
    servers: Sequence[str] = (),
    environments: Sequence[str] = (),
    instances: Sequence[str] = (),
) -> QuerySet[Instance]:
    """Select instances by names; several of one kind add, different kinds narrow.

    Args:
        herds: herd names, of any case.
        servers: host names, of any case.
        environments: environment names, of any case.
        instances: ``herd@host`` pairs, or numbers of instances.

    Raises:
        PreconditionFailed: a name that nothing has, which may be a slip.
    """
    chosen = Instance.objects.all()
    for kind, names, exists, match in (
        ("herd", herds, _herd_exists, lambda n: Q(herd__herd_name__iexact=n)),
        ("server", servers, _server_exists, lambda n: Q(server__hostname__iexact=n)),
        (
            "environment",
            environments,
            _environment_exists,
            lambda n: Q(herd__environment__env_name__iexact=n),
        ),
        ("instance", instances, _instance_exists, _pair),
    ):
        if names:
            _refuse_unknown(kind, names, exists)
            wanted = Q()
            for name in names:
                wanted |= match(name)
            chosen = chosen.filter(wanted)
    return chosen


def primaries_of(chosen: Sequence[int]) -> list[int]:
    """Give the recorded primary of every herd that chosen instances belong to.

    Of several it is one that runs, as a lost primary beside the one that was promoted
    in its place does not, and then the one that was promoted last. Of a herd without
    any it is some member, for its plan to say so.
    """
    herds = Instance.objects.filter(pk__in=chosen).values("herd")
    runs_not = Case(When(IS_RUNNING, then=0), default=1)
    promoted_last = F("timeline").desc(nulls_last=True)
    return list(
        Instance.objects.filter(herd__in=herds)
        .order_by("herd_id", BY_ROLE, runs_not, promoted_last, "pk")
        .distinct("herd_id")
        .values_list("pk", flat=True)
    )


def _refuse_unknown(
    kind: str, names: Sequence[str], exists: Callable[[str], bool]
) -> None:
    unknown = [name for name in names if not exists(name)]
    if unknown:
        raise PreconditionFailed(
            f"There is no {kind} named {', '.join(map(repr, unknown))}.",
            hint="Nothing was planned. Check the spelling.",
        )


def _herd_exists(name: str) -> bool:
    return Herd.objects.filter(herd_name__iexact=name).exists()


def _server_exists(name: str) -> bool:
    return Server.objects.filter(hostname__iexact=name).exists()


def _environment_exists(name: str) -> bool:
    return Environment.objects.filter(env_name__iexact=name).exists()


def _instance_exists(name: str) -> bool:
    return Instance.objects.filter(_pair(name)).exists()


def _pair(name: str) -> Q:
    if name.isdecimal():
        return Q(pk=int(name)) if len(name) < 10 else Q(pk__in=[])
    # A host name has no "@", a herd's name may.
    herd, _, host = name.rpartition("@")
    return Q(herd__herd_name__iexact=herd, server__hostname__iexact=host)
