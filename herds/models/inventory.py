"""The inventory tables of the contract: environments, herds, servers, instances."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Lower, Now

from . import validators as v


class Stamped(models.Model):
    """Rows stamped by the database trigger ``sp_audit_stamps``, never by a form."""

    created_dt = models.DateTimeField("created", editable=False, db_default=Now())
    modified_dt = models.DateTimeField("modified", editable=False, db_default=Now())

    class Meta:
        abstract = True


class Environment(Stamped):
    """Where things live: dev, stage, prod."""

    environment_id = models.AutoField(primary_key=True)
    env_name = models.CharField(
        "Environment Name",
        max_length=40,
        validators=[v.printable],
        help_text="Example: dev, stage, prod.",
    )
    env_descr = models.TextField(
        "Long Description",
        max_length=2000,
        blank=True,
        help_text="What this environment is for, and what to know before acting in it.",
    )

    class Meta:
        db_table = "ele_environment"
        ordering = ["env_name"]
        verbose_name = "System Environment"
        constraints = [
            models.UniqueConstraint(
                Lower("env_name"),
                name="ele_environment_name_key",
                violation_error_message="An environment of this name exists already.",
            ),
        ]

    def __str__(self) -> str:
        return self.env_name


class Herd(Stamped):
    """One replicating group of instances: a primary and its standbys.

    Port, data directory and virtual host belong to the herd, so that it can move
    to any server.
    """

    herd_id = models.AutoField(primary_key=True)
    environment = models.ForeignKey(
        Environment, models.SET_NULL, null=True, blank=True, related_name="herds"
    )
    base_name = models.CharField(
        "Cluster Name",
        max_length=63,
        validators=[v.cluster_name],
        help_text="The cluster's name for command line tools. Example: main.",
    )
    herd_name = models.CharField(
        "Herd Name",
        max_length=100,
        validators=[v.printable],
        help_text="What people call this herd. Example: trade.",
    )
    herd_descr = models.TextField(
        "Long Description",
        max_length=2000,
        blank=True,
        help_text="What this herd serves, and whom to ask about it.",
    )
    db_port = models.IntegerField(
        "DB Port", default=5432, validators=[v.port], help_text="1 to 65535."
    )
    pgdata = models.CharField(
        "Data Root",
        max_length=1000,
        validators=[v.absolute_path],
        help_text=(
            "The data directory on every server of the herd. "
            "Example: /var/lib/postgresql/15/main."
        ),
    )
    vhost = models.CharField(
        "Virtual Host",
        max_length=253,
        blank=True,
        validators=[v.dns_name],
        help_text="The DNS name that always points at the primary.",
    )

    class Meta:
        db_table = "ele_herd"
        ordering = ["herd_name"]
        verbose_name = "Herd"
        constraints = [
            models.UniqueConstraint(
                Lower("herd_name"),
                "environment",
                name="ele_herd_name_key",
                violation_error_message=(
                    "This environment has a herd of this name already."
                ),
            ),
            models.CheckConstraint(
                condition=Q(db_port__gte=1, db_port__lte=65535),
                name="ele_herd_port_check",
                violation_error_message="A port is a number from 1 to 65535.",
            ),
            models.CheckConstraint(
                condition=Q(pgdata__startswith="/"),
                name="ele_herd_pgdata_check",
                violation_error_message="The data root is an absolute path.",
            ),
        ]

    def __str__(self) -> str:
        return self.herd_name


class Server(Stamped):
    """A host that can carry members of herds: an interchangeable container."""

    server_id = models.AutoField(primary_key=True)
    environment = models.ForeignKey(
        Environment, models.SET_NULL, null=True, blank=True, related_name="servers"
    )
    hostname = models.CharField(
        "Host Name",
        max_length=253,
        validators=[v.dns_name],
        help_text="As this service resolves it. Example: ele01.",
    )
    host_key = models.TextField(
        "Host Key",
        blank=True,
        editable=False,
        help_text="The accepted SSH host key: type and base64, as in known_hosts.",
    )
    host_key_accepted_at = models.DateTimeField(null=True, blank=True, editable=False)
    host_key_accepted_by = models.CharField(
        max_length=150, blank=True, default="", editable=False
    )

    class Meta:
        db_table = "ele_server"
        ordering = ["hostname"]
        verbose_name = "Server"
        constraints = [
            models.UniqueConstraint(
                Lower("hostname"),
                name="ele_server_hostname_key",
                violation_error_message="A server of this name exists already.",
            ),
            models.CheckConstraint(
                condition=Q(hostname=Lower("hostname")),
                name="ele_server_hostname_check",
                violation_error_message="Host names are kept in lower case.",
            ),
        ]

    def __str__(self) -> str:
        return self.hostname

    def clean(self) -> None:
        self.hostname = self.hostname.lower()


class Instance(Stamped):
    """One herd on one server: a running or stopped postmaster."""

    instance_id = models.AutoField(primary_key=True)
    herd = models.ForeignKey(Herd, models.CASCADE, related_name="instances")
    server = models.ForeignKey(
        Server, models.CASCADE, related_name="instances", verbose_name="Container"
    )
    version = models.CharField(max_length=20, blank=True, editable=False)
    local_pgdata = models.CharField(
        "Local Data Root",
        max_length=1000,
        blank=True,
        validators=[v.absolute_path],
        help_text="Only where this server's data directory differs from the herd's.",
    )
    xlog_pos = models.BigIntegerField(
        "WAL Position", null=True, blank=True, editable=False
    )
    is_online = models.BooleanField(default=False, editable=False)
    master = models.ForeignKey(
        "self",
        models.SET_NULL,
        null=True,
        blank=True,
        editable=False,
        related_name="followers",
        verbose_name="Upstream",
    )
    observed_at = models.DateTimeField(
        null=True,
        blank=True,
        editable=False,
        help_text="When the state was last seen, by a refresh, an action or an agent.",
    )
    unreachable_since = models.DateTimeField(
        null=True,
        blank=True,
        editable=False,
        help_text="Set while the state is unknown; cleared by the next observation.",
    )
    unreachable_why = models.TextField(blank=True, default="", editable=False)

    class Meta:
        db_table = "ele_instance"
        ordering = ["herd__herd_name", "server__hostname"]
        verbose_name = "Instance"
        constraints = [
            models.UniqueConstraint(
                fields=["herd", "server"],
                name="ele_instance_herd_server_key",
                violation_error_message="This server carries this herd already.",
            ),
            models.CheckConstraint(
                condition=Q(master__isnull=True) | ~Q(master=F("instance_id")),
                name="ele_instance_master_check",
                violation_error_message="An instance cannot be its own upstream.",
            ),
            models.CheckConstraint(
                condition=Q(local_pgdata="") | Q(local_pgdata__startswith="/"),
                name="ele_instance_pgdata_check",
                violation_error_message="The local data root is an absolute path.",
            ),
        ]
        permissions = [
            ("start_instance", "Can start instances"),
            ("stop_instance", "Can stop instances"),
            ("restart_instance", "Can restart instances"),
            ("reload_instance", "Can reload instances"),
            ("refresh_instance", "Can refresh what is known of instances"),
        ]

    def __str__(self) -> str:
        return f"{self.herd.herd_name} on {self.server.hostname}"

    @property
    def data_directory(self) -> str:
        """Where this instance's data lies: its own override, else the herd's."""
        return self.local_pgdata or self.herd.pgdata

    @property
    def is_primary(self) -> bool:
        """Whether no upstream is recorded."""
        return self.master_id is None

    def clean(self) -> None:
        self._refuse_foreign_upstream()
        self._refuse_shared_port_or_directory()

    def _refuse_foreign_upstream(self) -> None:
        if self.master is not None and self.master.herd_id != self.herd_id:
            raise ValidationError("An upstream is a member of the same herd.")

    def _refuse_shared_port_or_directory(self) -> None:
        """Two postmasters of one host share neither a port nor a data directory."""
        if self.herd_id is None or self.server_id is None:
            return
        others = (
            Instance.objects.filter(server_id=self.server_id)
            .exclude(pk=self.pk)
            .exclude(herd_id=self.herd_id)
            .select_related("herd")
        )
        for other in others:
            clash: dict[str, Any] = {"host": self.server, "herd": other.herd}
            if other.herd.db_port == self.herd.db_port:
                raise ValidationError(
                    "%(host)s carries herd %(herd)s at the same port already.",
                    params=clash,
                )
            if other.data_directory == self.data_directory:
                raise ValidationError(
                    "%(host)s carries herd %(herd)s in the same data directory.",
                    params=clash,
                )
