"""The admin's menus; importing this package registers them with the site."""

from django.contrib import admin
from procrastinate.contrib.django.models import ProcrastinateJob

from . import disaster_recovery, environments, herds, instances, operations, servers

__all__ = [
    "disaster_recovery",
    "environments",
    "herds",
    "instances",
    "operations",
    "servers",
]

# The queue's own menu would retry and cancel jobs past the record of operations.
if admin.site.is_registered(ProcrastinateJob):
    admin.site.unregister(ProcrastinateJob)
