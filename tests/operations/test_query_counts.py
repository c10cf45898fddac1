"""A request costs as many queries for five hundred targets as for five."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from herds.models import Environment, Herd, Instance, Operation, Server
from herds.operations import requests
from herds.operations.requests import Requester
from tests import factories
from tests.doubles.engine import ANNA

pytestmark = pytest.mark.django_db


def fill(number: int, herds: int) -> list[int]:
    """Make instances, spread evenly over herds."""
    prod = Environment.objects.create(env_name=f"env{Environment.objects.count()}")
    made = Herd.objects.bulk_create(
        Herd(
            herd_name=f"herd{n}",
            base_name=f"herd{n}",
            environment=prod,
            pgdata=f"/srv/herd{n}",
        )
        for n in range(herds)
    )
    first = Server.objects.count()
    servers = Server.objects.bulk_create(
        Server(hostname=f"h{first + n}", environment=prod) for n in range(number)
    )
    instances = Instance.objects.bulk_create(
        Instance(herd=made[n % herds], server=server, version="15.4", is_online=True)
        for n, server in enumerate(servers)
    )
    return [instance.pk for instance in instances]


def cost(ids: list[int], requester: Requester) -> list[int]:
    """Count the queries of a plan, of saying yes, and of cancelling."""
    counts = []
    with CaptureQueriesContext(
        connection,
    ) as queries:
        operation = requests.draft("restart", ids, requester)
    counts.append(len(queries))
    with CaptureQueriesContext(connection) as queries:
        requests.confirm(operation.pk, requester, acknowledged=True)
    counts.append(len(queries))
    with CaptureQueriesContext(connection) as queries:
        requests.cancel(operation.pk, requester)
    counts.append(len(queries))
    assert Operation.objects.get(pk=operation.pk).targets.count() == len(ids)
    return counts


@pytest.mark.parametrize("asked_by", ["terminal", "admin"])
def test_plan_yes_and_cancel_cost_the_same_for_5_and_500_targets(asked_by: str) -> None:
    requester = ANNA
    if asked_by == "admin":
        user = factories.user("chief", is_superuser=True)
        requester = Requester(name="chief", source="admin", user=user)
    cost(fill(2, 1), requester)  # fills Django's own caches

    assert cost(fill(5, 5), requester) == cost(fill(500, 200), requester)


def test_a_yes_where_everything_has_changed_costs_the_same() -> None:
    def counted(number: int) -> int:
        operation = requests.draft("restart", fill(number, 1), ANNA)
        Herd.objects.update(db_port=7777)
        with CaptureQueriesContext(connection) as queries:
            requests.confirm(operation.pk, ANNA)
        return len(queries)

    assert counted(5) == counted(500)
