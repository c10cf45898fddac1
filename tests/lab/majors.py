"""Herds of every major that we support, in a lab of their own, worked on at once."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from herds.domain.states import OperationState
from herds.models import Instance, Operation
from herds.operations import requests
from lab import HerdSpec, Lab, LabError, Layout, majors
from lab.clusters import program
from lab.layout import Packaging, default_data_root
from tests.lab.product import (
    ANNA,
    PLAIN_COMMANDS,
    Product,
    ended,
    refreshed,
    said,
    until,
)
from tests.lab.throwaway import throwaway_lab

PREFIX = "test-majors-"

MAJORS = ("14", "15", "16", "17", "18")

RHEL_COMMANDS = {
    name: template.replace(
        "/usr/lib/postgresql/{version[0]}", "/usr/pgsql-{version[0]}"
    )
    for name, template in PLAIN_COMMANDS.items()
}
"""What the settings say for plain pg_ctl, with the programs where RHEL has them."""


def herd(version: str, port: int, *hosts: str, packaging: Packaging) -> HerdSpec:
    """Describe a herd that is named after its packaging and major: ``debian14``."""
    name = f"{packaging}{version}"
    return HerdSpec(
        name=name,
        environment="prod",
        port=port,
        members=hosts,
        data_root=default_data_root(name, version, packaging),
        packaging=packaging,
        version=version,
    )


@contextmanager
def lab_of(layout: Layout, purpose: str) -> Iterator[Lab]:
    """Make a lab for one purpose, and end it afterwards.

    Where the majors are not installed the tests are skipped, saying how to have them;
    in CI they have to be there.
    """
    lacking = majors.lacking()
    if lacking:
        told = (
            f"PostgreSQL {', '.join(lacking)} is not installed for the lab; "
            "install it with: python -m lab majors"
        )
        (pytest.fail if os.environ.get("CI") else pytest.skip)(told)
    with throwaway_lab(PREFIX, layout, purpose) as lab:
        yield lab


_TABLES = """
CREATE TABLE kept AS
SELECT n, repeat(md5(n::text), 8) AS pad FROM generate_series(1, 4000) n;
CREATE TABLE written (n int, what text);
"""

_WRITE = """
UPDATE kept SET pad = '{host}' WHERE n % 40 = {remainder};
INSERT INTO written SELECT n, '{host}' FROM generate_series(1, 500) n;
"""

_SUMS = """
SELECT (SELECT md5(string_agg(t::text, ',' ORDER BY t::text)) FROM kept t)
    || (SELECT md5(string_agg(t::text, ',' ORDER BY t::text)) FROM written t)
"""

_TIMELINE = "SELECT substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8)"

_STREAMS = """
SELECT status = 'streaming' AND lpad(upper(to_hex(received_tli)), 8, '0') = '{}'
   AND pg_last_wal_replay_lsn() >= '{}'
  FROM pg_stat_wal_receiver
