"""What the front page adds to the menus: figures, Attention, operations, help."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from hashlib import blake2b
from typing import Any

from django.contrib.admin import AdminSite
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone

from herds.admin.badges import Health
from herds.admin.base import HelpMixin
from herds.models import Operation
from herds.selectors.inventory import Fleet, InstanceState, fleet
from herds.selectors.operations import (
    RunningOperation,
    recent_operations,
    running_operations,
)

from .front_attention import Panel, attention_panel


@dataclass(frozen=True, kw_only=True)
class FirstStep:
    """One thing to register before there is anything to operate on.

    Attributes:
        words: what to do, as a request.
        why: what it is for, in one sentence.
        is_done: whether there is one at least.
        url: the page to do it on, empty where this person may not.
    """

    words: str
    why: str
    is_done: bool
    url: str


@dataclass(frozen=True, kw_only=True)
class Figure:
    """How many instances are in one state, and the list of them."""

    count: int
    word: str
    health: Health
    url: str


@dataclass(frozen=True, kw_only=True)
class HelpLine:
    """One menu in the list of help pages."""

    name: str
    summary: str
    url: str


@dataclass(frozen=True, kw_only=True)
class Live:
    """The part of the front page that keeps itself up to date.

    Attributes:
        as_of: when it was read.
        running: None for somebody who may not see operations, as ``recent`` is.
    """

    fleet: Fleet
    figures: list[Figure]
    attention: Panel
    running: list[RunningOperation] | None
    recent: list[Operation] | None
    as_of: datetime

    @property
    def version(self) -> str:
        """Name what the page shows, so that it is told only what has changed."""
        return f"{self.attention_version}.{self.operations_version}"

    @property
    def attention_version(self) -> str:
        """Name what *Attention* shows; ages are no part of it."""
        return _digest([self.fleet.instances > 0, self.attention.parts])

    @property
    def operations_version(self) -> str:
        """Name what the tables of operations show."""
        running = [
            (line.operation.pk, line.operation.state, line.ended, line.failed)
            for line in self.running or []
        ]
        recent = [(each.pk, each.state, each.outcome) for each in self.recent or []]
        return _digest([running, recent])


def front_page(site: AdminSite, request: HttpRequest) -> dict[str, Any]:
    """Collect the front page's context for one person.

    Figures are shown to those who may see instances.
    """
    context: dict[str, Any] = {"help_lines": _help_lines(site, request)}
    if not may_see_figures(request):
        return context
    live = live_part(request)
    steps = _first_steps(live.fleet, request)
    return {
        **context,
        "live": live,
        "first_steps": [] if all(step.is_done for step in steps) else steps,
    }


def may_see_figures(request: HttpRequest) -> bool:
    """Tell whether this person's front page has more than menus."""
    return request.user.has_perm("herds.view_instance")


def live_part(request: HttpRequest) -> Live:
    """Read what the front page keeps up to date, in a fixed number of queries."""
    figures = fleet()
    sees_operations = request.user.has_perm("herds.view_operation")
    return Live(
        fleet=figures,
        figures=_figures(figures),
        attention=attention_panel(request),
        running=running_operations() if sees_operations else None,
        recent=recent_operations() if sees_operations else None,
        as_of=timezone.now(),
    )


def _figures(figures: Fleet) -> list[Figure]:
    address = reverse("admin:herds_instance_changelist")
    counted = [
        (figures.online, InstanceState.ONLINE, Health.FINE),
        (figures.stopped, InstanceState.STOPPED, Health.FAILED),
        (figures.unknown, InstanceState.UNKNOWN, Health.UNKNOWN),
    ]
    return [
        Figure(
            count=count,
            word=state.value,
            health=health,
            url=f"{address}?online={state.value}",
        )
        for count, state, health in counted
        if count
    ]


def _first_steps(figures: Fleet, request: HttpRequest) -> list[FirstStep]:
    wanted = [
        (
            "environment",
            "an environment",
            "Where things live: dev, stage, prod.",
            figures.environments,
        ),
        ("server", "a server", "A host this service can log in to.", figures.servers),
        (
            "herd",
            "a herd",
            "A port, a data root and a virtual host, wherever it runs.",
            figures.herds,
        ),
        ("instance", "an instance", "One herd on one server.", figures.instances),
    ]
    return [
        FirstStep(
            words=f"Add {thing}",
            why=why,
            is_done=count > 0,
            url=reverse(f"admin:herds_{model}_add")
            if request.user.has_perm(f"herds.add_{model}")
            else "",
        )
        for model, thing, why, count in wanted
    ]


def _help_lines(site: AdminSite, request: HttpRequest) -> list[HelpLine]:
    """List the help pages of the menus this person sees, in the menus' order."""
    helped = {
        (model._meta.app_label, model._meta.object_name): model_admin
        for model, model_admin in site._registry.items()
        if isinstance(model_admin, HelpMixin)
    }
    return [
        HelpLine(name=menu["name"], summary=admin.help_summary, url=admin.help_url)
        for app in site.get_app_list(request)
        for menu in app["models"]
        if (admin := helped.get((app["app_label"], menu["object_name"])))
    ]


def _digest(shown: object) -> str:
    return blake2b(repr(shown).encode(), digest_size=8).hexdigest()
