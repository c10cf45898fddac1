"""What an operation leaves to do: buttons that plan it, and where it went too far."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from herds.domain.states import OperationState, TargetState
from herds.models import Instance, Operation, OperationTarget
from tests import factories
from tests.doubles.crossing import STEPS

HTMX = {"HX-Request": "true"}
MAY_LOOK = ("herds.view_operation", "herds.view_instance")


@pytest.fixture
def anna(client: Client, db: None) -> User:
    """Somebody logged in who may rebuild, and not start."""
    person = factories.user("anna", *MAY_LOOK, "herds.rebuild_instance")
    client.force_login(person)
    return person


@pytest.fixture
def target(anna: User) -> OperationTarget:
    """A target that was crossed over and leaves two things to do."""
    primary = factories.instance("trade", "ele01")
    member = factories.instance("trade", "ele02", master=primary)
    left = factories.instance("trade", "ele03", master=primary)
    operation = factories.operation(
        state=OperationState.SUCCEEDED, finished_at=timezone.now()
    )
    return factories.target(
        operation,
        member,
        TargetState.FOLLOW_UPS,
        outcome="ele02 is the primary.",
        follow_ups=[
            {
                "action": "rebuild",
                "instance_id": left.pk,
                "words": "Rebuild ele03: it was not <reachable>.",
            },
            {
                "action": "start",
                "instance_id": primary.pk,
                "words": "Start ele01: it is a stopped copy.",
            },
        ],
    )


def url(operation: Operation, page: str = "change") -> str:
    return reverse(f"admin:herds_operation_{page}", args=[operation.pk])


def target_url(target: OperationTarget) -> str:
    return reverse(
        "admin:herds_operation_target", args=[target.operation_id, target.pk]
    )


def follow_up_url(target: OperationTarget, number: int) -> str:
    return reverse(
        "admin:herds_operation_follow_up",
        args=[target.operation_id, target.pk, number],
    )


def html(client: Client, address: str, **more: object) -> str:
    response = client.get(address, **more)
    assert response.status_code == 200
    return str(response.content.decode())


def test_what_is_left_stands_under_the_outcome_with_a_button_for_who_may(
    client: Client, target: OperationTarget
) -> None:
    for address in (url(target.operation), target_url(target)):
        page = html(client, address)

        assert "▲" in page
        assert "Rebuild ele03: it was not &lt;reachable&gt;." in page
        assert "Start ele01: it is a stopped copy." in page
        assert follow_up_url(target, 1) in page
        assert follow_up_url(target, 2) not in page


def test_the_button_plans_it_and_leads_to_the_plan(
    client: Client, target: OperationTarget
) -> None:
    response = client.post(follow_up_url(target, 1))

    planned = Operation.objects.latest("pk")
    assert response["Location"] == url(planned, "confirm")
    assert planned.action == "rebuild"
    assert [each.hostname for each in planned.targets.all()] == ["ele03"]
    assert planned.requested_by_name == "anna"


def test_a_forged_button_plans_nothing(client: Client, target: OperationTarget) -> None:
    refused = client.post(follow_up_url(target, 2), follow=True).content.decode()
    assert "herds.start_instance is missing" in refused
    assert client.post(follow_up_url(target, 3)).status_code == 404
    assert client.post(follow_up_url(target, 0)).status_code == 404
    assert client.get(follow_up_url(target, 1)).status_code == 405
    client.force_login(factories.user("ben", "herds.rebuild_instance"))
    assert client.post(follow_up_url(target, 1)).status_code == 403

    assert Operation.objects.count() == 1


def test_what_is_gone_is_said_and_not_planned(
    client: Client, target: OperationTarget
) -> None:
    Instance.objects.filter(server__hostname="ele03").delete()

    page = client.post(follow_up_url(target, 1), follow=True).content.decode()

    assert "no longer in the inventory; nothing was planned" in page
    assert Operation.objects.count() == 1


def test_what_no_application_knows_any_more_has_words_and_no_button(
    client: Client, target: OperationTarget
) -> None:
    target.follow_ups[0]["action"] = "elsewhere"
    target.save()

    page = html(client, url(target.operation))

    assert "Rebuild ele03" in page
    assert follow_up_url(target, 1) not in page
    assert client.post(follow_up_url(target, 1)).status_code == 404


def test_a_poll_brings_what_is_left_when_the_target_ends(
    client: Client, target: OperationTarget
) -> None:
    ended = target.follow_ups
    OperationTarget.objects.update(state="running", follow_ups=[])
    Operation.objects.update(state="running")
    poll = str(client.get(url(target.operation)).context["poll_url"])
    assert follow_up_url(target, 1) not in html(client, poll, headers=HTMX)

    OperationTarget.objects.update(state="follow-ups", follow_ups=ended)

    assert follow_up_url(target, 1) in html(client, poll, headers=HTMX)
    steps = html(client, target_url(target) + "?drawn=0&alone", headers=HTMX)
    assert follow_up_url(target, 1) in steps


def test_the_steps_show_where_the_point_of_no_return_was_passed(
    client: Client, target: OperationTarget
) -> None:
    target.plan |= {"steps": list(STEPS), "no_return": 2}
    target.save()
    for words in STEPS[:2]:
        factories.step(target, words=words)
    assert "Point of no return" not in html(client, target_url(target))

    factories.step(target, words=STEPS[2])
    page = html(client, target_url(target))

    assert page.index(STEPS[1]) < page.index("Point of no return")
    assert page.index("Point of no return") < page.index(f"<strong>{STEPS[2]}")


def test_the_point_of_no_return_is_that_of_whom_was_chosen(
    client: Client, target: OperationTarget
) -> None:
    target.plan |= {
        "steps": ["Stop ele01", "Promote ele02", "Have ele03 follow ele02"],
        "no_return": 1,
        "choices": [{"name": "candidate", "default": "ele02", "options": []}],
        "chosen": {"candidate": "ele03"},
    }
    target.save()
    factories.step(target, words="Stop ele01")
    factories.step(target, words="Promote ele03")

    page = html(client, target_url(target))

    assert page.index("Stop ele01") < page.index("Point of no return")
    assert page.index("Point of no return") < page.index("<strong>Promote ele03")


def test_resuming_says_that_it_looks_first(
    client: Client, target: OperationTarget
) -> None:
    OperationTarget.objects.update(state="interrupted", follow_ups=[])
    Operation.objects.update(state="interrupted", action="rebuild")

    page = html(client, url(target.operation))

    assert "Resume 1 interrupted" in page
    assert "Resuming looks at the hosts first" in page


@pytest.mark.parametrize(
    ("state", "mark"),
    [("follow-ups", "▲"), ("rolled back", "▲"), ("interrupted", "?")],
)
def test_ends_that_are_neither_good_nor_bad_are_drawn_as_such(
    client: Client, target: OperationTarget, state: str, mark: str
) -> None:
    OperationTarget.objects.update(state=state)

    page = html(client, url(target.operation))

    assert f'aria-hidden="true">{mark}</span> {state}' in page
