"""The lab hosts that everybody is measured on, and the commands to run there."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from lab import Lab, Layout
from lab.layout import default_layout
from lab.prerequisites import choose_postgres

DEBIAN = {
    "base": "pg_ctlcluster {version[0]} {inst.herd.base_name}",
    "start": "{COMMANDS[base]} start",
    "stop": "{COMMANDS[base]} stop -m fast",
    "reload": "{COMMANDS[base]} reload",
    "promote": "{COMMANDS[base]} promote",
    "init": "pg_createcluster -d {pgdata} {version[0]} {inst.herd.base_name}",
}
"""COMMANDS as they are by default: a Perl program around pg_ctl."""

PLAIN = {
    "base": "/usr/lib/postgresql/{version[0]}/bin/pg_ctl -s -D {pgdata}",
    "start": "{COMMANDS[base]} -w -l {pgdata}/startup.log start",
    "stop": "{COMMANDS[base]} -w -m fast stop",
    "reload": "{COMMANDS[base]} reload",
    "promote": "{COMMANDS[base]} -w promote",
    "init": "/usr/lib/postgresql/{version[0]}/bin/initdb -D {pgdata}",
}
"""COMMANDS as documented for everywhere else: pg_ctl itself."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """One instance to be reloaded."""

    host: str
    cluster: str
    data_directory: str
    version: str
    plain: bool

    @property
    def name(self) -> str:
        """A name of its own for tools that know only hosts."""
        return f"{self.host}-{self.cluster}"

    @property
    def argv(self) -> list[str]:
        """The reload, as every contender runs it."""
        if self.plain:
            program = f"/usr/lib/postgresql/{self.version}/bin/pg_ctl"
            return [program, "-s", "-D", self.data_directory, "reload"]
        return ["pg_ctlcluster", self.version, self.cluster, "reload"]

    @property
    def line(self) -> str:
        """The reload as one shell command line."""
        return shlex.join(self.argv)


@dataclass(frozen=True, kw_only=True)
class Fleet:
    """A lab that is up, and a job for each of its instances."""

    lab: Lab
    version: str

    def jobs(self, *, plain: bool) -> list[Job]:
        """Return the reload of every instance."""
        return [
            Job(
                host=member,
                cluster=herd.name,
                data_directory=herd.data_root,
                version=self.version,
                plain=plain,
            )
            for herd in self.lab.herds.values()
            for member in herd.members
        ]

    def host_keys(self) -> dict[str, str]:
        """Return the key of every database host."""
        hosts = {member for herd in self.lab.herds.values() for member in herd.members}
        return {host: self.lab.host_key(host) for host in sorted(hosts)}


def layout_for(hosts: int, version: str) -> Layout:
    """Return a layout with two instances on every host."""
    return default_layout(hosts, version, per_host=2)


@contextmanager
def fleet(name: str, hosts: int) -> Iterator[Fleet]:
    """Give a fleet; a lab of this name that is up already is used and left up."""
    lab = Lab(name)
    version = choose_postgres(None)
    made = lab.up(layout_for(hosts, version), say=print)
    try:
        yield Fleet(lab=lab, version=version)
    finally:
        if made:
            lab.down()
