"""pg_auto_failover, as Debian ships it: ``pg_autoctl perform switchover``.

It replicates synchronously when it is left as it is; asynchronously, as the others do,
it is measured too.
"""

from __future__ import annotations

import json

from bench.contenders import Contender, Switch
from bench.installation import wait_until

_MONITOR_HOST = "dns"
_MONITOR_DATA = "/tmp/monitor"
_MONITOR_PORT = 6000
# The home of postgres cannot be written to on a host without databases.
_ON_MONITOR = ("env", "HOME=/tmp", "pg_autoctl")
_REPLICATOR = "pgautofailover_replicator"

# Its own roles log in without a password from the lab's network, as with --auth trust.
_HBA = f"""\
host all         pgautofailover_monitor samenet trust
host all         {_REPLICATOR}          samenet trust
host replication {_REPLICATOR}          samenet trust
"""


class AutoFailover(Contender):
    """A monitor keeps the state of the nodes; an agent on each does what it assigns."""

    name = "pg_autoctl perform switchover"
    in_quorum = "true"

    def take_over(self) -> None:
        """Start the monitor, then the agents; those copy the first node to the rest."""
        cluster = self.cluster
        self._start_monitor()
        first, *others = cluster.members
        for host in others:
            cluster.stop(host)
            cluster.run(host, "find", cluster.data, "-delete")
        hba = cluster.run(first, "cat", f"{cluster.data}/pg_hba.conf")
        cluster.write(first, f"{cluster.data}/pg_hba.conf", _HBA + hba, mode="600")
        # What stands here would override what the agent writes.
        cluster.write(first, f"{cluster.data}/postgresql.auto.conf", "", mode="600")
        cluster.stop(first)
        self._start_agent(first)
        cluster.await_primary(first)
        for host in others:
            self._start_agent(host)
        wait_until(
            self._is_whole, "the monitor sees a primary and two secondaries", 120
        )

    def plan(self, old: str, new: str) -> Switch:
        """Wait until the monitor is content with the nodes; it chooses who is next."""
        wait_until(
            self._is_whole, "the monitor sees a primary and two secondaries", 120
        )
        return lambda: self._monitor("perform", "switchover")

    def _start_monitor(self) -> None:
        cluster = self.cluster
        argv = [
            *(*_ON_MONITOR, "create", "monitor", "--pgdata", _MONITOR_DATA),
            *("--pgctl", cluster.program("pg_ctl"), "--pgport", str(_MONITOR_PORT)),
            *("--no-ssl", "--auth", "trust"),
            *("--hostname", cluster.address(_MONITOR_HOST), "--run"),
        ]
        log = "/tmp/monitor.log"
        cluster.daemon(_MONITOR_HOST, argv, user="postgres", log=log)
        wait_until(self._monitor_answers, "the monitor answers", 60)

    def _start_agent(self, host: str) -> None:
        cluster = self.cluster
        monitor = (
            f"postgres://autoctl_node@{cluster.address(_MONITOR_HOST)}:{_MONITOR_PORT}"
            "/pg_auto_failover"
        )
        argv = [
            *("pg_autoctl", "create", "postgres", "--pgdata", cluster.data),
            *("--pgctl", cluster.program("pg_ctl")),
            *("--pgport", str(cluster.herd.port), "--no-ssl"),
            *("--skip-pg-hba", "--replication-quorum", self.in_quorum),
            *("--name", host, "--hostname", cluster.address(host)),
            *("--monitor", monitor, "--run"),
        ]
        log = "/var/log/postgresql/autoctl.log"
        cluster.daemon(host, argv, user="postgres", log=log)

    def _monitor_answers(self) -> bool:
        return self._states() is not None

    def _is_whole(self) -> bool:
        return self._states() == ["primary", "secondary", "secondary"]

    def _states(self) -> list[str] | None:
        """Return the states of the nodes where they are what they are to be."""
        done = self.cluster.lab.exec(
            _MONITOR_HOST,
            [*_ON_MONITOR, "show", "state", "--pgdata", _MONITOR_DATA, "--json"],
            user="postgres",
            check=False,
        )
        if done.returncode != 0:
            return None
        nodes = json.loads(done.stdout)
        return sorted(
            node["current_group_state"]
            for node in nodes
            if node["current_group_state"] == node["assigned_group_state"]
        )

    def _monitor(self, *arguments: str) -> str:
        argv = [*_ON_MONITOR, *arguments, "--pgdata", _MONITOR_DATA]
        return self.cluster.run(_MONITOR_HOST, *argv)


class AutoFailoverAsync(AutoFailover):
    """The same with no standby in the quorum: commits wait for none."""

    name = "pg_autoctl perform switchover, asynchronous"
    in_quorum = "false"
