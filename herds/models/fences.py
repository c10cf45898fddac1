"""The ledger of former primaries that must not take writes again."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now

from .inventory import Instance
from .operations import Operation


class Fence(models.Model):
    """One former primary that was failed over from, until it follows again.

    A host that is lost cannot be fenced before it returns: ``applied_at`` is empty
    until then, and the workers watch for it.
    """

    instance = models.OneToOneField(
        Instance, models.CASCADE, primary_key=True, related_name="fence"
    )
    operation = models.ForeignKey(
        Operation, models.SET_NULL, null=True, blank=True, related_name="+"
    )
    since = models.DateTimeField(db_default=Now())
    attested = models.TextField(
        blank=True,
        default="",
        help_text="What a person said keeps it from coming back, and who.",
    )
    applied_at = models.DateTimeField(
        null=True, help_text="When its directory was made one of a standby."
    )
    seen_writable_at = models.DateTimeField(
        null=True, help_text="When it was last seen to take writes all the same."
    )

    class Meta:
        db_table = "ele_fence"
        default_permissions = ()

    def __str__(self) -> str:
        return f"fence of {self.instance_id}"
