"""The menu Audit Log: who did what, when, from where; to search and to take along."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from typing import Any

from django.contrib import admin
from django.contrib.auth.models import Group, User
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.urls import URLPattern, path
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.views.decorators.http import require_safe

from herds.models import (
    AuditEntry,
    Discovery,
    Environment,
    Freeze,
    Grant,
    Herd,
    Instance,
    Server,
)
from herds.operations import audit

from . import badges
from .base import HelpMixin, ReadOnlyMixin

MOST_ROWS = 100_000
"""Rows of one export; narrow it by filters for older ones."""

KINDS = (
    "operation",
    *(
        str(model._meta.verbose_name).lower()
        for model in (
            *(Environment, Herd, Server, Instance, Discovery),
            *(Grant, Freeze, User, Group),
        )
    ),
)
"""What entries are about, as ``audited.note`` and ``audit.record`` name it."""

_FIELDS = (
    "audit_id",
    "at",
    "who",
    "address",
    "event",
    "kind",
    "name",
    "number",
    "environments",
    "before",
    "after",
    "words",
)
_CHUNK = 2000


class _ColumnFilter(admin.SimpleListFilter):
    """By a column; its choices are known, and cost no look through the log."""

    column = ""

    def queryset(
        self, request: HttpRequest, queryset: QuerySet[AuditEntry]
    ) -> QuerySet[AuditEntry]:
        """Keep the entries of what was chosen; what is not offered can be typed."""
        value = self.value()
        if not value:
            return queryset
        if "\x00" in value:  # no text of the database can hold it
            return queryset.none()
        return queryset.filter(**self.condition(value))

    def condition(self, value: str) -> dict[str, Any]:
        """Give what an entry of the choice fulfils."""
        return {self.column: value}


class EventFilter(_ColumnFilter):
    """By what was done."""

    title = "what was done"
    parameter_name = column = "event"

    def lookups(
        self, request: HttpRequest, model_admin: admin.ModelAdmin[Any]
    ) -> list[tuple[str, str]]:
        """Offer all that is written down."""
        return [(each, each) for each in audit.EVENTS]


class KindFilter(_ColumnFilter):
    """By the kind of what it was done to."""

    title = "what it was done to"
    parameter_name = column = "kind"

    def lookups(
        self, request: HttpRequest, model_admin: admin.ModelAdmin[Any]
    ) -> list[tuple[str, str]]:
        """Offer every kind."""
        return [(each, each) for each in KINDS]


class PlaceFilter(_ColumnFilter):
    """Entries of one environment, by the name that it had then."""

    title = "environment"
    parameter_name = "place"

    def lookups(
        self, request: HttpRequest, model_admin: admin.ModelAdmin[Any]
    ) -> list[tuple[str, str]]:
        """Offer the environments of today."""
        names = Environment.objects.values_list("env_name", flat=True)
        return [(name, name) for name in names]

    def condition(self, value: str) -> dict[str, Any]:
        """An entry may be about several environments."""
        return {"environments__contains": [value]}


class _Echo:
    """A file that gives back what is written to it."""

    def write(self, text: str) -> str:
        return text


@admin.register(AuditEntry)
class AuditEntryAdmin(HelpMixin[AuditEntry], ReadOnlyMixin[AuditEntry]):
    """What people did to operations, the inventory and accounts; logins too."""

    change_list_template = "admin/herds/auditentry/change_list.html"
    help_summary = "Who did what, when, from where; nothing in it can be changed."
    first_step = "It fills by itself."
    list_display = ("when", "who", "address", "what", "difference")
    list_display_links = None
    list_filter = (EventFilter, KindFilter, PlaceFilter)
    list_per_page = 100
    search_fields = ("who", "name", "number", "address", "words")
    search_help_text = "Searches people, names, numbers, addresses and sentences."
    date_hierarchy = "at"
    ordering = ("-audit_id",)
    actions = None

    def get_urls(self) -> list[URLPattern]:
        """Put the export before Django's addresses, the last of which takes all."""
        export = path(
            "export.<str:form>",
            self.admin_site.admin_view(require_safe(self.export_view)),
            name="herds_auditentry_export",
        )
        return [export, *super().get_urls()]

    def export_view(self, request: HttpRequest, form: str) -> HttpResponse:
        """Send the entries that the list shows under its filters, as CSV or JSON.

        Raises:
            PermissionDenied: this person may not view the log.
            Http404: it can be had in another form only.
        """
        if not self.has_view_permission(request):
            raise PermissionDenied
        if form not in {"csv", "json"}:
            raise Http404
        rows = self.get_changelist_instance(request).get_queryset(request)
        chosen = rows.order_by("-audit_id")[:MOST_ROWS]
        lines = _as_csv(chosen) if form == "csv" else _as_json(chosen)
        kind = "text/csv" if form == "csv" else "application/json"
        return StreamingHttpResponse(  # type: ignore[return-value]
            lines,
            content_type=f"{kind}; charset=utf-8",
            headers={"Content-Disposition": f'attachment; filename="audit.{form}"'},
        )

    @admin.display(description="when", ordering="audit_id")
    def when(self, entry: AuditEntry) -> SafeString:
        """Show the moment in full, with its age."""
        return format_html("{}<br>{}", badges.exact(entry.at), badges.age(entry.at))

    @admin.display(description="what", ordering="event")
    def what(self, entry: AuditEntry) -> SafeString:
        """Show what was done to what, and in which environments."""
        marks = [badges.environment(name) for name in entry.environments]
        of = " ".join(filter(None, [entry.kind, entry.name]))
        return format_html(
            "<strong>{}</strong> {} {}", entry.event, of, SafeString(" ".join(marks))
        )

    @admin.display(description="before and after")
    def difference(self, entry: AuditEntry) -> SafeString | str:
        """Show each value that was changed, or the sentence that tells of it."""
        before, after = entry.before or {}, entry.after or {}
        if entry.kind == "operation" or not (before or after):
            return entry.words
        names = list(dict.fromkeys([*before, *after]))
        return format_html(
            '<ul class="ele-difference">{}</ul>',
            SafeString(
                "".join(
                    format_html(
                        "<li>{}: {} → {}</li>",
                        name,
                        _shown(before.get(name)),
                        _shown(after.get(name)),
                    )
                    for name in names
                )
            ),
        )


def _shown(value: Any) -> str:
    text = "–" if value in (None, "", []) else str(value)
    return text if len(text) <= 200 else f"{text[:200]}…"


def _rows(entries: QuerySet[AuditEntry]) -> Iterator[dict[str, Any]]:
    for entry in entries.iterator(_CHUNK):
        row = {name: getattr(entry, name) for name in _FIELDS}
        row["at"] = entry.at.isoformat()
        yield row


def _as_csv(entries: QuerySet[AuditEntry]) -> Iterator[str]:
    writer = csv.writer(_Echo())
    yield str(writer.writerow(_FIELDS))
    for row in _rows(entries):
        yield str(writer.writerow([_cell(row[name]) for name in _FIELDS]))


def _cell(value: Any) -> str:
    """Write a value for a spreadsheet, which must not take it for a formula."""
    text = json.dumps(value) if isinstance(value, dict | list) else str(value or "")
    return f"'{text}" if text[:1] in "=+-@\t\r" else text


def _as_json(entries: QuerySet[AuditEntry]) -> Iterator[str]:
    separator = "[\n"
    for row in _rows(entries):
        yield separator + json.dumps(row)
        separator = ",\n"
    yield "[]\n" if separator == "[\n" else "\n]\n"
