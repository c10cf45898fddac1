"""The list of operations, the front page's running ones, and the missing worker."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from herds.domain.states import OperationState, TargetState
from herds.models import Operation
from tests import factories

LIST = "/admin/herds/operation/"


@pytest.fixture
def viewer(db: None, client: Client) -> User:
    """Somebody logged in who may only look."""
    person = factories.user("vera", "herds.view_operation", "herds.view_instance")
    client.force_login(person)
    return person


def listed(client: Client, **query: str) -> list[int]:
    """Give the numbers of the listed operations, in their order."""
    return [
        operation.pk for operation in client.get(LIST, query).context["cl"].result_list
    ]


def test_the_list_tells_who_what_why_and_how_it_ended(
    client: Client, viewer: User
) -> None:
    operation = factories.operation(
        state=OperationState.PARTLY,
        reason="ticket DB-7",
        outcome="1 of 2 restarted; 1 failed.",
        finished_at=timezone.now() + timedelta(seconds=75),
    )

    page = client.get(LIST).content.decode()

    for shown in (
        f"{operation.pk}: Restart 2 instances of 1 herd in prod",
        "anna",
        "ticket DB-7",
        "partly",
        "1 of 2 restarted; 1 failed.",
        "1 min 15 s",
        reverse("admin:herds_operation_change", args=[operation.pk]),
    ):
        assert shown in page


def test_plans_without_an_answer_are_listed_only_when_asked_for(
    client: Client, viewer: User
) -> None:
    plan = factories.operation()
    expired = factories.operation(state=OperationState.EXPIRED)
    confirmed = factories.operation(state=OperationState.FAILED)

    assert listed(client) == [confirmed.pk]
    assert listed(client, state="planned") == [plan.pk]
    assert listed(client, state="expired") == [expired.pk]


def test_filters_narrow_by_state_action_and_source(
    client: Client, viewer: User
) -> None:
    failed = factories.operation(state=OperationState.FAILED, source="terminal")
    stop = factories.operation(state=OperationState.SUCCEEDED, action="stop")

    assert listed(client, state="failed") == [failed.pk]
    assert listed(client, action_name="stop") == [stop.pk]
    assert listed(client, source="terminal") == [failed.pk]
    assert listed(client, source="admin", action_name="restart") == []


@pytest.mark.parametrize("word", ["trade", "ele07", "DB-7", "zoe", "Reload"])
def test_search_finds_herds_hosts_reasons_people_and_sentences(
    client: Client, viewer: User, word: str
) -> None:
    found = factories.operation(
        state=OperationState.RUNNING,
        reason="ticket DB-7",
        requested_by_name="zoe",
        headline="Reload 2 instances of 1 herd in prod",
    )
    for host in ("ele07", "ele08"):
        factories.target(found, factories.instance("trade", host))
    factories.operation(state=OperationState.RUNNING)

    assert listed(client, q=word) == [found.pk]


def test_the_list_needs_no_more_queries_with_more_operations(
    client: Client, viewer: User
) -> None:
    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            client.get(LIST)
        return len(captured)

    for _ in range(5):
        factories.operation(state=OperationState.RUNNING)
    of_few = queries()
    for _ in range(45):
        factories.operation(state=OperationState.RUNNING)

    assert queries() == of_few


def test_operations_are_neither_added_changed_nor_deleted(
    client: Client, db: None
) -> None:
    client.force_login(factories.user("root", is_superuser=True))
    operation = factories.operation(state=OperationState.FAILED)

    for page in ("add/", f"{operation.pk}/delete/", f"{operation.pk}/change/"):
        assert client.post(LIST + page, {"post": "yes"}).status_code in {403, 404}
    forged = {"action": "delete_selected", "_selected_action": operation.pk}
    client.post(LIST, {**forged, "post": "yes"})

    assert Operation.objects.filter(pk=operation.pk).exists()
    assert "delete_selected" not in client.get(LIST).content.decode()


def test_operations_have_a_help_page(client: Client, viewer: User) -> None:
    page = client.get(f"{LIST}help/").content.decode()

    assert "its worker was lost" in page.lower()


def test_the_front_page_shows_what_runs_now(client: Client, viewer: User) -> None:
    running = factories.operation(state=OperationState.RUNNING)
    member = factories.instance()
    for state in (TargetState.SUCCEEDED, TargetState.FAILED, TargetState.QUEUED):
        factories.target(running, member, state)
    over = factories.operation(state=OperationState.FAILED, headline="Stop 1 instance")

    page = client.get("/admin/").content.decode()

    assert f'<a href="{LIST}{running.pk}/" id="running-{running.pk}">' in page
    assert "2 of 3 done" in page
    assert "1 failed" in page
    assert over.headline not in page


def test_the_front_page_hides_operations_from_who_may_not_view_them(
    client: Client, db: None
) -> None:
    client.force_login(factories.user("cleo", "herds.view_instance"))
    running = factories.operation(state=OperationState.RUNNING)

    assert running.headline not in client.get("/admin/").content.decode()


MISSING = "No worker is running."


def test_every_page_says_when_no_worker_runs(client: Client, viewer: User) -> None:
    for page in ("/admin/", LIST, "/admin/herds/instance/"):
        assert MISSING in client.get(page).content.decode()

    factories.worker()

    for page in ("/admin/", LIST, "/admin/herds/instance/"):
        assert MISSING not in client.get(page).content.decode()


@pytest.mark.parametrize("silence", ["heartbeat", "stop"])
def test_a_silent_or_stopped_worker_does_not_count(
    client: Client, viewer: User, silence: str
) -> None:
    now = timezone.now()
    if silence == "heartbeat":
        factories.worker(heartbeat_at=now - timedelta(seconds=16))
    else:
        factories.worker(stopped_at=now)

    assert MISSING in client.get(LIST).content.decode()


def test_the_login_form_tells_nothing_of_workers(client: Client, db: None) -> None:
    assert MISSING not in client.get("/admin/login/").content.decode()
