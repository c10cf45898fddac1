"""Herds whose members have parted, rebuilds of them, and what proves one.

Everything is asked of the product as people ask: a plan is drafted, a worker looks at
the hosts and writes it, somebody says yes with what they chose, and a worker carries it
out. What is true is asked of the hosts themselves.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone
from pytest_django import DjangoDbBlocker

from herds.domain.states import OperationState
from herds.models import Instance, Operation, OperationStep, Worker
from herds.operations import reaper, requests
from lab import HerdSpec, Lab, LabError, Layout
from lab.clusters import program
from tests.lab.metadata import MetadataServer
from tests.lab.product import (
    ANNA,
    PLAIN_COMMANDS,
    Product,
    ended,
    refreshed,
    said,
    target,
    until,
)
from tests.lab.throwaway import throwaway_lab

PREFIX = "test-rebuild-"
MB = 1024 * 1024

SLOW = 6 * MB
"""Bytes a second of a copy that is to be caught in the middle, and to end."""

CRAWL = 2 * MB
"""Bytes a second of a copy that is to be caught in the middle, and not to end."""

FRESH = 16
"""Megabytes that only the new primary has: there is a middle to be caught in."""

COPYING = {"rewind": "rewind", "rsync": "copy", "basebackup": "copy"}
"""The step that brings the data, by rung."""

SETTINGS: Mapping[str, Any] = {
    "SSH": {"CONNECT_TIMEOUT": 2.0},
    "OPERATIONS": {"PATIENCE": 15.0},
}
"""What keeps a worker from waiting for long where waiting is vain."""


COMMANDS = {
    **PLAIN_COMMANDS,
    "start": PLAIN_COMMANDS["start"].replace(" -w ", " -w -t 5 "),
    "stop": PLAIN_COMMANDS["stop"].replace(" -w ", " -w -t 3 "),
}
"""Plain ones, that do not wait for a minute for what does not come."""


def _herd(name: str, port: int, hosts: str, parent: str = "15") -> HerdSpec:
    return HerdSpec(
        name=name,
        environment="prod",
        port=port,
        members=tuple(f"ele{number}" for number in hosts.split()),
        data_root=f"/var/lib/postgresql/{parent}/{name}",
        packaging="debian" if name in DEBIAN_HERDS else "plain",
    )


DEBIAN_HERDS = ("trade",)

LAYOUT = Layout(
    hosts=tuple(f"ele{number:02}" for number in range(1, 6)),
    herds=(
        _herd("trade", 5432, "01 02 03"),
        _herd("quote", 5433, "01 02"),
        _herd("orders", 5436, "01 02"),
        _herd("bare", 5434, "02 03"),
        _herd("small", 5435, "04 05", "disk"),
    ),
)
"""Four plain herds, one of them on small disks, and one as Debian packages it."""

_FILLER = f"""
CREATE TABLE filler AS SELECT n, repeat(md5(n::text), 30) AS pad
  FROM generate_series(1, {8 * 1024}) n;
CREATE TABLE written (what text);
CHECKPOINT;
"""

_SUMS = """
SELECT string_agg(concat_ws(' ', relname, (xpath('/row/sum/text()', query_to_xml(
    format('SELECT sum(hashtext(t::text)::bigint) FROM %I t', relname), true, true, ''
  )))[1]), ', ' ORDER BY relname)
  FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace
"""

_TIMELINE = "SELECT substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8)"

_STREAMS = """
SELECT status = 'streaming' AND lpad(upper(to_hex(received_tli)), 8, '0') = '{}'
  FROM pg_stat_wal_receiver
"""

# Everything that the product starts on a host bears its mark, and so do the servers
# that it started, which are to stay.
_LEFTOVERS = """
for each in /proc/[0-9]*; do
  read -r name <"$each/comm" 2>/dev/null || continue
  case $name in postgres | pg_ctl) continue ;; esac
  grep -qz '^ELEPHAAS_RUN=' "$each/environ" 2>/dev/null &&
    tr '\\0' ' ' <"$each/cmdline" && echo
done
:
"""

_HELD = """
SELECT (SELECT count(*) FROM pg_replication_slots) + (SELECT count(*)
  FROM pg_stat_activity WHERE application_name ~ '^(elephaas|pg_basebackup|pg_rewind)')
