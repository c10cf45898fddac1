"""The operation page: what happens is followed without reloading, or by reloading."""

from __future__ import annotations

from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from django.utils.html import escape

from herds.domain.states import OperationState, TargetState
from herds.models import Instance, Operation
from tests import factories

HTMX = {"HX-Request": "true", "HX-Current-URL": "http://testserver/admin/herds/x/"}


@pytest.fixture
def viewer(db: None, client: Client) -> User:
    """Somebody logged in who may only look."""
    person = factories.user(
        "vera", "herds.view_operation", "herds.view_instance", "herds.view_herd"
    )
    client.force_login(person)
    return person


@pytest.fixture
def running(viewer: User) -> Operation:
    """Somebody else's restart: one target succeeded, one runs, one is queued."""
    operation = factories.operation(
        factories.user("anna"), OperationState.RUNNING, reason="ticket DB-7"
    )
    now = timezone.now()
    for host, state, values in (
        (
            "ele01",
            TargetState.SUCCEEDED,
            {
                "outcome": "Restarted. ele01 runs PostgreSQL 15.4.",
                "started_at": now - timedelta(seconds=9),
                "finished_at": now - timedelta(seconds=3),
            },
        ),
        ("ele02", TargetState.RUNNING, {"current_step": "Stop PostgreSQL (fast)"}),
        ("ele03", TargetState.QUEUED, {}),
    ):
        factories.target(operation, factories.instance("trade", host), state, **values)
    return operation


def url(operation: Operation, page: str = "change") -> str:
    return reverse(f"admin:herds_operation_{page}", args=[operation.pk])


def text(client: Client, address: str, **kwargs: object) -> str:
    response = client.get(address, **kwargs)
    assert response.status_code == 200
    return response.content.decode()


def poll_url(client: Client, operation: Operation, **query: str) -> str:
    """Give the address that the page polls."""
    return str(client.get(url(operation), query).context["poll_url"])


def test_the_page_says_who_why_and_what_is_true_of_each_target(
    client: Client, running: Operation
) -> None:
    page = text(client, url(running))

    assert "anna" in page
    assert "ticket DB-7" in page
    assert "1 of 3 done" in page
    assert "Restarted. ele01 runs PostgreSQL 15.4." in page
    assert "6.0 s" in page
    assert "Stop PostgreSQL (fast)" in page
    assert 'aria-label="3 targets: 1 queued, 1 running, 1 succeeded."' in page


def test_a_running_operation_is_polled_and_an_ended_one_is_not(
    client: Client, running: Operation
) -> None:
    assert 'hx-trigger="every 1s"' in text(client, url(running))
    address = poll_url(client, running)

    running.targets.update(state=TargetState.SUCCEEDED)
    Operation.objects.update(
        state=OperationState.SUCCEEDED, outcome="All 3 instances were restarted."
    )

    last = text(client, address, headers=HTMX)
    assert "hx-trigger" not in last
    assert "All 3 instances were restarted." in last
    assert 'hx-trigger="every 1s"' not in text(client, url(running))


def test_a_poll_draws_only_rows_that_changed_or_run(
    client: Client, running: Operation
) -> None:
    succeeded, runs, queued = running.targets.order_by("position")
    address = poll_url(client, running)

    unchanged = text(client, address, headers=HTMX)
    assert f'id="target-{runs.pk}-line"' in unchanged
    assert f'id="target-{succeeded.pk}-line"' not in unchanged
    assert f'id="target-{queued.pk}-line"' not in unchanged

    running.targets.filter(pk=queued.pk).update(
        state=TargetState.FAILED, outcome="ele03 could not be reached over SSH."
    )
    changed = text(client, address, headers=HTMX)
    assert f'id="target-{queued.pk}-line"' in changed
    assert "ele03 could not be reached over SSH." in changed


