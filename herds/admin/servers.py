"""The menu Servers, and the page on which a changed host key is accepted."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from herds import conf
from herds.admin import badges, facts
from herds.admin.audited import AuditedMixin, note
from herds.admin.base import InventoryAdmin
from herds.admin.filters import EnvironmentFilter
from herds.admin.forms import HostKeyFields, ServerForm, read_shown_key, sign_shown_key
from herds.errors import ElephaasError
from herds.models import Server
from herds.selectors import inventory
from herds.selectors.rights import others_may, rights_of, who_may
from herds.services import servers
from herds.services.servers import HostKey

ACCEPT = "herds.accept_host_key_server"
"""What it takes to say that a host is the one that it says it is."""


@admin.register(Server)
class ServerAdmin(AuditedMixin[Server], InventoryAdmin[Server]):
    """Hosts that can carry members of herds."""

    form = ServerForm
    list_display = ["host_name", "environment_name"]
    list_filter = [("environment", EnvironmentFilter)]
    search_fields = ["hostname"]
    fields = ["environment", "hostname"]
    help_summary = "Hosts this service logs in to; each can carry several herds."
    first_step = (
        "Add the first one: its page shows the SSH key that has to be put there before."
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Server]:
        """Read servers with their environments."""
        return inventory.servers()

    def get_fields(self, request: HttpRequest, obj: Server | None = None) -> Any:
        """Show the accepted host key of a server that exists."""
        if obj is None:
            return self.fields
        may_accept = may_accept_key(request, obj)
        shown = ["host_key_to_compare" if may_accept else "accepted_key"]
        if obj.reported_at is not None:
            shown.append("agent")
        return [*self.fields, *shown]

    def get_readonly_fields(
        self, request: HttpRequest, obj: Server | None = None
    ) -> list[str]:
        """Keep the host key out of the form: it is accepted, not typed."""
        return [] if obj is None else ["host_key_to_compare", "accepted_key", "agent"]

    def get_urls(self) -> list[URLPattern]:
        """Put the host key's page before Django's addresses."""
        address = path(
            "<path:object_id>/host-key/",
            self.admin_site.admin_view(self.host_key_view),
            name="herds_server_host_key",
        )
        return [address, *super().get_urls()]

    def render_change_form(
        self, request: HttpRequest, context: Any, *args: Any, **kwargs: Any
    ) -> HttpResponse:
        """Show this service's key and, on a server's own page, its instances."""
        server: Server | None = context.get("original")
        form = context["adminform"].form
        context["key_to_show"] = getattr(form, "key_to_show", None)
        if server is not None:
            context["environment_name"] = facts.environment_name(server)
            context["instances"] = [
                facts.instance_row(instance)
                for instance in inventory.carried_by(server)
            ]
        context["public_key"] = conf.public_key()
        context["remote_user"] = conf.ssh().user
        return super().render_change_form(request, context, *args, **kwargs)

    def save_model(
        self, request: HttpRequest, obj: Server, form: Any, change: bool
    ) -> None:
        """Pin the host key that was accepted with the form."""
        if form.accepted_key is not None:
            servers.accept_host_key(obj, form.accepted_key, request.user.get_username())
        super().save_model(request, obj, form, change)

    def host_key_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Compare the key a host presents with the accepted one, and accept it.

        Nothing is accepted without a person's tick, on the key that was shown.
        """
        server = self.get_object(request, object_id)
        if server is None:
            raise Http404(f"There is no server {object_id}.")
        if not may_accept_key(request, server):
            raise PermissionDenied(_who_accepts(server))
        if request.method == "POST":
            return self._accept(request, server)
        return self._compare(request, server)

    def _accept(self, request: HttpRequest, server: Server) -> HttpResponse:
        sent = HostKeyFields(request.POST)
        sent.full_clean()
        key = read_shown_key(server.hostname, sent.cleaned_data.get("shown_key", ""))
        if key is None:
            return self._compare(
                request, server, "The key was shown too long ago; this is the key now."
            )
        if not sent.cleaned_data.get("accept_key"):
            return self._compare(
                request, server, "Nothing was accepted: the box was not ticked."
            )
        try:
            servers.check_login(server.hostname, key)
        except ElephaasError as refusal:
            return self._compare(request, server, refusal.sentence())
        before = _fingerprint(server)
        servers.accept_host_key(server, key, request.user.get_username())
        server.save()
        story = f"Accepted the host key {key.fingerprint}" + (
            f" in place of {before}." if before else "."
        )
        self.log_change(request, server, story)
        note(
            request,
            "accepted host key",
            server,
            before={"host_key": before},
            after={"host_key": key.fingerprint},
        )
        self.message_user(
            request,
            f"{story} The login on {server.hostname} works.",
            messages.SUCCESS,
        )
        return HttpResponseRedirect(self._page_of(server))

    def _compare(
        self, request: HttpRequest, server: Server, refusal: str = ""
    ) -> HttpResponse:
        presented: HostKey | None = None
        unreachable = ""
        try:
            presented = servers.present_host_key(server.hostname)
        except ElephaasError as problem:
            unreachable = problem.sentence()
        request.current_app = self.admin_site.name
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "original": server,
            "title": f"Host key of {server.hostname}",
            "accepted": _fingerprint(server),
            "key_to_show": presented,
            "signed_key": (
                sign_shown_key(server.hostname, presented) if presented else ""
            ),
            "is_accepted": presented is not None and str(presented) == server.host_key,
            "refusal": refusal,
            "unreachable": unreachable,
            "page_of_server": self._page_of(server),
        }
        return TemplateResponse(request, "admin/herds/server/host_key.html", context)

    def _page_of(self, server: Server) -> str:
        return reverse(f"{self.admin_site.name}:herds_server_change", args=[server.pk])

    @admin.display(description="Host Name", ordering="hostname")
    def host_name(self, server: Server) -> SafeString:
        """Show the name as this service resolves it."""
        return badges.mono(server.hostname)

    @admin.display(description="Environment", ordering="environment__env_name")
    def environment_name(self, server: Server) -> SafeString:
        """Show the environment in its own colour."""
        return badges.environment(facts.environment_name(server))

    @admin.display(description="Agent")
    def agent(self, server: Server) -> SafeString:
        """Show when an agent on this host reported, last and first."""
        last = format_html("reported {}", badges.age(server.reported_at))
        if server.discovered_at is None:
            return last
        return format_html(
            "{}; it registered this host {}", last, badges.age(server.discovered_at)
        )

    @admin.display(description="Host Key")
    def accepted_key(self, server: Server) -> SafeString:
        """Show the accepted key's fingerprint, and who accepted it when."""
        if not server.host_key:
            return badges.state(badges.Health.ATTENTION, "none accepted yet")
        return format_html(
            "{}<br>accepted {} by {}",
            badges.mono(_fingerprint(server)),
            badges.age(server.host_key_accepted_at),
            server.host_key_accepted_by or "somebody unknown",
        )

    @admin.display(description="Host Key")
    def host_key_to_compare(self, server: Server) -> SafeString:
        """Show the accepted key, and lead whoever may to accept another one."""
        address = reverse(
            f"{self.admin_site.name}:herds_server_host_key", args=[server.pk]
        )
        words = "Compare with the host now" if server.host_key else "Compare and accept"
        return format_html(
            '{} · <a href="{}">{}</a>', self.accepted_key(server), address, words
        )


def may_accept_key(request: HttpRequest, server: Server) -> bool:
    """Tell whether a person may say that a host is the one it says it is."""
    return rights_of(request.user).may(ACCEPT, server.environment_id)


def _who_accepts(server: Server) -> str:
    place = server.environment_id
    others = others_may(who_may(ACCEPT, [place])[place])
    return f"{server.hostname}: you may not accept its host key; {others}."


def _fingerprint(server: Server) -> str:
    """Return the accepted key's fingerprint; what is stored otherwise is told as is."""
    try:
        key = servers.pinned_key(server)
    except ElephaasError as problem:
        return problem.message
    return key.fingerprint if key else ""
