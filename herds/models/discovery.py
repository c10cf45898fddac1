"""What agents reported and nobody has placed yet."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now

from .inventory import Server


class Discovery(models.Model):
    """An instance that an agent found, and for which no herd is known.

    The agents' functions write these rows and delete them once the instance is
    recorded; a person places them in a herd, or lets them be.
    """

    discovery_id = models.BigAutoField(primary_key=True)
    server = models.ForeignKey(
        Server, models.CASCADE, related_name="discoveries", verbose_name="Container"
    )
    base_name = models.CharField("Cluster Name", max_length=63)
    db_port = models.IntegerField("DB Port")
    pgdata = models.CharField("Data Root", max_length=1000, blank=True, db_default="")
    version = models.CharField(max_length=20, blank=True, db_default="")
    is_online = models.BooleanField(db_default=False)
    master_host = models.CharField(
        "Upstream Host", max_length=253, blank=True, db_default=""
    )
    xlog_pos = models.BigIntegerField("WAL Position", null=True, blank=True)
    system_identifier = models.CharField(max_length=20, blank=True, db_default="")
    timeline = models.BigIntegerField(null=True, blank=True)
    why = models.TextField(
        "Why", blank=True, db_default="", help_text="What is missing to place it."
    )
    first_seen_at = models.DateTimeField("first reported", db_default=Now())
    last_seen_at = models.DateTimeField("last reported", db_default=Now())

    class Meta:
        db_table = "ele_discovery"
        ordering = ["server__hostname", "db_port"]
        verbose_name = "Discovered Instance"
        default_permissions = ("view", "delete")
        permissions = [("place_discovery", "Can place discovered instances in herds")]
        constraints = [
            models.UniqueConstraint(
                fields=["server", "db_port", "base_name"], name="ele_discovery_key"
            )
        ]

    def __str__(self) -> str:
        return f"{self.base_name} on {self.server.hostname}, port {self.db_port}"
