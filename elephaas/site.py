"""The admin site: its title, the order of its menus, and its front page."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.conf import settings
from django.contrib import admin
from django.contrib.auth.backends import ModelBackend
from django.db.models import Model
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, URLResolver
from django.utils.module_loading import import_string

APP_ORDER = ["herds", "auth"]
MENU_ORDER = [
    "Environment",
    "Herd",
    "Server",
    "Instance",
    "DisasterRecovery",
    "Discovery",
    "Operation",
    "AuditEntry",
]


UNLISTED_APPS = {"procrastinate"}
"""The queue's own menu would retry and cancel jobs past the record of operations."""


class ElephaasAdminSite(admin.AdminSite):
    """Django's admin under the product's name."""

    site_header = "Elephant Herd as a Service"
    site_title = "Elephant Herd as a Service"
    index_title = "Home"
    index_template = "admin/herds/index.html"
    # The site's root leads to the admin itself, so there is nothing else to view.
    site_url = None
    empty_value_display = "–"

    def register(
        self,
        model_or_iterable: type[Model] | Iterable[type[Model]],
        admin_class: type[admin.ModelAdmin] | None = None,
        **options: Any,
    ) -> None:
        """Give models a menu, except those of apps that are to have none."""
        asked = (
            [model_or_iterable]
            if isinstance(model_or_iterable, type)
            else model_or_iterable
        )
        unlisted = UNLISTED_APPS if local_logins() else UNLISTED_APPS | {"auth"}
        listed = [model for model in asked if model._meta.app_label not in unlisted]
        super().register(listed, admin_class, **options)

    def get_urls(self) -> list[URLPattern | URLResolver]:
        """Put the front page's addresses before Django's, the last of which takes all.

        They answer for the page's live part.
        """
        # As in index: it needs the models.
        from herds.admin.front_views import front_urls

        return [*front_urls(self), *super().get_urls()]

    def get_app_list(
        self, request: HttpRequest, app_label: str | None = None
    ) -> list[Any]:
        """List the menus in the order a new installation is filled in."""
        apps = super().get_app_list(request, app_label)
        for app in apps:
            app["models"].sort(
                key=lambda menu: (
                    _rank(menu["object_name"], MENU_ORDER),
                    menu["name"],
                )
            )
        return sorted(
            apps, key=lambda app: (_rank(app["app_label"], APP_ORDER), app["name"])
        )

    def password_change(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Let people give themselves another password, and note that they did."""
        from herds.logins import note_own_password

        before = getattr(request.user, "password", "")
        response: HttpResponse = super().password_change(request, extra_context)
        if getattr(request.user, "password", "") != before:
            note_own_password(request)
        return response

    def index(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> TemplateResponse:
        """Show the fleet's figures, or what to do first, above the menus."""
        # Selectors need the models, which are loaded only after this module.
        from herds.admin.front_page import front_page

        return super().index(
            request, {**front_page(self, request), **(extra_context or {})}
        )


def local_logins() -> bool:
    """Tell whether anybody logs in with a password that is kept here.

    Where only an outside directory decides (LDAP), its users and groups are not ours to
    change, and have no menus.
    """
    return any(
        issubclass(import_string(name), ModelBackend)
        for name in settings.AUTHENTICATION_BACKENDS
    )


def _rank(name: str, order: list[str]) -> int:
    return order.index(name) if name in order else len(order)
