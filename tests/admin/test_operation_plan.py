"""The plan page: what will happen is shown before it is asked for."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from herds.domain.states import OperationState, TargetState
from herds.models import Instance, Operation
from tests import factories

MAY_RESTART = (
    "herds.view_operation",
    "herds.view_instance",
    "herds.restart_instance",
)


@pytest.fixture
def anna(db: None, client: Client) -> User:
    """Somebody logged in who may restart instances."""
    person = factories.user("anna", *MAY_RESTART)
    client.force_login(person)
    return person


@pytest.fixture
def members(db: None) -> list[Instance]:
    """Herd trade: its primary on ele01, a replica on ele02."""
    primary = factories.instance("trade", "ele01")
    return [primary, factories.instance("trade", "ele02", master=primary)]


@pytest.fixture
def plan(anna: User, members: list[Instance]) -> Operation:
    """A restart of herd trade that waits for a yes: the replica first."""
    operation = factories.operation(anna)
    for member in members:
        factories.target(operation, member, wave=1 if member.is_primary else 0)
    return operation


def confirm_url(operation: Operation) -> str:
    return reverse("admin:herds_operation_confirm", args=[operation.pk])


def page_url(operation: Operation) -> str:
    return reverse("admin:herds_operation_change", args=[operation.pk])


def state_of(operation: Operation) -> str:
    return Operation.objects.get(pk=operation.pk).state


def test_plan_says_what_will_happen_to_which_container_in_which_order(
    client: Client, plan: Operation
) -> None:
    page = client.get(confirm_url(plan)).content.decode()

    assert "<h1>Restart 2 instances of 1 herd in prod</h1>" in page
    assert page.index("ele02") < page.index("ele01")
    assert "replica, running" in page
    assert 'value="Restart 2 instances"' in page
    assert 'class="button cancel-link"' in page


def test_opening_a_plan_by_its_number_leads_to_the_plan_page(
    client: Client, plan: Operation
) -> None:
    response = client.get(page_url(plan))

    assert response["Location"] == confirm_url(plan)


def test_checks_are_folded_to_one_line_while_all_are_fine(
    client: Client, anna: User, members: list[Instance]
) -> None:
    operation = factories.operation(anna)
    factories.target(operation, members[0], checks=[factories.check()])

    page = client.get(confirm_url(operation)).content.decode()

    assert '<details class="ele-op-checks">' in page
    assert "1 check is fine" in page


def test_checks_are_unfolded_when_one_warns(
    client: Client, anna: User, members: list[Instance]
) -> None:
    operation = factories.operation(anna)
    checks = [factories.check(), factories.check("warn", name="Replication lag")]
    factories.target(operation, members[0], checks=checks)

    page = client.get(confirm_url(operation)).content.decode()

    assert '<details class="ele-op-checks" open>' in page
    assert "1 of 2 checks needs attention" in page
    assert "the inventory&#x27;s own record" in page


def test_a_warning_has_to_be_acknowledged(
    client: Client, anna: User, members: list[Instance]
) -> None:
    operation = factories.operation(anna)
    factories.target(operation, members[0], checks=[factories.check("warn")])

    refused = client.post(confirm_url(operation), {"reason": ""})
    assert "Tick this to go on, or cancel." in refused.content.decode()
    assert state_of(operation) == OperationState.PLANNED

    accepted = client.post(confirm_url(operation), {"acknowledged_0": "on"})
    assert accepted["Location"] == page_url(operation)
    assert state_of(operation) == OperationState.QUEUED


def test_refused_targets_are_listed_apart_and_not_counted(
    client: Client, anna: User, members: list[Instance]
) -> None:
    operation = factories.operation(anna)
    factories.target(operation, members[0])
    factories.target(operation, members[1], refusal="No host key was accepted yet.")

    page = client.get(confirm_url(operation)).content.decode()

    assert 'value="Restart 1 instance"' in page
    assert "1 instance cannot go" in page
    assert "No host key was accepted yet." in page


def test_a_plan_in_which_nothing_can_go_has_no_button(
    client: Client, anna: User, members: list[Instance]
) -> None:
    operation = factories.operation(anna)
    factories.target(operation, members[0], refusal="No host key was accepted yet.")

    page = client.get(confirm_url(operation)).content.decode()

    assert "None of these instances can go" in page
    assert "Restart 0" not in page


def test_the_yes_queues_with_reason_and_stop_at_first_failure(
    client: Client, plan: Operation
) -> None:
    response = client.post(
        confirm_url(plan),
        {"reason": "ticket DB-7", "stop_at_first_failure": "on"},
        follow=True,
    )

    plan.refresh_from_db()
    assert plan.state == OperationState.QUEUED
    assert plan.reason == "ticket DB-7"
    assert plan.stop_at_first_failure
    assert f"operation {plan.pk}</a>" in response.content.decode()


def test_the_yes_is_told_in_the_history_of_each_instance(
    client: Client, plan: Operation, members: list[Instance]
) -> None:
    client.post(confirm_url(plan), {"reason": "ticket DB-7"})

    entries = LogEntry.objects.order_by("object_repr")
    assert [entry.object_repr for entry in entries] == [str(m) for m in members]
    assert {entry.get_change_message() for entry in entries} == {
        f"Restart requested: operation {plan.pk} — ticket DB-7"
    }
    history = client.get(
        reverse("admin:herds_instance_history", args=[members[0].pk])
    ).content.decode()
    assert f'<a href="{page_url(plan)}">' in history


def test_a_second_yes_changes_nothing_and_leads_to_the_operation(
    client: Client, plan: Operation
) -> None:
    client.post(confirm_url(plan), {"reason": "first"})

    response = client.post(confirm_url(plan), {"reason": "second"}, follow=True)

    assert response.redirect_chain == [(page_url(plan), 302)]
    assert "was confirmed already" in response.content.decode()
    plan.refresh_from_db()
    assert plan.reason == "first"


def test_a_plan_left_open_for_a_day_only_offers_to_plan_again(
    client: Client, plan: Operation
) -> None:
    yesterday = timezone.now() - timedelta(days=1)
    Operation.objects.update(created_at=yesterday, expires_at=yesterday)

    page = client.get(confirm_url(plan)).content.decode()
    assert "too old to act on" in page
    assert 'value="Restart 2 instances"' not in page

    forged = client.post(confirm_url(plan), {"reason": ""}, follow=True)
    assert "is too old to act on" in forged.content.decode()
    assert state_of(plan) == OperationState.PLANNED


def test_planning_again_takes_the_same_targets(
    client: Client, plan: Operation, members: list[Instance]
) -> None:
    response = client.post(reverse("admin:herds_operation_again", args=[plan.pk]))

    again = Operation.objects.latest("pk")
    assert again.pk != plan.pk
    assert response["Location"] == confirm_url(again)
    assert set(again.targets.values_list("instance_id", flat=True)) == {
        member.pk for member in members
    }


def test_a_target_deleted_before_the_yes_stops_no_other(
    client: Client, plan: Operation, members: list[Instance]
) -> None:
    members[1].delete()

    page = client.get(confirm_url(plan)).content.decode()
    assert "removed from the inventory" in page
    assert 'value="Restart 1 instance"' in page

    client.post(confirm_url(plan), {})
    assert list(plan.targets.values_list("state", flat=True)) == [
        TargetState.QUEUED,
        TargetState.REFUSED,
    ]


def test_a_forged_yes_without_the_permission_runs_nothing(
    client: Client, plan: Operation
) -> None:
    client.force_login(factories.user("ben", "herds.view_operation"))

    page = client.get(confirm_url(plan)).content.decode()
    assert "herds.restart_instance" in page
    assert 'value="Restart 2 instances"' not in page

    forged = client.post(confirm_url(plan), {}, follow=True)
    assert "may not restart" in forged.content.decode()
    assert state_of(plan) == OperationState.PLANNED


def test_a_yes_from_another_site_is_refused(plan: Operation, anna: User) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(anna)

    assert client.post(confirm_url(plan), {}).status_code == 403
    assert state_of(plan) == OperationState.PLANNED


def test_nobody_sees_a_plan_without_the_permission_to_view_operations(
    client: Client, plan: Operation
) -> None:
    client.force_login(factories.user("cleo", "herds.restart_instance"))

    assert client.get(confirm_url(plan)).status_code == 403
    assert client.post(confirm_url(plan), {}).status_code == 403


def many_targets(operation: Operation, number: int) -> None:
    for index in range(number):
        member = factories.instance(f"herd{index // 2:03}", f"host{index:03}")
        factories.target(operation, member, checks=[factories.check()])


def test_a_large_plan_needs_no_more_queries_than_a_small_one(
    client: Client, anna: User, members: list[Instance]
) -> None:
    small, large = factories.operation(anna), factories.operation(anna)
    for index in range(5):
        factories.target(small, members[index % 2])
    for index in range(500):
        factories.target(large, members[index % 2], position=index)

    with CaptureQueriesContext(connection) as of_small:
        client.get(confirm_url(small))
    with CaptureQueriesContext(connection) as of_large:
        client.get(confirm_url(large))

    assert len(of_small) == len(of_large) <= 11


def test_a_large_plan_folds_its_herds_and_shows_each_on_request(
    client: Client, anna: User
) -> None:
    operation = factories.operation(anna)
    many_targets(operation, 102)
    herd_key = operation.targets.first().herd_key
    herd_url = reverse("admin:herds_operation_herd", args=[operation.pk, herd_key])

    page = client.get(confirm_url(operation)).content.decode()
    assert "host000" not in page
    assert herd_url in page

    alone = client.get(herd_url).content.decode()
    fragment = client.get(herd_url, headers={"HX-Request": "true"}).content.decode()
    assert "host000" in alone
    assert "host001" in fragment
    assert "host002" not in fragment
    assert "<html" not in fragment


def test_a_plan_in_the_making_is_waited_for(client: Client, plan: Operation) -> None:
    Operation.objects.update(state=OperationState.PLANNING)

    page = client.get(confirm_url(plan)).content.decode()
    assert "A worker is looking at the hosts" in page
    assert 'value="Restart 2 instances"' not in page
    asked = client.get(confirm_url(plan), headers={"HX-Request": "true"})
    assert asked.status_code == 204

    Operation.objects.update(state=OperationState.PLANNED)
    asked = client.get(confirm_url(plan), headers={"HX-Request": "true"})
    assert asked.headers["HX-Refresh"] == "true"
    assert "hx-get" not in client.get(confirm_url(plan)).content.decode()


def test_a_yes_to_a_plan_in_the_making_is_refused(
    client: Client, plan: Operation
) -> None:
    Operation.objects.update(state=OperationState.PLANNING)

    refusal = client.post(confirm_url(plan), {}, follow=True).content.decode()

    assert "is still being written" in refusal
    assert state_of(plan) == OperationState.PLANNING


@pytest.fixture
def choosable(anna: User, members: list[Instance]) -> Operation:
    """A plan whose only target can be done slowly instead of quickly."""
    operation = factories.operation(anna)
    target = factories.target(operation, members[1])
    target.plan["choices"] = [
        {
            "name": "method",
            "label": "Method",
            "default": "quick",
            "options": [
                {"value": "quick", "label": "quickly", "possible": True, "why": ""},
                {"value": "slow", "label": "slowly", "possible": True, "why": "1 TB"},
                {"value": "odd", "label": "oddly", "possible": False, "why": "no"},
            ],
        }
    ]
    target.save()
    return operation


def test_a_choice_of_a_target_goes_with_the_yes(
    client: Client, choosable: Operation
) -> None:
    target = choosable.targets.get()
    page = client.get(confirm_url(choosable)).content.decode()
    assert f'<select name="{target.pk}.method" form="operation-yes">' in page
    assert '<option value="quick" selected>quickly</option>' in page
    assert '<option value="odd" disabled>oddly (no)</option>' in page

    client.post(confirm_url(choosable), {f"{target.pk}.method": "slow"})

    target.refresh_from_db()
    assert target.state == TargetState.QUEUED
    assert target.plan["chosen"] == {"method": "slow"}


def test_an_impossible_choice_is_refused_with_the_reason(
    client: Client, choosable: Operation
) -> None:
    target = choosable.targets.get()

    answer = {f"{target.pk}.method": "odd", "reason": "new disks"}
    page = client.post(confirm_url(choosable), answer, follow=True).content.decode()

    assert "Method of ele02 cannot be" in page
    assert "new disks" in page
    assert state_of(choosable) == OperationState.PLANNED
