"""repmgr, as Debian ships it: ``repmgr standby switchover --siblings-follow``."""

from __future__ import annotations

import shlex

from bench.cluster import LOG
from bench.contenders import Contender, Switch

CONFIG = "/etc/repmgr.conf"
NAME = "repmgr"
_PASSWORDS = "/var/lib/postgresql/.pgpass"

# The services are pg_ctl itself: Debian's pg_ctlcluster sleeps two seconds in a start.
_CONFIG = """\
node_id={number}
node_name='{host}'
conninfo='{conninfo}'
data_directory='{data}'
pg_bindir='{programs}'
service_start_command='{start}'
service_stop_command='{stop}'
service_restart_command='{restart}'
service_reload_command='{reload}'
"""


class Repmgr(Contender):
    """Runs on the candidate, and goes to the other nodes over SSH."""

    name = "repmgr standby switchover"

    def take_over(self) -> None:
        """Make repmgr's role and database, and register the nodes."""
        cluster = self.cluster
        first, *others = cluster.members
        password = cluster.lab.replication_password
        for query in (
            f"CREATE ROLE {NAME} SUPERUSER LOGIN PASSWORD '{password}'",
            f"CREATE DATABASE {NAME} OWNER {NAME}",
        ):
            cluster.sql(first, query)
        for number, host in enumerate(cluster.members, 1):
            cluster.write(host, CONFIG, self._config(number, host))
            add = f"echo '*:*:*:{NAME}:'\"$0\" >>{_PASSWORDS}"
            cluster.run(host, "sh", "-c", add, password)
        cluster.run(first, *self._repmgr("primary", "register"))
        for host in others:
            # repmgr knows a node by the name under which it replicates.
            follow = f"{self._conninfo(first)} application_name={host}"
            cluster.sql(host, f"ALTER SYSTEM SET primary_conninfo = '{follow}'")
            cluster.sql(host, "SELECT pg_reload_conf()")
            cluster.await_streaming(first, host)
            cluster.run(host, *self._repmgr("standby", "register"))

    def plan(self, old: str, new: str) -> Switch:
        """Have it try first, as its manual advises, which also opens what it can."""
        command = self._repmgr("standby", "switchover", "--siblings-follow")
        self.cluster.run(new, *command, "--dry-run")
        return lambda: self.cluster.run(new, *command)

    def _repmgr(self, *arguments: str) -> list[str]:
        return [self.cluster.program(NAME), "-f", CONFIG, *arguments]

    def _conninfo(self, host: str) -> str:
        port = self.cluster.herd.port
        return f"host={host} port={port} user={NAME} dbname={NAME} connect_timeout=2"

    def _config(self, number: int, host: str) -> str:
        pg_ctl = self.cluster.pg_ctl
        return _CONFIG.format(
            number=number,
            host=host,
            conninfo=self._conninfo(host),
            data=self.cluster.data,
            programs=self.cluster.program(NAME).removesuffix(f"/{NAME}"),
            start=shlex.join(pg_ctl("-w", "-l", LOG, "start")),
            stop=shlex.join(pg_ctl("-w", "-m", "fast", "stop")),
            restart=shlex.join(pg_ctl("-w", "-m", "fast", "-l", LOG, "restart")),
            reload=shlex.join(pg_ctl("reload")),
        )
