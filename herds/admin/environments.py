"""The menu System Environments."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django import forms
from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path
from django.utils.safestring import SafeString
from django.views.decorators.cache import cache_control
from django.views.decorators.http import require_safe

from herds.admin import badges
from herds.admin.audited import AuditedMixin
from herds.admin.base import InventoryAdmin
from herds.admin.servers import ACCEPT
from herds.models import Environment, Freeze, Grant
from herds.operations import registry
from herds.operations.leave import CANCEL, OVERRIDE

if TYPE_CHECKING:
    TypedForm = forms.ModelForm[Grant]
    GrantRows = admin.TabularInline[Grant, Environment]
    FreezeRows = admin.TabularInline[Freeze, Environment]
else:
    TypedForm = forms.ModelForm
    GrantRows = FreezeRows = admin.TabularInline


_LOOKS = {
    "red": "prod",
    "amber": "stage",
    "green": "dev",
    "blue": "hue0",
    "violet": "hue1",
    "teal": "hue2",
}
"""The style sheet's own name of each colour."""


@require_safe
@cache_control(private=True, max_age=60)
def colours_view(request: HttpRequest) -> HttpResponse:
    """Give the style sheet of the colours that were chosen for environments."""
    chosen = Environment.objects.exclude(colour="").values_list("env_name", "colour")
    rules = [
        f'.ele-env[data-environment="{_in_css(name)}"] {{'
        f" background: var(--ele-{look}-bg); border-color: var(--ele-{look}-band);"
        f" color: var(--ele-{look}-fg); }}"
        for name, colour in chosen
        if (look := _LOOKS.get(colour))
    ]
    return HttpResponse("\n".join(rules), content_type="text/css; charset=utf-8")


def _in_css(text: str) -> str:
    """Write a text inside a string of a style sheet (CSS Syntax 3, section 4.3.7)."""
    return "".join(
        each if each.isalnum() and each.isascii() else f"\\{ord(each):x} "
        for each in text
    )


def actions_to_grant() -> list[tuple[str, str]]:
    """List what can be granted in an environment, by permission."""
    granted: dict[str, str] = {}
    for action in registry.all_actions():
        # Fencing takes the permission of failing over, which comes first.
        granted.setdefault(action.permission, action.verb.removesuffix(" of"))
    granted.pop("herds.add_instance", None)  # Django's own, and the same everywhere
    return [
        *granted.items(),
        (CANCEL, "Cancel other people's operations"),
        (ACCEPT, "Accept host keys"),
        (OVERRIDE, "Make changes during a freeze"),
    ]


class GrantForm(TypedForm):
    """A group's line: the actions it may ask for, to tick."""

    permissions = forms.MultipleChoiceField(
        choices=actions_to_grant,
        widget=forms.CheckboxSelectMultiple,
        required=False,
        help_text="What its members may do to the herds of this environment.",
    )

    class Meta:
        model = Grant
        fields = ("group", "permissions")


class GrantInline(GrantRows):
    """Who may do what in this environment, beside what they may do everywhere."""

    model = Grant
    form = GrantForm
    extra = 0


class FreezeInline(FreezeRows):
    """When this environment accepts no changes."""

    model = Freeze
    fields = ("begins_at", "ends_at", "reason")
    extra = 0


@admin.register(Environment)
class EnvironmentAdmin(AuditedMixin[Environment], InventoryAdmin[Environment]):
    """Where things live: dev, stage, prod."""

    list_display = ["name"]
    search_fields = ["env_name", "env_descr"]
    fields = [
        "env_name",
        "env_descr",
        "colour",
        "approval",
        "types_names",
        "is_refreshed",
    ]
    inlines = [GrantInline, FreezeInline]
    help_summary = "Where herds and servers live: dev, stage, prod."
    first_step = (
        "Add the first one: herds and servers belong to environments, and an "
        "instance joins a herd and a server of the same environment."
    )

    def get_urls(self) -> list[URLPattern]:
        """Put the style sheet before Django's addresses: the last one takes all."""
        colours = path("colours.css", colours_view, name="herds_environment_colours")
        return [colours, *super().get_urls()]

    @admin.display(description="System Environment", ordering="env_name")
    def name(self, environment: Environment) -> SafeString:
        """Show the name in the environment's own colour."""
        return badges.environment(environment.env_name)
