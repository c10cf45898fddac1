"""What agents found and a person has to place, and the herds it could be placed in."""

from __future__ import annotations

from typing import Any

from django.db.models import Case, IntegerField, Q, QuerySet, Value, When

from herds.models import Discovery, Herd, Instance


def discoveries() -> QuerySet[Discovery]:
    """Give discovered instances with all that a row shows, in one query."""
    return Discovery.objects.select_related("server__environment")


def fitting_herds(discovery: Discovery) -> QuerySet[Herd]:
    """Give the herds an instance can be placed in: of its port and its server's place.

    The likeliest come first.
    """
    return _fitting(discovery).order_by("-likeliness", "herd_name", "pk")


def likeliest_herd(discovery: Discovery) -> Herd | None:
    """Give the herd that fits better than any other one, None if none does.

    It carries the same database or has the instance's upstream, else its cluster name.
    A herd that is known to carry another database is not likely at all.
    """
    likely = list(
        _fitting(discovery).filter(likeliness__gt=0).order_by("-likeliness")[:2]
    )
    if len(likely) == 2 and likely[0].likeliness == likely[1].likeliness:
        return None
    return likely[0] if likely else None


def _fitting(discovery: Discovery) -> QuerySet[Any]:
    herds = Herd.objects.filter(db_port=discovery.db_port).select_related("environment")
    environment = discovery.server.environment_id
    if environment is not None:
        herds = herds.filter(environment=environment)
    own = discovery.system_identifier
    kin = Q(instances__system_identifier=own) if own else Q(pk__in=[])
    if discovery.master_host:
        kin |= Q(instances__server__hostname=discovery.master_host)
        kin |= Q(vhost__iexact=discovery.master_host)
    strangers = Instance.objects.exclude(system_identifier__in=["", own])
    return herds.annotate(
        likeliness=Case(
            When(pk__in=strangers.values("herd") if own else [], then=Value(0)),
            When(pk__in=Herd.objects.filter(kin).values("pk"), then=Value(2)),
            When(base_name=discovery.base_name, then=Value(1)),
            default=Value(0),
            output_field=IntegerField(),
        )
    )