def test_a_poll_leaves_the_buttons_alone_until_the_state_changes(
    client: Client, running: Operation
) -> None:
    address = poll_url(client, running)

    assert 'id="operation-actions"' not in text(client, address, headers=HTMX)

    Operation.objects.update(state=OperationState.CANCELLING)
    assert 'id="operation-actions"' in text(client, address, headers=HTMX)


def test_a_filter_is_kept_while_polling_and_tells_of_new_matches(
    client: Client, running: Operation
) -> None:
    address = poll_url(client, running, state="succeeded")
    assert parse_qs(urlsplit(address).query)["state"] == ["succeeded"]

    running.targets.filter(state=TargetState.RUNNING).update(
        state=TargetState.SUCCEEDED
    )

    assert "1 more target is succeeded" in text(client, address, headers=HTMX)


def test_a_filter_shows_the_targets_of_one_state_only(
    client: Client, running: Operation
) -> None:
    page = text(client, url(running) + "?state=queued")

    assert '<span class="ele-op-host">ele03</span>' in page
    assert '<span class="ele-op-host">ele01</span>' not in page


def test_a_queued_target_names_the_operation_it_waits_for(
    client: Client, running: Operation
) -> None:
    later = factories.operation(running.requested_by, OperationState.QUEUED)
    member = Instance.objects.get(server__hostname="ele01")
    factories.target(later, member, TargetState.QUEUED)

    page = text(client, url(later))

    assert f'Waits for <a href="{url(running)}">operation {running.pk}</a>' in page
    assert "by anna, which works on herd trade." in page


def test_the_first_of_two_queued_operations_waits_for_nobody(
    client: Client, viewer: User
) -> None:
    member = factories.instance()
    first, second = (factories.operation(state=OperationState.QUEUED) for _ in "ab")
    factories.target(first, member, TargetState.QUEUED)
    factories.target(second, member, TargetState.QUEUED)

    assert "Waits for its turn." in text(client, url(first))
    assert "which comes first on herd trade." in text(client, url(second))


def test_an_ended_session_leads_the_page_to_the_login_form(
    client: Client, running: Operation
) -> None:
    address = poll_url(client, running)
    client.logout()

    response = client.get(address, headers=HTMX)

    assert response.headers["HX-Redirect"].startswith("/admin/login/?next=")
    assert response.content == b""


def test_the_login_form_leads_back_to_no_other_site(
    client: Client, running: Operation
) -> None:
    client.logout()

    response = client.get(
        url(running, "live"), headers={**HTMX, "HX-Current-URL": "https://evil.test/"}
    )

    assert "evil.test" not in response.headers["HX-Redirect"]


def test_who_may_not_view_operations_sees_no_page_of_them(
    client: Client, running: Operation
) -> None:
    client.force_login(factories.user("cleo"))
    target = running.targets.first()

    assert client.get(url(running)).status_code == 403
    assert client.get(url(running, "live")).status_code == 403
    assert client.get(target_url(target)).status_code == 403


def many(operation: Operation, number: int, members: list[Instance]) -> None:
    for index in range(number):
        state = (TargetState.QUEUED, TargetState.RUNNING, TargetState.FAILED)[index % 3]
        factories.target(
            operation, members[index % len(members)], state, position=index
        )


def queries(client: Client, address: str, **kwargs: object) -> int:
    with CaptureQueriesContext(connection) as captured:
        text(client, address, **kwargs)
    return len(captured)


def test_page_and_poll_need_no_more_queries_with_more_targets(
    client: Client, viewer: User
) -> None:
    members = [factories.instance("trade", f"ele{index:02}") for index in range(5)]
    small, large = (factories.operation(state=OperationState.RUNNING) for _ in "ab")
    many(small, 5, members)
    many(large, 500, members)

    assert queries(client, url(large)) <= queries(client, url(small)) <= 17
    polls = [poll_url(client, operation) for operation in (small, large)]
    of_small, of_large = (queries(client, poll, headers=HTMX) for poll in polls)
    assert of_large <= of_small <= 14


