"""The cluster that every switchover is measured on: three nodes, made anew for each.

It is a herd of the lab, kept as PostgreSQL's own programs keep it: everything in the
data directory, so that every tool can take it over as it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import psycopg

from bench.installation import wait_until
from bench.writer import FOUND, TABLE
from lab import Lab, Layout
from lab.clusters import program
from lab.layout import HerdSpec, default_data_root, host_names
from lab.prerequisites import choose_postgres

HERD = "trade"
ROLE = "bench"
LOG = "/var/log/postgresql/bench.log"


class Cluster:
    """Three nodes that replicate, and how to reach them."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.herd = lab.herds[HERD]

    @property
    def members(self) -> tuple[str, ...]:
        """The hosts, in order; the first began as the primary."""
        return self.herd.members

    @property
    def data(self) -> str:
        """The data directory, the same on each host."""
        return self.herd.data_root

    def address(self, host: str) -> str:
        """Return a host's address."""
        return self.lab.hosts[host].address

    def successor(self, host: str) -> str:
        """Return who is to be the next primary: each gets its turn."""
        return self.members[(self.members.index(host) + 1) % len(self.members)]

    def primary(self) -> str:
        """Return who is primary now; RuntimeError when that is not one host."""
        found = self.lab.primary(HERD)
        if found is None:
            raise RuntimeError(f"{HERD} has no primary, or several.")
        return found

    # Programs

    def program(self, name: str) -> str:
        """Return the path of one of PostgreSQL's programs."""
        return program(self.herd, name)

    def pg_ctl(self, *arguments: str) -> list[str]:
        """Return the command line of pg_ctl for a node."""
        return [self.program("pg_ctl"), "-s", "-D", self.data, *arguments]

    def run(self, host: str, *argv: str, timeout: float = 120) -> str:
        """Run a program on a host as postgres; return what it prints."""
        done = self.lab.exec(host, argv, user="postgres", timeout=timeout)
        return done.stdout

    def start(self, host: str) -> None:
        """Start a node, and wait until it accepts connections."""
        self.run(host, *self.pg_ctl("-w", "-l", LOG, "start"))

    def stop(self, host: str) -> None:
        """Stop a node."""
        self.run(host, *self.pg_ctl("-w", "-m", "fast", "stop"))

    def daemon(self, host: str, argv: Sequence[str], *, user: str, log: str) -> None:
        """Start a program that runs on a host until the lab goes down."""
        detached = ["setsid", "--fork", "sh", "-c", 'exec >>"$0" 2>&1 </dev/null "$@"']
        self.lab.exec(host, [*detached, log, *argv], user=user)

    def write(self, host: str, path: str, text: str, *, mode: str = "644") -> None:
        """Write a file on a host that belongs to postgres."""
        install = ["install", "-D", "-m", mode, "-o", "postgres", "/dev/stdin", path]
        self.lab.exec(host, install, stdin=text)

    def sql(self, host: str, query: str) -> str:
        """Return what a node answers to the superuser on its own host."""
        return self.lab.sql(HERD, host, query)

    def await_primary(self, host: str) -> None:
        """Return when a node is primary; RuntimeError after a minute."""
        wait_until(lambda: self.lab.primary(HERD) == host, f"{host} is primary", 60)

    def await_streaming(self, upstream: str, *followers: str) -> None:
        """Return when nodes stream from another one; RuntimeError after a minute."""
        wanted = {self.address(host) for host in followers}
        query = "SELECT client_addr FROM pg_stat_replication WHERE state = 'streaming'"

        def all_stream() -> bool:
            return wanted <= set(self.sql(upstream, query).split())

        wait_until(all_stream, f"{', '.join(followers)} stream from {upstream}", 60)

    # The client's side

    def conninfo(self, *hosts: str) -> str:
        """Return how a client connects to the primary among some hosts, tried in turn.

        ``hosts`` are addresses or names.
        """
        return psycopg.conninfo.make_conninfo(
            host=",".join(hosts),
            port=self.herd.port,
            user=ROLE,
            password=self.lab.replication_password,
            dbname="postgres",
            connect_timeout=2,
            tcp_user_timeout=2000,
            target_session_attrs="read-write",
        )

    @property
    def by_address(self) -> str:
        """How a client connects that knows every node."""
        return self.conninfo(*map(self.address, self.members))

    @property
    def by_name(self) -> str:
        """How a client connects that knows only the herd's virtual host."""
        return self.conninfo(f"{HERD}.{self.lab.domain}")

    def written(self, host: str, writer: str) -> list[int]:
        """Return the sequence numbers that a node has of a writer."""
        with (
            self.lab.inside("control"),
            psycopg.connect(self.conninfo(self.address(host))) as connection,
        ):
            return [row[0] for row in connection.execute(FOUND, [writer])]

    def prepare(self) -> None:
        """Make the table that is written to, and the role that does."""
        make_role = f"CREATE ROLE {ROLE} LOGIN IN ROLE pg_monitor PASSWORD "
        password = f"'{self.lab.replication_password}'"
        for query in (
            make_role + password,
            TABLE,
            f"GRANT ALL ON bench_writes TO {ROLE}",
        ):
            self.sql(self.members[0], query)


@contextmanager
def cluster(name: str) -> Iterator[Cluster]:
    """Give a cluster that replicates, on hosts that go afterwards."""
    version = choose_postgres(None)
    members = host_names(3)
    root = default_data_root(HERD, version, "plain")
    herd = HerdSpec(HERD, "prod", 5432, members, root, "plain", version)
    lab = Lab(name)
    if not lab.up(Layout(members, (herd,))):
        raise RuntimeError(f"A lab {name} is up already; take it down first.")
    try:
        made = Cluster(lab)
        made.prepare()
        yield made
    finally:
        lab.down()
