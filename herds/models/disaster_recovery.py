"""The read-only model on view ``v_dr_pairs``: a herd's primary and its best standby."""

from __future__ import annotations

from django.db import models

from .inventory import Herd, Instance, Server


class DisasterRecovery(models.Model):
    """One row a herd: the primary and its most up-to-date online standby."""

    herd = models.OneToOneField(
        Herd, models.DO_NOTHING, primary_key=True, related_name="+"
    )
    instance = models.ForeignKey(
        Instance, models.DO_NOTHING, related_name="+", verbose_name="DR Instance"
    )
    master = models.ForeignKey(
        Instance, models.DO_NOTHING, related_name="+", verbose_name="Primary"
    )
    server = models.ForeignKey(
        Server, models.DO_NOTHING, related_name="+", verbose_name="DR Container"
    )
    mb_lag = models.DecimalField(
        "MB Lag", max_digits=20, decimal_places=1, null=True, blank=True
    )
    vhost = models.CharField("Virtual Host", max_length=253)
    lag_octets = models.BigIntegerField(null=True, blank=True)
    lag_seen_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        managed = False
        db_table = "v_dr_pairs"
        ordering = ["herd__herd_name"]
        verbose_name = "Disaster Recovery Pair"
        default_permissions = ("view",)

    def __str__(self) -> str:
        return f"{self.herd.herd_name}: {self.server.hostname}"
