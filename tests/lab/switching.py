"""Herds whose primaries are moved, a client that writes meanwhile, and what proves it.

The client commits one numbered row after the other over a connection string that names
all members. What it was told to be committed has to be there afterwards.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from django.test import override_settings
from pytest_django import DjangoDbBlocker

from herds.domain.states import ACTIVE_OPERATIONS, OperationState
from herds.models import Instance, Operation, OperationStep, Server
from herds.operations import requests
from lab import HerdSpec, Lab, LabError, Layout
from tests.lab.metadata import MetadataServer
from tests.lab.product import (
    ANNA,
    PLAIN_COMMANDS,
    Product,
    RunningWorker,
    ended,
    refreshed,
    said,
    until,
)
from tests.lab.throwaway import throwaway_lab

PREFIX = "test-switch-"

SETTINGS: dict[str, Any] = {
    "SSH": {"CONNECT_TIMEOUT": 2.0},
    "OPERATIONS": {"PATIENCE": 15.0},
}
"""What keeps a worker from waiting for long where waiting is vain."""


def _herd(name: str, port: int, packaging: str) -> HerdSpec:
    return HerdSpec(
        name=name,
        environment="prod",
        port=port,
        members=("ele01", "ele02", "ele03"),
        data_root=f"/var/lib/postgresql/15/{name}",
        packaging=packaging,  # type: ignore[arg-type]
    )


SPARE = "ele04"
"""A host with no member of any herd, until a test gives it one."""

LAYOUT = Layout(
    hosts=("ele01", "ele02", "ele03", SPARE),
    herds=(_herd("trade", 5432, "debian"), _herd("quote", 5433, "plain")),
)
"""Two herds of three on the same hosts, one as Debian packages it."""

_STREAMS = """
SELECT status || ' ' || received_tli FROM pg_stat_wal_receiver
"""


class Writer:
    """A client that commits a row every few milliseconds, wherever it may write.

    It has a host of its own: what is cut off from the control host is not cut off from
    clients. One that is cut off between its connecting and its first word has a server
    that stops wait for it, up to authentication_timeout.
    """

    def __init__(self, lab: Lab, herd: str, every: float = 0.005) -> None:
        spec = lab.herds[herd]
        hosts = ",".join(lab.hosts[host].address for host in spec.members)
        self._conninfo = (
            f"host={hosts} port={spec.port} user=replication dbname=postgres"
            " target_session_attrs=read-write connect_timeout=2"
            f" password={lab.replication_password} keepalives_idle=1"
            " tcp_user_timeout=2000"
        )
        self._lab = lab
        self._every = every
        self._stop = threading.Event()
        self._turn = threading.Lock()
        self.acknowledged: list[int] = []
        self.gaps: list[float] = []
        self._thread = threading.Thread(target=self._write, daemon=True)

    def __enter__(self) -> Writer:
        self._thread.start()
        until(lambda: len(self.acknowledged) > 20, 20, "the client writes")
        return self

    def __exit__(self, *exception: object) -> None:
        self._stop.set()
        self._thread.join(30)

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Have it commit nothing until the block is left."""
        with self._turn:
            yield

    @property
    def outage(self) -> float:
        """The longest time between two commits, in seconds."""
        return max(self.gaps, default=0.0)

    def _write(self) -> None:
        with self._lab.inside(SPARE):
            number, last = 0, time.monotonic()
            while not self._stop.is_set():
                with (
                    contextlib.suppress(psycopg.Error),
                    psycopg.connect(self._conninfo, autocommit=True) as connection,
                ):
                    while not self._stop.is_set():
                        with self._turn:
                            number += 1
                            connection.execute(
                                "INSERT INTO written VALUES (%s)", [number]
                            )
                            now = time.monotonic()
                            self.gaps.append(now - last)
                            last = now
                            self.acknowledged.append(number)
                        self._stop.wait(self._every)
                self._stop.wait(0.002)


