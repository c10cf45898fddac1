"""What the front page adds to the menus: figures, first steps, help pages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.contrib.admin import AdminSite
from django.http import HttpRequest
from django.urls import reverse

from herds.admin.badges import Health
from herds.admin.base import HelpMixin
from herds.selectors.attention import Weight, attention
from herds.selectors.inventory import Fleet, InstanceState, fleet


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
class AttentionLine:
    """Something that needs a person, and the page on which to help."""

    words: str
    health: Health
    url: str


@dataclass(frozen=True, kw_only=True)
class HelpLine:
    """One menu in the list of help pages."""

    name: str
    summary: str
    url: str


def front_page(site: AdminSite, request: HttpRequest) -> dict[str, Any]:
    """Collect the front page's context for one person.

    Figures are shown to those who may see instances.
    """
    context: dict[str, Any] = {"help_lines": _help_lines(site, request)}
    if not request.user.has_perm("herds.view_instance"):
        return context
    figures = fleet()
    steps = _first_steps(figures, request)
    return {
        **context,
        "fleet": figures,
        "figures": _figures(figures),
        "attention": _attention(request),
        "first_steps": [] if all(step.is_done for step in steps) else steps,
    }


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


def _attention(request: HttpRequest) -> list[AttentionLine]:
    """Say what needs this person now; whoever may not see operations gets none."""
    return [
        AttentionLine(
            words=line.words,
            health=Health.FAILED if line.weight is Weight.SPLIT else Health.ATTENTION,
            url=reverse(f"admin:herds_{line.model}_change", args=[line.pk]),
        )
        for line in attention()
        if request.user.has_perm(f"herds.view_{line.model}")
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
