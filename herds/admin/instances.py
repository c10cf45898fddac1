"""The menu Instances."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.admin.options import IS_POPUP_VAR
from django.db.models import ForeignKey, QuerySet
from django.forms import ModelChoiceField
from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from herds.admin import badges, facts
from herds.admin.actions import OperationActionsMixin
from herds.admin.asking import plan_operation
from herds.admin.audited import AuditedMixin
from herds.admin.base import InventoryAdmin
from herds.admin.filters import (
    EnvironmentFilter,
    HerdFilter,
    InstanceAttentionFilter,
    OnlineFilter,
    RoleFilter,
    VersionFilter,
)
from herds.admin.forms import (
    HerdChoiceField,
    InstanceForm,
    ServerChoiceField,
)
from herds.domain.lsn import Lsn
from herds.models import Instance
from herds.selectors import inventory
from herds.selectors.herd_tree import follows_nobody
from herds.services.actions import Action
from herds.services.register import REGISTER


@admin.register(Instance)
class InstanceAdmin(
    OperationActionsMixin[Instance], AuditedMixin[Instance], InventoryAdmin[Instance]
):
    """Postmasters: one herd on one server each."""

    form = InstanceForm
    list_display = [
        "herd_name",
        "container",
        "db_port",
        "version_number",
        "primary",
        "online",
        "lag",
    ]
    list_filter = [
        HerdFilter,
        ("herd__environment", EnvironmentFilter),
        OnlineFilter,
        RoleFilter,
        VersionFilter,
        InstanceAttentionFilter,
    ]
    search_fields = ["herd__herd_name", "server__hostname", "version"]
    search_help_text = "Searches herds, containers and versions."
    ordering = ["herd__herd_name", "server__hostname"]
    help_summary = "Running or stopped postmasters: one herd on one server each."
    first_step = "Add the first one, once there are a herd and a server for it."

    fieldsets = [
        (None, {"fields": ["herd", "server", "local_pgdata"]}),
    ]
    add_fieldsets = [
        (None, {"fields": ["herd", "server", "local_pgdata", "new_version"]}),
    ]
    observed_fields = [
        "state",
        "role",
        "streaming",
        "behind",
        "timeline_number",
        "wal_position",
        "idle_slot",
        "version_number",
        "system",
        "data_directory",
        "seen",
    ]

    class Media:
        js = ["herds/instance_form.js"]

    def instances_of(self, chosen: QuerySet[Instance]) -> QuerySet[Instance]:
        """Act on the chosen instances themselves."""
        return chosen

    def actions_on(self, request: HttpRequest, obj: Instance) -> list[Action]:
        """Offer to register an instance that was added and never seen."""
        offered = super().actions_on(request, obj)
        if obj.observed_at is None and request.user.has_perm(REGISTER.permission):
            return [REGISTER, *offered]
        return offered

    def get_queryset(self, request: HttpRequest) -> QuerySet[Instance]:
        """Read instances with all that a row shows."""
        return inventory.instances()

    def get_fieldsets(self, request: HttpRequest, obj: Instance | None = None) -> Any:
        """Show what was observed of an instance that exists."""
        if obj is None:
            return self.add_fieldsets
        observed = [
            field
            for field in self.observed_fields
            if not (field == "streaming" and follows_nobody(obj))
            and not (field == "idle_slot" and obj.slot_octets is None)
        ]
        if obj.unreachable_why:
            observed.insert(1, "why_unknown")
        return [("Observed", {"fields": observed}), *self.fieldsets]

    def get_readonly_fields(
        self, request: HttpRequest, obj: Instance | None = None
    ) -> list[str]:
        """Keep herd and server of an instance: another pair is another instance."""
        if obj is None:
            return []
        return [*self.observed_fields, "why_unknown", "herd", "server"]

    def response_add(
        self, request: HttpRequest, obj: Instance, post_url_continue: str | None = None
    ) -> HttpResponse:
        """Lead to the plan that looks at the host, and records or creates the instance.

        Who goes on to add another one finds the plan among the messages.
        """
        usual = super().response_add(request, obj, post_url_continue)
        if IS_POPUP_VAR in request.POST:
            return usual
        version = request.POST.get("new_version", "")
        parameters = {"version": version} if version else {}
        plan = plan_operation(request, REGISTER, [obj.pk], parameters)
        if plan is None:
            return usual
        if "_addanother" in request.POST or "_continue" in request.POST:
            link = format_html('<a href="{}">Read its plan</a>.', plan.url)
            self.message_user(request, link)
            return usual
        return plan

    def render_change_form(
        self, request: HttpRequest, context: Any, *args: Any, **kwargs: Any
    ) -> HttpResponse:
        """Name the instance with its environment above its form."""
        instance: Instance | None = context.get("original")
        if instance is not None:
            context["outside_links"] = facts.outside_links(instance.herd, instance)
            context["environment_name"] = facts.environment_name(instance.herd)
        return super().render_change_form(request, context, *args, **kwargs)

    def formfield_for_foreignkey(
        self, db_field: ForeignKey[Any, Any], request: HttpRequest, **kwargs: Any
    ) -> ModelChoiceField[Any] | None:
        """Offer herds and servers with their environments."""
        if db_field.name == "herd":
            kwargs["form_class"] = HerdChoiceField
            kwargs["queryset"] = inventory.herds()
        elif db_field.name == "server":
            kwargs["form_class"] = ServerChoiceField
            kwargs["queryset"] = inventory.servers()
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    @admin.display(description="Herd", ordering="herd__herd_name")
    def herd_name(self, instance: Instance) -> SafeString:
        """Show the herd with its environment beside it."""
        return facts.named_herd(instance.herd)

    @admin.display(description="Container", ordering="server__hostname")
    def container(self, instance: Instance) -> SafeString:
        """Show the host."""
        return badges.mono(instance.server.hostname)

    @admin.display(description="DB Port", ordering="herd__db_port")
    def db_port(self, instance: Instance) -> SafeString:
        """Show the herd's port."""
        return badges.number(instance.herd.db_port)

    @admin.display(description="Version", ordering="version")
    def version_number(self, instance: Instance) -> str | None:
        """Show PostgreSQL's version as last seen."""
        return instance.version or None

    @admin.display(description="Primary?", ordering=inventory.BY_ROLE)
    def primary(self, instance: Instance) -> SafeString:
        """Show the role, and a replica's upstream."""
        return facts.role(instance)

    @admin.display(description="Online?", ordering=inventory.BY_STATE)
    def online(self, instance: Instance) -> SafeString:
        """Show what is known of the postmaster, and how old that is."""
        return facts.online(instance)

    @admin.display(description="MB Lag", ordering=inventory.BY_LAG)
    def lag(self, instance: Instance) -> SafeString:
        """Show how far a replica is behind, and how old that is."""
        return facts.lag(instance)

    @admin.display(description="State")
    def state(self, instance: Instance) -> SafeString:
        """Show what is known of the postmaster, on its own page."""
        return facts.online(instance)

    @admin.display(description="Why Unknown")
    def why_unknown(self, instance: Instance) -> str:
        """Show why nothing could be seen the last time."""
        return instance.unreachable_why

    @admin.display(description="Role")
    def role(self, instance: Instance) -> SafeString:
        """Show the role, on the instance's own page."""
        return facts.role(instance)

    @admin.display(description="Lag")
    def behind(self, instance: Instance) -> SafeString:
        """Show how far a replica is behind, on its own page."""
        return facts.lag(instance)

    @admin.display(description="WAL Position")
    def wal_position(self, instance: Instance) -> SafeString | None:
        """Show the position as PostgreSQL writes it."""
        if instance.xlog_pos is None:
            return None
        return badges.mono(Lsn(instance.xlog_pos))

    @admin.display(description="Streaming")
    def streaming(self, instance: Instance) -> SafeString:
        """Show whether a standby receives WAL."""
        return facts.streaming(instance)

    @admin.display(description="Timeline")
    def timeline_number(self, instance: Instance) -> int | None:
        """Show the timeline it was seen on."""
        return instance.timeline

    @admin.display(description="Idle Slot")
    def idle_slot(self, instance: Instance) -> SafeString:
        """Show the slot that holds most WAL for nobody."""
        return format_html(
            "{} holds {} of WAL, and nobody uses it",
            badges.mono(instance.slot_name),
            badges.size(instance.slot_octets or 0),
        )

    @admin.display(description="System Identifier")
    def system(self, instance: Instance) -> SafeString | None:
        """Show the number that all copies of one cluster share."""
        known = instance.system_identifier
        return badges.mono(known) if known else None

    @admin.display(description="Seen")
    def seen(self, instance: Instance) -> SafeString:
        """Show who saw all this, and when."""
        return facts.seen(instance)

    @admin.display(description="Data Directory")
    def data_directory(self, instance: Instance) -> SafeString:
        """Show where this instance's data lies."""
        return badges.mono(instance.data_directory)
