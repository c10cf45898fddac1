"""The pages one reads of an operation: its progress, a target's steps, the output."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.core.exceptions import PermissionDenied
from django.http import (
    Http404,
    HttpRequest,
    HttpResponse,
    HttpResponseBase,
    HttpResponseRedirect,
    StreamingHttpResponse,
)
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils.cache import patch_vary_headers

from herds.domain.states import (
    ACTIVE_OPERATIONS,
    RETRYABLE_TARGETS,
    OperationState,
    TargetState,
)
from herds.errors import PreconditionFailed
from herds.models import Operation, OperationStep, OperationTarget
from herds.operations import reaper, registry
from herds.operations.leave import CANCEL
from herds.operations.runbook import has_runbook, runbook_of
from herds.selectors.operations import output_of
from herds.selectors.rights import rights_of
from herds.services.actions import Action

from . import operation_words as words
from .base import TypedAdmin
from .operation_progress import (
    Progress,
    changed_rows,
    page_of_rows,
    progress_of,
    unseen_matches,
)
from .operation_steps import target_steps
from .operation_urls import is_fragment, operation_url, polled

UNANSWERED = frozenset(
    {OperationState.PLANNING, OperationState.PLANNED, OperationState.EXPIRED}
)
"""Plans that nobody said yes to."""


class OperationPages(TypedAdmin[Operation]):
    """Views for whoever may view operations; nothing is changed by them."""

    def page_urls(self) -> list[URLPattern]:
        """Give the addresses of these pages."""
        return [
            path(
                "<int:object_id>/",
                self.admin_site.admin_view(self.progress_view),
                name="herds_operation_change",
            ),
            path(
                "<int:object_id>/live/",
                polled(self.admin_site, self.live_view),
                name="herds_operation_live",
            ),
            path(
                "<int:object_id>/runbook/",
                self.admin_site.admin_view(self.runbook_view),
                name="herds_operation_runbook",
            ),
            path(
                "<int:object_id>/targets/<int:target_id>/",
                polled(self.admin_site, self.target_view),
                name="herds_operation_target",
            ),
            path(
                "<int:object_id>/targets/<int:target_id>/output/<uuid:step_id>/",
                self.admin_site.admin_view(self.output_view),
                name="herds_operation_output",
            ),
        ]

    def viewed_operation(self, request: HttpRequest, object_id: int) -> Operation:
        """Find an operation for somebody who may view it.

        Raises:
            PermissionDenied: for anybody else.
            Http404: there is no such operation.
        """
        operation = get_object_or_404(
            Operation.objects.select_related("retry_of"), pk=object_id
        )
        if not self.has_view_permission(request, operation):
            raise PermissionDenied
        return operation

    def operation_context(
        self, request: HttpRequest, operation: Operation, title: str
    ) -> dict[str, Any]:
        """Give what every page of an operation needs beside its own content."""
        return {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": title,
            "operation": operation,
            "has_view_permission": True,
        }

    def progress_view(self, request: HttpRequest, object_id: int) -> HttpResponseBase:
        """Show how far an operation is, with a row for each target."""
        operation = self.viewed_operation(request, object_id)
        if operation.state in UNANSWERED:
            return HttpResponseRedirect(operation_url(operation.pk, "confirm"))
        _notice_losses(operation)
        state = _asked_state(request)
        progress = progress_of(operation)
        rows = page_of_rows(operation, state=state, number=request.GET.get("p"))
        return TemplateResponse(
            request,
            "admin/herds/operation/page.html",
            {
                **self.operation_context(request, operation, operation.headline),
                **_buttons(request, progress),
                "progress": progress,
                "rows": rows,
                "state": state,
                "has_runbook": has_runbook(operation),
                "poll_url": _poll_url(operation, state, progress.seen, rows.seen),
                "tab_title": _tab_title(operation),
            },
        )

    def live_view(self, request: HttpRequest, object_id: int) -> HttpResponseBase:
        """Give what changed since the page was drawn or polled last."""
        operation = self.viewed_operation(request, object_id)
        _notice_losses(operation)
        state = _asked_state(request)
        seen_rows = request.GET.get("rows", "")
        progress = progress_of(operation)
        rows, now_seen = changed_rows(operation, seen_rows)
        before = request.GET.get("seen", "")
        return TemplateResponse(
            request,
            "admin/herds/operation/live.html",
            {
                **_buttons(request, progress),
                "site_title": self.admin_site.site_title,
                "operation": operation,
                "progress": progress,
                "rows": rows,
                "state": state,
                "unseen": unseen_matches(operation, state, seen_rows) if state else 0,
                "kinds_changed": before != progress.seen,
                "state_changed": not before.startswith(f"{operation.state}."),
                "poll_url": _poll_url(operation, state, progress.seen, now_seen),
                "tab_title": _tab_title(operation),
            },
        )

    def target_view(
        self, request: HttpRequest, object_id: int, target_id: int
    ) -> HttpResponseBase:
        """Show the steps of one target: a page, an unfolded row, or what is new."""
        operation = self.viewed_operation(request, object_id)
        target = get_object_or_404(OperationTarget, pk=target_id, operation=operation)
        drawn = request.GET.get("drawn", "")
        is_poll = is_fragment(request) and drawn.isdecimal()
        steps = target_steps(target, drawn=int(drawn) if is_poll else 0)
        template = "target.html"
        if is_fragment(request):
            template = "steps_new.html" if is_poll else "unfolded.html"
        response = TemplateResponse(
            request,
            f"admin/herds/operation/{template}",
            {
                **self.operation_context(request, operation, str(target)),
                "target": target,
                "steps": steps,
                "is_alone": not is_fragment(request) or "alone" in request.GET,
            },
        )
        patch_vary_headers(response, ["HX-Request"])
        return response

    def runbook_view(self, request: HttpRequest, object_id: int) -> HttpResponseBase:
        """Send the plan as a shell script, for people to read and to keep.

        Raises:
            Http404: the plan has no commands.
        """
        operation = self.viewed_operation(request, object_id)
        try:
            script = runbook_of(operation)
        except PreconditionFailed as error:
            raise Http404(error.sentence()) from error
        name = f"operation-{object_id}-runbook.sh"
        return HttpResponse(
            script,
            content_type="text/plain; charset=utf-8",
            headers={"Content-Disposition": f'attachment; filename="{name}"'},
        )

    def output_view(
        self, request: HttpRequest, object_id: int, target_id: int, step_id: UUID
    ) -> HttpResponseBase:
        """Send all that a step's command printed, as plain text."""
        self.viewed_operation(request, object_id)
        step = get_object_or_404(
            OperationStep,
            pk=step_id,
            target_id=target_id,
            target__operation_id=object_id,
        )
        return StreamingHttpResponse(
            output_of(step.pk),
            content_type="text/plain; charset=utf-8",
            headers={
                "Content-Disposition": (
                    f'inline; filename="operation-{object_id}-target-{target_id}'
                    f'-step-{step.number}.txt"'
                ),
            },
        )