def test_many_targets_are_paged_and_their_bar_is_grouped_by_state(
    client: Client, viewer: User
) -> None:
    operation = factories.operation(state=OperationState.RUNNING)
    many(operation, 300, [factories.instance()])

    first = client.get(url(operation))
    last = text(client, url(operation) + "?p=3")

    assert len(first.context["rows"].rows) == 100
    assert [part.title for part in first.context["progress"].segments] == [
        "100 failed",
        "100 running",
        "100 queued",
    ]
    assert "targets 201 to 300 of 300" in last


def cancel(client: Client, operation: Operation) -> str:
    response = client.post(url(operation, "cancel"), follow=True)
    return response.content.decode()


def test_a_person_cancels_their_own_operation(
    client: Client, running: Operation
) -> None:
    client.force_login(running.requested_by)
    running.requested_by.user_permissions.set(
        factories.user("x", "herds.view_operation").user_permissions.all()
    )
    page = text(client, url(running))
    assert "1 target not begun is left alone" in page
    assert "1 target running now comes to a safe end first" in page

    assert "anna asked to cancel." in cancel(client, running)
    running.refresh_from_db()
    assert running.state == OperationState.CANCELLING


def test_cancelling_for_somebody_else_needs_a_permission(
    client: Client, running: Operation
) -> None:
    assert "Cancel this operation" not in text(client, url(running))

    assert (
        "may not cancel other people&#x27;s work here; members of dba may."
        in cancel(client, running)
    )
    running.refresh_from_db()
    assert running.state == OperationState.RUNNING

    client.force_login(
        factories.user("olga", "herds.view_operation", "herds.cancel_operation")
    )
    assert "olga asked to cancel." in cancel(client, running)


def test_looking_at_an_address_that_acts_does_nothing(
    client: Client, running: Operation
) -> None:
    for page in ("cancel", "retry", "resume", "again"):
        assert client.get(url(running, page)).status_code == 405
    running.refresh_from_db()
    assert running.state == OperationState.RUNNING


def ended_with(state: TargetState, operation_state: OperationState) -> Operation:
    operation = factories.operation(state=operation_state, finished_at=timezone.now())
    factories.target(operation, factories.instance("trade", "ele01"), state)
    done = factories.instance("trade", "ele02")
    factories.target(operation, done, TargetState.SUCCEEDED)
    return operation


def test_retry_plans_what_did_not_succeed_as_a_new_operation(
    client: Client, viewer: User
) -> None:
    operation = ended_with(TargetState.FAILED, OperationState.PARTLY)
    client.force_login(
        factories.user("anna", "herds.view_operation", "herds.restart_instance")
    )
    assert "Retry 1 that did not succeed" in text(client, url(operation))

    response = client.post(url(operation, "retry"))

    again = Operation.objects.latest("pk")
    assert response["Location"] == url(again, "confirm")
    assert again.retry_of == operation
    assert [target.hostname for target in again.targets.all()] == ["ele01"]


def test_resume_queues_what_was_interrupted(client: Client, viewer: User) -> None:
    operation = ended_with(TargetState.INTERRUPTED, OperationState.INTERRUPTED)
    client.force_login(
        factories.user("anna", "herds.view_operation", "herds.restart_instance")
    )
    assert "Resume 1 interrupted" in text(client, url(operation))

    response = client.post(url(operation, "resume"))

    assert response["Location"] == url(operation)
    assert list(operation.targets.values_list("state", flat=True)) == [
        TargetState.QUEUED,
        TargetState.SUCCEEDED,
    ]


def test_who_may_only_look_is_offered_nothing_and_refused_everything(
    client: Client, viewer: User
) -> None:
    operation = ended_with(TargetState.INTERRUPTED, OperationState.INTERRUPTED)
    page = text(client, url(operation))
    assert "Resume" not in page
    assert "Retry" not in page

    for asked in ("retry", "resume"):
        refusal = client.post(url(operation, asked), follow=True).content.decode()
        assert "herds.restart_instance is missing" in refusal
    assert Operation.objects.count() == 1


