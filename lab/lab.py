"""The lab as its users hold it: one object to bring up, break, heal and take down."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from lab import (
    access,
    disks,
    majors,
    nameserver,
    network,
    prerequisites,
    processes,
    sshd,
    status,
)
from lab.clusters import PASSWORD_FILE
from lab.control import Control
from lab.errors import LabError
from lab.layout import HerdSpec, Layout, default_layout
from lab.processes import Process
from lab.state import DEFAULT_NAME, HostRecord, LabState, directory_of, erase, locked

DOMAIN = "lab.test"
_READY_SECONDS = 180.0
_PROJECT = Path(__file__).resolve().parent.parent


def _quiet(_sentence: str) -> None:
    """Say nothing."""


class Lab:
    """One data centre on this machine, by name.

    Making the object makes nothing else: ``up`` builds the lab, and every other method
    works on the lab of that name, whoever built it. Methods raise LabError with a
    sentence for people.
    """

    def __init__(self, name: str | None = None) -> None:
        self.name = name or os.environ.get("LAB_NAME") or DEFAULT_NAME
        self.directory = directory_of(self.name)

    # What it is

    @property
    def state(self) -> LabState:
        """What the lab was made of; LabError when there is no lab of this name."""
        state = LabState.load(self.name)
        if state is None or not state.complete:
            raise LabError(
                f"There is no lab {self.name} on this machine. Make one with: up"
            )
        return state

    def exists(self) -> bool:
        """Tell whether a lab of this name was brought up completely."""
        state = LabState.load(self.name)
        return state is not None and state.complete

    @property
    def domain(self) -> str:
        """The DNS zone of the lab."""
        return self.state.domain

    @property
    def hosts(self) -> dict[str, HostRecord]:
        """Every host by name, ``control`` and ``dns`` among them."""
        return self.state.hosts

    @property
    def herds(self) -> dict[str, HerdSpec]:
        """Every herd by name; the first of its members began as the primary."""
        return self.state.herds

    @property
    def ssh_key(self) -> Path:
        """The private key that logs in as postgres on every host."""
        return self.state.keys / sshd.LOGIN_KEY

    @property
    def dns_key(self) -> Path:
        """The TSIG key file, in BIND's format, that may change the zone."""
        return self.state.keys / nameserver.KEY_FILE

    @property
    def replication_password(self) -> str:
        """The password of the role ``replication`` in every herd."""
        return (self.state.keys / PASSWORD_FILE).read_text().strip()

    def host_key(self, host: str) -> str:
        """Return the public key a host's sshd shows, as ``type base64``."""
        return sshd.host_key(self.state, host)

    @property
    def control(self) -> Control:
        """The host on which ElepHaaS runs."""
        return Control(self.state)

    # Up and down

    def up(
        self,
        layout: Layout | None = None,
        *,
        say: Callable[[str], None] = _quiet,
        domain: str = DOMAIN,
        postgres: str | None = None,
    ) -> bool:
        """Bring the lab up and return when every standby streams.

        ``postgres`` is the major version of herds that name none, Debian's newest by
        default. Returns False when the lab was up already; it is then left as it is.
        What an earlier, interrupted attempt left behind is taken down first.
        """
        prerequisites.require()
        version = prerequisites.choose_postgres(postgres)
        layout = (layout or default_layout(12, version)).with_version(version)
        layout.check()
        majors.require(layout.herds)
        with locked(self.name, create=True) as directory:
            if self.exists():
                return False
            if directory is not None and any(directory.iterdir()):
                say(f"Lab {self.name} is there in parts; they are taken down first.")
                self._clear(itself=False)
            instances = sum(len(herd.members) for herd in layout.herds)
            prerequisites.require_room(self.directory, instances)
            state = LabState.plan(self.name, layout, domain, version)
            state.save()
            self._build(state, say)
            state.completed().save()
        return True

    def _build(self, state: LabState, say: Callable[[str], None]) -> None:
        instances = sum(len(herd.members) for herd in state.herds.values())
        say(
            f"Lab {self.name}: writing {len(state.hosts)} hosts, {len(state.herds)} "
            f"herds and {instances} instances to {state.directory}"
        )
        disks.make_all(state)
        say(f"Lab {self.name}: starting the hosts in {state.network}")
        self._power_on(list(state.hosts))
        say(f"Lab {self.name}: waiting for every standby to stream")
        _await_streaming(state)

    def down(self) -> bool:
        """End every process of the lab and delete its files.

        Works on half a lab too, and on one that lost processes or its files. Returns
        False when there was nothing.
        """
        with locked(self.name) as directory:
            if directory is not None:
                self._clear(itself=True)
                return True
            strays = processes.marked(str(self.directory))
            processes.end(strays)
            return bool(strays)

    def _clear(self, *, itself: bool) -> None:
        records = [self.directory / "switch", *self.directory.glob("hosts/*/init")]
        recorded = {process for path in records if (process := Process.read(path))}
        processes.end(recorded | set(processes.marked(str(self.directory))))
        erase(self.directory, itself=itself)

    # Looking

    def status(self) -> dict[str, Any]:
        """Return the lab as observed now, in the form ``status --json`` prints."""
        return status.observe(self.state)

    def describe(self) -> str:
        """Return the lab as observed now, for a person to read."""
        return status.as_text(self.state)

    def primary(self, herd: str) -> str | None:
        """Return the herd's one reachable primary, None when none or several."""
        state = self.state
        found = status.primaries(state, state.herds[herd], status.hosts_up(state))
        return found[0] if len(found) == 1 else None

    def sql(self, herd: str, host: str, query: str) -> str:
        """Return what a herd's instance on ``host`` answers to postgres there."""
        state = self.state
        return status.ask(state, host, state.herds[herd], query)

    def exec(
        self,
        host: str,
        argv: Sequence[str],
        *,
        user: str = "root",
        stdin: str = "",
        timeout: float = 60.0,
        check: bool = True,
    ) -> subprocess.CompletedProcess[str]:
        """Run a program on a host; see ``lab.access.run``."""
        return access.run(
            self.state,
            host,
            argv,
            user=user,
            stdin=stdin,
            timeout=timeout,
            check=check,
        )

    def inside(self, host: str) -> AbstractContextManager[None]:
        """Let the calling thread live on a host; see ``lab.access.inside``."""
        return access.inside(self.state, host)

    # Breaking and mending

    def kill(self, host: str) -> bool:
        """Power a host off: the cable goes first, so nobody is told that it died.

        Returns False when it was off already.
        """
        with locked(self.name):
            state = self._with_host(host)
            init = state.running(host)
            if init is None:
                return False
            network.unplug(state, host)
            processes.end([init])
        return True

    def boot(self, host: str) -> bool:
        """Power a host on; return when its sshd listens and its clusters are starting.

        Returns False when it was on already.
        """
        with locked(self.name):
            state = self._with_host(host)
            if state.running(host) is not None:
                return False
            network.unplug(state, host)
            self._power_on([host])
        return True

    def cut(self, host: str) -> None:
        """Cut a host off the network: the link goes down, the host lives on."""
        with locked(self.name):
            state = self.state
            access.init_of(state, host)
            network.link_up(state, host, up=False)

    def partition(self, left: Iterable[str], right: Iterable[str]) -> None:
        """Let no packet pass between two groups of hosts, silently."""
        sides = (list(left), list(right))
        with locked(self.name):
            state = self.state
            for here, there in (sides, sides[::-1]):
                for host in here:
                    access.init_of(state, host)
                    network.block(state, host, there)

    def heal(self, *hosts: str) -> None:
        """Undo cut and partition for some hosts, or for all."""
        with locked(self.name):
            state = self.state
            if network.find_switch(state) is None:
                self._power_on([])
            for host in hosts or state.hosts:
                self._with_host(host)
                network.mend(state, host)

    def _with_host(self, host: str) -> LabState:
        state = self.state
        if host not in state.hosts:
            known = ", ".join(state.hosts)
            raise LabError(f"Lab {self.name} has no host {host}; it has {known}.")
        return state

    def _power_on(self, hosts: list[str]) -> None:
        done = subprocess.run(
            [sys.executable, "-m", "lab.poweron", self.name, *hosts],
            cwd=_PROJECT,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise LabError(done.stderr.strip())


def _await_streaming(state: LabState) -> None:
    """Return when every herd's primary has all its standbys streaming."""
    deadline = time.monotonic() + _READY_SECONDS
    waiting = [herd for herd in state.herds.values() if len(herd.members) > 1]
    while waiting:
        counts = status.streaming(state, waiting)
        waiting = [h for h in waiting if counts[h.name] < len(h.members) - 1]
        if waiting and time.monotonic() > deadline:
            lacking = ", ".join(
                f"{herd.name} ({counts[herd.name]} of {len(herd.members) - 1})"
                for herd in waiting
            )
            raise LabError(
                f"Not every standby streams after {_READY_SECONDS:.0f} s: {lacking}.\n"
                f"Logs are under {state.directory}/hosts/*/log."
            )
        time.sleep(0.05 if waiting else 0)
