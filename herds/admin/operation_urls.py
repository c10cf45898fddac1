"""Addresses of an operation's pages, and how fragments of them are asked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib.admin import AdminSite
from django.contrib.auth import REDIRECT_FIELD_NAME
from django.http import HttpRequest, HttpResponseBase
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme, urlencode
from django_htmx.http import HttpResponseClientRedirect

View = Callable[..., HttpResponseBase]


def operation_url(operation_id: int, page: str = "change") -> str:
    """Give the address of an operation's page, or of another one of its pages."""
    return reverse(f"admin:herds_operation_{page}", args=[operation_id])


def is_fragment(request: HttpRequest) -> bool:
    """Tell whether htmx asks for a part of a page."""
    return request.headers.get("HX-Request") == "true"


def polled(site: AdminSite, view: View) -> View:
    """Wrap a view like the admin does; a part of a page never becomes a login form.

    Where the session has ended, Django answers with a redirect that the browser
    follows before htmx sees it, and the login form would land inside the page. htmx is
    told to leave the page instead.
    """
    guarded = site.admin_view(view)

    def answer(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if is_fragment(request) and not site.has_permission(request):
            return HttpResponseClientRedirect(_login_url(request))
        return guarded(request, *args, **kwargs)

    return answer


def _login_url(request: HttpRequest) -> str:
    shown = request.headers.get("HX-Current-URL", "")
    is_ours = url_has_allowed_host_and_scheme(
        shown, allowed_hosts={request.get_host()}, require_https=request.is_secure()
    )
    query = urlencode(
        {REDIRECT_FIELD_NAME: shown if is_ours else reverse("admin:index")}
    )
    return f"{reverse('admin:login')}?{query}"
