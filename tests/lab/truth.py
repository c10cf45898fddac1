"""The herds of a lab as they are: asked of the hosts, and not of the product."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from lab import HerdSpec, Lab, LabError
from lab.clusters import program


class Truth:
    """What the hosts of a lab say of their instances, named like ``trade@ele02``."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab

    def spec(self, herd: str) -> HerdSpec:
        """Give the lab's own description of a herd."""
        return self.lab.herds[herd]

    def hosts(self, herd: str) -> tuple[str, ...]:
        """Give the hosts of a herd, its primary's first."""
        return self.spec(herd).members

    def is_running(self, name: str) -> bool:
        """Tell whether a postmaster of ``trade@ele02`` lives."""
        herd, _, host = name.partition("@")
        status = self.lab.exec(
            host, [*self._pg_ctl(herd), "status"], user="postgres", check=False
        )
        return status.returncode == 0

    def began(self, *herds: str) -> dict[str, str]:
        """Give when the postmaster of every member began, as itself says."""
        return {
            f"{herd}@{host}": self.lab.sql(
                herd, host, "SELECT pg_postmaster_start_time()"
            )
            for herd in herds
            for host in self.hosts(herd)
        }

    def streams(self, herd: str) -> bool:
        """Tell whether every standby of a herd says that it streams.

        A primary would also count a standby that lost its power a while ago.
        """
        streaming = "SELECT status = 'streaming' FROM pg_stat_wal_receiver"
        try:
            return all(
                self.lab.sql(herd, host, streaming) == "t"
                for host in self.hosts(herd)[1:]
            )
        except LabError:
            return False

    def stop(self, name: str) -> None:
        """Stop an instance behind the product's back."""
        herd, _, host = name.partition("@")
        argv = [*self._pg_ctl(herd), "-m", "fast", "-w", "stop"]
        self.lab.exec(host, argv, user="postgres")

    def start(self, name: str) -> None:
        """Start an instance behind the product's back; one that runs is fine."""
        herd, _, host = name.partition("@")
        argv = [*self._pg_ctl(herd), "-w", "-s", "-l", f"/tmp/{herd}.log", "start"]
        if self.spec(herd).packaging == "debian":
            argv += ["-o", f"-c config_file={self.configuration(herd)}"]
        if not self.is_running(name):
            self.lab.exec(host, argv, user="postgres")

    def configuration(self, herd: str) -> str:
        """Give the path of a herd's postgresql.conf on its hosts."""
        spec = self.spec(herd)
        if spec.packaging == "debian":
            return f"/etc/postgresql/{spec.version}/{herd}/postgresql.conf"
        return f"{spec.data_root}/postgresql.conf"

    @contextlib.contextmanager
    def configured(self, name: str, lines: str) -> Iterator[None]:
        """Add lines to an instance's postgresql.conf until the block is left."""
        herd, _, host = name.partition("@")
        path = self.configuration(herd)
        before = self.lab.exec(host, ["cat", path]).stdout
        write = ["sh", "-c", 'cat >"$1"', "sh", path]
        self.lab.exec(host, write, stdin=before + lines)
        try:
            yield
        finally:
            self.lab.exec(host, write, stdin=before)

    def _pg_ctl(self, herd: str) -> list[str]:
        spec = self.spec(herd)
        return [program(spec, "pg_ctl"), "-D", spec.data_root]
