"""What every menu of the inventory shares: its help page and its first step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar

from django.contrib import admin
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.db.models import Model
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe

M = TypeVar("M", bound=Model)

if TYPE_CHECKING:

    class TypedAdmin(admin.ModelAdmin[M], Generic[M]):
        """A model's admin that knows its model's type."""

else:

    class TypedAdmin(admin.ModelAdmin, Generic[M]):
        """A model's admin that knows its model's type."""


class HelpMixin(TypedAdmin[M]):
    """A help page at ``<model>/help/``, written in ``<model>/help.html``.

    Attributes:
        help_summary: one sentence for the front page's list of menus.
    """

    help_summary: str = ""

    def get_urls(self) -> list[URLPattern]:
        """Put the help page before Django's addresses, the last of which takes all."""
        opts = self.model._meta
        address = path(
            "help/",
            self.admin_site.admin_view(self.help_view),
            name=f"{opts.app_label}_{opts.model_name}_help",
        )
        return [address, *super().get_urls()]

    def help_view(self, request: HttpRequest) -> TemplateResponse:
        """Show the menu's help page to whoever may log in."""
        opts = self.model._meta
        request.current_app = self.admin_site.name
        context = {
            **self.admin_site.each_context(request),
            "opts": opts,
            "title": f"Help: {_plural(opts)}",
        }
        template = f"admin/{opts.app_label}/{opts.model_name}/help.html"
        return TemplateResponse(request, template, context)

    def render_change_form(
        self, request: HttpRequest, context: Any, *args: Any, **kwargs: Any
    ) -> HttpResponse:
        """Lead from a row's page to the menu's help page."""
        context["help_url"] = self.help_url
        return super().render_change_form(request, context, *args, **kwargs)

    @property
    def help_url(self) -> str:
        """Return the address of the help page."""
        opts = self.model._meta
        return reverse(
            f"{self.admin_site.name}:{opts.app_label}_{opts.model_name}_help"
        )


class InventoryAdmin(HelpMixin[M]):
    """A menu of the inventory.

    Attributes:
        first_step: what to do while the list is empty, in one sentence.
    """

    first_step: str = ""

    @admin.display(description=mark_safe('<input type="checkbox" id="action-toggle">'))
    def action_checkbox(self, obj: M) -> SafeString:
        """Draw a row's checkbox as Django does, without a template for every row.

        That is half of what a list of a hundred rows takes.
        """
        return format_html(
            '<input type="checkbox" name="{}" value="{}" class="action-select"'
            ' aria-label="Select {} for an action">',
            ACTION_CHECKBOX_NAME,
            obj.pk,
            obj,
        )


class ReadOnlyMixin(TypedAdmin[M]):
    """A menu to look at: rows are neither added, changed nor deleted."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Refuse: the rows come about by themselves."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Refuse: the rows are what is observed."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Refuse: the rows go when what they tell of goes."""
        return False


def _plural(opts: Any) -> str:
    return str(opts.verbose_name_plural)
