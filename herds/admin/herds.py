"""The menu Herds."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.forms import ModelForm
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.safestring import SafeString
from django.views.decorators.http import require_safe

from herds.admin import badges, facts
from herds.admin.actions import HerdActionsMixin
from herds.admin.audited import AuditedMixin
from herds.admin.base import InventoryAdmin
from herds.admin.filters import EnvironmentFilter, HerdAttentionFilter, PortFilter
from herds.models import Herd, Instance
from herds.selectors import inventory
from herds.selectors.rights import rights_of
from herds.services.switchover import SWITCHOVER

from .herd_page import examined, herd_page
from .operation_urls import is_fragment, polled


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
            context |= herd_page(request, herd)
            context |= examined(request, herd)
            context["environment_name"] = facts.environment_name(herd)
            context["outside_links"] = facts.outside_links(herd)
            context["add_instance_url"] = _add_instance_url(herd, request)
            if not context["members"]:
                context["first_step"] = _first_step(herd)
            context["check_url"] = _check_url(herd, request)
        return super().render_change_form(request, context, *args, **kwargs)

    def get_urls(self) -> list[URLPattern]:
        """Put the polled part before Django's addresses: the last one takes all."""
        live = polled(self.admin_site, require_safe(self.live_view))
        address = path("<int:herd_id>/live/", live, name="herds_herd_live")
        return [address, *super().get_urls()]

    def live_view(self, request: HttpRequest, herd_id: int) -> HttpResponse:
        """Give the part of a herd's page that changes while one reads it.

        Raises:
            Http404: there is no such herd.
            PermissionDenied: this person may not view it.
        """
        herd = self.get_object(request, str(herd_id))
        if herd is None:
            raise Http404
        if not self.has_view_permission(request, herd):
            raise PermissionDenied
        if not is_fragment(request):
            return HttpResponseRedirect(
                reverse("admin:herds_herd_change", args=[herd.pk])
            )
        context = {**herd_page(request, herd), "is_fragment": True}
        return TemplateResponse(request, "admin/herds/herd/live.html", context)

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


def _check_url(herd: Herd, request: HttpRequest) -> str:
    """Return where a switchover is planned, empty where this person may not."""
    rights = rights_of(request.user)
    if not rights.may(SWITCHOVER.permission, herd.environment_id):
        return ""
    return reverse("admin:herds_herd_operate", args=[herd.pk, SWITCHOVER.name])


def _first_step(herd: Herd) -> str:
    """Tell what to do first for a herd to get members."""
    if herd.environment is None:
        return "Choose an environment for it below: members live on its servers."
    name = herd.environment.env_name
    if not herd.environment.servers.exists():
        return f"Add a server of {name} first, then an instance of this herd on it."
    return f"Add an instance of it on a server of {name}."


def _add_instance_url(herd: Herd, request: HttpRequest) -> str:
    """Return the page that adds a member, empty where this person may not."""
    if not request.user.has_perm("herds.add_instance"):
        return ""
    return f"{reverse('admin:herds_instance_add')}?herd={herd.pk}"
