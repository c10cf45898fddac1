"""The menu System Environments."""

from __future__ import annotations

from django.contrib import admin
from django.utils.safestring import SafeString

from herds.admin import badges
from herds.admin.base import InventoryAdmin
from herds.models import Environment


@admin.register(Environment)
class EnvironmentAdmin(InventoryAdmin[Environment]):
    """Where things live: dev, stage, prod."""

    list_display = ["name"]
    search_fields = ["env_name", "env_descr", "is_refreshed"]
    fields = ["env_name", "env_descr", "is_refreshed"]
    help_summary = "Where herds and servers live: dev, stage, prod."
    first_step = (
        "Add the first one: herds and servers belong to environments, and an "
        "instance joins a herd and a server of the same environment."
    )

    @admin.display(description="System Environment", ordering="env_name")
    def name(self, environment: Environment) -> SafeString:
        """Show the name in the environment's own colour."""
        return badges.environment(environment.env_name)
