"""Who may do what where, when nothing may be changed, and what was done by whom."""

from __future__ import annotations

from django.contrib.auth.models import Group
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

from .inventory import Environment


class Grant(models.Model):
    """What the members of a group may do in one environment.

    It comes on top of what they may do everywhere by Django's own permissions.
    """

    grant_id = models.AutoField(primary_key=True)
    group = models.ForeignKey(Group, models.CASCADE, related_name="grants")
    environment = models.ForeignKey(
        Environment, models.CASCADE, related_name="grants", verbose_name="environment"
    )
    permissions = ArrayField(
        models.CharField(max_length=100),
        default=list,
        blank=True,
        help_text="What its members may do to the herds of this environment.",
    )

    class Meta:
        db_table = "ele_grant"
        verbose_name = "Permission Here"
        verbose_name_plural = "Permissions Here"
        constraints = [
            models.UniqueConstraint(
                fields=["group", "environment"],
                name="ele_grant_key",
                violation_error_message="This group has its line here already.",
            )
        ]

    def __str__(self) -> str:
        return f"{self.group} in {self.environment}"


class Freeze(models.Model):
    """A time in which an environment accepts no changes."""

    freeze_id = models.AutoField(primary_key=True)
    environment = models.ForeignKey(Environment, models.CASCADE, related_name="freezes")
    begins_at = models.DateTimeField("From")
    ends_at = models.DateTimeField("Until")
    reason = models.CharField(
        max_length=200, help_text="Shown to everybody who is refused."
    )

    class Meta:
        db_table = "ele_freeze"
        ordering = ["begins_at"]
        verbose_name = "Freeze"
        permissions = [("override_freeze", "Can make changes during a freeze")]
        constraints = [
            models.CheckConstraint(
                condition=Q(ends_at__gt=F("begins_at")),
                name="ele_freeze_order_check",
                violation_error_message="It ends after it begins.",
            )
        ]

    def __str__(self) -> str:
        return f"{self.environment}: {self.reason}"


class AuditEntry(models.Model):
    """One thing that somebody did; never changed, deleted only when it is too old.

    It names everybody and everything as text, and so outlives them.
    """

    audit_id = models.BigAutoField("number", primary_key=True)
    at = models.DateTimeField("when", db_default=Now())
    who = models.CharField(max_length=150)
    address = models.CharField("from where", max_length=100, blank=True, default="")
    event = models.CharField("what", max_length=40)
    kind = models.CharField("of what", max_length=40, blank=True, default="")
    name = models.CharField("which", max_length=400, blank=True, default="")
    number = models.CharField(max_length=40, blank=True, default="")
    environments = ArrayField(models.CharField(max_length=40), default=list)
    before = models.JSONField(null=True, blank=True)
    after = models.JSONField(null=True, blank=True)
    words = models.TextField("in words", blank=True, default="")

    class Meta:
        db_table = "ele_audit"
        ordering = ["-audit_id"]
        verbose_name = "Audit Entry"
        verbose_name_plural = "Audit Log"
        default_permissions = ("view",)
        indexes = [
            models.Index(fields=["at"], name="ele_audit_at_idx"),
        ]

    def __str__(self) -> str:
        return f"{self.who}: {self.event} {self.kind} {self.name}".strip()
