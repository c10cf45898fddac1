"""Django's menus Users and Groups, with what is changed in them written down."""

from __future__ import annotations

from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.models import Group, User

from .audited import AuditedMixin


class AuditedUserAdmin(AuditedMixin[User], UserAdmin):  # type: ignore[type-arg]
    """Accounts: what they may do, and who changed that."""


class AuditedGroupAdmin(AuditedMixin[Group], GroupAdmin):
    """Groups: what their members may do, and who changed that."""


# Where only a directory decides who people are, neither has a menu (see the site).
if admin.site.is_registered(User):
    admin.site.unregister([User, Group])
    admin.site.register(User, AuditedUserAdmin)
    admin.site.register(Group, AuditedGroupAdmin)
