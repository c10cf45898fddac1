"""What people are to be told, until they were, and what they were warned of."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now


class Notice(models.Model):
    """One message, until every receiver has it or it is given up.

    ``key`` says what it tells of: no event is told twice, whoever notices it.
    """

    notice_id = models.BigAutoField(primary_key=True)
    key = models.CharField(max_length=200, unique=True)
    event = models.CharField(max_length=20)
    environments = ArrayField(models.CharField(max_length=40), default=list)
    title = models.TextField()
    body = models.TextField()
    created_at = models.DateTimeField(db_default=Now())
    delivered = ArrayField(models.CharField(max_length=16), default=list)
    attempts = models.IntegerField(default=0)
    next_attempt_at = models.DateTimeField(db_default=Now())
    done_at = models.DateTimeField(null=True, blank=True)
    trouble = models.TextField(
        blank=True, default="", help_text="Who did not take it, while one did not."
    )

    class Meta:
        db_table = "ele_notice"
        default_permissions = ()
        indexes = [
            models.Index(
                fields=["next_attempt_at"],
                name="ele_notice_waiting_idx",
                condition=Q(done_at__isnull=True),
            )
        ]

    def __str__(self) -> str:
        return self.title


class Alarm(models.Model):
    """One line of the front page's *Attention*, as long as it stands there."""

    key = models.CharField(max_length=200, primary_key=True)
    words = models.TextField()
    environment_name = models.CharField(max_length=40, blank=True, default="")
    since = models.DateTimeField(db_default=Now())
    told_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "ele_alarm"
        default_permissions = ()

    def __str__(self) -> str:
        return self.words
