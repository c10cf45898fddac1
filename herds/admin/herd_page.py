"""What a herd's page shows above its form: tree, readiness, operations; kept live."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.http import HttpRequest
from django.urls import reverse
from django.utils.safestring import SafeString

from herds.domain.states import GOOD_TARGETS, TargetState, summarise
from herds.models import Herd, Instance, Operation
from herds.selectors import herd_tree, inventory, readiness
from herds.selectors.herd_tree import Node, Problem, Weight, follows_nobody
from herds.selectors.inventory import InstanceState, Member, state_of
from herds.selectors.operations import HerdOperation, operations_of_herd
from herds.selectors.readiness import Judgement, Readiness
from herds.selectors.rights import rights_of
from herds.services.actions import Action
from herds.services.demote import DEMOTE

from . import badges, facts, operation_words
from .actions import permitted_actions
from .badges import Health
from .operation_plan import checks_of

LAST = 5
"""Operations that a herd's page names; the list of operations has the others."""

NAMED = 3
"""Containers that are named beside an operation."""

_READINESS = {
    Readiness.READY: Health.FINE,
    Readiness.WARNED: Health.ATTENTION,
    Readiness.NOT_READY: Health.ATTENTION,
    Readiness.UNKNOWN: Health.UNKNOWN,
}
_PROBLEM = {Weight.FAILED: "✖", Weight.ATTENTION: "▲"}

_STREAMS = {True: "yes", False: "no", None: "not seen"}


@dataclass(frozen=True, kw_only=True)
class MemberButton:
    """A button of a member that plans an action on it."""

    label: str
    title: str
    url: str


@dataclass(frozen=True, kw_only=True)
class TreeNode:
    """A member, ready to be drawn.

    Attributes:
        server_url: the page of its server, empty where this person may not see it.
        health: the worst that is true of it.
        streams: whether it receives WAL; empty for a primary.
        menu_id: changes where other buttons are offered.
    """

    instance: Instance
    url: str
    server_url: str
    health: Health
    state: SafeString
    role: SafeString
    lag: SafeString
    streams: str
    problems: list[tuple[str, Problem]]
    buttons: list[MemberButton]
    menu_id: str
    followers: list[TreeNode]


@dataclass(frozen=True, kw_only=True)
class CheckLine:
    """One row of readiness, ready to be drawn."""

    name: str
    observed: str
    wanted: str
    mark: SafeString
    observed_at: datetime | None


@dataclass(frozen=True, kw_only=True)
class OperationLine:
    """An operation on the herd, ready to be drawn.

    Attributes:
        hosts: of the members it is about, the first few.
        others: how many more there are.
        outcome: what became of the first that did not go well, else of the first.
    """

    operation: Operation
    mark: SafeString
    hosts: list[str]
    others: int
    outcome: str


def herd_page(request: HttpRequest, herd: Herd) -> dict[str, Any]:
    """Collect what the page of a herd shows, in a fixed number of queries."""
    members = inventory.members_of(herd)
    instances = [member.instance for member in members]
    judgement = readiness.judge_herd(herd, instances)
    may_read = request.user.has_perm("herds.view_operation")
    return {
        "herd": herd,
        "members": instances,
        "tree": _tree(request, members),
        "pointing": facts.pointing(herd, instances),
        "ready": ready_mark(judgement),
        "judgement": judgement,
        "readiness_rows": _lines(judgement),
        "herd_operations": _operations(herd) if may_read else [],
        "all_operations_url": _all_operations_url(herd) if may_read else "",
        "live_url": reverse("admin:herds_herd_live", args=[herd.pk]),
    }


def examined(request: HttpRequest, herd: Herd) -> dict[str, Any]:
    """Give the checks of the last plan of a switchover, made on the hosts."""
    if not request.user.has_perm("herds.view_operation"):
        return {}
    target = readiness.last_examined(herd)
    if target is None:
        return {}
    return {"examined": target, "examined_checks": checks_of(target)}


def ready_mark(judgement: Judgement) -> SafeString:
    """Mark whether a herd could be switched over; point at it for why."""
    health = _READINESS[judgement.readiness]
    return badges.state(health, judgement.readiness.value, judgement.words)