"""


class Parted:
    """A herd of two whose old primary has to come back under the new one.

    ``old`` and ``new`` name their hosts; every ``part`` exchanges them.
    """

    def __init__(self, product: Product, herd: str) -> None:
        self.product = product
        self.lab = product.lab
        self.herd = herd
        self.spec = product.spec(herd)
        self.root = self.spec.data_root
        self.new, self.old = self.spec.members[:2]
        self.action = "rebuild"
        self.sql(self.new, _FILLER)

    @property
    def target(self) -> str:
        """The member that is rebuilt, named like ``trade@ele02``."""
        return f"{self.herd}@{self.old}"

    # What is done behind the product's back

    def sql(self, host: str, query: str) -> str:
        """Ask a member something."""
        return self.lab.sql(self.herd, host, query)

    def run(self, host: str, *argv: str, check: bool = True) -> str:
        """Run a program on a host as the owner of the data."""
        done = self.lab.exec(host, argv, user="postgres", check=check, timeout=90)
        return done.stdout + done.stderr

    def shell(self, host: str, script: str, *values: str, user: str = "root") -> str:
        """Run a shell script in a member's data directory."""
        argv = ["sh", "-c", f'cd "$1" && shift\n{script}', "sh", self.root, *values]
        return self.lab.exec(host, argv, user=user).stdout

    def part(self, *, fresh: int = FRESH, stop: bool = True) -> None:
        """Promote the standby; both then write, and the inventory and DNS are told.

        A stopped old primary is rebuilt, one that runs on is demoted.

        Args:
            fresh: megabytes that the new primary gets and the old one never had.
            stop: whether the old primary is stopped afterwards; it runs on otherwise.
        """
        self.action = "rebuild" if stop else "demote"
        self.old, self.new = self.new, self.old
        mark = f"{time.monotonic_ns():x}"
        self.sql(self.new, "SELECT pg_promote()")
        self.sql(self.new, "DROP TABLE IF EXISTS fresh; CHECKPOINT")
        for host in (self.old, self.new):
            self.sql(host, f"INSERT INTO written VALUES ('{host} {mark}')")
            self.sql(host, "UPDATE filler SET pad = reverse(pad) WHERE n % 100 = 7")
        if fresh:
            self.sql(
                self.new,
                "CREATE TABLE fresh AS SELECT n, repeat(md5(n::text), 30) AS pad"
                f" FROM generate_series(1, {fresh * 1024}) n; CHECKPOINT",
            )
        self.tell()
        if stop:
            self.product.stop(self.target)
        else:
            Instance.objects.filter(pk=self.product.instance(self.target).pk).update(
                master=None
            )

    def tell(self) -> None:
        """Have inventory and DNS name the new primary."""
        row = self.product.instance
        Instance.objects.filter(pk=row(f"{self.herd}@{self.new}").pk).update(
            master=None
        )
        others = [host for host in self.spec.members if host != self.new]
        for host in others:
            Instance.objects.filter(pk=row(f"{self.herd}@{host}").pk).update(
                master=row(f"{self.herd}@{self.new}")
            )
        self.lead(self.new)

    def lead(self, host: str) -> None:
        """Have the virtual host's name lead to a host."""
        state, name = self.lab.state, f"{self.herd}.{self.lab.domain}."
        commands = (
            f"server {state.hosts['dns'].address}\nzone {self.lab.domain}\n"
            f"update delete {name} CNAME\n"
            f"update add {name} 1 CNAME {host}.{self.lab.domain}.\nsend\n"
        )
        argv = ["nsupdate", "-k", str(self.lab.dns_key)]
        self.lab.exec("control", argv, stdin=commands)

    def restart(self, host: str) -> None:
        """Restart a member, as somebody else would."""
        argv = [self.program("pg_ctl"), "-D", self.root, "-w", "-s", *self.options()]
        self.run(host, *argv, "-m", "fast", "-l", f"/tmp/{self.herd}.log", "restart")

    @contextlib.contextmanager
    def set(self, host: str, **settings: str) -> Iterator[None]:
        """Have a server use other settings for a while."""
        for name, value in settings.items():
            self.sql(host, f"ALTER SYSTEM SET {name} = '{value}'")
        self.sql(host, "SELECT pg_reload_conf()")
        try:
            yield
        finally:
            for name in settings:
                self.sql(host, f"ALTER SYSTEM RESET {name}")
            self.sql(host, "SELECT pg_reload_conf()")

    def recycle_wal(self, host: str) -> None:
        """Write so much WAL that a server removes what nobody is known to need."""
        rows = "SELECT repeat('w', 2000) FROM generate_series(1, 500)"
        many = f"INSERT INTO written {rows}"
        for _ in range(3):
            self.sql(host, many)
            self.sql(host, "DELETE FROM written WHERE what LIKE 'www%'")
            self.sql(host, "SELECT pg_switch_wal()")
            self.sql(host, "CHECKPOINT")

    def start(self, host: str) -> None:
        """Start a member and see it run."""
        self.product.start(f"{self.herd}@{host}")

    @contextlib.contextmanager
    def supervised(self, seconds: float) -> Iterator[None]:
        """Have something on its host start the target whenever it does not run."""
        loop = (
            f'while sleep {seconds}; do "$1" -D "$2" -l /tmp/loop.log -W -s start; done'
        )
        argv = ["sh", "-c", f"({loop}) >/dev/null 2>&1 & echo $!", "sh"]
        argv += [self.program("pg_ctl"), self.root]
        supervisor = self.lab.exec(self.old, argv, user="postgres").stdout.strip()
        try:
            yield
        finally:
            self.run(self.old, "kill", supervisor)

    @contextlib.contextmanager
    def slow(self, host: str, bits: str = "16mbit") -> Iterator[None]:
        """Let little pass from a host to all others."""
        shape = ["tc", "qdisc", "add", "dev", "eth0", "root", "tbf", "rate", bits]
        self.lab.exec(host, [*shape, "burst", "64k", "latency", "100ms"])
        try:
            yield
        finally:
            self.lab.exec(host, ["tc", "qdisc", "del", "dev", "eth0", "root"])

    @contextlib.contextmanager
    def slowed(self, method: str, bandwidth: int = CRAWL) -> Iterator[int]:
        """Have a rung take seconds; give the bandwidth to ask for.

        A rewind has no limit to ask for: the network has it, until the block is left.
        """
        if method != "rewind":
            yield bandwidth
            return
        with self.slow(self.new):
            yield 0

    @contextlib.contextmanager
    def frozen_checkpointer(self, host: str) -> Iterator[None]:
        """Keep a server from doing checkpoints."""
        pid = self.sql(
            host, "SELECT pid FROM pg_stat_activity WHERE backend_type = 'checkpointer'"
        )
        self.run(host, "kill", "-STOP", pid)
        try:
            yield
        finally:
            self.run(host, "kill", "-CONT", pid)

    @contextlib.contextmanager
    def full_disk(self, left: int = 0) -> Iterator[None]:
        """Leave so many bytes free on the target's file system, for a while."""
        disk = str(Path(self.root).parent)
        ballast = f"{disk}/ballast"
        script = (
            'free() { df --output=avail -B1 "$1" | tail -n 1; };'
            ' fallocate -l "$(($(free "$1") - $2 - 1048576))" "$1/ballast" &&'
            ' head -c "$(($(free "$1") - $2))" /dev/zero >>"$1/ballast" ||'
            ' [ "$2" = 0 ]'
        )
        self.shell(self.old, script, disk, str(left))
        try:
            yield
        finally:
            self.shell(self.old, 'rm -f "$1"', ballast)

    # What is asked of the product

    def plan(self, **parameters: Any) -> Operation:
        """Draft a rebuild of the target and wait until its plan is written."""
        return planned(self.product, self.action, self.target, **parameters)

    def ask(self, *, bandwidth: int = 0, **choices: str) -> Operation:
        """Plan a rebuild and say yes to it, with what was chosen."""
        limit = {"bandwidth": bandwidth} if bandwidth else {}
        operation = self.plan(**limit)
        row = target(operation, self.target)
        assert row.state == "planned", row.outcome
        return confirmed(operation, **choices)

    def rebuild(self, *, seconds: float = 60.0, **choices: str) -> Operation:
        """Rebuild the target and wait for the end, whatever it is."""
        return ended(self.ask(**choices), seconds)

    def step(self, operation: Operation, name: str) -> OperationStep:
        """Read the latest step of this name of the target."""
        found = target(operation, self.target).steps.filter(name=name)
        latest = found.order_by("attempt", "number").last()
        assert latest is not None, f"no step {name}: {said(operation)}"
        return latest

    def in_the_middle(self, operation: Operation, name: str) -> None:
        """Wait until a step has brought a part of its bytes."""

        def has_brought_some() -> bool:
            steps = target(operation, self.target).steps.filter(name=name)
            brought = steps.filter(state="running", progress__done__gt=0).exists()
            state = refreshed(operation).state
            assert state in {"queued", "running"}, f"too late: {said(operation)}"
            return brought

        until(has_brought_some, 30, f"step {name} is in the middle")

    def in_step(self, operation: Operation, name: str) -> None:
        """Wait until a step has begun and goes on."""

        def is_there() -> bool:
            steps = target(operation, self.target).steps.filter(name=name)
            state = refreshed(operation).state
            assert state in {"queued", "running"}, f"too late: {said(operation)}"
            return steps.filter(state="running").exists()

        until(is_there, 30, f"step {name} goes on")

    # What is true

    def failed(self, operation: Operation) -> str:
        """Give the sentence of a target that has failed."""
        row = target(operation, self.target)
        assert row.state == "failed", said(operation)
        return row.outcome

    def source_is_clean(self, source: str = "", seconds: float = 15.0) -> None:
        """See that no backup, slot, session or process is left on either host."""
        source = source or self.new
        until(lambda: self.sql(source, _HELD) == "0", seconds, "nothing is held")
        for host in (source, self.old):
            self.no_leftovers(host, seconds)

    def no_leftovers(self, host: str, seconds: float = 15.0) -> None:
        """See that nothing that the product started runs on a host any more."""
        left: list[str] = []

        def none() -> bool:
            left[:] = self.lab.exec(host, ["sh", "-c", _LEFTOVERS]).stdout.splitlines()
            return not left

        with contextlib.suppress(AssertionError):
            until(none, seconds)
        assert not left, f"on {host}: {left}"

    def is_marked(self) -> bool:
        """Tell whether the target says of itself that it is incomplete."""
        argv = ["test", "-e", f"{self.root}/elephaas.incomplete"]
        return self.lab.exec(self.old, argv, check=False).returncode == 0

    def is_incomplete_and_cannot_start(self) -> None:
        """See that the target says what it is, and that no start makes it run."""
        assert self.is_marked()
        assert not self.product.is_running(self.target)
        log = "/tmp/try.log"
        tried = self.run(
            *(self.old, self.program("pg_ctl"), "-D", self.root, "-w", "-t", "10"),
            *("-s", "-l", log, *self.options(), "start"),
            check=False,
        )
        assert not self.product.is_running(self.target), tried
        assert "could not start server" in tried, tried

    def takes_writes(self, host: str) -> bool:
        """Tell whether a member is a primary that answers."""
        try:
            return self.sql(host, "SELECT pg_is_in_recovery()") == "f"
        except LabError:
            return False

    def digest(self) -> str:
        """Tell the stopped target's files, to see later that none was changed."""
        files = "find . -type f ! -name postmaster.opts -exec md5sum {} + | sort"
        return self.shell(self.old, files)

    def still_has_its_own(self) -> None:
        """See that the target runs unmarked with what it wrote after the parting."""
        until(lambda: self.product.is_running(self.target), 10, "it runs")
        assert not self.is_marked()
        lost = f"SELECT count(*) > 0 FROM written WHERE what LIKE '{self.old} %'"

        def answer() -> str:
            with contextlib.suppress(LabError):
                return self.sql(self.old, lost)
            return ""

        until(lambda: answer() == "t", 10, "it has its own rows")

    def is_whole(self, host: str = "", *, checksums: bool = True) -> None:
        """See a member stream the primary's timeline, equal to it, each block whole."""
        host = host or self.old
        name = f"{self.herd}@{host}"
        assert not self.is_marked()
        self._is_equal(host)
        if checksums:
            self.product.stop(name)
            self.run(host, self.program("pg_checksums"), "--check", "-D", self.root)
            self.start(host)
            self._is_equal(host)
        assert self.product.instance(name).is_online

    def _is_equal(self, host: str) -> None:
        self.sql(self.new, "INSERT INTO written VALUES ('after')")
        streams = _STREAMS.format(self.sql(self.new, _TIMELINE))
        until(lambda: self.sql(host, streams) == "t", 15, "it streams")
        sums = self.sql(self.new, _SUMS)
        until(lambda: self.sql(host, _SUMS) == sums, 15, "the tables are equal")

    def succeeded(self, operation: Operation, *, checksums: bool = True) -> str:
        """See that a rebuild succeeded in every way, and give its sentence."""
        assert operation.state == "succeeded", said(operation)
        self.is_whole(checksums=checksums)
        self.source_is_clean()
        outcome = target(operation, self.target).outcome
        assert f"{self.old} streams from {self.new} on timeline" in outcome
        return outcome

    def succeeds_again(self, *, checksums: bool = True, **choices: str) -> str:
        """Run the same rebuild again and see it succeed."""
        return self.succeeded(self.rebuild(**choices), checksums=checksums)

    def make_whole(self) -> None:
        """Copy every other member from the new primary, where a test left it broken."""
        self.action = "rebuild"
        with contextlib.suppress(LabError):
            standbys = [host for host in self.spec.members if host != self.new]
            if all(self._follows(host) for host in standbys):
                return
        self.start(self.new)
        self.tell()
        for host in (each for each in self.spec.members if each != self.new):
            if self._follows(host):
                continue
            if self.product.is_running(f"{self.herd}@{host}"):
                self.run(
                    host, self.program("pg_ctl"), "-D", self.root, "-m", "fast", "stop"
                )
            keep = "find . -mindepth 1 -delete"
            self.shell(host, keep)
            self._copy(host)
            self.start(host)
        until(
            lambda: all(map(self._follows, standbys)), 30, f"{self.herd} is whole again"
        )

    def _copy(self, host: str) -> None:
        connection = (
            f"host={self.new}.{self.lab.domain} port={self.spec.port} user=replication"
            f" application_name={self.herd}_{host}"
        )
        argv = [self.program("pg_basebackup"), "-D", self.root, "-d", connection]
        self.run(host, *argv, "-c", "fast", "-R", "-w")

    def _follows(self, host: str) -> bool:
        try:
            streams = _STREAMS.format(self.sql(self.new, _TIMELINE))
            return self.sql(host, streams) == "t"
        except LabError:
            return False

    def program(self, name: str) -> str:
        """Give the path of one of PostgreSQL's programs on the hosts."""
        return f"/usr/lib/postgresql/{self.lab.state.postgres}/bin/{name}"

    def options(self) -> tuple[str, ...]:
        """Give what pg_ctl needs to start a member."""
        if self.spec.packaging != "debian":
            return ()
        return ("-o", f"-c config_file={self.product.configuration(self.herd)}")


