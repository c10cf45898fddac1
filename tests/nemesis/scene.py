"""One herd in one run: who plays which part, and what the hosts themselves say."""

from __future__ import annotations

import contextlib
import shlex
import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from herds.domain.states import ACTIVE_TARGETS
from herds.errors import ElephaasError
from herds.models import OperationTarget
from herds.operations import requests
from herds.operations.requests import Requester
from lab import Lab, LabError
from lab.clusters import program
from tests.lab.product import Product, refreshed
from tests.nemesis.arena import TABLE, Arena
from tests.nemesis.evidence import Facts, Herd

BERT = Requester(name="bert", source="terminal")

_FACTS = f"""
SELECT pg_is_in_recovery(),
       CASE WHEN pg_is_in_recovery()
            THEN coalesce((SELECT to_hex(received_tli) FROM pg_stat_wal_receiver), '0')
            ELSE substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) END,
       EXISTS (SELECT FROM pg_stat_wal_receiver WHERE status = 'streaming'),
       (SELECT string_agg(application_name, ' ') FROM pg_stat_replication
         WHERE state = 'streaming'),
       pg_postmaster_start_time(),
       (SELECT string_agg(number::text, ' ') FROM {TABLE} WHERE run = {{run}})
"""


class Scene:
    """A herd whose primary is ``old`` and whose ``candidate`` is to take over.

    ``sibling`` is the third member, ``operation`` the number of what was asked for
    last. Everything here is done and asked on the hosts,
    behind the product's back.
    """

    def __init__(
        self, arena: Arena, product: Product, herd: str, run: int, choose: int
    ) -> None:
        self.arena = arena
        self.product = product
        self.lab: Lab = arena.lab
        self.herd = herd
        self.run = run
        self.spec = product.spec(herd)
        self.members = self.spec.members
        found = self.writers(self.look())
        if len(found) != 1:
            raise LabError(f"Before the run, {found or 'nobody'} takes writes.")
        self.old = found[0]
        standbys = [host for host in self.members if host != self.old]
        self.candidate = standbys[choose % len(standbys)]
        (self.sibling,) = [host for host in standbys if host != self.candidate]
        self.operation: int | None = None
        self.reachable = set(self.members)
        self.touched: set[str] = set()
        self.excused: set[str] = set()

    # What the hosts say

    def facts(self, host: str) -> Facts | None:
        """Ask a member what it is; None where it gives no answer."""
        try:
            said = self.sql(host, _FACTS.format(run=self.run))
        except LabError:
            return None
        recovery, timeline, receiving, followers, began, rows = said.split("|")
        mark = f"{self.herd}_"
        return Facts(
            in_recovery=recovery == "t",
            timeline=int(timeline or "0", 16),
            receiving=receiving == "t",
            followers=frozenset(each.removeprefix(mark) for each in followers.split()),
            began=began,
            rows=frozenset(map(int, rows.split())),
        )

    def look(self) -> Herd:
        """Ask all members at once."""
        with ThreadPoolExecutor(len(self.members)) as pool:
            return dict(
                zip(self.members, pool.map(self.facts, self.members), strict=True)
            )

    @staticmethod
    def writers(herd: Herd) -> list[str]:
        """Give the members that take writes."""
        return [host for host, seen in herd.items() if seen and not seen.in_recovery]

    def look_until(self, holds: Callable[[Herd], bool], seconds: float) -> Herd:
        """Look until something holds, or time is up; give the last look."""
        deadline = time.monotonic() + seconds
        while True:
            seen = self.look()
            if holds(seen) or time.monotonic() > deadline:
                return seen
            time.sleep(0.05)

    def all_follow(self, herd: Herd) -> bool:
        """Tell whether there is one writer and the others stream from it."""
        found = self.writers(herd)
        others = [host for host in self.members if host not in found]
        return len(found) == 1 and all(
            self.follows(herd, host, found[0]) for host in others
        )

    @staticmethod
    def follows(herd: Herd, host: str, primary: str) -> bool:
        """Tell whether a member streams from another one."""
        seen, upstream = herd[host], herd[primary]
        return (
            seen is not None
            and upstream is not None
            and seen.receiving
            and seen.timeline == upstream.timeline
            and host in upstream.followers
        )

    def is_prepared(self, host: str) -> bool:
        """Tell whether a member is stopped and would start as a standby."""
        if self.facts(host) is not None:
            return False
        test = ["test", "-e", f"{self.spec.data_root}/standby.signal"]
        return self.lab.exec(host, test, check=False).returncode == 0

    def cname(self) -> str:
        """Ask the authoritative server itself where the name leads; empty: nowhere."""
        name = self.lab.state.vhost(self.herd)
        dig = ["dig", "+short", "+time=1", "+tries=3", "@127.0.0.1", name, "CNAME"]
        said = self.lab.exec("dns", dig, check=False).stdout.strip()
        return said.removesuffix(f".{self.lab.domain}.")

    # What is done to them

    def sql(self, host: str, query: str) -> str:
        """Ask a member something, as its superuser on its own host."""
        return self.lab.sql(self.herd, host, query)

    def try_sql(self, host: str, query: str) -> str:
        """Ask a member that may be gone."""
        with contextlib.suppress(LabError):
            return self.sql(host, query)
        return ""

    def lead(self, host: str) -> None:
        """Have the virtual host's name lead to a host, whatever it led to."""
        state, name = self.lab.state, f"{self.lab.state.vhost(self.herd)}."
        commands = (
            f"server {state.hosts['dns'].address}\nzone {self.lab.domain}\n"
            f"update delete {name} CNAME\n"
            f"update add {name} 1 CNAME {host}.{self.lab.domain}.\nsend\n"
        )
        argv = ["nsupdate", "-t", "3", "-k", str(self.lab.dns_key)]
        self.lab.exec("control", argv, stdin=commands)

    def await_hosts(self, seconds: float = 10.0) -> None:
        """Wait until the service's host can open a connection to every member's."""
        deadline = time.monotonic() + seconds
        with self.lab.inside("control"):
            for host in self.members:
                address = (self.lab.hosts[host].address, 22)
                while time.monotonic() < deadline:
                    with contextlib.suppress(OSError):
                        socket.create_connection(address, timeout=0.5).close()
                        break

    def await_quiet(self, seconds: float = 60.0) -> bool:
        """Wait until nobody's operation works on the herd; tell whether that came."""
        herd = self.product.members(self.herd)[0].herd_id
        active = OperationTarget.objects.filter(herd=herd, state__in=ACTIVE_TARGETS)
        deadline = time.monotonic() + seconds
        while active.exists():
            if time.monotonic() > deadline:
                return False
            time.sleep(0.05)
        return True

    def ask_besides(self, action: str) -> None:
        """Have somebody else ask for an action on the third member, now."""
        member = self.product.instance(f"{self.herd}@{self.sibling}")
        with contextlib.suppress(ElephaasError):
            operation = requests.draft(action, [member.pk], BERT)
            deadline = time.monotonic() + 5
            while refreshed(operation).state == "planning":
                if time.monotonic() > deadline:
                    return
                time.sleep(0.01)
            requests.confirm(operation.pk, BERT, acknowledged=True)

    def signal(self, host: str, name: str, pid: str) -> None:
        """Send a signal to a process of a host; one that is gone is fine."""
        if pid:
            self.lab.exec(host, ["kill", f"-{name}", pid], check=False)

    def postmaster(self, host: str) -> str:
        """Give the number of a member's postmaster; empty when there is none."""
        path = f"{self.spec.data_root}/postmaster.pid"
        said = self.lab.exec(host, ["head", "-n", "1", path], check=False)
        return said.stdout.strip()

    def pg_ctl(self, host: str, *words: str, check: bool = False) -> str:
        """Run pg_ctl for a member, as the owner of its data."""
        argv = [program(self.spec, "pg_ctl"), "-D", self.spec.data_root, *words]
        done = self.lab.exec(host, argv, user="postgres", check=check, timeout=60)
        return done.stdout + done.stderr

    def start_words(self) -> list[str]:
        """Give what pg_ctl needs to start a member."""
        words = ["-s", "-l", f"/tmp/{self.herd}.log"]
        if self.spec.packaging == "debian":
            configuration = shlex.quote(self.product.configuration(self.herd))
            words += ["-o", f"-c config_file={configuration}"]
        return [*words, "start"]

    def in_data(self, host: str, script: str, *values: str) -> str:
        """Run a shell script in a member's data directory, as its owner."""
        root = self.spec.data_root
        argv = ["sh", "-c", f'cd "$1" && shift\n{script}', "sh", root, *values]
        return self.lab.exec(host, argv, user="postgres", timeout=60).stdout
