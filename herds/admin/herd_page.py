"""What a herd's page shows above its form: tree, readiness, operations; kept live."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest
from django.urls import reverse
from django.utils.dateparse import parse_datetime
from django.utils.safestring import SafeString

from herds.domain.plan import Verdict
from herds.domain.states import ACTIVE_TARGETS
from herds.models import Herd, Instance, OperationTarget
from herds.selectors import herd_tree, inventory, readiness
from herds.selectors.herd_tree import Node, Problem, Weight
from herds.selectors.inventory import InstanceState, Member, state_of
from herds.selectors.operations import operations_on
from herds.selectors.readiness import Judgement, Readiness
from herds.selectors.rights import rights_of
from herds.services.actions import Action

from . import badges, facts
from .actions import permitted_actions
from .badges import Health

LAST = 5
"""Operations that a herd's page names; its history names more."""

_VERDICT = {
    Verdict.OK: (Health.FINE, "fine"),
    Verdict.WARN: (Health.ATTENTION, "look"),
    Verdict.STOP: (Health.FAILED, "stop"),
    None: (Health.UNKNOWN, "unknown"),
}
_READINESS = {
    Readiness.READY: Health.FINE,
    Readiness.NOT_READY: Health.ATTENTION,
    Readiness.UNKNOWN: Health.UNKNOWN,
}
_PROBLEM = {Weight.FAILED: "✖", Weight.ATTENTION: "▲"}

_STANDBYS_ONLY = frozenset({"promote", "switchover", "failover", "rebuild"})
_PRIMARIES_ONLY = frozenset({"demote", "refresh_dns"})
_RUNNING_ONLY = frozenset({"stop", "restart", "reload", "promote", "switchover"})


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
        health: the worst that is true of it.
        menu_id: changes where other buttons are offered.
    """

    instance: Instance
    url: str
    health: Health
    state: SafeString
    role: SafeString
    lag: SafeString
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
    observed_at: Any


def herd_page(request: HttpRequest, herd: Herd) -> dict[str, Any]:
    """Collect what the page of a herd shows, in a fixed number of queries."""
    members = inventory.members_of(herd)
    instances = [member.instance for member in members]
    targets = _last_operations(request, herd)
    is_busy = any(each.state in ACTIVE_TARGETS for each in targets)
    judgement = readiness.judge(herd, instances, is_busy=is_busy)
    return {
        "herd": herd,
        "members": instances,
        "tree": _tree(request, members),
        "pointing": facts.pointing(herd, instances),
        "ready": _ready_mark(judgement),
        "judgement": judgement,
        "readiness_rows": _lines(judgement),
        "herd_operations": targets,
        "live_url": reverse("admin:herds_herd_live", args=[herd.pk]),
    }


def examined(herd: Herd) -> dict[str, Any]:
    """Give the checks of the last plan of a switchover, made on the hosts."""
    target = readiness.last_examined(herd)
    if target is None:
        return {}
    return {
        "examined": target,
        "examined_rows": [_check_line(row) for row in target.plan["checks"]],
    }


def _last_operations(request: HttpRequest, herd: Herd) -> list[OperationTarget]:
    if not request.user.has_perm("herds.view_operation"):
        return []
    return list(operations_on(Instance.objects.filter(herd=herd))[:LAST])


def _tree(request: HttpRequest, members: Sequence[Member]) -> list[TreeNode]:
    rights, count = rights_of(request.user), len(members)
    place = members[0].instance.herd.environment_id if members else None
    offered = [
        action
        for action in permitted_actions(request, Instance)
        if rights.may(action.permission, place)
    ]
    return [_node(each, offered, count) for each in herd_tree.herd_tree(members)]


def _node(node: Node, offered: Sequence[Action], count: int) -> TreeNode:
    instance, state = node.instance, state_of(node.instance)
    return TreeNode(
        instance=instance,
        url=reverse("admin:herds_instance_change", args=[instance.pk]),
        health=_health(state, node.problems),
        state=facts.online(instance),
        role=facts.role(instance),
        lag=facts.lag(instance),
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
            if _is_sensible(action.name, instance, state, count)
        ],
        menu_id=f"{instance.pk}-{int(instance.is_primary)}-{state.value}",
        followers=[_node(each, offered, count) for each in node.followers],
    )


def _is_sensible(
    action: str, instance: Instance, state: InstanceState, count: int
) -> bool:
    """Tell whether an action could help a member; the plan judges it in earnest."""
    if instance.is_primary and action in _STANDBYS_ONLY:
        return False
    if not instance.is_primary and action in _PRIMARIES_ONLY:
        return False
    if action == "demote" and count < 2:
        return False
    if state is InstanceState.STOPPED and action in _RUNNING_ONLY:
        return False
    return not (state is InstanceState.ONLINE and action == "start")


def _health(state: InstanceState, problems: Iterable[Problem]) -> Health:
    weights = {each.weight for each in problems}
    if state is InstanceState.STOPPED or Weight.FAILED in weights:
        return Health.FAILED
    if state is InstanceState.UNKNOWN:
        return Health.UNKNOWN
    return Health.ATTENTION if weights else Health.FINE


def _ready_mark(judgement: Judgement) -> SafeString:
    return badges.state(
        _READINESS[judgement.readiness], judgement.readiness.value, judgement.words
    )


def _lines(judgement: Judgement) -> list[CheckLine]:
    return [
        CheckLine(
            name=row.name,
            observed=row.observed,
            wanted=row.wanted,
            mark=badges.state(*_VERDICT[row.verdict]),
            observed_at=row.observed_at,
        )
        for row in judgement.rows
    ]


def _check_line(row: dict[str, Any]) -> CheckLine:
    seen = row.get("observed_at")
    return CheckLine(
        name=row["name"],
        observed=row.get("observed", ""),
        wanted=row.get("threshold", ""),
        mark=badges.state(*_VERDICT[Verdict(row.get("verdict", Verdict.OK))]),
        observed_at=parse_datetime(seen) if seen else None,
    )
