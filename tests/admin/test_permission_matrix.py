"""Every action, for every role, in every environment, by every way to ask for it."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client

from herds.domain.states import OperationState, TargetState
from herds.models import Grant, Instance, Operation, OperationTarget
from herds.operations import registry, requests
from herds.operations.leave import Requester
from tests import factories

pytestmark = pytest.mark.django_db

ACTIONS = (
    *("start", "stop", "restart", "reload", "refresh"),
    *("promote", "demote", "rebuild", "switchover", "failover", "refresh_dns"),
    *("register", "fence"),
)
LISTED = frozenset({*ACTIONS[:5], "promote", "demote", "rebuild"})
"""What the menu Instances offers; the rest belongs to herds, pairs and pages."""

EVERYDAY = frozenset(ACTIONS[:5])
MOVERS = frozenset({"restart", "switchover", "refresh"})
"""What the group of the role mover is granted, in stage alone."""

MAY: dict[tuple[str, str], frozenset[str]] = {
    ("nobody", "stage"): frozenset(),
    ("nobody", "prod"): frozenset(),
    ("viewer", "stage"): frozenset(),
    ("viewer", "prod"): frozenset(),
    ("mover", "stage"): MOVERS,
    ("mover", "prod"): frozenset(),
    ("operator", "stage"): EVERYDAY,
    ("operator", "prod"): EVERYDAY,
    ("dba", "stage"): frozenset(ACTIONS),
    ("dba", "prod"): frozenset(ACTIONS),
}
CANCELS = {("mover", "stage"), ("dba", "stage"), ("dba", "prod")}
"""Who may cancel other people's operations, and where."""

CELLS = [pytest.param(*cell, id="-".join(cell)) for cell in MAY]


@pytest.fixture
def members() -> dict[str, Instance]:
    """Give a standby of each environment."""
    found = {}
    for env, host in (("stage", "sta"), ("prod", "ele")):
        primary = factories.instance("trade", f"{host}01", env)
        found[env] = factories.instance("trade", f"{host}02", env, master=primary)
    return found


def in_role(role: str) -> User:
    user = factories.user(role)
    if role == "nobody":
        return user
    name = "viewer" if role == "mover" else role
    user.groups.add(Group.objects.get(name=name))
    if role == "mover":
        movers = Group.objects.create(name="movers")
        user.groups.add(movers)
        granted = {registry.get(each).permission for each in MOVERS}
        Grant.objects.create(
            group=movers,
            environment=factories.environment("stage"),
            permissions=[*granted, "herds.cancel_operation"],
        )
    return user


@pytest.fixture
def person(role: str) -> User:
    return in_role(role)


@pytest.fixture
def theirs(person: User, client: Client) -> Client:
    client.force_login(person)
    return client


def somebodys(
    action: str,
    member: Instance,
    state: OperationState = OperationState.PLANNED,
    of_target: TargetState = TargetState.PLANNED,
) -> OperationTarget:
    """Make an operation that another person asked for."""
    operation = factories.operation(
        action=action, requested_by_name="zoe", state=state, source="admin"
    )
    return factories.target(operation, member, of_target)


def state_of(target: OperationTarget) -> str:
    return OperationTarget.objects.get(pk=target.pk).state


def test_the_table_knows_every_action() -> None:
    assert {each.name for each in registry.all_actions()} == set(ACTIONS)


@pytest.mark.parametrize(("role", "env"), CELLS)
def test_a_plan_is_written_for_whoever_may(
    theirs: Client, members: dict[str, Instance], role: str, env: str
) -> None:
    done = set()
    for action in ACTIONS:
        address = f"/admin/herds/instance/{members[env].pk}/operate/{action}/"
        theirs.post(address)
        if Operation.objects.filter(action=action).exists():
            done.add(action)

    assert done == MAY[role, env]


