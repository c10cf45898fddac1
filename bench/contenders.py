"""What every tool that is measured has to offer, and the floor under them all."""

from __future__ import annotations

import subprocess
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import ExitStack
from typing import ClassVar, Self

from bench.cluster import HERD, Cluster
from lab import access

Switch = Callable[[], object]
"""Says yes, and returns when the tool says that it is done."""


class Contender(ABC):
    """A tool that has a cluster in its care while the context lasts."""

    name: ClassVar[str]
    """What it is called in the report."""
    moves_name: ClassVar[bool] = False
    """Whether the herd's virtual host leads to the new primary afterwards."""
    brings_followers: ClassVar[bool] = True
    """Whether all nodes follow the new primary afterwards, the old one too."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.stack = ExitStack()

    def __enter__(self) -> Self:
        """Take the cluster over."""
        with ExitStack() as stack:
            self.stack = stack
            self.take_over()
            self.stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        """End what runs outside of the cluster's hosts, which go by themselves."""
        self.stack.close()

    @abstractmethod
    def take_over(self) -> None:
        """Set the tool up on a cluster that replicates.

        What has to end with the context goes on ``stack``.
        """

    @abstractmethod
    def plan(self, old: str, new: str) -> Switch:
        """Do what comes before the person says yes; return what saying it runs."""

    def restore(self, old: str, new: str) -> None:
        """Make the cluster whole again, where the tool leaves that to others.

        Raises NotImplementedError for a tool that brings the followers itself.
        """
        raise NotImplementedError(f"{self.name} brings the followers of {new} itself.")


class Floor(Contender):
    """PostgreSQL's own two commands, each on the spot: no tool can do without.

    A shell waits on either host, so that not even the start of a program is counted
    that is not the command itself.
    """

    name = "pg_ctl stop, pg_ctl promote"
    brings_followers = False

    def take_over(self) -> None:
        """Nothing is needed."""

    def plan(self, old: str, new: str) -> Switch:
        """Take checkpoints, and have the commands wait for their word."""
        for host in (old, new):
            self.cluster.sql(host, "CHECKPOINT")
        stop = self._waiting(old, "-w", "-m", "fast", "stop")
        promote = self._waiting(new, "-w", "promote")

        def switch() -> None:
            for command in (stop, promote):
                said, _ = command.communicate(b"go\n")
                if command.returncode != 0:
                    raise RuntimeError(f"pg_ctl failed: {said.decode()}")

        return switch

    def restore(self, old: str, new: str) -> None:
        """Lead the name to the new primary, and start the old one as a follower."""
        cluster = self.cluster
        domain = cluster.lab.domain
        update = ["nsupdate", "-k", str(cluster.lab.dns_key)]
        name = f"{HERD}.{domain}."
        text = (
            f"server {cluster.address('dns')}\nupdate delete {name} CNAME\n"
            f"update add {name} 5 CNAME {new}.{domain}.\nsend\n"
        )
        cluster.lab.exec("control", update, stdin=text)
        cluster.write(old, f"{cluster.data}/standby.signal", "")
        cluster.start(old)

    def _waiting(self, host: str, *arguments: str) -> subprocess.Popen[bytes]:
        line = ["sh", "-c", 'echo ready; read -r go && exec "$@"', "sh"]
        command = access.entering(
            access.init_of(self.cluster.lab.state, host),
            [*line, *self.cluster.pg_ctl(*arguments)],
            user="postgres",
        )
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        assert process.stdout is not None
        process.stdout.readline()
        return process
