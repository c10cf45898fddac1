"""What people may ask: plan, confirm, discard, retry; and what is refused, and why."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.db import connection
from django.utils import timezone

from herds.domain.states import OperationState, TargetState
from herds.errors import HostUnreachable, NotAllowed, PlanOutdated, PreconditionFailed
from herds.models import Herd, Instance, Operation, Server
from herds.operations import requests
from herds.operations.requests import Requester
from herds.operations.worker import WorkerProcess
from tests import factories
from tests.doubles.clusters import SimulatedFleet
from tests.doubles.engine import (
    ANNA,
    ask,
    ended,
    make_herd,
    members,
    on,
    outcomes,
    refreshed,
    states,
    target_on,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def trade(db: None) -> Herd:
    """A herd with a primary on ele01 and standbys on ele02 and ele03."""
    return make_herd("trade", ["ele01", "ele02", "ele03"])


def person(name: str, *permissions: str) -> Requester:
    return Requester(name=name, source="admin", user=factories.user(name, *permissions))


def queued_jobs() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM procrastinate_jobs")
        return int(cursor.fetchone()[0])


def test_a_plan_says_what_will_happen_to_whom_and_runs_nothing(trade: Herd) -> None:
    operation = requests.draft("restart", members(trade), ANNA)

    assert operation.state == "planned"
    assert operation.headline == "Restart 3 instances of 1 herd in prod"
    assert queued_jobs() == 0
    assert [
        (target.hostname, target.wave, target.state, target.plan["now"])
        for target in operation.targets.all()
    ] == [
        ("ele01", 2, "planned", "primary, running"),
        ("ele02", 0, "planned", "replica, running"),
        ("ele03", 1, "planned", "replica, running"),
    ]


def test_the_headline_counts_herds_and_names_their_environments(trade: Herd) -> None:
    others = [make_herd("quote", ["ele11"], "stage"), make_herd("x", ["ele12"], "dev")]
    alone = factories.instance("alone", "ele13")
    Herd.objects.filter(pk=alone.herd_id).update(environment=None)

    several = requests.draft("stop", members(trade, *others), ANNA)
    one = requests.draft("stop", [alone.pk], ANNA)

    assert several.headline == ("Stop 5 instances of 3 herds in dev, prod and stage")
    assert one.headline == "Stop 1 instance of 1 herd"


def test_instances_that_are_gone_are_left_out_of_a_plan(trade: Herd) -> None:
    chosen = members(trade)
    on(trade, "ele03").delete()

    operation = requests.draft("restart", chosen, ANNA)

    assert set(states(operation)) == {"ele01", "ele02"}
    with pytest.raises(PreconditionFailed, match="No instance was chosen"):
        requests.draft("restart", [10**6], ANNA)


def test_an_unknown_action_is_refused_by_name(trade: Herd) -> None:
    with pytest.raises(PreconditionFailed, match="There is no action 'explode'"):
        requests.draft("explode", members(trade), ANNA)


def test_nobody_plans_without_the_permission(trade: Herd) -> None:
    ben = person("ben", "herds.reload_instance")

    with pytest.raises(
        NotAllowed, match=r"ben may not restart \(herds.restart_instance is missing\)"
    ):
        requests.draft("restart", members(trade), ben)

    assert not Operation.objects.exists()
    assert requests.draft("reload", members(trade), ben).requested_by == ben.user


def test_nobody_confirms_without_the_permission(trade: Herd) -> None:
    operation = requests.draft("restart", members(trade), person("anna", RESTART))

    with pytest.raises(NotAllowed):
        requests.confirm(operation.pk, person("ben"))

    assert refreshed(operation).state == "planned"
    assert queued_jobs() == 0


RESTART = "herds.restart_instance"


def test_saying_yes_twice_runs_it_once(trade: Herd) -> None:
    operation = ask("restart", trade)

    with pytest.raises(PlanOutdated, match="is queued and cannot be confirmed again"):
        requests.confirm(operation.pk, ANNA)

    assert queued_jobs() == 1


def test_a_plan_left_open_for_too_long_is_refused(trade: Herd) -> None:
    operation = requests.draft("restart", members(trade), ANNA)
    Operation.objects.update(expires_at=timezone.now() - timedelta(seconds=1))

    with pytest.raises(PlanOutdated, match="is too old to act on") as refused:
        requests.confirm(operation.pk, ANNA)

    assert "Plan it again" in refused.value.sentence()
    assert queued_jobs() == 0


def test_a_plan_lives_as_long_as_the_settings_say(trade: Herd, settings: Any) -> None:
    settings.OPERATIONS = {"PLAN_LIFETIME": 60.0, "CONCURRENCY": 3}
    before = timezone.now()

    operation = requests.draft("restart", members(trade), ANNA)

    lifetime = operation.expires_at - before
    assert timedelta(seconds=60) <= lifetime < timedelta(seconds=70)
    assert operation.concurrency == 3


def test_a_discarded_plan_is_gone(trade: Herd) -> None:
    operation = requests.draft("restart", members(trade), ANNA)

    requests.discard(operation.pk, ANNA)

    assert not Operation.objects.exists()
    with pytest.raises(PreconditionFailed, match=f"no operation {operation.pk}"):
        requests.confirm(operation.pk, ANNA)


def test_other_peoples_plans_are_discarded_with_the_permission_only(
    trade: Herd,
) -> None:
    operation = requests.draft("restart", members(trade), person("anna", RESTART))

    with pytest.raises(NotAllowed, match=r"members of dba may"):
        requests.discard(operation.pk, person("ben", RESTART))
    requests.discard(operation.pk, person("chief", "herds.cancel_operation"))

    assert not Operation.objects.exists()


def test_a_running_operation_is_no_plan_to_discard(trade: Herd) -> None:
    operation = ask("restart", trade)

    with pytest.raises(PlanOutdated):
        requests.discard(operation.pk, ANNA)

    assert refreshed(operation).state == "queued"


def test_warnings_have_to_be_acknowledged(trade: Herd) -> None:
    operation = requests.draft("stop", members(trade), ANNA)
    [warning] = target_on(operation, "ele01").plan["checks"]
    assert warning["verdict"] == "warn"
    assert warning["observed"] == "ele01 is the primary of trade"

    with pytest.raises(PreconditionFailed, match="warnings that nobody has acknow"):
        requests.confirm(operation.pk, ANNA)
    requests.confirm(operation.pk, ANNA, acknowledged=True)

    assert refreshed(operation).state == "queued"


def test_a_plan_without_warnings_needs_no_acknowledgement(trade: Herd) -> None:
    operation = requests.draft("stop", [on(trade, "ele02").pk], ANNA)

    requests.confirm(operation.pk, ANNA)

    assert refreshed(operation).state == "queued"


def test_a_target_deleted_between_plan_and_yes_is_refused_and_the_others_go(
    trade: Herd,
) -> None:
    operation = requests.draft("restart", members(trade), ANNA)
    on(trade, "ele02").delete()

    requests.confirm(operation.pk, ANNA)

    assert states(operation) == {
        "ele01": "queued",
        "ele02": "refused",
        "ele03": "queued",
    }
    assert outcomes(operation)["ele02"] == (
        "trade on ele02 was deleted from the inventory since the plan; nothing was "
        "done to it."
    )


def test_a_role_changed_between_plan_and_yes_refuses_with_the_difference(
    trade: Herd,
) -> None:
    operation = requests.draft("restart", members(trade), ANNA)
    Instance.objects.filter(pk=on(trade, "ele02").pk).update(master=None)
    Instance.objects.filter(pk=on(trade, "ele01").pk).update(master=on(trade, "ele02"))

    requests.confirm(operation.pk, ANNA)

    assert states(operation) == {
        "ele01": "refused",
        "ele02": "refused",
        "ele03": "queued",
    }
    assert outcomes(operation)["ele01"] == (
        "trade on ele01 has changed since the plan (it is a replica now); nothing "
        "was done to it. Plan it again."
    )
    assert "(it is a primary now)" in outcomes(operation)["ele02"]


def test_a_moved_directory_port_or_host_refuses_with_both_values(trade: Herd) -> None:
    operation = requests.draft("restart", members(trade), ANNA)
    Herd.objects.update(db_port=7777)
    Instance.objects.filter(pk=on(trade, "ele02").pk).update(local_pgdata="/srv/own")
    Server.objects.filter(hostname="ele03").update(hostname="ele33")

    requests.confirm(operation.pk, ANNA)

    operation = refreshed(operation)
    assert set(states(operation).values()) == {"refused"}
    assert operation.state == "failed"
    assert "port was 5432, is 7777" in outcomes(operation)["ele01"]
    assert (
        "data directory was /var/lib/postgresql/15/trade, is /srv/own"
        in (outcomes(operation)["ele02"])
    )
    assert "host was ele03, is ele33" in outcomes(operation)["ele03"]
    assert queued_jobs() == 0


def test_a_reason_is_kept_and_told_in_the_history_of_each_instance(
    trade: Herd,
) -> None:
    anna = person("anna", RESTART)
    operation = requests.draft("restart", members(trade), anna)

    requests.confirm(operation.pk, anna, reason="  new kernel \n")

    assert refreshed(operation).reason == "new kernel"
    assert LogEntry.objects.count() == 3
    entry = LogEntry.objects.get(object_id=str(on(trade, "ele02").pk))
    assert entry.change_message == (
        f"Restart requested: operation {operation.pk} — new kernel"
    )


def test_retry_plans_exactly_what_did_not_succeed(trade: Herd) -> None:
    operation = ask("restart", trade)
    for host, state in (
        ("ele01", TargetState.FAILED),
        ("ele02", TargetState.SUCCEEDED),
        ("ele03", TargetState.CANCELLED),
    ):
        operation.targets.filter(hostname=host).update(state=state)
    Operation.objects.update(state=OperationState.PARTLY)

    again = requests.retry(operation.pk, ANNA)

    assert again.pk != operation.pk
    assert again.state == "planned"
    assert again.retry_of == operation
    assert states(again) == {"ele01": "planned", "ele03": "planned"}
    assert refreshed(operation).state == "partly"


@pytest.mark.parametrize(
    ("state", "words"),
    [("running", "still runs"), ("succeeded", "no target left to try again")],
)
def test_retry_is_refused_where_there_is_nothing_to_try(
    trade: Herd, state: str, words: str
) -> None:
    operation = ask("restart", trade)
    operation.targets.update(state="succeeded")
    Operation.objects.update(state=state)

    with pytest.raises(PreconditionFailed, match=words):
        requests.retry(operation.pk, ANNA)

    assert Operation.objects.count() == 1


def test_retry_leaves_out_what_was_deleted_since(trade: Herd) -> None:
    operation = ask("restart", trade)
    operation.targets.update(state="failed")
    Operation.objects.update(state="failed")
    on(trade, "ele02").delete()

    assert set(states(requests.retry(operation.pk, ANNA))) == {"ele01", "ele03"}


def test_retry_needs_the_permission(trade: Herd) -> None:
    operation = ask("restart", trade)
    operation.targets.update(state="failed")
    Operation.objects.update(state="failed")

    with pytest.raises(NotAllowed):
        requests.retry(operation.pk, person("ben"))


@pytest.mark.django_db(transaction=True)
def test_a_retry_that_works_finishes_what_had_failed(
    fleet: SimulatedFleet, trade: Herd, worker: WorkerProcess
) -> None:
    cluster = fleet[on(trade, "ele02")]
    cluster.unreachable = HostUnreachable("ele02", "timed out")
    first = ended(ask("restart", trade))
    assert first.state == "partly"
    cluster.unreachable = None

    again = requests.retry(first.pk, ANNA)
    requests.confirm(again.pk, ANNA)

    assert ended(again).state == "succeeded"
    assert fleet.log.count(("ele02", "stop")) == 1
    assert refreshed(first).state == "partly"
    assert on(trade, "ele02").unreachable_since is None


@pytest.mark.parametrize("request_", ["confirm", "cancel", "retry", "resume"])
def test_an_operation_that_does_not_exist_is_named(request_: str) -> None:
    with pytest.raises(PreconditionFailed, match="There is no operation 4711"):
        getattr(requests, request_)(4711, ANNA)
