"""The Operations menu: the list, and the addresses of an operation's pages."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import URLPattern
from django.utils.safestring import SafeString
from django.utils.text import Truncator

from herds.domain.states import OperationState
from herds.models import Operation
from herds.operations import registry

from . import badges
from . import operation_words as words
from .base import HelpMixin, ReadOnlyMixin
from .operation_pages import UNANSWERED
from .operation_requests import OperationRequests

_DJANGOS_OWN = frozenset(
    f"herds_operation_{page}" for page in ("add", "change", "delete", "history")
)


class StateFilter(admin.SimpleListFilter):
    """Shows operations of one state; plans without an answer only when asked for."""

    title = "state"
    parameter_name = "state"

    def lookups(
        self, request: HttpRequest, model_admin: admin.ModelAdmin[Any]
    ) -> list[tuple[str, str]]:
        return [(state.value, state.value.capitalize()) for state in OperationState]

    def queryset(
        self, request: HttpRequest, queryset: QuerySet[Operation]
    ) -> QuerySet[Operation]:
        state = self.value()
        if state is None:
            return queryset.exclude(state__in=UNANSWERED)
        return queryset.filter(state=state)


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


@admin.register(Operation)
class OperationAdmin(OperationRequests, HelpMixin[Operation], ReadOnlyMixin[Operation]):
    """Who did what, why, when and how it ended; nothing here can be changed."""

    help_summary = "What was asked for, by whom, why, and how it ended."
    first_step = "Tick instances in the Instances menu and choose an action."
    list_display = (
        "number",
        "headline",
        "state_mark",
        "requested_by_name",
        "why",
        "when",
        "elapsed",
        "ended_with",
    )
    list_display_links = ("number", "headline")
    list_filter = (StateFilter, ActionFilter, SourceFilter)
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

    @admin.display(description="number", ordering="operation_id")
    def number(self, operation: Operation) -> SafeString:
        return badges.number(operation.pk)

    @admin.display(description="state", ordering="state")
    def state_mark(self, operation: Operation) -> SafeString:
        return words.operation_mark(operation.state)

    @admin.display(description="why", ordering="reason")
    def why(self, operation: Operation) -> str:
        return _shortened(operation.reason)

    @admin.display(description="when", ordering="created_at")
    def when(self, operation: Operation) -> SafeString:
        return badges.age(operation.confirmed_at or operation.created_at)

    @admin.display(description="took")
    def elapsed(self, operation: Operation) -> SafeString:
        return badges.number(words.elapsed(operation.started_at, operation.finished_at))

    @admin.display(description="outcome")
    def ended_with(self, operation: Operation) -> str:
        return _shortened(operation.outcome)

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
