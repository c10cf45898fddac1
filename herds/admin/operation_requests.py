"""The plan page with its yes, and the other requests made of an operation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.http import (
    Http404,
    HttpRequest,
    HttpResponse,
    HttpResponseBase,
    HttpResponseRedirect,
)
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.html import format_html
from django.views.decorators.http import require_POST
from django_htmx.http import HttpResponseClientRefresh

from herds.domain.states import OperationState
from herds.errors import ElephaasError
from herds.models import Instance, Operation, OperationTarget
from herds.operations import requests
from herds.operations.runbook import has_runbook

from . import operation_words as words
from .asking import plan_operation, requester_of
from .operation_follow_ups import follow_ups_of
from .operation_pages import UNANSWERED, OperationPages, known_action, may_act
from .operation_plan import ConfirmForm, Plan, choices_in, plan_of
from .operation_urls import is_fragment, operation_url, polled

Ask = Callable[[int, requests.Requester], Operation]


class OperationRequests(OperationPages):
    """Views that ask the engine for something; it checks again what is allowed."""

    def request_urls(self) -> list[URLPattern]:
        """Give the addresses of these pages."""
        posts = {
            "again": self.again_view,
            "cancel": self.cancel_view,
            "retry": self.retry_view,
            "resume": self.resume_view,
            "decline": self.decline_view,
        }
        return [
            path(
                "<int:object_id>/confirm/",
                polled(self.admin_site, self.confirm_view),
                name="herds_operation_confirm",
            ),
            path(
                "<int:object_id>/herds/<str:herd_key>/",
                polled(self.admin_site, self.herd_plan_view),
                name="herds_operation_herd",
            ),
            path(
                "<int:object_id>/targets/<int:target_id>/follow-ups/<int:number>/",
                self.admin_site.admin_view(require_POST(self.follow_up_view)),
                name="herds_operation_follow_up",
            ),
            *(
                path(
                    f"<int:object_id>/{name}/",
                    self.admin_site.admin_view(require_POST(view)),
                    name=f"herds_operation_{name}",
                )
                for name, view in posts.items()
            ),
        ]

    def confirm_view(self, request: HttpRequest, object_id: int) -> HttpResponseBase:
        """Show the plan; take the yes."""
        operation = self.viewed_operation(request, object_id)
        if is_fragment(request):
            # The page asks whether the plan that it waits for is there.
            is_waiting = _is_planning(operation)
            return (
                HttpResponse(status=204) if is_waiting else HttpResponseClientRefresh()
            )
        if operation.state not in UNANSWERED:
            if request.method == "POST":
                messages.info(
                    request, f"Operation {operation.pk} was confirmed already."
                )
            return HttpResponseRedirect(operation_url(operation.pk))
        plan = plan_of(operation, chosen=choices_in(request.POST))
        answer = request.POST if request.method == "POST" else None
        form = ConfirmForm(answer, warnings=plan.warnings, names=plan.names)
        if form.is_valid():
            try:
                return self._confirm(request, operation, form)
            except ElephaasError as error:
                messages.error(request, error.sentence())
                operation.refresh_from_db()
                if operation.state not in UNANSWERED:
                    return HttpResponseRedirect(operation_url(operation.pk))
                # What was typed and chosen stays in the form.
        return self._plan_page(request, operation, plan, form)

    def _confirm(
        self, request: HttpRequest, operation: Operation, form: ConfirmForm
    ) -> HttpResponseRedirect:
        confirmed = requests.confirm(
            operation.pk,
            requester_of(request),
            reason=form.cleaned_data["reason"],
            stop_at_first_failure=form.cleaned_data["stop_at_first_failure"],
            acknowledged=True,  # the form is valid only with every box ticked
            choices=choices_in(request.POST),
            typed=form.typed,
        )
        if confirmed.state == OperationState.PLANNED:
            messages.info(
                request,
                "Asked for. Another person has to say yes on this page; it expires at "
                f"{confirmed.expires_at:%H:%M} UTC.",
            )
            return HttpResponseRedirect(operation_url(confirmed.pk, "confirm"))
        messages.success(
            request,
            format_html(
                'Accepted as <a href="{}">operation {}</a>.',
                operation_url(confirmed.pk),
                confirmed.pk,
            ),
        )
        return HttpResponseRedirect(operation_url(confirmed.pk))

    def _plan_page(
        self, request: HttpRequest, operation: Operation, plan: Plan, form: ConfirmForm
    ) -> TemplateResponse:
        action = known_action(operation)
        verb = action.verb if action else operation.action.capitalize()
        noun = action.noun if action else "instance"
        second = _second_person(request, operation)
        return TemplateResponse(
            request,
            "admin/herds/operation/plan.html",
            {
                **self.operation_context(request, operation, operation.headline),
                "action": action,
                "plan": plan,
                "form": form,
                "noun": noun,
                "has_runbook": has_runbook(operation),
                "is_expired": _is_expired(operation),
                "expires_in": _expires_in(operation),
                "is_planning": _is_planning(operation),
                "may_act": may_act(request, operation),
                "may_choose": _may_answer(request, operation),
                **second,
                "button": f"{second['begins']}{verb} {words.counted(plan.going, noun)}",
            },
        )

    def herd_plan_view(
        self, request: HttpRequest, object_id: int, herd_key: str
    ) -> HttpResponseBase:
        """Show the plan of one herd, where the plan page has too many to show all."""
        operation = self.viewed_operation(request, object_id)
        plan = plan_of(operation, herd_key=herd_key)
        template = "herd_table.html" if is_fragment(request) else "herd.html"
        return TemplateResponse(
            request,
            f"admin/herds/operation/{template}",
            {
                **self.operation_context(request, operation, operation.headline),
                "plan": plan,
                "herd": plan.herds[0] if plan.herds else None,
                # The form that would carry a choice is on the plan page.
                "may_choose": is_fragment(request) and _may_answer(request, operation),
            },
        )

    def again_view(self, request: HttpRequest, object_id: int) -> HttpResponseBase:
        """Plan the same targets anew."""
        operation = self.viewed_operation(request, object_id)
        instances = operation.targets.filter(instance__isnull=False).values_list(
            "instance_id", flat=True
        )

        def draft(_: int, requester: requests.Requester) -> Operation:
            return requests.draft(
                operation.action,
                [pk for pk in instances if pk is not None],
                requester,
                operation.parameters,
                retry_of=operation.retry_of,
            )

        return self._ask(request, operation, draft, "confirm")

    def cancel_view(self, request: HttpRequest, object_id: int) -> HttpResponseBase:
        """Ask a running operation to stop."""
        operation = self.viewed_operation(request, object_id)
        return self._ask(request, operation, requests.cancel, "change")

    def retry_view(self, request: HttpRequest, object_id: int) -> HttpResponseBase:
        """Plan the targets that did not succeed, as a new operation."""
        operation = self.viewed_operation(request, object_id)
        return self._ask(request, operation, requests.retry, "confirm")

    def resume_view(self, request: HttpRequest, object_id: int) -> HttpResponseBase:
        """Go on with the targets whose worker was lost."""
        operation = self.viewed_operation(request, object_id)
        return self._ask(request, operation, requests.resume, "change")

    def decline_view(self, request: HttpRequest, object_id: int) -> HttpResponseBase:
        """Say no to what another person asked for."""
        operation = self.viewed_operation(request, object_id)
        reason = request.POST.get("why_not", "")

        def decline(number: int, requester: requests.Requester) -> Operation:
            return requests.decline(number, requester, reason)

        return self._ask(request, operation, decline, "change")

    def follow_up_view(
        self, request: HttpRequest, object_id: int, target_id: int, number: int
    ) -> HttpResponseBase:
        """Plan something that a target has left to do.

        Raises:
            Http404: there is no such target, or it has nothing like it left to do.
        """
        operation = self.viewed_operation(request, object_id)
        target = get_object_or_404(OperationTarget, pk=target_id, operation=operation)
        chosen = {row.number: row for row in follow_ups_of(target)}.get(number)
        if chosen is None or chosen.action is None:
            raise Http404
        back = HttpResponseRedirect(operation_url(operation.pk))
        if not Instance.objects.filter(pk=chosen.instance_id).exists():
            messages.error(
                request,
                "What this is about is no longer in the inventory; nothing was "
                f"planned: {chosen.words}",
            )
            return back
        return plan_operation(request, chosen.action, [chosen.instance_id]) or back

    def _ask(
        self, request: HttpRequest, operation: Operation, ask: Ask, leads_to: str
    ) -> HttpResponseRedirect:
        """Ask the engine, and lead to the result, or back with its refusal."""
        try:
            result = ask(operation.pk, requester_of(request))
        except ElephaasError as error:
            messages.error(request, error.sentence())
            return HttpResponseRedirect(operation_url(operation.pk))
        return HttpResponseRedirect(operation_url(result.pk, leads_to))


def _second_person(request: HttpRequest, operation: Operation) -> dict[str, Any]:
    """Tell whether another person has to say yes, and whether this one can."""
    where = requests.wants_second_person(operation)
    is_asked = operation.asked_at is not None
    is_asker = operation.asked_by_name == request.user.get_username()
    begins = "Approve: " if is_asked else "Ask to " if where else ""
    return {
        "begins": begins,
        "second_where": where,
        "is_asked": is_asked,
        "waits_for_another": is_asked and is_asker,
        "may_decline": is_asked and not is_asker and may_act(request, operation),
    }


def _is_expired(operation: Operation) -> bool:
    return (
        operation.state == OperationState.EXPIRED
        or operation.expires_at < timezone.now()
    )


def _expires_in(operation: Operation) -> float | None:
    """Count the seconds left to say yes; None where there is nothing to say yes to."""
    if operation.state != OperationState.PLANNED or _is_expired(operation):
        return None
    return (operation.expires_at - timezone.now()).total_seconds()


def _is_planning(operation: Operation) -> bool:
    return operation.state == OperationState.PLANNING and not _is_expired(operation)


def _may_answer(request: HttpRequest, operation: Operation) -> bool:
    return (
        operation.state == OperationState.PLANNED
        and not _is_expired(operation)
        and may_act(request, operation)
    )
