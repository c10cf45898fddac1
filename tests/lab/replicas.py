"""Clusters of a lab as the adapters see them, without the product around them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.conf import settings

from herds.domain.clock import SystemClock
from herds.domain.cluster import ClusterRef
from herds.domain.divergence import Divergence, judge
from herds.postgres import wal
from herds.postgres.cluster import Cluster
from herds.postgres.commands import CommandTemplates
from herds.postgres.replication import Upstream, application_name
from herds.ssh.pool import ShellPool
from lab import Lab, Layout
from tests.lab.throwaway import throwaway_lab

PREFIX = "test-replicas-"


class Replicas:
    """The clusters of a lab's herds, over connections that are kept."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self._templates = CommandTemplates(settings.COMMANDS)
        self._pool = ShellPool(user="postgres", private_key_file=lab.ssh_key)

    def cluster(self, herd: str, host: str) -> Cluster:
        """Give one member of a herd."""
        spec = self.lab.herds[herd]
        return Cluster(
            ClusterRef(
                hostname=host,
                data_directory=spec.data_root,
                port=spec.port,
                base_name=herd,
                herd_name=herd,
                vhost=f"{herd}.{self.lab.domain}",
                version=spec.version,
            ),
            self._pool.shell(host, self.lab.host_key(host)),
            self._templates,
            SystemClock(),
            command_timeout=60.0,
        )

    def upstream(
        self, herd: str, host: str, *, name: str = "", slot: str = ""
    ) -> Upstream:
        """Say how a host's member of a herd is to follow; by the vhost if not told."""
        spec = self.lab.herds[herd]
        return Upstream(
            host=name or f"{herd}.{self.lab.domain}",
            port=spec.port,
            application_name=application_name(herd, host),
            slot=slot,
        )

    def judged(self, target: Cluster, source: Cluster) -> Divergence:
        """Judge what it takes to bring one cluster back under another."""
        end = wal.end_of_wal(target, target.probe())
        return judge(end, wal.seen_from(source, source.probe(), end))

    def close(self) -> None:
        """Close every connection."""
        self._pool.close()


@contextmanager
def replicas_in(lab: Lab) -> Iterator[Replicas]:
    """Be on a lab's network, and reach its clusters."""
    with lab.inside("control"):
        replicas = Replicas(lab)
        try:
            yield replicas
        finally:
            replicas.close()


@contextmanager
def replicas_of(layout: Layout) -> Iterator[Replicas]:
    """Make a lab, reach its clusters, and end it afterwards."""
    with throwaway_lab(PREFIX, layout) as lab, replicas_in(lab) as replicas:
        yield replicas
