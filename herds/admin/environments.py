"""The menu System Environments."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django import forms
from django.contrib import admin
from django.utils.safestring import SafeString

from herds.admin import badges
from herds.admin.audited import AuditedMixin
from herds.admin.base import InventoryAdmin
from herds.models import Environment, Freeze, Grant
from herds.operations import registry
from herds.operations.leave import OVERRIDE

if TYPE_CHECKING:
    TypedForm = forms.ModelForm[Grant]
    GrantRows = admin.TabularInline[Grant, Environment]
    FreezeRows = admin.TabularInline[Freeze, Environment]
else:
    TypedForm = forms.ModelForm
    GrantRows = FreezeRows = admin.TabularInline


def actions_to_grant() -> list[tuple[str, str]]:
    """List what can be granted in an environment, by permission."""
    granted = {action.permission: action.verb for action in registry.all_actions()}
    granted.pop("herds.add_instance", None)  # Django's own, and the same everywhere
    return [*granted.items(), (OVERRIDE, "Make changes during a freeze")]


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

    @admin.display(description="System Environment", ordering="env_name")
    def name(self, environment: Environment) -> SafeString:
        """Show the name in the environment's own colour."""
        return badges.environment(environment.env_name)
