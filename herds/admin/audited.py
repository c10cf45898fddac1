"""Writes changes of the inventory and of accounts into the audit log."""

from __future__ import annotations

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
            before = values_of(old) if change and old is not None else None
            super().save_model(request, obj, form, change)
            after = values_of(obj)
            if before is not None:
                changed = {name for name in after if before.get(name) != after[name]}
                if not changed:
                    return
                before = {name: before.get(name) for name in changed}
                after = {name: after[name] for name in changed}
            event = "changed" if change else "added"
            _note(request, event, obj, before=before, after=after)

    def save_related(
        self, request: HttpRequest, form: Any, formsets: Any, change: bool
    ) -> None:
        """Save what hangs on the row, and note what was changed of it."""
        super().save_related(request, form, formsets, change)
        lists = {
            name: sorted(map(str, form.cleaned_data[name]))
            for name in form.changed_data
            if name in {field.name for field in self.model._meta.many_to_many}
        }
        rows = [
            f"{verb} {row}"
            for formset in formsets
            for verb, found in (
                ("added", formset.new_objects),
                ("changed", [row for row, _ in formset.changed_objects]),
                ("deleted", formset.deleted_objects),
            )
            for row in found
        ]
        if lists or rows:
            after = {**lists, **({"rows": rows} if rows else {})}
            _note(request, "changed", form.instance, after=after)

    def delete_model(self, request: HttpRequest, obj: M) -> None:
        """Delete, and note what was there."""
        with transaction.atomic():
            _note(request, "deleted", obj, before=values_of(obj))
            super().delete_model(request, obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[M]) -> None:
        """Delete several, and note what was there."""
        with transaction.atomic():
            for obj in queryset:
                _note(request, "deleted", obj, before=values_of(obj))
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


def _note(
    request: HttpRequest,
    event: str,
    obj: Model,
    *,
    before: dict[str, Any] | None = None,
    after: dict[str, Any] | None = None,
) -> None:
    environment = getattr(obj, "environment", None) or getattr(
        getattr(obj, "herd", None), "environment", None
    )
    audit.record_change(
        request.user.get_username(),
        client_address(request),
        event,
        kind=str(obj._meta.verbose_name).lower(),
        name=str(obj),
        number=str(obj.pk),
        environments=[environment.env_name] if environment else [],
        before=before,
        after=after,
    )


def _plain(value: Any) -> Any:
    return value if isinstance(value, str | int | bool | type(None)) else str(value)