def planned(product: Product, action: str, *names: str, **parameters: Any) -> Operation:
    """Draft an action and wait until a worker has written its plan."""
    members = [member.pk for name in names for member in product.members(name)]
    operation = requests.draft(action, members, ANNA, parameters)

    def is_written() -> bool:
        return refreshed(operation).state == OperationState.PLANNED

    until(is_written, 30, "the plan is written")
    return refreshed(operation)


def confirmed(operation: Operation, **choices: str) -> Operation:
    """Say yes to a plan and to its warnings."""
    return requests.confirm(operation.pk, ANNA, acknowledged=True, choices=choices)


def reaped(operation: Operation, worker: Worker) -> None:
    """Let a killed worker's silence be noticed."""
    Worker.objects.filter(pk=worker.pk).update(
        heartbeat_at=timezone.now() - timedelta(seconds=30)
    )
    reaper.reap()
    assert refreshed(operation).state == OperationState.INTERRUPTED


# Fixtures, known to every test as tests/conftest.py names this module


@pytest.fixture(scope="session")
def rebuild_lab() -> Iterator[Lab]:
    """A lab of five hosts and five herds, for all tests of rebuilds."""
    with throwaway_lab(PREFIX, LAYOUT) as lab:
        _take_away_hints(lab)
        _give_small_disks(lab)
        yield lab


