"""The record outlives whoever and whatever it tells of."""

from __future__ import annotations

from django.db import connection

from herds.models import Herd, Instance, Operation, OperationOutput, Server
from herds.operations import requests
from herds.operations.requests import Requester
from herds.operations.worker import WorkerProcess
from tests import factories
from tests.doubles.clusters import SimulatedFleet
from tests.doubles.engine import (
    ask,
    ended,
    make_herd,
    on,
    outcomes,
    refreshed,
    states,
    target_on,
)


def test_an_operation_survives_the_person_the_instances_the_herd_and_the_host(
    fleet: SimulatedFleet, trade: Herd, worker: WorkerProcess
) -> None:
    user = factories.user("anna", "herds.restart_instance")
    anna = Requester(name="anna", source="admin", user=user)
    operation = ended(ask("restart", trade, requester=anna))
    before = outcomes(operation)

    user.delete()
    trade.delete()
    Server.objects.all().delete()

    operation = refreshed(operation)
    assert operation.requested_by is None
    assert operation.requested_by_name == "anna"
    assert operation.headline == "Restart 3 instances of 1 herd in prod"
    assert operation.state == "succeeded"
    assert outcomes(operation) == before
    target = target_on(operation, "ele02")
    assert (target.herd, target.instance) == (None, None)
    assert (target.herd_name, target.environment_name) == ("trade", "prod")
    assert [step.name for step in target.steps.all()] == ["look", "stop", "start"]
    assert OperationOutput.objects.filter(step__target=target).count() == 2


def test_what_is_deleted_while_it_waits_is_left_alone_and_said_so(
    fleet: SimulatedFleet, trade: Herd, worker: WorkerProcess
) -> None:
    quote = make_herd("quote", ["ele11", "ele12"])
    operation = requests.draft(
        "restart",
        Instance.objects.values_list("pk", flat=True),
        Requester(name="anna", source="terminal"),
    )
    Operation.objects.update(concurrency=1)

    def delete(herd: Herd) -> None:
        try:
            Instance.objects.filter(herd=herd).delete()
        finally:
            connection.close()  # which is that of the worker's thread

    fleet[on(trade, "ele02")].before = lambda cluster, name: delete(quote)
    fleet[on(quote, "ele12")].before = lambda cluster, name: delete(trade)
    requests.confirm(operation.pk, Requester(name="anna", source="terminal"))

    operation = ended(operation)

    # One of the two herds went first and took the other one's members away.
    gone = [host for host, state in states(operation).items() if state == "failed"]
    assert gone in (["ele11", "ele12"], ["ele01", "ele02", "ele03"])
    assert set(states(operation).values()) == {"succeeded", "failed"}
    assert {host for host, _ in fleet.log}.isdisjoint(gone)
    assert all(
        "is no longer in the inventory; nothing was done to it." in outcome
        for host, outcome in outcomes(operation).items()
        if host in gone
    )
    assert operation.state == "partly"
