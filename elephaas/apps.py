"""Which admin site this installation has."""

from django.contrib.admin.apps import AdminConfig


class ElephaasAdminConfig(AdminConfig):
    """Django's admin with the site of ``elephaas.site`` in place of its own.

    The site lives outside ``herds.admin`` because importing that package registers
    the menus, which needs the site to be there already.
    """

    default_site = "elephaas.site.ElephaasAdminSite"