def _take_away_hints(lab: Lab) -> None:
    """Have one herd's WAL not tell every block that changes."""
    spec = lab.herds["bare"]
    script = (
        'set -e; bin=$1; cd "$2"; $bin/pg_ctl -D . -w -s stop;'
        " $bin/pg_checksums -D . --disable;"
        " sed -i s/wal_log_hints.*/wal_log_hints=off/ postgresql.conf;"
        " $bin/pg_ctl -D . -w -s -l /tmp/bare.log start"
    )
    for host in spec.members:
        argv = ["sh", "-c", script, "sh", str(Path(program(spec, "pg_ctl")).parent)]
        lab.exec(host, [*argv, spec.data_root], user="postgres")


def _give_small_disks(lab: Lab) -> None:
    """Move one herd to file systems that can be filled."""
    spec = lab.herds["small"]
    script = (
        'set -e; as="runuser -u postgres -- $1 -D $2 -w -s"; disk=$(dirname "$2");'
        ' $as stop; cp -a "$disk" /tmp/disk;'
        ' mount -t tmpfs -o "size=300m,mode=700,uid=postgres" tmpfs "$disk";'
        ' cp -a /tmp/disk/. "$disk"; rm -r /tmp/disk; $as -l /tmp/small.log start'
    )
    for host in spec.members:
        lab.exec(
            host, ["sh", "-c", script, "sh", program(spec, "pg_ctl"), spec.data_root]
        )