def _operations(herd: Herd) -> list[OperationLine]:
    return [_operation_line(each) for each in operations_of_herd(herd, LAST)]


def _operation_line(known: HerdOperation) -> OperationLine:
    targets = known.targets
    bad = [each for each in targets if each.state not in GOOD_TARGETS and each.outcome]
    told = next(iter([*bad, *targets]))
    hosts = [each.hostname for each in targets]
    mark = (
        operation_words.target_mark(told.state)
        if len(targets) == 1
        else operation_words.operation_mark(
            summarise([TargetState(each.state) for each in targets])
        )
    )
    return OperationLine(
        operation=known.operation,
        mark=mark,
        hosts=hosts[:NAMED],
        others=len(hosts[NAMED:]),
        outcome=told.outcome,
    )


def _all_operations_url(herd: Herd) -> str:
    return f"{reverse('admin:herds_operation_changelist')}?herd={herd.pk}"


def _tree(request: HttpRequest, members: Sequence[Member]) -> list[TreeNode]:
    rights, count = rights_of(request.user), len(members)
    place = members[0].instance.herd.environment_id if members else None
    offered = [
        action
        for action in permitted_actions(request, Instance)
        if rights.may(action.permission, place)
    ]
    sees_servers = request.user.has_perm("herds.view_server")

    def node(each: Node) -> TreeNode:
        return _node(each, offered, count, sees_servers=sees_servers)

    return [node(each) for each in herd_tree.herd_tree(members)]


def _node(
    node: Node, offered: Sequence[Action], count: int, *, sees_servers: bool
) -> TreeNode:
    instance, state = node.instance, state_of(node.instance)
    return TreeNode(
        instance=instance,
        url=reverse("admin:herds_instance_change", args=[instance.pk]),
        server_url=reverse("admin:herds_server_change", args=[instance.server_id])
        if sees_servers
        else "",
        health=_health(state, node.problems),
        state=facts.online(instance),
        role=facts.role(instance),
        lag=facts.lag(instance),
        streams=_streams(instance, state),
        problems=[(_PROBLEM[each.weight], each) for each in node.problems],
        buttons=[
            MemberButton(
                label=action.button_in("instance") + ("…" if action.confirm else ""),
                title=action.words,
                url=reverse(
                    "admin:herds_instance_operate", args=[instance.pk, action.name]
                ),
            )
            for action in offered
            if _is_sensible(action, instance, state, count)
        ],
        menu_id=f"{instance.pk}-{int(instance.is_primary)}-{state.value}",
        followers=[
            _node(each, offered, count, sees_servers=sees_servers)
            for each in node.followers
        ],
    )


def _streams(instance: Instance, state: InstanceState) -> str:
    if follows_nobody(instance):
        return ""
    if state is InstanceState.UNKNOWN:
        return "unknown"
    return _STREAMS[instance.is_streaming]


def _is_sensible(
    action: Action, instance: Instance, state: InstanceState, count: int
) -> bool:
    """Tell whether an action could help a member; the plan judges it in earnest."""
    role = "primary" if follows_nobody(instance) else "standby"
    if action.of_role not in {None, role}:
        return False
    if action.name == DEMOTE.name and count < 2:
        return False  # nobody can have taken over from it
    if action.of_running is None or state is InstanceState.UNKNOWN:
        return True
    return action.of_running is (state is InstanceState.ONLINE)


def _health(state: InstanceState, problems: Iterable[Problem]) -> Health:
    weights = {each.weight for each in problems}
    if state is InstanceState.STOPPED or Weight.FAILED in weights:
        return Health.FAILED
    if state is InstanceState.UNKNOWN:
        return Health.UNKNOWN
    return Health.ATTENTION if weights else Health.FINE


def _lines(judgement: Judgement) -> list[CheckLine]:
    return [
        CheckLine(
            name=row.name,
            observed=row.observed,
            wanted=row.wanted,
            mark=operation_words.verdict_mark(row.verdict)
            if row.verdict
            else badges.state(Health.UNKNOWN, "unknown"),
            observed_at=row.observed_at,
        )
        for row in judgement.rows
    ]