def _notice_losses(operation: Operation) -> None:
    """See whether a worker of a running operation was lost: nobody else may look."""
    if operation.state in ACTIVE_OPERATIONS and reaper.notice_losses():
        operation.refresh_from_db()


def _asked_state(request: HttpRequest) -> TargetState | None:
    try:
        return TargetState(request.GET.get("state", ""))
    except ValueError:
        return None


def _poll_url(
    operation: Operation, state: TargetState | None, seen: str, rows: str
) -> str:
    query = {"seen": seen, "rows": rows} | ({"state": state.value} if state else {})
    return f"{operation_url(operation.pk, 'live')}?{urlencode(query)}"


def _tab_title(operation: Operation) -> str:
    icon = words.operation_icon(operation.state)
    return f"{icon} {operation.state} · {operation.headline}"


def _buttons(request: HttpRequest, progress: Progress) -> dict[str, Any]:
    """Tell what this person may ask of this operation now.

    The engine checks again; this decides only what is offered.
    """
    operation = progress.operation
    user = request.user
    is_own = operation.requested_by_id == user.pk
    action = known_action(operation)
    is_permitted = may_act(request, operation)
    failed = sum(progress.counts.get(state, 0) for state in RETRYABLE_TARGETS)
    is_over = operation.state not in ACTIVE_OPERATIONS
    return {
        "may_cancel": (
            operation.state in {OperationState.QUEUED, OperationState.RUNNING}
            and (is_own or may_in_all(request, CANCEL, operation))
        ),
        "may_resume": (
            operation.state == OperationState.INTERRUPTED
            and action is not None
            and may_in_all(
                request, action.permission, operation, TargetState.INTERRUPTED
            )
        ),
        "may_retry": bool(failed) and is_over and is_permitted,
        "retry_count": failed,
        "resume_count": progress.counts.get(TargetState.INTERRUPTED, 0),
    }


def may_act(request: HttpRequest, operation: Operation) -> bool:
    """Tell whether a person may do an operation's action to any of its targets."""
    action = known_action(operation)
    if action is None:
        return False
    rights = rights_of(request.user)
    if rights.may(action.permission, None):
        return True
    if not rights.may_somewhere(action.permission):
        return False
    return any(rights.may(action.permission, place) for place in _places(operation))


def may_in_all(
    request: HttpRequest,
    permission: str,
    operation: Operation,
    state: TargetState | None = None,
) -> bool:
    """Tell whether a person has a permission wherever an operation has targets.

    Args:
        request: whose.
        permission: which, such as herds.cancel_operation.
        operation: about which; what is gone of it takes the permission everywhere.
        state: leaves out the targets in other states.
    """
    rights = rights_of(request.user)
    if rights.may(permission, None):
        return True
    if not rights.may_somewhere(permission):
        return False
    places = list(_places(operation, state))
    return bool(places) and all(rights.may(permission, place) for place in places)


def _places(
    operation: Operation, state: TargetState | None = None
) -> Iterable[int | None]:
    targets = operation.targets.all()
    if state is not None:
        targets = targets.filter(state=state)
    return targets.order_by().values_list("herd__environment", flat=True).distinct()


def known_action(operation: Operation) -> Action | None:
    """Find the operation's action; None where the application that had it is gone."""
    known = {action.name: action for action in registry.all_actions()}
    return known.get(operation.action)
