"""The Operations menu: the list, and the addresses of an operation's pages."""

from __future__ import annotations

import re
from typing import Any

from django.contrib import admin
from django.db.models import Exists, OuterRef, QuerySet
from django.http import HttpRequest
from django.urls import URLPattern
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.text import Truncator

from herds.domain.states import OperationState
from herds.models import Herd, Operation, OperationTarget
from herds.operations import registry

from . import badges
from . import operation_words as words
from .base import HelpMixin, ReadOnlyMixin
from .operation_pages import UNANSWERED
from .operation_requests import OperationRequests
from .operation_urls import operation_url

_DJANGOS_OWN = frozenset(
    f"herds_operation_{page}" for page in ("add", "change", "delete", "history")
)
_HERD = re.compile(r"[0-9]{1,9}")


class StateFilter(admin.SimpleListFilter):
    """Shows operations of one state."""

    title = "state"
    parameter_name = "state"

    def lookups(
        self, request: HttpRequest, model_admin: admin.ModelAdmin[Any]
    ) -> list[tuple[str, str]]:
        return [(state.value, state.value.capitalize()) for state in OperationState]

    def queryset(
        self, request: HttpRequest, queryset: QuerySet[Operation]
    ) -> QuerySet[Operation]:
        return queryset.filter(state=self.value()) if self.value() else queryset


class ActionFilter(admin.SimpleListFilter):
    """Shows operations of one action."""

    title = "action"
    parameter_name = "action_name"

    def lookups(
        self, request: HttpRequest, model_admin: admin.ModelAdmin[Any]
    ) -> list[tuple[str, str]]:
        return [(action.name, action.verb) for action in registry.all_actions()]

    def queryset(
        self, request: HttpRequest, queryset: QuerySet[Operation]
    ) -> QuerySet[Operation]:
        return queryset.filter(action=self.value()) if self.value() else queryset


class SourceFilter(admin.SimpleListFilter):
    """Shows operations asked for in the admin, or from a terminal."""

    title = "source"
    parameter_name = "source"

    def lookups(
        self, request: HttpRequest, model_admin: admin.ModelAdmin[Any]
    ) -> list[tuple[str, str]]:
        return [("admin", "Admin"), ("terminal", "Terminal")]

    def queryset(
        self, request: HttpRequest, queryset: QuerySet[Operation]
    ) -> QuerySet[Operation]:
        return queryset.filter(source=self.value()) if self.value() else queryset


class OneHerdFilter(admin.SimpleListFilter):
    """Keeps operations on one herd, whose page leads here; else it is not shown."""

    title = "herd"
    parameter_name = "herd"

    def lookups(
        self, request: HttpRequest, model_admin: admin.ModelAdmin[Any]
    ) -> list[tuple[str, str]]:
        """Offer the herd that was asked for."""
        asked = request.GET.get("herd", "")
        if not _HERD.fullmatch(asked):
            return []
        herd = Herd.objects.filter(pk=asked).first()
        return [(asked, str(herd) if herd else f"{asked}, which is gone")]

    def queryset(
        self, request: HttpRequest, queryset: QuerySet[Operation]
    ) -> QuerySet[Operation]:
        """Keep what was about a member of the herd."""
        asked = self.value() or ""
        if not _HERD.fullmatch(asked):
            return queryset
        theirs = OperationTarget.objects.filter(
            operation=OuterRef("pk"), herd=int(asked)
        )
        return queryset.filter(Exists(theirs))


@admin.register(Operation)
class OperationAdmin(OperationRequests, HelpMixin[Operation], ReadOnlyMixin[Operation]):
    """Who did what, why, when and how it ended; nothing here can be changed."""

    help_summary = "What was asked for, by whom, why, and how it ended."
    first_step = "Tick instances in the Instances menu and choose an action."
    list_display = (
        "what",
        "state_mark",
        "who_and_when",
        "why",
    )
    list_display_links = None
    list_filter = (StateFilter, ActionFilter, SourceFilter, OneHerdFilter)
    list_per_page = 50
    search_fields = (
        "headline",
        "reason",
        "requested_by_name",
        "targets__herd_name",
        "targets__hostname",
    )
    search_help_text = "What, who, why, a herd or a host."
    ordering = ("-operation_id",)
    actions = None

    @admin.display(description="what and outcome", ordering="operation_id")
    def what(self, operation: Operation) -> SafeString:
        """Show number and sentence of the plan, and what became of it."""
        return format_html(
            '<span class="ele-op-roomy"><a href="{}">{}: {}</a><br>{}</span>',
            operation_url(operation.pk),
            operation.pk,
            operation.headline,
            _shortened(operation.outcome),
        )

    @admin.display(description="state", ordering="state")
    def state_mark(self, operation: Operation) -> SafeString:
        """Show the state, and how long it took or has been running."""
        took = words.elapsed(operation.started_at, operation.finished_at)
        return format_html(
            '{}<br><span class="quiet">{}</span>',
            words.operation_mark(operation.state),
            took,
        )

    @admin.display(description="who and when", ordering="created_at")
    def who_and_when(self, operation: Operation) -> SafeString:
        """Show who said yes and when, or who planned what nobody has answered."""
        return format_html(
            "{}<br>{}",
            operation.requested_by_name,
            badges.age(operation.confirmed_at or operation.created_at),
        )

    @admin.display(description="why", ordering="reason")
    def why(self, operation: Operation) -> str:
        """Show the beginning of the reason."""
        return _shortened(operation.reason)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Operation]:
        """Leave out plans that nobody said yes to, unless they are asked for."""
        operations = super().get_queryset(request)
        if request.GET.get(StateFilter.parameter_name) in UNANSWERED:
            return operations
        return operations.exclude(state__in=UNANSWERED)

    def get_urls(self) -> list[URLPattern]:
        """Put the operation's own pages where Django would have its change form."""
        theirs = [
            address
            for address in super().get_urls()
            if address.name and address.name not in _DJANGOS_OWN
        ]
        return [*self.page_urls(), *self.request_urls(), *theirs]


def _shortened(text: str) -> str:
    return Truncator(text).chars(120)
