"""The menu Herds."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.forms import ModelForm
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.safestring import SafeString

from herds.admin import badges, facts
from herds.admin.actions import HerdActionsMixin
from herds.admin.audited import AuditedMixin
from herds.admin.base import InventoryAdmin
from herds.admin.filters import EnvironmentFilter, HerdAttentionFilter, PortFilter
from herds.models import Herd, Instance
from herds.selectors import inventory


@admin.register(Herd)
class HerdAdmin(HerdActionsMixin[Herd], AuditedMixin[Herd], InventoryAdmin[Herd]):
    """Replicating groups: each one primary and its standbys."""

    list_display = ["name", "port", "virtual_host", "data_root"]
    list_filter = [
        ("environment", EnvironmentFilter),
        PortFilter,
        HerdAttentionFilter,
    ]
    search_fields = ["herd_name", "herd_descr", "db_port", "vhost"]
    search_help_text = "Searches names, descriptions, ports and virtual hosts."
    fields = [
        "environment",
        "herd_name",
        "base_name",
        "herd_descr",
        "vhost",
        "db_port",
        "pgdata",
        "use_slots",
    ]
    help_summary = (
        "Replicating groups of instances; port, data root and virtual host are the "
        "herd's, so that it can move to any server."
    )
    first_step = "Add the first one, once there is an environment for it to live in."

    def instances_of(self, chosen: QuerySet[Herd]) -> QuerySet[Instance]:
        """Act on all members of the herds."""
        return Instance.objects.filter(herd__in=chosen)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Herd]:
        """Read herds with their environments."""
        return inventory.herds()

    def render_change_form(
        self, request: HttpRequest, context: Any, *args: Any, **kwargs: Any
    ) -> HttpResponse:
        """Show the herd's members above its form."""
        herd: Herd | None = context.get("original")
        if herd is not None:
            members = inventory.members_of(herd)
            context["members"] = facts.member_rows(members)
            context["pointing"] = facts.pointing(
                herd, [member.instance for member in members]
            )
            context["environment_name"] = facts.environment_name(herd)
            context["outside_links"] = facts.outside_links(herd)
            context["add_instance_url"] = _add_instance_url(herd, request)
        return super().render_change_form(request, context, *args, **kwargs)

    def save_model(
        self, request: HttpRequest, obj: Herd, form: ModelForm[Herd], change: bool
    ) -> None:
        """Forget where the former virtual host pointed."""
        if "vhost" in form.changed_data:
            obj.vhost_target, obj.vhost_seen_at, obj.vhost_trouble = "", None, ""
        super().save_model(request, obj, form, change)

    @admin.display(description="Herd Name", ordering="herd_name")
    def name(self, herd: Herd) -> SafeString:
        """Show the name with the environment beside it."""
        return facts.named_herd(herd)

    @admin.display(description="DB Port", ordering="db_port")
    def port(self, herd: Herd) -> SafeString:
        """Show the port of every member."""
        return badges.number(herd.db_port)

    @admin.display(description="Virtual Host", ordering="vhost")
    def virtual_host(self, herd: Herd) -> SafeString | None:
        """Show the DNS name of the primary."""
        return badges.breakable(herd.vhost) if herd.vhost else None

    @admin.display(description="Data Root", ordering="pgdata")
    def data_root(self, herd: Herd) -> SafeString:
        """Show the data directory of every member."""
        return badges.breakable(herd.pgdata)


def _add_instance_url(herd: Herd, request: HttpRequest) -> str:
    """Return the page that adds a member, empty where this person may not."""
    if not request.user.has_perm("herds.add_instance"):
        return ""
    return f"{reverse('admin:herds_instance_add')}?herd={herd.pk}"
