"""Bulk actions and buttons: they plan, with the permission each action asks for."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from herds.domain.states import OperationState
from herds.models import Instance, Operation
from tests import factories

INSTANCES = "/admin/herds/instance/"


@pytest.fixture
def anna(db: None, client: Client) -> User:
    """Somebody logged in who may restart, and nothing else."""
    person = factories.user(
        "anna",
        "herds.view_instance",
        "herds.view_herd",
        "herds.view_operation",
        "herds.restart_instance",
    )
    client.force_login(person)
    return person


@pytest.fixture
def members(db: None) -> list[Instance]:
    """Herd trade on ele01 (primary), ele02 and ele03."""
    primary = factories.instance("trade", "ele01")
    return [
        primary,
        *(factories.instance("trade", host, master=primary) for host in HOSTS),
    ]


HOSTS = ("ele02", "ele03")


def choose(client: Client, action: str, *chosen: Instance, **more: str) -> object:
    data = {"action": action, "_selected_action": [i.pk for i in chosen], **more}
    return client.post(INSTANCES, data)


def planned() -> list[str]:
    """Give the hosts of the only operation, which is a plan."""
    operation = Operation.objects.get()
    assert operation.state == OperationState.PLANNED
    return sorted(operation.targets.values_list("hostname", flat=True))


def test_a_list_offers_only_the_actions_a_person_may_ask_for(
    client: Client, anna: User, members: list[Instance]
) -> None:
    page = client.get(INSTANCES).content.decode()

    assert "Restart selected instances" in page
    assert "Stop selected instances" not in page


def test_a_bulk_action_leads_to_the_plan_of_the_chosen_instances(
    client: Client, anna: User, members: list[Instance]
) -> None:
    response = choose(client, "restart", members[0], members[2])

    assert planned() == ["ele01", "ele03"]
    operation = Operation.objects.get()
    assert operation.requested_by == anna
    assert response["Location"] == reverse(
        "admin:herds_operation_confirm", args=[operation.pk]
    )


def test_select_all_across_pages_plans_every_listed_instance(
    client: Client, anna: User, members: list[Instance]
) -> None:
    for index in range(110):
        factories.instance(f"herd{index:03}", f"host{index:03}")

    choose(client, "restart", members[0], select_across="1")

    assert len(planned()) == 113


def test_a_forged_action_without_the_permission_plans_nothing(
    client: Client, anna: User, members: list[Instance]
) -> None:
    choose(client, "stop", members[0])

    assert not Operation.objects.exists()


def test_an_action_on_nothing_says_so(
    client: Client, anna: User, members: list[Instance]
) -> None:
    gone = members[2]
    pk = gone.pk
    gone.delete()

    response = client.post(
        INSTANCES, {"action": "restart", "_selected_action": [pk]}, follow=True
    )

    assert "No instance was chosen." in response.content.decode()


def operate_url(model: str, pk: int, action: str) -> str:
    return reverse(f"admin:herds_{model}_operate", args=[pk, action])


def test_an_instance_offers_its_actions_as_buttons(
    client: Client, anna: User, members: list[Instance]
) -> None:
    page = client.get(f"{INSTANCES}{members[1].pk}/change/").content.decode()
    assert operate_url("instance", members[1].pk, "restart") in page
    assert operate_url("instance", members[1].pk, "stop") not in page

    client.post(operate_url("instance", members[1].pk, "restart"))

    assert planned() == ["ele02"]


def test_a_herd_offers_actions_on_all_of_its_members(
    client: Client, anna: User, members: list[Instance]
) -> None:
    factories.instance("quote", "ele09")

    client.post(operate_url("herd", members[0].herd_id, "restart"))

    assert planned() == ["ele01", "ele02", "ele03"]


def test_a_forged_button_plans_nothing(
    client: Client, anna: User, members: list[Instance]
) -> None:
    assert (
        client.post(operate_url("instance", members[0].pk, "stop")).status_code == 403
    )
    assert client.post(operate_url("instance", members[0].pk, "x")).status_code == 404
    assert (
        client.get(operate_url("instance", members[0].pk, "restart")).status_code == 405
    )
    client.force_login(factories.user("cleo", "herds.restart_instance"))
    assert (
        client.post(operate_url("instance", members[0].pk, "restart")).status_code
        == 403
    )

    assert not Operation.objects.exists()


def test_an_action_that_needs_no_yes_is_begun_at_once(
    client: Client, db: None, members: list[Instance]
) -> None:
    client.force_login(
        factories.user(
            "ben",
            "herds.view_instance",
            "herds.view_operation",
            "herds.refresh_instance",
        )
    )

    response = choose(client, "refresh", members[0])

    operation = Operation.objects.get()
    assert operation.state == OperationState.QUEUED
    assert response["Location"] == reverse(
        "admin:herds_operation_change", args=[operation.pk]
    )


def test_the_history_of_a_herd_lists_the_operations_of_its_members(
    client: Client, anna: User, members: list[Instance]
) -> None:
    operation = factories.operation(
        anna, OperationState.RUNNING, reason="ticket DB-7", source="terminal"
    )
    factories.target(operation, members[1], "succeeded", outcome="Restarted.")

    page = client.get(
        reverse("admin:herds_herd_history", args=[members[0].herd_id])
    ).content.decode()

    assert f"{operation.pk}: {operation.headline}" in page
    assert "ticket DB-7" in page
    assert "Restarted." in page


def test_lists_of_herds_offer_what_is_about_whole_herds(
    client: Client, members: list[Instance], settings: Any
) -> None:
    settings.DNS = {"SERVERS": ["192.0.2.53"]}
    client.force_login(
        factories.user(
            "dora",
            "herds.view_herd",
            "herds.view_disasterrecovery",
            "herds.view_operation",
            "herds.restart_instance",
            "herds.refresh_dns_instance",
        )
    )
    for menu in ("herd", "disasterrecovery"):
        address = f"/admin/herds/{menu}/"
        page = client.get(address).content.decode()
        assert "Refresh DNS of selected herds" in page
        assert 'value="restart"' not in page

        client.post(
            address,
            {"action": "refresh_dns", "_selected_action": [members[0].herd_id]},
        )

        operation = Operation.objects.get()
        assert operation.state == OperationState.PLANNING
        assert operation.headline == "Refresh DNS of 1 herd in prod"
        assert [t.hostname for t in operation.targets.all()] == ["ele01"]
        operation.delete()


def test_a_herd_and_a_pair_have_a_button_to_refresh_dns(
    administrator: Client, members: list[Instance]
) -> None:
    herd = members[0].herd_id
    for menu in ("herd", "disasterrecovery"):
        page = administrator.get(f"/admin/herds/{menu}/{herd}/change/").content.decode()
        assert operate_url(menu, herd, "refresh_dns") in page
        assert "Refresh DNS…" in page
    instance = administrator.get(f"{INSTANCES}{members[1].pk}/change/").content.decode()
    assert operate_url("instance", members[1].pk, "refresh_dns") not in instance


def test_the_history_of_a_pair_lists_its_herds_operations(
    administrator: Client, members: list[Instance]
) -> None:
    herd = members[0].herd_id
    operation = factories.operation(
        state=OperationState.SUCCEEDED, action="refresh_dns"
    )
    factories.target(operation, members[0], "succeeded", outcome="It points there.")

    page = administrator.get(f"/admin/herds/disasterrecovery/{herd}/history/")

    assert "It points there." in page.content.decode()
