"""Django's menus Users and Groups, with what is changed in them written down."""

from __future__ import annotations

from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.models import Group, User
from django.http import HttpRequest, HttpResponse

from .audited import AuditedMixin, note


class AuditedUserAdmin(AuditedMixin[User], UserAdmin):  # type: ignore[type-arg]
    """Accounts: what they may do, and who changed that."""

    def user_change_password(
        self, request: HttpRequest, id: str, form_url: str = ""
    ) -> HttpResponse:
        """Give somebody another password, and note that it was done."""
        before = self.get_object(request, id)
        response = super().user_change_password(request, id, form_url)
        after = self.get_object(request, id) if request.method == "POST" else None
        if before and after and before.password != after.password:
            note(request, "changed password", after)
        return response


class AuditedGroupAdmin(AuditedMixin[Group], GroupAdmin):
    """Groups: what their members may do, and who changed that."""


# Where only a directory decides who people are, neither has a menu (see the site).
if admin.site.is_registered(User):
    admin.site.unregister([User, Group])
    admin.site.register(User, AuditedUserAdmin)
    admin.site.register(Group, AuditedGroupAdmin)
