"""The menu Discovered Instances, and the page on which one is placed in a herd."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.widgets import AdminTextInputWidget
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from herds.admin import badges, facts
from herds.admin.audited import AuditedMixin, note, values_of
from herds.admin.badges import Health
from herds.admin.base import InventoryAdmin
from herds.admin.filters import EnvironmentFilter
from herds.admin.forms import EnvironmentChoices, HerdChoiceField
from herds.admin.servers import may_accept_key
from herds.errors import ElephaasError
from herds.models import Discovery, Environment, Herd
from herds.selectors import discoveries
from herds.services.placing import NewHerd, Placed, place

PLACE = "herds.place_discovery"


class PlaceForm(forms.Form):
    """Where a discovered instance belongs: a herd that fits, or a new one.

    The likeliest herd is chosen already; the server's environment is asked for where
    it has none.
    """

    herd = HerdChoiceField(
        Herd.objects.none(),
        required=False,
        empty_label="A new herd, named below",
        help_text="Only herds with the reported port are offered.",
    )
    herd_name = forms.CharField(
        label="Name of a New Herd",
        max_length=100,
        required=False,
        widget=AdminTextInputWidget,
        help_text="Only where a new herd is made. What people call it.",
    )
    pgdata = forms.CharField(
        label="Data Root of a New Herd",
        max_length=1000,
        required=False,
        widget=AdminTextInputWidget,
        help_text="Only where a new herd is made. As reported, unless you know better.",
    )
    environment = EnvironmentChoices(
        Environment.objects.none(),
        required=False,
        help_text="What the server belongs to. Left empty, it is the chosen herd's.",
    )

    def __init__(self, discovery: Discovery, *args: Any, **kwargs: Any) -> None:
        likely = discoveries.likeliest_herd(discovery)
        kwargs["initial"] = {
            "herd": likely,
            "herd_name": discovery.base_name,
            "pgdata": discovery.pgdata,
        }
        super().__init__(*args, **kwargs)
        fitting = discoveries.fitting_herds(discovery)
        self.fields["herd"].queryset = fitting  # type: ignore[attr-defined]
        if discovery.server.environment is not None:
            del self.fields["environment"]
            return
        known = Environment.objects.order_by("env_name")
        self.fields["environment"].queryset = known  # type: ignore[attr-defined]
        if likely is None and len(only := list(known[:2])) == 1:
            self.initial["environment"] = only[0]

    def clean(self) -> dict[str, Any]:
        """Ask for what a new herd needs."""
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        if not self.errors and cleaned["herd"] is None:
            for name, thing in (
                ("herd_name", "a name"),
                ("pgdata", "a data root"),
                ("environment", "an environment"),
            ):
                if name in self.fields and not cleaned[name]:
                    self.add_error(name, f"A new herd needs {thing}.")
        return cleaned

    def where(self) -> Herd | NewHerd:
        """Give the herd that was chosen, or what the new one is to be."""
        chosen: Herd | None = self.cleaned_data["herd"]
        if chosen is not None:
            return chosen
        return NewHerd(
            name=self.cleaned_data["herd_name"], pgdata=self.cleaned_data["pgdata"]
        )


@admin.register(Discovery)
class DiscoveryAdmin(AuditedMixin[Discovery], InventoryAdmin[Discovery]):
    """Instances that agents found and nobody has placed in a herd yet."""

    list_display = [
        "container",
        "placing",
        "cluster",
        "version_number",
        "online",
        "upstream",
        "why",
    ]
    list_filter = [("server__environment", EnvironmentFilter)]
    search_fields = ["server__hostname", "base_name", "version"]
    search_help_text = "Searches containers, cluster names and versions."
    fields = [
        "container",
        "cluster_name",
        "port",
        "version_number",
        "online",
        "upstream",
        "data_directory",
        "why",
        "first_reported",
        "placing",
    ]
    readonly_fields = [*fields]  # type: ignore[list-item]
    help_summary = "What agents found and nobody has placed in a herd yet."
    first_step = (
        "There is nothing to do: whatever agents have reported has its place in a herd."
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Discovery]:
        """Read discovered instances with all that a row shows."""
        return discoveries.discoveries()

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Refuse: agents find them."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Refuse: they are what was reported; they are placed or deleted."""
        return False

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Let those see them who may place them, too."""
        return request.user.has_perm(PLACE) or super().has_view_permission(request, obj)

    def get_list_display(self, request: HttpRequest) -> list[Any]:
        """Offer to place to those who may."""
        return _without_placing(self.list_display, request)

    def get_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        """Offer to place to those who may."""
        return _without_placing(self.fields, request)

    def get_urls(self) -> list[URLPattern]:
        """Put the page that places before Django's addresses."""
        address = path(
            "<int:number>/place/",
            self.admin_site.admin_view(self.place_view),
            name="herds_discovery_place",
        )
        return [address, *super().get_urls()]

    def place_view(self, request: HttpRequest, number: int) -> HttpResponse:
        """Ask where a discovered instance belongs, and record it there."""
        if not request.user.has_perm(PLACE):
            raise PermissionDenied
        discovery = self.get_queryset(request).filter(pk=number).first()
        if discovery is None:
            return self._gone(request)
        form = PlaceForm(discovery, request.POST or None)
        refusal = ""
        if request.method == "POST" and form.is_valid():
            try:
                placed = place(
                    number, form.where(), form.cleaned_data.get("environment")
                )
            except ElephaasError as error:
                refusal = error.sentence()
            else:
                return self._placed(request, placed)
        request.current_app = self.admin_site.name
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "original": discovery,
            "form": form,
            "refusal": refusal,
            "title": f"Place {discovery.base_name} on {discovery.server.hostname}",
            "reported": [
                ("Container", self.container(discovery)),
                ("Cluster name", self.cluster_name(discovery)),
                ("DB port", self.port(discovery)),
                ("Version", self.version_number(discovery)),
                ("State", self.online(discovery)),
                ("Upstream", self.upstream(discovery)),
                ("Data directory", self.data_directory(discovery)),
            ],
            "list_url": reverse(f"{self.admin_site.name}:herds_discovery_changelist"),
        }
        return TemplateResponse(request, "admin/herds/discovery/place.html", context)

    def _gone(self, request: HttpRequest) -> HttpResponse:
        self.message_user(
            request,
            "This instance is not among the discovered ones any more: it was placed or "
            "deleted in the meantime.",
            messages.WARNING,
        )
        return HttpResponseRedirect(
            reverse(f"{self.admin_site.name}:herds_discovery_changelist")
        )

    def _placed(self, request: HttpRequest, placed: Placed) -> HttpResponse:
        # Django's log takes rows of any model; its types know the menu's own only.
        instance: Any = placed.instance
        server: Any = instance.server
        founded: Any = placed.founded
        if founded is not None:
            self.log_addition(request, founded, f"Made for what {server} reported.")
            note(request, "added", founded, after=values_of(founded))
        if placed.moved is not None:
            story = f"Given the environment {facts.environment_name(server)}."
            self.log_change(request, server, story)
            note(
                request,
                "changed",
                server,
                before={"environment": None},
                after={"environment": server.environment_id},
            )
        self.log_addition(request, instance, "Placed as its agent reported it.")
        note(request, "placed", instance, after=values_of(instance))
        self.message_user(
            request,
            f"Placed {instance}, as its agent reported it. Nothing was done on "
            f"{server}.",
            messages.SUCCESS,
        )
        site = self.admin_site.name
        if not server.host_key and may_accept_key(request, server):
            address = reverse(f"{site}:herds_server_host_key", args=[server.pk])
            self.message_user(
                request,
                format_html(
                    "No action can reach {} before its host key is accepted. "
                    '<a href="{}">Compare and accept</a>.',
                    server,
                    address,
                ),
                messages.WARNING,
            )
        if not request.user.has_perm("herds.view_instance"):
            return HttpResponseRedirect(reverse(f"{site}:herds_discovery_changelist"))
        return HttpResponseRedirect(
            reverse(f"{site}:herds_instance_change", args=[instance.pk])
        )

    @admin.display(description="Cluster Name", ordering="base_name")
    def cluster_name(self, discovery: Discovery) -> SafeString:
        """Show the name the host's own tools know the cluster by."""
        return badges.mono(discovery.base_name)

    @admin.display(description="Cluster", ordering="base_name")
    def cluster(self, discovery: Discovery) -> SafeString:
        """Show the cluster's name and port, in one column of a wide list."""
        return format_html(
            "{} port {}", self.cluster_name(discovery), self.port(discovery)
        )

    @admin.display(description="Container", ordering="server__hostname")
    def container(self, discovery: Discovery) -> SafeString:
        """Show the host with its environment beside it."""
        return badges.beside_environment(
            badges.mono(discovery.server.hostname),
            facts.environment_name(discovery.server),
        )

    @admin.display(description="DB Port", ordering="db_port")
    def port(self, discovery: Discovery) -> SafeString:
        """Show the port it was found at."""
        return badges.mono(discovery.db_port)

    @admin.display(description="Version", ordering="version")
    def version_number(self, discovery: Discovery) -> str | None:
        """Show the version, where it was reported."""
        return discovery.version or None

    @admin.display(description="Online?", ordering="last_seen_at")
    def online(self, discovery: Discovery) -> SafeString:
        """Show whether it runs, and when that was reported."""
        word, health = (
            ("online", Health.FINE)
            if discovery.is_online
            else ("stopped", Health.FAILED)
        )
        return badges.dated(
            badges.state(health, word),
            discovery.last_seen_at,
            every=badges.AGENT_INTERVAL,
        )

    @admin.display(description="Upstream", ordering="master_host")
    def upstream(self, discovery: Discovery) -> SafeString | None:
        """Show whom it says it follows."""
        return (
            badges.breakable(discovery.master_host) if discovery.master_host else None
        )

    @admin.display(description="Data Directory")
    def data_directory(self, discovery: Discovery) -> SafeString | None:
        """Show where its data lies."""
        return badges.breakable(discovery.pgdata) if discovery.pgdata else None

    @admin.display(description="First Reported")
    def first_reported(self, discovery: Discovery) -> SafeString:
        """Show since when it is known."""
        return badges.age(discovery.first_seen_at)

    @admin.display(description="Place")
    def placing(self, discovery: Discovery) -> SafeString:
        """Lead to the page on which it is placed."""
        address = reverse(
            f"{self.admin_site.name}:herds_discovery_place", args=[discovery.pk]
        )
        return format_html(
            '<a href="{}" aria-label="Place {}">Place</a>', address, discovery
        )


def _without_placing(names: Iterable[Any], request: HttpRequest) -> list[Any]:
    may = request.user.has_perm(PLACE)
    return [name for name in names if may or name != "placing"]