"""


class Pairs:
    """The herds of one installation, each with a primary and another member.

    ``new`` and ``old`` name the hosts of these, in every herd alike: ``new`` is the
    primary's. ``spare`` names one without members.
    """

    def __init__(self, product: Product, new: str, old: str, spare: str = "") -> None:
        self.product = product
        self.lab = product.lab
        self.herds = product.herds
        self.new, self.old, self.spare = new, old, spare
        self.everywhere(lambda herd: self.sql(herd, self.new, _TABLES))

    def everywhere(self, what: Callable[[str], object]) -> None:
        """Do something for every herd, several at once."""
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(what, self.herds))

    def sql(self, herd: str, host: str, query: str) -> str:
        return self.lab.sql(herd, host, query)

    def write(self, host: str) -> None:
        """Change some of the rows of every herd on a host, and add some."""
        query = _WRITE.format(host=host, remainder=int(host[-1]))
        self.everywhere(lambda herd: self.sql(herd, host, query))

    def promote(self) -> Operation:
        """Promote every standby through the product; the names follow it."""
        operation = self.do("promote", self.old)
        self.were_promoted(operation)
        return operation

    def were_promoted(self, operation: Operation) -> None:
        """See that every standby was; the names follow it."""
        self.old, self.new = self.new, self.old
        assert operation.state == "succeeded", said(operation)
        assert operation.targets.count() == len(self.herds)
        for name in self.herds:
            assert self.sql(name, self.new, "SELECT pg_is_in_recovery()") == "f", name
        self.lead_names()

    def leave_alone(self) -> None:
        """Take away the member of every herd that is no primary, and all its traces."""
        Instance.objects.filter(server__hostname=self.old).delete()
        self.everywhere(self._take_away)

    def _take_away(self, herd: str) -> None:
        spec = self.product.spec(herd)
        script = (
            '[ ! -f "$2/postmaster.pid" ] || "$1" -s -D "$2" -m immediate stop;'
            ' rm -rf "$2" "/etc/postgresql/$3/$4"'
        )
        argv = ["sh", "-c", script, "sh", program(spec, "pg_ctl"), spec.data_root]
        self.lab.exec(self.old, [*argv, spec.version, herd], user="postgres")

    def lead_names(self) -> None:
        """Have the virtual hosts' names lead to the new primaries."""
        state, primary = self.lab.state, f"{self.new}.{self.lab.domain}"
        lines = [f"server {state.hosts['dns'].address}", f"zone {self.lab.domain}"]
        for name in self.herds:
            lines += [
                f"update delete {state.vhost(name)}. CNAME",
                f"update add {state.vhost(name)}. 1 CNAME {primary}.",
            ]
        argv = ["nsupdate", "-k", str(self.lab.dns_key)]
        self.lab.exec("control", argv, stdin="\n".join([*lines, "send", ""]))

    def do(self, action: str, host: str, **choices: str) -> Operation:
        """Carry out an action for every herd's member on a host, in one operation."""
        operation = self.product.draft(
            action, *(f"{each}@{host}" for each in self.herds)
        )
        return carried_out(operation, **choices)

    def stopped(self, host: str) -> None:
        """Stop every herd's member on a host, cleanly."""
        self.everywhere(lambda herd: self.product.stop(f"{herd}@{host}"))

    def crashed(self, host: str) -> None:
        """End every herd's server on a host at once, as when it runs out of memory."""
        kill = 'kill -9 "$(head -n 1 "$1/postmaster.pid")"'
        for name in self.herds:
            argv = ["sh", "-c", kill, "sh", self.product.spec(name).data_root]
            self.lab.exec(host, argv)
        names = [f"{name}@{host}" for name in self.herds]
        until(lambda: not any(map(self.product.is_running, names)), 30, "all crashed")

    def are_whole(self, operation: Operation, host: str = "") -> None:
        """See that what an operation worked on is what it should be, on every major."""
        host = host or self.old
        assert operation.state == "succeeded", said(operation)
        assert operation.targets.count() == len(self.herds)
        # A rewind that fails goes on as a copy: here none may.
        for each in operation.targets.all():
            failed = [step.name for step in each.steps.filter(state="failed")]
            assert not failed, f"{each}: {failed}"
        self.everywhere(lambda herd: self._prove(herd, host))
        for name in self.herds:
            member = self.product.instance(f"{name}@{host}")
            assert member.master == self.product.instance(f"{name}@{self.new}")
            assert member.is_online
            assert member.version.startswith(f"{self.product.spec(name).version}.")

    def _prove(self, herd: str, host: str) -> None:
        self._is_equal(herd, host)
        spec = self.product.spec(herd)
        self.product.stop(f"{herd}@{host}")
        check = [program(spec, "pg_checksums"), "--check", "-D", spec.data_root]
        assert "Bad checksums:  0" in self.lab.exec(host, check, user="postgres").stdout
        self.product.start(f"{herd}@{host}")
        self._is_equal(herd, host)
        held = self.sql(herd, self.new, "SELECT count(*) FROM pg_replication_slots")
        assert held == "0", f"{herd}: a slot is left on {self.new}"

    def follow(self, operation: Operation, host: str) -> None:
        """See that an operation brought a member of every herd to follow the other."""
        assert operation.state == "succeeded", said(operation)
        assert operation.targets.count() == len(self.herds)
        self.everywhere(lambda herd: self._is_equal(herd, host))

    def _is_equal(self, herd: str, host: str) -> None:
        timeline = self.sql(herd, self.new, _TIMELINE)
        position = self.sql(herd, self.new, "SELECT pg_current_wal_lsn()")
        query = _STREAMS.format(timeline, position)

        def streams() -> bool:
            try:
                return self.sql(herd, host, query) == "t"
            except LabError:
                return False

        until(streams, 30, f"{herd} on {host} streams {timeline} up to {position}")
        sums = self.sql(herd, self.new, _SUMS)
        assert self.sql(herd, host, _SUMS) == sums, f"{herd}: other rows on {host}"


def carried_out(operation: Operation, **choices: str) -> Operation:
    """Wait for the plan, say yes to it with what is chosen, and wait for the end."""

    def is_written() -> bool:
        return refreshed(operation).state != OperationState.PLANNING

    until(is_written, 60, "the plan is written")
    refused = [str(each.outcome) for each in operation.targets.filter(state="refused")]
    assert not refused, refused
    requests.confirm(operation.pk, ANNA, acknowledged=True, choices=choices)
    return ended(operation, 120)
