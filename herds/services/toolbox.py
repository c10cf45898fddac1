"""Makes what verbs work with out of the settings: the one place that reads them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from herds import conf
from herds.domain.clock import Clock
from herds.domain.cluster import ClusterRef
from herds.postgres.cluster import Cluster
from herds.postgres.commands import CommandTemplates
from herds.ssh.pool import ShellPool

if TYPE_CHECKING:
    from herds.models import Instance


class Toolbox:
    """Shells that are kept open, and the clusters reached through them."""

    def __init__(self, clock: Clock) -> None:
        """Read the settings; no connection is made yet."""
        ssh = conf.ssh()
        self.patience = conf.operations().patience
        self._clock = clock
        self._templates = CommandTemplates(conf.commands())
        self._command_timeout = ssh.command_timeout
        self._shells = ShellPool(
            user=ssh.user,
            port=ssh.port,
            private_key_file=ssh.private_key_file,
            connect_timeout=ssh.connect_timeout,
        )

    def cluster(self, instance: Instance) -> Cluster:
        """Give the cluster of an instance (with its herd, environment and server)."""
        server = instance.server
        return Cluster(
            cluster_ref(instance),
            self._shells.shell(server.hostname, server.host_key or None),
            self._templates,
            self._clock,
            command_timeout=self._command_timeout,
        )

    def close(self) -> None:
        """Close every connection."""
        self._shells.close()


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
    )