@pytest.mark.parametrize(("role", "env"), CELLS)
def test_the_list_plans_for_whoever_may(
    theirs: Client, members: dict[str, Instance], role: str, env: str
) -> None:
    done = set()
    for action in ACTIONS:
        theirs.post(
            "/admin/herds/instance/",
            {"action": action, "_selected_action": [members[env].pk]},
        )
        if Operation.objects.filter(action=action).exists():
            done.add(action)

    assert done == MAY[role, env] & LISTED


@pytest.mark.parametrize(("role", "env"), CELLS)
def test_the_page_offers_what_may_be_done_there(
    theirs: Client, members: dict[str, Instance], role: str, env: str
) -> None:
    page = theirs.get(f"/admin/herds/instance/{members[env].pk}/change/")
    offered = {
        action
        for action in ACTIONS
        if f"/{members[env].pk}/operate/{action}/" in page.content.decode()
    }

    assert offered == MAY[role, env] & LISTED


@pytest.mark.parametrize(("role", "env"), CELLS)
def test_a_plan_of_another_is_said_yes_to_by_whoever_may(
    theirs: Client, members: dict[str, Instance], role: str, env: str
) -> None:
    offered, done = set(), set()
    for action in ACTIONS:
        target = somebodys(action, members[env])
        address = f"/admin/herds/operation/{target.operation_id}/confirm/"
        shown = theirs.get(address)
        if 'id="operation-yes"' in shown.content.decode():
            offered.add(action)
        theirs.post(address, {"reason": "kernel"})
        if state_of(target) == TargetState.QUEUED:
            done.add(action)

    assert done == MAY[role, env]
    assert offered == MAY[role, env]


@pytest.mark.parametrize(("role", "env"), CELLS)
def test_a_lost_workers_operation_is_resumed_by_whoever_may(
    theirs: Client, members: dict[str, Instance], role: str, env: str
) -> None:
    offered, done = set(), set()
    for action in ACTIONS:
        target = somebodys(
            action,
            members[env],
            OperationState.INTERRUPTED,
            TargetState.INTERRUPTED,
        )
        address = f"/admin/herds/operation/{target.operation_id}"
        if f"{address}/resume/" in theirs.get(f"{address}/").content.decode():
            offered.add(action)
        theirs.post(f"{address}/resume/")
        if state_of(target) == TargetState.QUEUED:
            done.add(action)

    assert done == MAY[role, env]
    assert offered == MAY[role, env]


@pytest.mark.parametrize(("role", "env"), CELLS)
def test_another_ones_operation_is_cancelled_by_whoever_may(
    theirs: Client, members: dict[str, Instance], role: str, env: str
) -> None:
    target = somebodys(
        "restart", members[env], OperationState.QUEUED, TargetState.QUEUED
    )
    address = f"/admin/herds/operation/{target.operation_id}"
    offered = f"{address}/cancel/" in theirs.get(f"{address}/").content.decode()

    theirs.post(f"{address}/cancel/")

    may = (role, env) in CANCELS
    assert (state_of(target) == TargetState.CANCELLED) is may
    assert offered is may


@pytest.mark.parametrize("env", ["stage", "prod"])
def test_the_terminal_may_everything(members: dict[str, Instance], env: str) -> None:
    at_the_terminal = Requester(name="root", source="terminal")
    for action in ACTIONS:
        operation = requests.draft(action, [members[env].pk], at_the_terminal)
        assert "may not" not in operation.targets.get().outcome, action
        target = somebodys(action, members[env])
        requests.confirm(target.operation_id, at_the_terminal, acknowledged=True)
        assert state_of(target) == TargetState.QUEUED, action


def test_cancelling_takes_the_permission_wherever_it_has_targets(
    members: dict[str, Instance], client: Client
) -> None:
    client.force_login(in_role("mover"))
    target = somebodys(
        "restart", members["stage"], OperationState.QUEUED, TargetState.QUEUED
    )
    factories.target(target.operation, members["prod"], TargetState.QUEUED)

    client.post(f"/admin/herds/operation/{target.operation_id}/cancel/")

    assert state_of(target) == TargetState.QUEUED