@pytest.fixture(scope="session")
def rebuild_products(
    rebuild_lab: Lab,
    product_metadata: MetadataServer,
    django_db_blocker: DjangoDbBlocker,
) -> dict[str, Product]:
    """The product with plain commands, and with Debian's."""
    plain = tuple(name for name in rebuild_lab.herds if name not in DEBIAN_HERDS)
    with django_db_blocker.unblock():
        return {
            "plain": Product(
                rebuild_lab, product_metadata, "rebuilds", plain, COMMANDS
            ),
            "debian": Product(
                rebuild_lab, product_metadata, "rebuilds_debian", DEBIAN_HERDS
            ),
        }


@pytest.fixture(scope="session")
def rebuild_herds(rebuild_products: dict[str, Product]) -> dict[str, Parted]:
    """Every herd of the lab, with tables in it."""
    return {
        herd: Parted(product, herd)
        for product in rebuild_products.values()
        for herd in product.herds
    }


@pytest.fixture(scope="module")
def plain_herds(
    rebuild_products: dict[str, Product], django_db_blocker: DjangoDbBlocker
) -> Iterator[Product]:
    """The installation with plain commands; the models read its metadata."""
    product = rebuild_products["plain"]
    with django_db_blocker.unblock(), product.used_here():
        yield product


