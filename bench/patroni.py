"""patroni with etcd, as Debian ships them: ``patronictl switchover``."""

from __future__ import annotations

import json

from bench.cluster import HERD
from bench.contenders import Contender, Switch
from bench.installation import wait_until
from lab.clusters import REPLICATION_USER

CONFIG = "/etc/patroni/bench.yml"
SCOPE = HERD
_ETCD = 2379
_REST = 8008
_STORE_HOST = "dns"


class Patroni(Contender):
    """An agent on every node takes the cluster over, and keeps its leader in etcd."""

    name = "patronictl switchover"

    def take_over(self) -> None:
        """Start etcd, then the agents in place of what started the nodes."""
        cluster = self.cluster
        self._start_store()
        for host in cluster.members:
            cluster.write(host, CONFIG, json.dumps(self._config(host)))
            # What stands here would override what the agent writes.
            cluster.write(host, f"{cluster.data}/postgresql.auto.conf", "", mode="600")
        first, *others = cluster.members
        # Followers end last, so that they have everything.
        for host in cluster.members:
            cluster.stop(host)
        self._start_agent(first)
        cluster.await_primary(first)
        for host in others:
            self._start_agent(host)
        cluster.await_streaming(first, *others)
        wait_until(self._is_whole, "patroni has its leader and two replicas", 60)

    def plan(self, old: str, new: str) -> Switch:
        """Wait until the agents agree with what has become of the nodes."""
        wait_until(self._is_whole, "patroni has its leader and two replicas", 60)
        chosen = ["--primary", old, "--candidate", new, "--force", SCOPE]
        return lambda: self._patronictl(new, "switchover", *chosen)

    def _start_store(self) -> None:
        address = self.cluster.address(_STORE_HOST)
        argv = [
            *("etcd", "--data-dir", "/tmp/etcd", "--log-level", "warn"),
            *("--listen-client-urls", f"http://{address}:{_ETCD}"),
            *("--advertise-client-urls", f"http://{address}:{_ETCD}"),
        ]
        self.cluster.daemon(_STORE_HOST, argv, user="root", log="/tmp/etcd.log")

    def _start_agent(self, host: str) -> None:
        log = "/var/log/postgresql/patroni.log"
        self.cluster.daemon(host, ["patroni", CONFIG], user="postgres", log=log)

    def _is_whole(self) -> bool:
        host = self.cluster.members[0]
        listed = json.loads(self._patronictl(host, "list", "--format", "json", SCOPE))
        roles = sorted(
            node["Role"] for node in listed if node["State"] in ("running", "streaming")
        )
        return roles == ["Leader", "Replica", "Replica"]

    def _patronictl(self, host: str, *arguments: str) -> str:
        return self.cluster.run(host, "patronictl", "-c", CONFIG, *arguments)

    def _config(self, host: str) -> dict[str, object]:
        """Return what an agent is told: the rest is as patroni has it by default."""
        cluster = self.cluster
        address = cluster.address(host)
        port = cluster.herd.port
        return {
            "scope": SCOPE,
            "name": host,
            "etcd3": {"host": f"{cluster.address(_STORE_HOST)}:{_ETCD}"},
            "restapi": {
                "listen": f"{address}:{_REST}",
                "connect_address": f"{address}:{_REST}",
            },
            "postgresql": {
                "listen": f"0.0.0.0:{port}",
                "connect_address": f"{address}:{port}",
                "data_dir": cluster.data,
                "bin_dir": cluster.program("postgres").removesuffix("/postgres"),
                "use_unix_socket": True,
                "authentication": {
                    "superuser": {"username": "postgres"},
                    "replication": {
                        "username": REPLICATION_USER,
                        "password": cluster.lab.replication_password,
                    },
                },
                "parameters": {"unix_socket_directories": "/var/run/postgresql"},
            },
        }