class Moving:
    """A herd of three whose primary is moved about."""

    def __init__(self, product: Product, herd: str) -> None:
        self.product = product
        self.lab = product.lab
        self.herd = herd
        self.spec = product.spec(herd)
        self.hosts = self.spec.members
        self.primary = self.hosts[0]
        self._client: Writer | None = None

    def sql(self, host: str, query: str) -> str:
        """Ask a member something."""
        return self.lab.sql(self.herd, host, query)

    def shell(self, host: str, script: str, *values: str, user: str = "root") -> str:
        """Run a shell script in a member's data directory."""
        root = self.spec.data_root
        argv = ["sh", "-c", f'cd "$1" && shift\n{script}', "sh", root, *values]
        return self.lab.exec(host, argv, user=user).stdout

    def crash(self, host: str) -> None:
        """Kill all processes of a member.

        Replication is asynchronous: what only the crashed one has is lost. So the
        client waits until a standby has everything that it was told to be committed.
        """
        script = (
            'pid=$(head -n 1 postmaster.pid); kill -KILL "$pid";'
            ' for each in /proc/[0-9]*; do [ "$each/cwd" -ef . ] &&'
            ' [ "${each#/proc/}" != $$ ] && kill -KILL "${each#/proc/}"; done; :'
        )
        with contextlib.ExitStack() as held:
            if self._client is not None and self.takes_writes(host):
                held.enter_context(self._client.held())
                self._await_shipped(host)
            self.shell(host, script)

    def _await_shipped(self, host: str) -> None:
        """Wait until a standby has received all that a primary has written."""
        written = self.sql(host, "SELECT pg_current_wal_flush_lsn()")
        has_it = f"SELECT pg_last_wal_receive_lsn() >= '{written}'"

        def has(standby: str) -> bool:
            try:
                return self.sql(standby, has_it) == "t"
            except LabError:
                return False

        others = [each for each in self.hosts if each != host]
        until(lambda: any(map(has, others)), 20, "a standby has everything")

    def hosts_from_primary(self) -> tuple[str, ...]:
        """Name the members, the primary first."""
        return (self.primary, *(each for each in self.hosts if each != self.primary))

    def signal(self, host: str, title: str, name: str) -> None:
        """Send a signal to the processes of a member that are titled so."""
        script = (
            "for each in /proc/[0-9]*; do"
            ' [ "$each/cwd" -ef . ] || continue;'
            ' case $(tr "\\0" " " <"$each/cmdline") in'
            ' postgres:*"$1"*) kill -s "$2" "${each#/proc/}" ;; esac; done; :'
        )
        self.shell(host, script, title, name)

    @contextlib.contextmanager
    def held(self, candidate: str) -> Iterator[None]:
        """Hold a switchover between the stop and the promotion, for 10 s at most.

        Its candidate takes no WAL until the block is left, so that what the old primary
        wrote in the end has not arrived.
        """
        self.signal(candidate, "walreceiver", "STOP")
        try:
            yield
        finally:
            with contextlib.suppress(LabError):
                self.signal(candidate, "walreceiver", "CONT")

    @contextlib.contextmanager
    def stopped(self, candidate: str, **choices: str) -> Iterator[Operation]:
        """Give a switchover whose old primary is stopped, and nothing promoted yet."""
        choices.setdefault("candidate", candidate)
        plan = self.plan("switchover", candidate)
        with self.held(candidate):
            operation = confirmed(plan, **choices)
            self.comes_to(operation, "compare")
            yield operation

    def comes_to(self, operation: Operation, name: str, seconds: float = 40) -> None:
        """Wait until a step has begun."""
        steps = OperationStep.objects.filter(target__operation=operation, name=name)

        def has_begun() -> bool:
            assert refreshed(operation).state in ACTIVE_OPERATIONS, said(operation)
            return steps.exists()

        until(has_begun, seconds, f"{name} begins")

    def was_rolled_back(self, operation: Operation, why: str) -> None:
        """See the herd as it was before, and the row say so with the reason."""
        row = operation.targets.get()
        assert row.state == "rolled back", said(operation)
        assert why in row.outcome, row.outcome
        assert f"{self.primary} takes writes again" in row.outcome
        assert self.writers() == [self.primary], row.outcome
        assert self.vhost() == self.primary
        assert self.member(self.primary).is_primary
        self.can_move()

    def can_move(self) -> None:
        """See that a switchover would be possible."""
        plan = self.plan()
        assert plan.targets.get().state == "planned", said(plan)

    def carries_out(self, operation: Operation) -> None:
        """Do what an operation has left to do, as it says, and see all follow."""
        for each in operation.targets.get().follow_ups:
            host = Instance.objects.get(pk=each["instance_id"]).server.hostname
            done = self.move(each["action"], host)
            assert done.state == "succeeded", f"{each}: {said(done)}"
        for host in self.hosts:
            if host != self.primary:
                assert self.follows(host, self.primary), host
        assert self.vhost() == self.primary

    def writers(self) -> list[str]:
        """Name the members that take writes now."""
        return [host for host in self.hosts if self.takes_writes(host)]

    def runs(self, host: str) -> bool:
        """Tell whether a member's postmaster lives; without power none does."""
        try:
            return self.product.is_running(f"{self.herd}@{host}")
        except LabError:
            return False

    def takes_writes(self, host: str) -> bool:
        """Tell whether a member is a primary that answers."""
        try:
            return self.sql(host, "SELECT pg_is_in_recovery()") == "f"
        except LabError:
            return False

    def timeline(self, host: str) -> int:
        """Tell the live timeline of a primary."""
        return int(
            self.sql(host, "SELECT left(pg_walfile_name(pg_current_wal_lsn()), 8)"), 16
        )

    def follows(self, host: str, primary: str) -> bool:
        """Tell whether a member streams on the primary's timeline."""
        try:
            return self.sql(host, _STREAMS) == f"streaming {self.timeline(primary)}"
        except LabError:
            return False

    def follow(self, host: str, upstream: str) -> None:
        """Have a running standby follow another member, and wait until it streams."""
        connection = (
            f"host={upstream} port={self.spec.port} user=replication"
            f" application_name={self.herd}_{host}"
        )
        self.sql(host, f"ALTER SYSTEM SET primary_conninfo = '{connection}'")
        self.sql(host, "SELECT pg_reload_conf()")
        listed = (
            "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'"
            f" AND application_name = '{self.herd}_{host}'"
        )
        until(lambda: self.sql(upstream, listed) == "1", 30, f"{host} follows")

    @contextlib.contextmanager
    def fourth_below(self, upstream: str) -> Iterator[str]:
        """Have one member more, which follows another standby; give its host."""
        script = (
            'mkdir -p "$1" && chmod 700 "$1" && "$2"/pg_basebackup -D "$1" -h "$4"'
            ' -p "$3" -U replication -d "application_name=$5" -c fast -R -w'
            ' && "$2"/pg_ctl -D "$1" -l "$1/startup.log" -w start'
        )
        name = f"{self.herd}_{SPARE}"
        with self._on_the_spare_host(script, upstream, upstream, name):
            yield SPARE

    @contextlib.contextmanager
    def stranger_below(self, upstream: str) -> Iterator[str]:
        """Have the inventory take a standby of another cluster for one of this herd."""
        script = (
            '"$2"/initdb -D "$1" -A trust >/dev/null && : >"$1/standby.signal" &&'
            ' echo "port = $3" >>"$1/postgresql.conf" &&'
            ' "$2"/pg_ctl -D "$1" -l "$1/startup.log" -w start'
        )
        with self._on_the_spare_host(script, upstream):
            yield SPARE

    @contextlib.contextmanager
    def _on_the_spare_host(
        self, script: str, upstream: str, *values: str
    ) -> Iterator[None]:
        """Make a cluster there and enter it as a member, until the block is left.

        The script is given its data directory, PostgreSQL's programs, the port, values.
        """
        programs = f"/usr/lib/postgresql/{self.spec.version}/bin"
        argv = [self.spec.data_root, programs, str(self.spec.port), *values]
        first = self.member(self.primary)
        server = Server.objects.create(
            hostname=SPARE,
            environment=first.server.environment,
            host_key=self.lab.host_key(SPARE),
        )
        instance = Instance.objects.create(
            herd=first.herd, server=server, master=self.member(upstream)
        )
        try:
            self.lab.exec(
                SPARE, ["sh", "-c", script, "sh", *argv], user="postgres", timeout=90
            )
            yield
        finally:
            instance.delete()
            server.delete()
            script = '"$2"/pg_ctl -D "$1" -m immediate stop; rm -rf "$1"'
            self.lab.exec(SPARE, ["sh", "-c", script, "sh", *argv], user="postgres")

    def member(self, host: str) -> Instance:
        """Give a member as the inventory has it now."""
        return self.product.instance(f"{self.herd}@{host}")

    def make_whole(self) -> str:
        """Have one primary with two followers, whatever came before; give its host."""
        for host in self.lab.hosts:
            self.lab.boot(host)
        self.lab.heal()
        found = self.writers()
        if len(found) == 1 and all(
            self.follows(host, found[0]) for host in self.hosts if host != found[0]
        ):
            self.primary = found[0]
        else:
            self.primary = self._begin_anew()
        self.sql(
            self.primary,
            "CREATE TABLE IF NOT EXISTS written (number int);"
            " GRANT INSERT ON written TO replication",
        )
        self.tell()
        return self.primary

    def _begin_anew(self) -> str:
        """Copy every standby anew from a member that is or becomes the primary."""
        first = (self.writers() or list(self.hosts))[0]
        for host in self.hosts:
            if host != first and self.product.is_running(f"{self.herd}@{host}"):
                self.product.stop(f"{self.herd}@{host}")
        self.product.start(f"{self.herd}@{first}")
        if not self.takes_writes(first):
            self.sql(first, "SELECT pg_promote()")
        script = (
            'rm -rf -- "$1"/* && pg_basebackup -D "$1" -h "$2" -p "$3" -U replication'
            ' -d "application_name=$4" -c fast -R -w'
        )
        for host in self.hosts:
            if host == first:
                continue
            argv = ["sh", "-c", script, "sh", self.spec.data_root, first]
            argv += [str(self.spec.port), f"{self.herd}_{host}"]
            self.lab.exec(host, argv, user="postgres", timeout=90)
            self.product.start(f"{self.herd}@{host}")
        others = [host for host in self.hosts if host != first]
        until(lambda: all(self.follows(host, first) for host in others), 30, "follows")
        return first

    def tell(self) -> None:
        """Have inventory and DNS name the primary."""
        self.point_at(self.primary)
        primary = self.member(self.primary)
        members = Instance.objects.filter(herd=primary.herd)
        members.update(master=None, is_online=True, unreachable_since=None)
        members.exclude(pk=primary.pk).update(master=primary)
        self.product.do("refresh", self.herd)

    def point_at(self, host: str) -> None:
        """Point the virtual host at a member, behind the product's back."""
        name = self.lab.state.vhost(self.herd)
        commands = (
            f"update delete {name}. CNAME\n"
            f"update add {name}. 5 CNAME {host}.{self.lab.domain}.\nsend\n"
        )
        argv = ["nsupdate", "-k", str(self.lab.dns_key)]
        self.lab.exec("control", argv, stdin=commands)

    def vhost(self) -> str:
        """Tell where the virtual host points, as its server says."""
        name = self.lab.state.vhost(self.herd)
        server = self.lab.hosts["dns"].address
        argv = ["dig", "+short", f"@{server}", name, "CNAME"]
        return self.lab.exec("control", argv).stdout.split(".")[0].strip()

    # What is asked of the product

    def plan(
        self, action: str = "switchover", candidate: str = "", **parameters: Any
    ) -> Operation:
        """Plan, and wait until a worker has looked at the hosts."""
        name = f"{self.herd}@{candidate}" if candidate else self.herd
        ids = [member.pk for member in self.product.members(name)]
        operation = requests.draft(action, ids, ANNA, parameters)
        until(
            lambda: refreshed(operation).state != OperationState.PLANNING, 60, "a plan"
        )
        return refreshed(operation)

    def move(
        self,
        action: str = "switchover",
        candidate: str = "",
        seconds: float = 90,
        **choices: str,
    ) -> Operation:
        """Plan, say yes, and wait for the end."""
        return ended(self.begin(action, candidate, **choices), seconds)

    def begin(
        self, action: str = "switchover", candidate: str = "", **choices: str
    ) -> Operation:
        """Plan and say yes.

        A plan prefers whoever has more than the candidate, which a busy client decides.
        """
        if candidate:
            choices.setdefault("candidate", candidate)
        return confirmed(self.plan(action, candidate), **choices)

    def step(self, operation: Operation, name: str) -> OperationStep:
        """Give the last step of a name."""
        steps = OperationStep.objects.filter(target__operation=operation, name=name)
        found = steps.order_by("attempt", "number").last()
        assert found is not None, said(operation)
        return found

    def has_moved(self, operation: Operation, to: str) -> None:
        """See that one member takes writes, the others follow, and the row says so."""
        row = operation.targets.get()
        assert row.state in {"succeeded", "follow-ups"}, said(operation)
        assert self.writers() == [to], said(operation)
        for host in self.hosts:
            if host != to and self.runs(host):
                assert self.follows(host, to), f"{host}: {said(operation)}"
        assert self.member(to).is_primary
        assert self.vhost() == to
        self.primary = to

    def lost(self, writer: Writer) -> set[int]:
        """Give the rows that were acknowledged and are not there."""
        (primary,) = self.writers()
        there = self.sql(primary, "SELECT string_agg(number::text, ' ') FROM written")
        return set(writer.acknowledged) - set(map(int, there.split()))

    def write(self) -> Writer:
        """Give a client that begins with an empty table."""
        self.sql(self.primary, "TRUNCATE written")
        self._client = Writer(self.lab, self.herd)
        return self._client


