"""The inventory tables of the contract: environments, herds, servers, instances."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Any

from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Lower, Now

from . import validators as v

# The same refusals as the validators', for rows that no form has seen: agents and
# other programs write to these tables too. PostgreSQL's regular expressions.
_CONTROL = "[[:cntrl:]]"
_NOT_IN_PATHS = r'[[:cntrl:]"$`\\]'
_NOT_IN_DNS = "[^A-Za-z0-9._-]"


COLOURS = ("red", "amber", "green", "blue", "violet", "teal")
"""What an environment can be marked with; the style sheet knows each by its name."""


class Approval(models.TextChoices):
    """When a second person has to say yes."""

    NEVER = "never", "Never"
    DESTRUCTIVE = "destructive", "For what destroys or moves something"
    ALWAYS = "always", "For every action but refresh"


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
        default="",
        db_default="",
        help_text="What this environment is for, and what to know before acting in it.",
    )
    is_refreshed = models.BooleanField(
        "Refreshed By Workers",
        default=True,
        db_default=True,
        help_text="Workers look at its instances. Off where agents report.",
    )

    colour = models.CharField(
        max_length=10,
        blank=True,
        default="",
        db_default="",
        choices=[(name, name.capitalize()) for name in COLOURS],
        help_text="Left empty, it follows from the name.",
    )
    approval = models.CharField(
        "Second Person",
        max_length=12,
        default=Approval.NEVER,
        db_default=Approval.NEVER.value,
        choices=Approval.choices,
        help_text="When another person has to say yes as well.",
    )
    types_names = models.BooleanField(
        "Typed Names",
        default=False,
        db_default=False,
        help_text="Whoever stops, moves or destroys something here types its name.",
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
            models.CheckConstraint(
                condition=~Q(env_name__regex=_CONTROL),
                name="ele_environment_name_check",
                violation_error_message=v.NOT_PRINTABLE,
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
        default="",
        db_default="",
        help_text="What this herd serves, and whom to ask about it.",
    )
    db_port = models.IntegerField(
        "DB Port",
        default=5432,
        db_default=5432,
        validators=[v.port],
        help_text="1 to 65535.",
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
        default="",
        db_default="",
        validators=[v.dns_name],
        help_text="The DNS name that always points at the primary.",
    )
    use_slots = models.BooleanField(
        "Replication Slots",
        default=False,
        db_default=False,
        help_text=(
            "Standbys stream through a slot of their own, which keeps WAL for them "
            "while they are away. Each takes it up or leaves it when it is rebuilt."
        ),
    )
    vhost_target = models.CharField(
        max_length=253,
        blank=True,
        default="",
        db_default="",
        editable=False,
        help_text="Where the virtual host pointed when DNS was asked last.",
    )
    vhost_seen_at = models.DateTimeField(null=True, blank=True, editable=False)
    vhost_asked_at = models.DateTimeField(
        null=True,
        blank=True,
        editable=False,
        help_text="When a worker took it upon itself to ask DNS last.",
    )
    vhost_trouble = models.TextField(
        blank=True,
        default="",
        db_default="",
        editable=False,
        help_text="Which name servers said otherwise, or nothing.",
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
                condition=Q(pgdata__startswith="/") & ~Q(pgdata__regex=_NOT_IN_PATHS),
                name="ele_herd_pgdata_check",
                violation_error_message=v.NOT_A_PATH,
            ),
            models.CheckConstraint(
                condition=Q(base_name__regex=v.CLUSTER_NAME),
                name="ele_herd_base_name_check",
                violation_error_message=v.NOT_A_CLUSTER_NAME,
            ),
            models.CheckConstraint(
                condition=~Q(herd_name__regex=_CONTROL),
                name="ele_herd_name_check",
                violation_error_message=v.NOT_PRINTABLE,
            ),
            models.CheckConstraint(
                condition=~Q(vhost__regex=_NOT_IN_DNS),
                name="ele_herd_vhost_check",
                violation_error_message=v.NOT_A_HOST_NAME,
            ),
        ]

    def __str__(self) -> str:
        return self.herd_name

    def clean(self) -> None:
        if self.pk:
            _refuse_clash(self, list(self.instances.all()))


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
        default="",
        db_default="",
        editable=False,
        help_text="The accepted SSH host key: type and base64, as in known_hosts.",
    )
    host_key_accepted_at = models.DateTimeField(null=True, blank=True, editable=False)
    host_key_accepted_by = models.CharField(
        max_length=150, blank=True, default="", db_default="", editable=False
    )
    discovered_at = models.DateTimeField(
        null=True,
        blank=True,
        editable=False,
        help_text="When an agent reported this host first, if that registered it.",
    )
    reported_at = models.DateTimeField(
        null=True,
        blank=True,
        editable=False,
        help_text="When an agent on this host reported last.",
    )

    class Meta:
        db_table = "ele_server"
        ordering = ["hostname"]
        verbose_name = "Server"
        permissions = [("accept_host_key_server", "Can accept host keys")]
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
            models.CheckConstraint(
                condition=~Q(hostname="") & ~Q(hostname__regex=_NOT_IN_DNS),
                name="ele_server_hostname_chars_check",
                violation_error_message=v.NOT_A_HOST_NAME,
            ),
        ]

    def __str__(self) -> str:
        return self.hostname

    def clean(self) -> None:
        self.hostname = self.hostname.lower().removesuffix(".")


class Instance(Stamped):
    """One herd on one server: a running or stopped postmaster."""

    instance_id = models.AutoField(primary_key=True)
    herd = models.ForeignKey(Herd, models.CASCADE, related_name="instances")
    server = models.ForeignKey(
        Server, models.CASCADE, related_name="instances", verbose_name="Container"
    )
    version = models.CharField(
        max_length=20, blank=True, default="", db_default="", editable=False
    )
    local_pgdata = models.CharField(
        "Local Data Root",
        max_length=1000,
        blank=True,
        default="",
        db_default="",
        validators=[v.absolute_path],
        help_text="Only where this server's data directory differs from the herd's.",
    )
    xlog_pos = models.BigIntegerField(
        "WAL Position", null=True, blank=True, editable=False
    )
    is_online = models.BooleanField(default=False, db_default=False, editable=False)
    master = models.ForeignKey(
        "self",
        models.SET_NULL,
        null=True,
        blank=True,
        editable=False,
        related_name="followers",
        verbose_name="Upstream",
    )
    upstream_host = models.CharField(
        max_length=253,
        blank=True,
        default="",
        db_default="",
        editable=False,
        help_text="The upstream an agent reports, where that is no member of the herd.",
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
    unreachable_why = models.TextField(
        blank=True, default="", db_default="", editable=False
    )
    observed_by = models.CharField(
        max_length=10,
        blank=True,
        default="",
        db_default="",
        editable=False,
        help_text="Who saw it last: a worker or an agent.",
    )
    system_identifier = models.CharField(
        max_length=20, blank=True, default="", db_default="", editable=False
    )
    timeline = models.BigIntegerField(null=True, blank=True, editable=False)
    is_streaming = models.BooleanField(
        null=True,
        blank=True,
        editable=False,
        help_text="Whether a standby receives WAL; null where that was not seen.",
    )
    lag_octets = models.BigIntegerField(
        null=True,
        blank=True,
        editable=False,
        help_text="Bytes behind the upstream, by readings that can be compared.",
    )
    lag_seen_at = models.DateTimeField(null=True, blank=True, editable=False)
    slot_name = models.CharField(
        max_length=63,
        blank=True,
        default="",
        db_default="",
        editable=False,
        help_text="The slot nobody uses that holds most WAL, if one does.",
    )
    slot_octets = models.BigIntegerField(null=True, blank=True, editable=False)

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
                condition=Q(local_pgdata="")
                | (
                    Q(local_pgdata__startswith="/")
                    & ~Q(local_pgdata__regex=_NOT_IN_PATHS)
                ),
                name="ele_instance_pgdata_check",
                violation_error_message=v.NOT_A_PATH,
            ),
            # What the composite foreign key (herd_id, master_id) refers to; see
            # herds/sql/foreign_keys.sql.
            models.UniqueConstraint(
                fields=["herd", "instance_id"], name="ele_instance_herd_member_key"
            ),
        ]
        permissions = [
            ("start_instance", "Can start instances"),
            ("stop_instance", "Can stop instances"),
            ("restart_instance", "Can restart instances"),
            ("reload_instance", "Can reload instances"),
            ("refresh_instance", "Can refresh what is known of instances"),
            ("promote_instance", "Can promote replicas"),
            ("demote_instance", "Can demote primaries"),
            ("rebuild_instance", "Can rebuild replicas"),
            ("switchover_instance", "Can switch herds over to a replica"),
            ("failover_instance", "Can fail herds over to a replica"),
            ("refresh_dns_instance", "Can make virtual hosts follow the primary"),
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
        if self.pk and self.followers.exclude(herd_id=self.herd_id).exists():
            raise ValidationError(
                "Other members of its herd follow this instance; it cannot leave them."
            )

    def _refuse_shared_port_or_directory(self) -> None:
        # A form whose herd or server field is wrong still comes here.
        if self.herd_id is not None and self.server_id is not None:
            _refuse_clash(self.herd, [self])


def _refuse_clash(herd: Herd, members: list[Instance]) -> None:
    """Refuse a port or data directory that another herd uses on the same server.

    Raises:
        ValidationError: naming the server and the other herd.
    """
    neighbours: dict[int, list[Instance]] = {}
    for other in (
        Instance.objects.filter(server__in=[member.server_id for member in members])
        .exclude(herd=herd.pk)
        .exclude(pk__in=[member.pk for member in members if member.pk])
        .select_related("herd", "server")
    ):
        neighbours.setdefault(other.server_id, []).append(other)
    for member in members:
        directory = PurePosixPath(member.local_pgdata or herd.pgdata)
        for other in neighbours.get(member.server_id, []):
            names: dict[str, Any] = {"host": other.server, "herd": other.herd}
            if other.herd.db_port == herd.db_port:
                raise ValidationError(
                    "%(host)s carries herd %(herd)s at the same port already.",
                    params=names,
                )
            if PurePosixPath(other.data_directory) == directory:
                raise ValidationError(
                    "%(host)s carries herd %(herd)s in the same data directory.",
                    params=names,
                )