@pytest.fixture(scope="module")
def debian_herds(
    rebuild_products: dict[str, Product], django_db_blocker: DjangoDbBlocker
) -> Iterator[Product]:
    """The installation with Debian's commands; the models read its metadata."""
    product = rebuild_products["debian"]
    with django_db_blocker.unblock(), product.used_here():
        yield product


@pytest.fixture
def quote(plain_herds: Product, rebuild_herds: dict[str, Parted]) -> Parted:
    """A plain herd of two, whole before the test."""
    rebuild_herds["quote"].make_whole()
    return rebuild_herds["quote"]


@pytest.fixture
def orders(plain_herds: Product, rebuild_herds: dict[str, Parted]) -> Parted:
    """Another plain herd on the same two hosts, whole before the test."""
    rebuild_herds["orders"].make_whole()
    return rebuild_herds["orders"]


@pytest.fixture
def small(plain_herds: Product, rebuild_herds: dict[str, Parted]) -> Parted:
    """A plain herd on file systems of its own, whole before the test."""
    herd = rebuild_herds["small"]
    herd.make_whole()
    return herd


@pytest.fixture
def bare(plain_herds: Product, rebuild_herds: dict[str, Parted]) -> Parted:
    """A plain herd without checksums and hints in its WAL, whole before the test."""
    rebuild_herds["bare"].make_whole()
    return rebuild_herds["bare"]


@pytest.fixture
def trade(debian_herds: Product, rebuild_herds: dict[str, Parted]) -> Parted:
    """A herd of three as Debian packages it, whole before the test."""
    rebuild_herds["trade"].make_whole()
    return rebuild_herds["trade"]