def confirmed(operation: Operation, **choices: str) -> Operation:
    """Say yes to a plan, to its warnings, and to whatever it wants typed."""
    typed = {
        row.pk: row.plan["typed"]
        for row in operation.targets.all()
        if row.plan["typed"]
    }
    return requests.confirm(
        operation.pk, ANNA, acknowledged=True, choices=choices, typed=typed
    )


@pytest.fixture(scope="session")
def switch_lab() -> Iterator[Lab]:
    """The lab of these tests, for the whole session."""
    with throwaway_lab(PREFIX, LAYOUT) as lab:
        yield lab


@pytest.fixture(scope="session")
def switch_products(
    switch_lab: Lab,
    product_metadata: MetadataServer,
    django_db_blocker: DjangoDbBlocker,
) -> dict[str, Product]:
    """The installations: one knows Debian's commands, the other plain pg_ctl's."""
    with django_db_blocker.unblock():
        return {
            name: Product(
                switch_lab,
                product_metadata,
                f"switch_{name}",
                (name,),
                commands,
                manages_dns=True,
            )
            for name, commands in (("trade", None), ("quote", PLAIN_COMMANDS))
        }


@pytest.fixture(scope="module")
def herd_name() -> str:
    """The herd that a module is about; a module may have another one, or both."""
    return "quote"


@pytest.fixture(scope="module")
def switching(
    herd_name: str,
    switch_products: dict[str, Product],
    django_db_blocker: DjangoDbBlocker,
) -> Iterator[Product]:
    """The installation of the herd; the models read its metadata."""
    product = switch_products[herd_name]
    with (
        django_db_blocker.unblock(),
        product.used_here(),
        override_settings(DNS=product.dns()),
    ):
        yield product


@pytest.fixture(scope="module")
def mover(switching: Product) -> Iterator[RunningWorker]:
    """One worker for the tests that do not kill theirs."""
    with switching.worker(**SETTINGS) as worker:
        yield worker


@pytest.fixture
def herd(switching: Product, mover: RunningWorker, herd_name: str) -> Moving:
    """The herd, whole before the test."""
    moving = Moving(switching, herd_name)
    moving.make_whole()
    return moving


@pytest.fixture
def idle_herd(switching: Product, herd_name: str) -> Moving:
    """The herd, whole before the test, of which no worker takes care."""
    moving = Moving(switching, herd_name)
    with switching.worker(**SETTINGS):
        moving.make_whole()
    return moving
