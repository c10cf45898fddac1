"""Replicas of every major: promoted, brought back by each way, created anew.

Each operation works on all majors at once. A test begins with a primary and a standby
in every herd that stream, and leaves them so, with their roles exchanged or not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from pytest_django import DjangoDbBlocker

from herds.domain.states import OperationState
from herds.models import Environment, Herd, Instance, Operation, Server
from herds.operations import requests
from lab import Lab, LabError, Layout
from lab.clusters import program
from tests.lab.majors import MAJORS, RHEL_COMMANDS, herd, lab_of
from tests.lab.metadata import MetadataServer
from tests.lab.product import ANNA, Product, ended, refreshed, said, target, until

HOSTS = {"debian": ("ele01", "ele02", "ele03"), "rhel": ("ele04", "ele05", "ele06")}
"""A primary's, a standby's, and one for replicas that are created."""

LAYOUT = Layout(
    hosts=(*HOSTS["debian"], *HOSTS["rhel"]),
    herds=tuple(
        herd(major, 5400 + int(major), *hosts[:2], packaging=packaging)
        for packaging, hosts in HOSTS.items()
        for major in MAJORS
    ),
)

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
    """The herds of one installation, each with a primary and another member."""

    def __init__(self, product: Product) -> None:
        self.product = product
        self.lab = product.lab
        self.herds = product.herds
        self.spare = HOSTS[product.spec(self.herds[0]).packaging][2]
        # Of every herd alike.
        self.new, self.old = product.hosts(self.herds[0])
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
        self.old, self.new = self.new, self.old
        operation = self.do("promote", self.new)
        assert operation.state == "succeeded", said(operation)
        self.lead_names()
        return operation

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


@pytest.fixture(scope="module")
def majors_lab() -> Iterator[Lab]:
    """A primary and a standby of every major, on Debian's hosts and on RHEL's."""
    with lab_of(LAYOUT, "replicas") as lab:
        yield lab


@pytest.fixture(scope="module", params=["debian", "rhel"])
def pairs(
    request: pytest.FixtureRequest,
    majors_lab: Lab,
    product_metadata: MetadataServer,
    django_db_blocker: DjangoDbBlocker,
) -> Iterator[Pairs]:
    """The product installed for each packaging, with a worker."""
    commands = {"debian": None, "rhel": RHEL_COMMANDS}[request.param]
    names = tuple(spec.name for spec in LAYOUT.herds if spec.packaging == request.param)
    with django_db_blocker.unblock():
        product = Product(
            majors_lab,
            product_metadata,
            f"majors_replicas_{request.param}",
            names,
            commands,
        )
        with product.used_here(), product.worker():
            yield Pairs(product)


@pytest.mark.parametrize("method", ["rewind", "rsync", "basebackup"])
def test_a_diverged_old_primary_comes_back(pairs: Pairs, method: str) -> None:
    promoted = pairs.promote()

    for name in pairs.herds:
        assert pairs.sql(name, pairs.new, "SELECT pg_is_in_recovery()") == "f"
        control = "SELECT timeline_id FROM pg_control_checkpoint()"
        timeline = pairs.sql(name, pairs.new, control)
        outcome = target(promoted, f"{name}@{pairs.new}").outcome
        assert f"It writes on timeline {timeline}." in outcome
        assert int(timeline) > 1

    pairs.write(pairs.old)
    pairs.write(pairs.new)
    operation = pairs.do("demote", pairs.old, method=method)

    pairs.are_whole(operation)


@pytest.mark.parametrize("method", ["rewind", "rsync"])
def test_a_crashed_old_primary_comes_back(pairs: Pairs, method: str) -> None:
    pairs.promote()
    pairs.write(pairs.old)
    pairs.write(pairs.new)
    pairs.crashed(pairs.old)

    operation = pairs.do("demote", pairs.old, method=method)

    pairs.are_whole(operation)


def test_an_old_primary_that_was_stopped_before_follows(pairs: Pairs) -> None:
    pairs.write(pairs.new)
    pairs.stopped(pairs.new)
    pairs.promote()
    pairs.write(pairs.new)

    operation = pairs.do("demote", pairs.old, method="follow")

    pairs.are_whole(operation)


def test_a_standby_that_was_away_follows(pairs: Pairs) -> None:
    pairs.stopped(pairs.old)
    pairs.write(pairs.new)

    operation = pairs.do("rebuild", pairs.old, method="follow")

    pairs.are_whole(operation)


def test_a_replica_is_created_where_there_is_none(pairs: Pairs) -> None:
    for name in pairs.herds:
        add_instance(pairs, name)
    operation = pairs.do("register", pairs.spare, method="basebackup")

    pairs.are_whole(operation, pairs.spare)
    for name in pairs.herds:
        outcome = target(operation, f"{name}@{pairs.spare}").outcome
        assert outcome.startswith("Created as a replica."), outcome


@pytest.mark.parametrize("version", MAJORS)
def test_a_new_cluster_is_created_of_the_version_chosen(
    pairs: Pairs, version: str
) -> None:
    packaging = pairs.product.spec(pairs.herds[0]).packaging
    spec = herd(version, 5500 + int(version), pairs.spare, packaging=packaging)
    row = Herd.objects.create(
        herd_name=f"fresh{version}",
        base_name=f"fresh{version}",
        environment=Environment.objects.get(env_name=spec.environment),
        db_port=spec.port,
        pgdata=f"{spec.data_root.rpartition('/')[0]}/fresh{version}",
        vhost=pairs.lab.state.vhost(f"fresh{version}"),
    )
    member = Instance.objects.create(herd=row, server=server(pairs))

    operation = carried_out(
        requests.draft("register", [member.pk], ANNA, {"version": version})
    )

    assert operation.state == "succeeded", said(operation)
    member.refresh_from_db()
    assert member.version.startswith(f"{version}.")
    assert (member.is_online, member.master) == (True, None)
    lock = pairs.lab.exec(pairs.spare, ["cat", f"{row.pgdata}/postmaster.pid"]).stdout
    _, directory, _, port, socket, *_ = lock.splitlines()
    assert (directory, port) == (row.pgdata, str(row.db_port))
    argv = [program(spec, "psql"), "-h", socket, "-p", port, "-Atc", "SHOW port"]
    asked = pairs.lab.exec(pairs.spare, [*argv, "postgres"], user="postgres")
    assert asked.stdout.strip() == port


def add_instance(pairs: Pairs, name: str) -> None:
    """Enter a member of a herd on the spare host into the inventory."""
    row = Herd.objects.get(herd_name=name)
    Instance.objects.create(herd=row, server=server(pairs))


def server(pairs: Pairs) -> Server:
    """Give the spare host's row."""
    row, _ = Server.objects.get_or_create(
        hostname=pairs.spare,
        defaults={
            "environment": Environment.objects.get(env_name="prod"),
            "host_key": pairs.lab.host_key(pairs.spare),
        },
    )
    return row
