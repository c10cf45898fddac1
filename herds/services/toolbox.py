"""Makes what verbs work with out of the settings: the one place that reads them."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from copy import copy
from typing import Any

from herds import conf
from herds.domain.clock import Clock
from herds.domain.cluster import ClusterRef, Observation
from herds.domain.lsn import Lsn
from herds.errors import HostKeyUnknown
from herds.models import Instance, Server
from herds.postgres.cluster import Cluster
from herds.postgres.commands import CommandTemplates
from herds.postgres.host_look import look_at_host
from herds.ssh.pool import ShellPool
from herds.ssh.shell import Completed, Shell

from . import naming
from .target import Member


class Toolbox:
    """Shells that are kept open, the clusters reached through them, and DNS.

    Attributes:
        nameserver: asks and moves virtual hosts; None where DNS is not managed.
        patience: seconds to wait for a state after a command came back.
    """

    def __init__(self, clock: Clock) -> None:
        """Read the settings; no connection is made yet."""
        self._ssh = conf.ssh()
        self.patience = conf.operations().patience
        self._clock = clock
        self.nameserver = naming.nameserver(conf.dns(), clock)
        self._templates = CommandTemplates(conf.commands())
        self._pool: ShellPool | None = None
        self._pool_lock = threading.Lock()

    def cluster(self, instance: Instance) -> Cluster:
        """Give the cluster of an instance (with its herd, environment and server).

        A host that cannot be reached for want of an accepted key says so when
        something is to be done there: other members of its herd are not held up.

        Raises:
            PreconditionFailed: this service's private key cannot be used.
        """
        return Cluster(
            cluster_ref(instance),
            self._shell(instance.server),
            self._templates,
            self._clock,
            command_timeout=self._ssh.command_timeout,
        )

    def look_at_host(
        self, instances: Sequence[Instance], *, timeout: float
    ) -> list[Observation]:
        """See what the instances of one host are doing, in one round trip.

        Args:
            instances: with their herds, environments and server, which is the same.
            timeout: seconds for all of it, from when the host is connected to.

        Returns:
            What was seen of each, in the same order; fewer where it was cut off.

        Raises:
            HostUnreachable, HostKeyUnknown, HostKeyChanged, LoginRefused: nothing is
                known of any.
            PreconditionFailed: this service's private key cannot be used.
        """
        return look_at_host(
            self._shell(instances[0].server),
            [cluster_ref(instance) for instance in instances],
            self._clock,
            timeout=timeout,
        )

    def _shell(self, server: Server) -> Shell:
        shells = self._shells()
        try:
            return shells.shell(server.hostname, server.host_key or None)
        except HostKeyUnknown as unknown:
            return _NoShell(unknown)

    def members(self, herd_id: int) -> tuple[Member, ...]:
        """Give all members of a herd, each with its cluster."""
        return tuple(
            Member(
                instance_id=instance.pk,
                is_primary=instance.is_primary,
                cluster=self.cluster(instance),
                position=None if instance.xlog_pos is None else Lsn(instance.xlog_pos),
                seen_at=instance.observed_at,
            )
            for instance in Instance.objects.filter(herd_id=herd_id)
            .select_related("herd__environment", "server")
            .order_by("instance_id")
        )

    def close(self) -> None:
        """Close every connection."""
        with self._pool_lock:
            if self._pool is not None:
                self._pool.close()

    def _shells(self) -> ShellPool:
        """Give the pool, made when first wanted.

        A fresh installation has no key yet. Its worker runs nevertheless, and finds
        the key as soon as there is one.
        """
        with self._pool_lock:
            if self._pool is None:
                self._pool = ShellPool(
                    user=self._ssh.user,
                    port=self._ssh.port,
                    private_key_file=self._ssh.private_key_file,
                    connect_timeout=self._ssh.connect_timeout,
                )
            return self._pool


class _NoShell:
    """Stands for a host on which nothing can be run yet."""

    def __init__(self, why: HostKeyUnknown) -> None:
        self.host = why.host
        self._why = why

    def run(self, argv: Sequence[str], **options: Any) -> Completed:
        """Run nothing.

        Raises:
            HostKeyUnknown: always.
        """
        raise copy(self._why)


def cluster_ref(instance: Instance) -> ClusterRef:
    """Give the values of an instance that commands are made of."""
    herd = instance.herd
    return ClusterRef(
        hostname=instance.server.hostname,
        data_directory=instance.data_directory,
        port=herd.db_port,
        base_name=herd.base_name,
        herd_name=herd.herd_name,
        vhost=herd.vhost,
        environment=herd.environment.env_name if herd.environment else "",
        version=instance.version,
        use_slots=herd.use_slots,
    )
