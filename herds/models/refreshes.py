"""When workers look at each host next."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now

from .inventory import Server


class HostRefresh(models.Model):
    """A host that workers look at by themselves, and when the next look is due.

    A worker takes a host by putting its next look off; it is due again by itself where
    the worker never comes back to it.
    """

    server = models.OneToOneField(
        Server, models.CASCADE, primary_key=True, related_name="+"
    )
    due_at = models.DateTimeField(db_default=Now(), db_index=True)
    is_slow = models.BooleanField(
        default=False,
        db_default=False,
        help_text="The last look saw not everything, or nothing.",
    )

    class Meta:
        db_table = "ele_host_refresh"
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.server.hostname}, due {self.due_at:%H:%M:%S}"
