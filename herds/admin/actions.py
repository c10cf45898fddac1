"""Asks the engine for an operation: from a list's bulk actions and an object's buttons.

Nothing is done here: a plan is written, and the person is led to it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from django.contrib.admin.options import IS_POPUP_VAR
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.db.models import Model, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.views.decorators.http import require_POST

from herds.models import Instance
from herds.operations import registry
from herds.selectors.operations import operations_on
from herds.selectors.rights import rights_of
from herds.services.actions import Action

from .asking import plan_operation
from .base import TypedAdmin

M = TypeVar("M", bound=Model)

HISTORY_LENGTH = 100
"""How many operations the History page of an object lists."""


@dataclass(frozen=True, kw_only=True)
class OperateButton:
    """A button of an object's page that plans an action."""

    label: str
    url: str
    title: str


def permitted_actions(request: HttpRequest, model: type[Model]) -> list[Action]:
    """List the actions this person may ask for in a menu, in their order."""
    return [
        action
        for action in registry.all_actions()
        if model._meta.model_name in action.menus
        and rights_of(request.user).may_somewhere(action.permission)
    ]


class OperateMixin(TypedAdmin[M]):
    """Buttons on an object's page that plan an action on its instances."""

    def instances_of(self, chosen: QuerySet[M]) -> QuerySet[Instance]:
        """Give the instances that an action on these objects is about."""
        raise NotImplementedError

    def history_of(self, chosen: QuerySet[M]) -> QuerySet[Instance]:
        """Give the instances whose operations the History of these objects lists."""
        return self.instances_of(chosen)

    def get_urls(self) -> list[URLPattern]:
        """Put the buttons' address before Django's, the last of which takes all."""
        opts = self.model._meta
        address = path(
            "<path:object_id>/operate/<str:action_name>/",
            self.admin_site.admin_view(require_POST(self.operate_view)),
            name=f"{opts.app_label}_{opts.model_name}_operate",
        )
        return [address, *super().get_urls()]

    def operate_view(
        self, request: HttpRequest, object_id: str, action_name: str
    ) -> HttpResponse:
        """Plan an action on one object's instances.

        Raises:
            Http404: there is no such object, or no such action.
            PermissionDenied: this person may not view the object or lacks the
                permission of the action.
        """
        obj = self.get_object(request, unquote(object_id))
        action = {a.name: a for a in registry.all_actions()}.get(action_name)
        if obj is None or action is None:
            raise Http404
        rights = rights_of(request.user)
        if not self.has_view_permission(request, obj) or not rights.may_somewhere(
            action.permission
        ):
            raise PermissionDenied
        chosen = self.model._default_manager.filter(pk=obj.pk)
        ids = self.instances_of(chosen).values_list("pk", flat=True)
        opts = self.model._meta
        return plan_operation(request, action, ids) or HttpResponseRedirect(
            reverse(f"admin:{opts.app_label}_{opts.model_name}_change", args=[obj.pk])
        )

    def render_change_form(
        self, request: HttpRequest, context: Any, *args: Any, **kwargs: Any
    ) -> HttpResponse:
        """Offer the buttons on the page of an object that has instances."""
        obj = kwargs.get("obj")
        if obj is not None:
            context["operate_buttons"] = self._buttons(request, obj)
        return super().render_change_form(request, context, *args, **kwargs)

    def _buttons(self, request: HttpRequest, obj: M) -> list[OperateButton]:
        opts = self.model._meta
        return [
            OperateButton(
                label=action.button_in(_menu(self)) + ("…" if action.confirm else ""),
                url=reverse(
                    f"admin:{opts.app_label}_{opts.model_name}_operate",
                    args=[obj.pk, action.name],
                ),
                title=action.words,
            )
            for action in self.actions_on(request, obj)
        ]

    def actions_on(self, request: HttpRequest, obj: M) -> list[Action]:
        """List the actions that the object's page offers this person, where it lies."""
        offered = permitted_actions(request, self.model)
        rights = rights_of(request.user)
        if all(rights.may(action.permission, None) for action in offered):
            return offered
        chosen = self.instances_of(self.model._default_manager.filter(pk=obj.pk))
        places: set[int | None] = {
            *chosen.order_by().values_list("herd__environment", flat=True)
        }
        return [
            action
            for action in offered
            if any(rights.may(action.permission, place) for place in places or {None})
        ]

    def history_view(
        self,
        request: HttpRequest,
        object_id: str,
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Tell, above Django's own entries, which operations were about this object."""
        chosen = self.model._default_manager.filter(pk=unquote(object_id))
        context = {
            "operation_targets": operations_on(self.history_of(chosen))[
                :HISTORY_LENGTH
            ],
            **(extra_context or {}),
        }
        response: HttpResponse = super().history_view(request, object_id, context)
        return response


class OperationActionsMixin(OperateMixin[M]):
    """The registered actions as bulk actions of a list, each with its permission."""

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        """Offer what this person may ask for, before Django's own actions.

        Django accepts no action that is not among these, so that a forged request is
        refused; the engine checks the permission again.
        """
        theirs = super().get_actions(request)
        if self.actions is None or IS_POPUP_VAR in request.GET:
            return theirs
        ours = {
            action.name: (_bulk(action), action.name, action.label_in(_menu(self)))
            for action in self.bulk_actions(request)
        }
        return {**ours, **theirs}

    def bulk_actions(self, request: HttpRequest) -> list[Action]:
        """List the actions that the list offers this person."""
        return permitted_actions(request, self.model)


class HerdActionsMixin(OperationActionsMixin[M]):
    """Bulk actions of a list of herds: those that are about a herd as a whole."""

    def bulk_actions(self, request: HttpRequest) -> list[Action]:
        """Leave out what is about single instances; a herd's page offers those too."""
        offered = super().bulk_actions(request)
        return [action for action in offered if action.narrow is not None]


def _menu(model_admin: OperateMixin[Any]) -> str:
    return model_admin.model._meta.model_name or ""


def _bulk(
    action: Action,
) -> Callable[[OperationActionsMixin[Any], HttpRequest, QuerySet[Any]], Any]:
    def plan_selected(
        model_admin: OperationActionsMixin[Any],
        request: HttpRequest,
        queryset: QuerySet[Any],
    ) -> HttpResponseRedirect | None:
        ids = model_admin.instances_of(queryset).values_list("pk", flat=True)
        return plan_operation(request, action, ids)

    return plan_selected
