"""Addresses of the front page: the part that is polled, and the refresh it offers."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.admin import AdminSite
from django.core.exceptions import PermissionDenied
from django.db.models import Q
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.views.decorators.http import require_POST, require_safe

from herds.selectors import trouble
from herds.selectors.rights import rights_of
from herds.services.refresh import REFRESH

from .asking import plan_operation
from .front_page import live_part, may_see_figures
from .operation_urls import is_fragment, polled


def front_urls(site: AdminSite) -> list[URLPattern]:
    """Give the addresses of the front page beside its own."""
    return [
        path("front/", polled(site, require_safe(front_view)), name="front"),
        path(
            "front/refresh/<str:model>/<int:pk>/",
            site.admin_view(require_POST(refresh_view)),
            name="front_refresh",
        ),
    ]


def front_view(request: HttpRequest) -> HttpResponse:
    """Give what has changed on the front page since the version that it shows."""
    if not is_fragment(request):
        return HttpResponseRedirect(reverse("admin:index"))
    if not may_see_figures(request):
        raise PermissionDenied
    live = live_part(request)
    attention, _, operations = request.GET.get("known", "").partition(".")
    return TemplateResponse(
        request,
        "admin/herds/front/live.html",
        {
            "live": live,
            "attention_changed": attention != live.attention_version,
            "operations_changed": operations != live.operations_version,
        },
    )


def refresh_view(request: HttpRequest, model: str, pk: int) -> HttpResponse:
    """Look again at what was not seen lately, of one host or one environment.

    Raises:
        Http404: the address names neither.
        PermissionDenied: this person may not see instances or not refresh them.
    """
    if not may_see_figures(request) or not rights_of(request.user).may_somewhere(
        REFRESH.permission
    ):
        raise PermissionDenied
    chosen = {
        "server": Q(server=pk),
        "environment": Q(server__environment=pk or None),  # 0 is for those without
    }.get(model)
    if chosen is None:
        raise Http404
    unseen = trouble.instances_with(trouble.Kind.UNSEEN).filter(chosen)
    ids = list(unseen.values_list("pk", flat=True))
    back = HttpResponseRedirect(reverse("admin:index"))
    if not ids:
        messages.info(request, "All of its instances have been seen in the meantime.")
        return back
    return plan_operation(request, REFRESH, ids) or back
