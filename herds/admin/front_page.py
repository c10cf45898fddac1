"""What the front page adds to the menus: figures, first steps, help pages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.contrib.admin import AdminSite
from django.http import HttpRequest
from django.urls import reverse
from django.utils.safestring import SafeString

from herds.admin import facts
from herds.admin.badges import Health
from herds.admin.base import HelpMixin
from herds.selectors import vhosts
from herds.selectors.inventory import Fleet, InstanceState, fleet

STRAYS = 10
"""How many herds with a virtual host astray the front page names."""


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
class Stray:
    """A herd whose virtual host was seen to lead to no primary of its own."""

    name: SafeString
    pointing: SafeString | None
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
        "first_steps": [] if all(step.is_done for step in steps) else steps,
        "strays": _strays(request),
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


def _strays(request: HttpRequest) -> list[Stray]:
    """List herds whose clients are led to the wrong host, as was seen last."""
    if not request.user.has_perm("herds.view_herd"):
        return []
    found = vhosts.astray().select_related("environment").order_by("herd_name")
    return [
        Stray(
            name=facts.named_herd(herd),
            pointing=facts.pointing(herd, herd.instances.all()),
            url=reverse("admin:herds_herd_change", args=[herd.pk]),
        )
        for herd in found.prefetch_related("instances__server")[:STRAYS]
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
