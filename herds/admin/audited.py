"""Writes changes of the inventory and of accounts into the audit log."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.db import transaction
from django.db.models import Model, QuerySet
from django.forms import ModelForm
from django.http import HttpRequest

from herds.logins import client_address
from herds.operations import audit

from .base import M, TypedAdmin

_SECRET = frozenset({"password"})
_UNTOLD = frozenset({"created_dt", "modified_dt", "last_login"})


class AuditedMixin(TypedAdmin[M]):
    """A menu whose additions, changes and deletions are written down by value."""

    def save_model(
        self, request: HttpRequest, obj: M, form: ModelForm[M], change: bool
    ) -> None:
        """Save, and note what was there before and what is there now."""
        with transaction.atomic():
            old = self.model._default_manager.filter(pk=obj.pk).first()
            super().save_model(request, obj, form, change)
            if change and old is not None:
                _note_difference(request, obj, values_of(old), values_of(obj))
            else:
                note(request, "added", obj, after=values_of(obj))

    def save_related(
        self, request: HttpRequest, form: Any, formsets: Any, change: bool
    ) -> None:
        """Save what hangs on the row, and note what was changed of it."""
        with transaction.atomic():
            super().save_related(request, form, formsets, change)
            lists = {field.name for field in self.model._meta.many_to_many}
            changed = [name for name in form.changed_data if name in lists]
            _note_difference(request, form.instance, *_values(form, changed))
            for formset in formsets:
                _note_rows(request, formset)

    def delete_model(self, request: HttpRequest, obj: M) -> None:
        """Delete, and note what was there."""
        with transaction.atomic():
            note(request, "deleted", obj, before=values_of(obj))
            super().delete_model(request, obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[M]) -> None:
        """Delete several, and note what was there."""
        with transaction.atomic():
            for obj in queryset:
                note(request, "deleted", obj, before=values_of(obj))
            super().delete_queryset(request, queryset)


def values_of(row: Model) -> dict[str, Any]:
    """Give a row's own values as the log keeps them; of a secret only that it is."""
    return {
        field.name: "(not shown)"
        if field.name in _SECRET
        else _plain(field.value_from_object(row))
        for field in row._meta.concrete_fields
        if field.name not in _UNTOLD
    }


def note(
    request: HttpRequest,
    event: str,
    obj: Model,
    *,
    before: dict[str, Any] | None = None,
    after: dict[str, Any] | None = None,
) -> None:
    """Note what the person of a request did to a row, in the name of the request.

    Args:
        request: who, and from where.
        event: what was done: added, changed, deleted, placed, …
        obj: to what.
        before: the values that were there, by their names.
        after: the values that are there now.
    """
    place = next(
        (
            environment
            for each in (obj, getattr(obj, "herd", None), getattr(obj, "server", None))
            if (environment := getattr(each, "environment", None)) is not None
        ),
        None,
    )
    audit.record_change(
        request.user.get_username(),
        client_address(request),
        event,
        kind=str(obj._meta.verbose_name).lower(),
        name=str(obj),
        number="" if obj.pk is None else str(obj.pk),
        environments=[place.env_name] if place else [],
        before=before,
        after=after,
    )


def _note_difference(
    request: HttpRequest, obj: Model, before: dict[str, Any], after: dict[str, Any]
) -> None:
    changed = [name for name in after if before.get(name) != after[name]]
    if changed:
        note(
            request,
            "changed",
            obj,
            before={name: before.get(name) for name in changed},
            after={name: after[name] for name in changed},
        )


def _note_rows(request: HttpRequest, formset: Any) -> None:
    """Note what was added, changed and deleted among the rows below a row's form."""
    for row in formset.new_objects:
        note(request, "added", row, after=values_of(row))
    gone = set(formset.deleted_forms)
    for form in formset.initial_forms:
        if form in gone:
            before, _ = _values(form, form.initial)
            note(request, "deleted", form.instance, before=before)
        elif form.has_changed():
            _note_difference(request, form.instance, *_values(form, form.changed_data))


def _values(form: Any, names: Iterable[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Give what a form was filled with, and what was sent, of some of its fields."""
    sent = getattr(form, "cleaned_data", {})
    return (
        {name: _plain(form.initial.get(name)) for name in names},
        {name: _plain(sent.get(name)) for name in names},
    )


def _plain(value: Any) -> Any:
    """Give a value as JSON holds it; lists in an order of their own."""
    if isinstance(value, list | tuple | set | frozenset | QuerySet):
        return sorted(map(str, value))
    return value if isinstance(value, str | int | bool | type(None)) else str(value)
