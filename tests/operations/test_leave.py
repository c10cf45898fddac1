"""Who may act where: grants by environment, freezes, a second person, typed names."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.auth.models import Group, User
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from herds.domain.states import OperationState, TargetState
from herds.errors import NotAllowed, PlanOutdated, PreconditionFailed
from herds.models import AuditEntry, Environment, Freeze, Grant, Operation
from herds.models.inventory import Approval
from herds.operations import claims, registry, requests
from herds.operations.leave import Requester
from herds.selectors.rights import rights_of, who_may
from tests import factories
from tests.doubles.clusters import SimulatedFleet

pytestmark = pytest.mark.django_db

RESTART = "herds.restart_instance"


def person(name: str, *permissions: str) -> Requester:
    return as_requester(factories.user(name, *permissions))


def as_requester(user: User) -> Requester:
    # A new object: what Django and we keep with a user is asked anew.
    fresh = User.objects.get(pk=user.pk)
    return Requester(name=fresh.username, source="admin", user=fresh)


def grant(who: Requester, env: str, *permissions: str, group: str = "movers") -> None:
    made, _ = Group.objects.get_or_create(name=group)
    assert who.user is not None
    made.user_set.add(who.user)
    Grant.objects.create(
        group=made,
        environment=factories.environment(env),
        permissions=list(permissions),
    )


@pytest.fixture
def dev() -> int:
    return factories.instance("quote", "ele11", "dev").pk


@pytest.fixture
def prod() -> int:
    return factories.instance("trade", "ele01", "prod").pk


def plan(who: Requester, *ids: int, action: str = "restart") -> Operation:
    return requests.draft(action, ids, who)


def states(operation: Operation) -> dict[str, str]:
    return dict(operation.targets.values_list("environment_name", "state"))


# Grants -------------------------------------------------------------------------


@pytest.mark.parametrize("action", [each.name for each in registry.all_actions()])
def test_a_grant_lets_a_group_act_there_and_nowhere_else(
    dev: int, prod: int, action: str
) -> None:
    wanted = registry.get(action).permission
    ann = person("ann")
    with pytest.raises(NotAllowed):
        plan(as_requester(ann.user), dev, action=action)
    grant(ann, "dev", wanted)

    rights = rights_of(User.objects.get(username="ann"))

    assert rights.may(wanted, factories.environment("dev").pk)
    assert not rights.may(wanted, factories.environment("prod").pk)
    assert not rights.may(wanted, None)
    plan(as_requester(ann.user), dev, action=action)
    with pytest.raises(NotAllowed):
        plan(as_requester(ann.user), prod, action=action)


def test_what_may_not_be_done_is_refused_and_stops_nothing_else(
    dev: int, prod: int
) -> None:
    ann = person("ann")
    grant(ann, "dev", RESTART)

    operation = plan(as_requester(ann.user), dev, prod)

    assert states(operation) == {"dev": "planned", "prod": "refused"}
    refused = operation.targets.get(environment_name="prod")
    assert refused.outcome == (
        "prod: ann may not restart here; members of dba and operator may."
    )


def test_a_permission_held_everywhere_counts_everywhere(dev: int, prod: int) -> None:
    operation = plan(person("ann", RESTART), dev, prod)

    assert set(states(operation).values()) == {"planned"}


def test_a_grant_that_was_taken_away_refuses_at_the_yes(dev: int, prod: int) -> None:
    ann = person("ann")
    grant(ann, "dev", RESTART)
    grant(ann, "prod", RESTART, group="others")
    operation = plan(as_requester(ann.user), dev, prod)
    Grant.objects.filter(environment__env_name="prod").delete()

    requests.confirm(operation.pk, as_requester(ann.user), acknowledged=True)

    assert states(operation) == {"dev": "queued", "prod": "refused"}
    assert "Nothing was done." in operation.targets.get(state="refused").outcome


def test_resuming_needs_the_permission_for_every_target(dev: int, prod: int) -> None:
    ann = person("ann")
    grant(ann, "dev", RESTART)
    operation = factories.operation(state=OperationState.INTERRUPTED)
    for number in (dev, prod):
        member = factories.Instance.objects.get(pk=number)
        factories.target(operation, member, TargetState.INTERRUPTED)

    with pytest.raises(NotAllowed, match="prod: ann may not restart here"):
        requests.resume(operation.pk, as_requester(ann.user))

    grant(ann, "prod", RESTART, group="others")
    requests.resume(operation.pk, as_requester(ann.user))


def test_who_may_is_one_query_for_all_environments(django_assert_num_queries) -> None:  # type: ignore[no-untyped-def]
    numbers = [factories.environment(f"env{n}").pk for n in range(5)]
    group = Group.objects.create(name="movers")
    Grant.objects.create(
        group=group,
        environment_id=numbers[0],
        permissions=["herds.switchover_instance"],
    )

    with django_assert_num_queries(1):
        able = who_may("herds.switchover_instance", [*numbers, None])

    assert able[numbers[0]] == ["dba", "movers"]
    assert able[numbers[1]] == able[None] == ["dba"]


def test_another_cluster_than_was_planned_is_refused(prod: int) -> None:
    ann = person("ann", RESTART)
    member = factories.Instance.objects.filter(pk=prod)
    member.update(system_identifier="7400000000000000001")
    operation = plan(ann, prod)
    member.update(system_identifier="7500000000000000002")

    requests.confirm(operation.pk, ann, acknowledged=True)

    target = operation.targets.get()
    assert target.state == TargetState.REFUSED
    assert (
        "is another cluster than when the plan was made (system 7500000000000000002, "
        "not 7400000000000000001)" in target.outcome
    )


def test_a_system_identifier_that_was_learned_since_refuses_nothing(prod: int) -> None:
    ann = person("ann", RESTART)
    operation = plan(ann, prod)
    factories.Instance.objects.update(system_identifier="7400000000000000001")

    requests.confirm(operation.pk, ann, acknowledged=True)

    assert states(operation) == {"prod": "queued"}


def test_somebody_inactive_has_no_grants(dev: int) -> None:
    ann = person("ann")
    grant(ann, "dev", RESTART)
    User.objects.filter(username="ann").update(is_active=False)

    with pytest.raises(NotAllowed):
        plan(as_requester(ann.user), dev)


# Freezes ------------------------------------------------------------------------


def freeze(env: str = "prod", *, begins: int = -1, ends: int = 1) -> None:
    now = timezone.now()
    Freeze.objects.create(
        environment=factories.environment(env),
        begins_at=now + timedelta(hours=begins),
        ends_at=now + timedelta(hours=ends),
        reason="year-end closing",
    )


def test_a_frozen_environment_accepts_no_changes(dev: int, prod: int) -> None:
    freeze()

    operation = plan(person("ann", RESTART), dev, prod)

    assert states(operation) == {"dev": "planned", "prod": "refused"}
    refused = operation.targets.get(environment_name="prod")
    assert refused.outcome.startswith("prod accepts no changes until ")
    assert "(year-end closing)" in refused.outcome


def test_a_freeze_that_began_since_the_plan_refuses_at_the_yes(prod: int) -> None:
    ann = person("ann", RESTART)
    operation = plan(ann, prod)
    freeze()

    requests.confirm(operation.pk, ann, acknowledged=True)

    assert states(operation) == {"prod": "refused"}


@pytest.mark.parametrize("hours", [(-3, -1), (1, 3)])
def test_a_freeze_that_is_over_or_to_come_refuses_nothing(
    prod: int, hours: tuple[int, int]
) -> None:
    freeze(begins=hours[0], ends=hours[1])

    assert states(plan(person("ann", RESTART), prod)) == {"prod": "planned"}


def test_refresh_and_failover_are_not_frozen(prod: int) -> None:
    freeze()
    ann = person("ann", "herds.refresh_instance", "herds.failover_instance")

    assert states(plan(ann, prod, action="refresh")) == {"prod": "planned"}
    (target,) = plan(ann, prod, action="failover").targets.all()
    assert "accepts no changes" not in target.outcome


def test_who_may_override_a_freeze_gives_a_reason(prod: int) -> None:
    freeze()
    ann = person("ann", RESTART, "herds.override_freeze")
    operation = plan(ann, prod)

    with pytest.raises(PreconditionFailed, match="Overriding that takes a reason"):
        requests.confirm(operation.pk, ann, acknowledged=True, reason=" ")
    requests.confirm(operation.pk, ann, acknowledged=True, reason="data loss ahead")

    assert states(operation) == {"prod": "queued"}
    entry = AuditEntry.objects.get(event="confirmed")
    assert entry.words.endswith(", against the freeze of prod")
    assert (entry.after or {})["reason"] == "data loss ahead"


def run_by_a_worker(operation: Operation) -> None:
    """Have a worker take what is queued, up to where it would begin."""
    shares = {
        claims.Share.of(each) for each in operation.targets.filter(state="queued")
    }
    worker = factories.worker()
    with transaction.atomic():
        claims.claim_all(
            [
                claims.Claim(share, worker.pk, SimulatedFleet())  # type: ignore[arg-type]
                for share in shares
            ]
        )
    with transaction.atomic():
        claims.hand_on_all(list(shares))


def attempts(operation: Operation) -> dict[str, int]:
    return dict(operation.targets.values_list("environment_name", "attempt"))


def test_a_freeze_that_began_before_a_worker_did_refuses(dev: int, prod: int) -> None:
    ann = person("ann", RESTART)
    operation = plan(ann, dev, prod)
    requests.confirm(operation.pk, ann, acknowledged=True)
    freeze()

    run_by_a_worker(operation)

    assert attempts(operation) == {"dev": 1, "prod": 0}
    refused = operation.targets.get(environment_name="prod")
    assert refused.state == TargetState.REFUSED
    assert refused.finished_at is not None
    assert refused.outcome.startswith("prod accepts no changes until ")
    assert refused.outcome.endswith("before this had its turn; nothing was done.")


def test_an_operation_that_a_freeze_came_before_ends(prod: int) -> None:
    ann = person("ann", RESTART)
    operation = plan(ann, prod)
    requests.confirm(operation.pk, ann, acknowledged=True)
    freeze()

    run_by_a_worker(operation)

    operation.refresh_from_db()
    assert operation.state == OperationState.FAILED
    assert operation.outcome.startswith("0 of 1 restarted; 1 refused.")


def test_what_overrides_a_freeze_and_what_was_begun_goes_on(prod: int) -> None:
    ann = person("ann", RESTART, "herds.override_freeze", "herds.refresh_instance")
    begun = plan(ann, prod)
    requests.confirm(begun.pk, ann, acknowledged=True)
    factories.step(begun.targets.get())
    harmless = plan(ann, prod, action="refresh")
    requests.confirm(harmless.pk, ann)
    freeze()
    overriding = plan(ann, prod)
    requests.confirm(overriding.pk, ann, acknowledged=True, reason="disk fails")

    for operation in (begun, harmless, overriding):
        run_by_a_worker(operation)
        assert attempts(operation) == {"prod": 1}, operation.action


def test_overriding_one_freeze_overrides_no_other(dev: int, prod: int) -> None:
    freeze("dev")
    ann = person("ann", RESTART)
    grant(ann, "dev", "herds.override_freeze")
    ann = as_requester(User.objects.get(username="ann"))
    operation = plan(ann, dev, prod)
    requests.confirm(operation.pk, ann, acknowledged=True, reason="disk fails")
    freeze("prod")

    run_by_a_worker(operation)

    assert attempts(operation) == {"dev": 1, "prod": 0}
    assert states(operation)["prod"] == TargetState.REFUSED


def test_looking_for_freezes_costs_a_worker_no_query(prod: int) -> None:
    def cost() -> int:
        ann = Requester(name="ann", source="terminal")
        operation = plan(ann, prod)
        requests.confirm(operation.pk, ann, acknowledged=True)
        with CaptureQueriesContext(connection) as queries:
            run_by_a_worker(operation)
        return len(queries)

    before = cost()
    freeze("stage")
    assert cost() == before


# A second person ----------------------------------------------------------------


def asks_twice(approval: Approval = Approval.ALWAYS) -> None:
    factories.environment("prod")
    Environment.objects.filter(env_name="prod").update(approval=approval)


def test_the_first_yes_asks_and_the_second_begins(prod: int) -> None:
    asks_twice()
    ann, bob = person("ann", RESTART), person("bob", RESTART)
    operation = plan(ann, prod)

    requests.confirm(operation.pk, ann, acknowledged=True, reason="new kernel")

    operation.refresh_from_db()
    assert operation.state == OperationState.PLANNED
    assert (operation.asked_by_name, operation.reason) == ("ann", "new kernel")
    assert states(operation) == {"prod": "planned"}

    requests.confirm(operation.pk, bob, acknowledged=True, reason="another one")

    operation.refresh_from_db()
    assert operation.state == OperationState.QUEUED
    assert (operation.approved_by_name, operation.reason) == ("bob", "new kernel")
    events = AuditEntry.objects.filter(kind="operation").order_by("audit_id")
    told = [(each.who, each.event) for each in events]
    assert told == [("ann", "planned"), ("ann", "asked for"), ("bob", "approved")]


def test_nobody_is_their_own_second_person(prod: int) -> None:
    asks_twice()
    ann = person("ann", RESTART)
    operation = plan(ann, prod)
    requests.confirm(operation.pk, ann, acknowledged=True)

    with pytest.raises(NotAllowed, match="in prod another person has to say yes"):
        requests.confirm(operation.pk, ann, acknowledged=True)


def test_the_second_person_needs_the_permission(prod: int) -> None:
    asks_twice()
    ann = person("ann", RESTART)
    operation = plan(ann, prod)
    requests.confirm(operation.pk, ann, acknowledged=True)

    with pytest.raises(NotAllowed):
        requests.confirm(operation.pk, person("bob"), acknowledged=True)


def test_a_plan_that_was_asked_for_still_expires(prod: int) -> None:
    asks_twice()
    ann = person("ann", RESTART)
    operation = plan(ann, prod)
    requests.confirm(operation.pk, ann, acknowledged=True)
    long_ago = timezone.now() - timedelta(hours=1)
    Operation.objects.filter(pk=operation.pk).update(expires_at=long_ago)

    with pytest.raises(PlanOutdated):
        requests.confirm(operation.pk, person("bob", RESTART), acknowledged=True)


def test_the_second_person_can_decline_with_a_reason(prod: int) -> None:
    asks_twice()
    ann, bob = person("ann", RESTART), person("bob", RESTART)
    operation = plan(ann, prod)
    requests.confirm(operation.pk, ann, acknowledged=True)

    with pytest.raises(PreconditionFailed, match="takes a reason"):
        requests.decline(operation.pk, bob, " ")
    declined = requests.decline(operation.pk, bob, "not before noon")

    assert declined.state == OperationState.CANCELLED
    assert declined.outcome == "Declined by bob: not before noon"
    assert states(operation) == {"prod": "cancelled"}


def test_only_what_destroys_or_moves_is_asked_about_where_that_is_chosen(
    prod: int,
) -> None:
    asks_twice(Approval.DESTRUCTIVE)
    ann = person("ann", RESTART, "herds.reload_instance", "herds.refresh_instance")

    for action, waits in (("restart", True), ("reload", False), ("refresh", False)):
        operation = plan(ann, prod, action=action)
        confirmed = requests.confirm(operation.pk, ann, acknowledged=True)
        assert (confirmed.state == OperationState.PLANNED) is waits, action


def test_a_worker_undoes_and_fences_without_a_second_person(prod: int) -> None:
    asks_twice()
    guard = Requester(name="ElepHaaS", source="worker")
    operation = plan(guard, prod)

    assert (
        requests.confirm(operation.pk, guard, acknowledged=True).state
        == OperationState.QUEUED
    )


# Typed names --------------------------------------------------------------------


def test_a_name_is_typed_once_a_herd_where_the_environment_wants_it(prod: int) -> None:
    Environment.objects.filter(env_name="prod").update(types_names=True)
    second = factories.instance("trade", "ele02").pk
    ann = person("ann", RESTART, "herds.reload_instance")
    operation = plan(ann, prod, second)
    asked = [each.plan["typed"] for each in operation.targets.order_by("position")]
    assert sorted(asked) == ["", "trade"]

    with pytest.raises(PreconditionFailed, match="was not typed: trade"):
        requests.confirm(operation.pk, ann, acknowledged=True)
    number = operation.targets.exclude(plan__typed="").get().pk
    requests.confirm(operation.pk, ann, acknowledged=True, typed={number: "trade"})

    harmless = plan(ann, prod, action="reload")
    assert [each.plan["typed"] for each in harmless.targets.all()] == [""]