def target_url(target: object) -> str:
    return reverse(
        "admin:herds_operation_target", args=[target.operation_id, target.pk]
    )


def test_a_target_unfolds_to_its_steps(client: Client, running: Operation) -> None:
    target = running.targets.first()
    step = factories.step(
        target,
        command="pg_ctlcluster 15 trade stop -m fast",
        exit_status=2,
        evidence={"activity": "stopped", "pg_control": "shut down"},
    )
    factories.output(step, "waiting for server to shut down....")
    factories.output(step, "<script>alert(1)</script>", "stderr")

    page = text(client, target_url(target))

    for shown in (
        "Stop PostgreSQL (fast)",
        "2.0 s",
        "pg_ctlcluster 15 trade stop -m fast",
        "exit status 2",
        "shut down",
        "waiting for server to shut down....",
        escape("<script>alert(1)</script>"),
    ):
        assert shown in page
    assert "<script>alert" not in page
    row = text(client, target_url(target), headers=HTMX)
    assert "exit status 2" in row
    assert "<html" not in row


def test_steps_that_are_drawn_already_are_not_sent_again(
    client: Client, running: Operation
) -> None:
    target = running.targets.get(state=TargetState.RUNNING)
    factories.step(target, words="Look at what is true")
    factories.step(target, "running", words="Stop PostgreSQL (fast)")

    new = text(client, target_url(target) + "?drawn=1", headers=HTMX)

    assert "Look at what is true" not in new
    assert "Stop PostgreSQL (fast)" in new
    assert 'hx-trigger="every 1s"' in new


def test_a_large_output_shows_its_end_and_is_sent_whole_as_text(
    client: Client, running: Operation
) -> None:
    target = running.targets.first()
    step = factories.step(target, command="rsync")
    for number in range(40):
        factories.output(step, f"line {number:02} {'x' * 492}\n")

    page = text(client, target_url(target))
    assert "line 39" in page
    assert "line 20" not in page
    assert "the end of 19.6 kB" in page

    address = reverse(
        "admin:herds_operation_output", args=[running.pk, target.pk, step.pk]
    )
    assert address in page
    whole = client.get(address)
    assert whole["Content-Type"] == "text/plain; charset=utf-8"
    lines = b"".join(whole.streaming_content).decode().splitlines()
    assert [line[:7] for line in lines] == [f"line {n:02}" for n in range(40)]


def test_a_target_is_found_only_under_its_own_operation(
    client: Client, running: Operation
) -> None:
    other = factories.operation(state=OperationState.RUNNING)
    target = running.targets.first()
    address = reverse("admin:herds_operation_target", args=[other.pk, target.pk])

    assert client.get(address).status_code == 404


def test_what_was_deleted_since_is_still_told_by_its_name(
    client: Client, running: Operation
) -> None:
    target = running.targets.first()
    Instance.objects.all().delete()
    running.requested_by.delete()

    assert "trade on <span" in text(client, url(running))
    assert "anna" in text(client, url(running))
    assert "removed from the inventory since" in text(client, target_url(target))


def test_long_work_tells_how_far_it_is_and_how_long_it_still_takes(
    client: Client, running: Operation
) -> None:
    target = running.targets.get(state=TargetState.RUNNING)
    factories.step(
        target,
        "running",
        progress={
            "words": "Copying",
            "done": 3 * 2**20,
            "total": 5 * 2**20,
            "rate": 2.0**20,
        },
    )
    shown = "Copying: 3.0 MB of 5.0 MB, 1.0 MB/s, 2.0 s left"

    assert f"Stop PostgreSQL (fast) — {shown}" in text(client, url(running))
    steps = text(client, target_url(target))
    assert f'<progress max="5242880" value="3145728">{shown}</progress>' in steps
