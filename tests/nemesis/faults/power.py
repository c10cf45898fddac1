"""Faults of hosts and servers that end, and of those who start them again."""

from __future__ import annotations

import random

from tests.nemesis.faults.fault import SWITCHOVER_ONLY, Fault
from tests.nemesis.scene import Scene


class _PoweredOff(Fault):
    """A host loses its power."""

    def host(self) -> str:
        """Give which."""
        raise NotImplementedError

    def strike(self) -> None:
        """Take the power away."""
        self.scene.touched.add(self.host())
        self.scene.reachable -= {self.host()}
        self.scene.lab.kill(self.host())

    def mend(self) -> None:
        """Give it back."""
        self.scene.lab.boot(self.host())


class CandidatePoweredOff(_PoweredOff):
    """The candidate's host loses its power."""

    def host(self) -> str:
        """Give which."""
        return self.scene.candidate


class SiblingPoweredOff(_PoweredOff):
    """The third member's host is off already when the plan is asked for."""

    moment = "before"

    def host(self) -> str:
        """Give which."""
        return self.scene.sibling


class SiblingLosesPower(_PoweredOff):
    """The third member's host loses its power in the middle."""

    def host(self) -> str:
        """Give which."""
        return self.scene.sibling


class DnsPoweredOff(_PoweredOff):
    """The name server's host loses its power."""

    def host(self) -> str:
        """Give which."""
        return "dns"


class _PostmasterKilled(Fault):
    """A server dies of SIGKILL, and nobody starts it again."""

    def host(self) -> str:
        """Give whose."""
        raise NotImplementedError

    def strike(self) -> None:
        """Kill its postmaster; its other processes notice and end."""
        scene, host = self.scene, self.host()
        scene.touched.add(host)
        scene.signal(host, "KILL", scene.postmaster(host))


class PrimaryKilled(_PostmasterKilled):
    """The old primary's server dies."""

    actions = SWITCHOVER_ONLY

    def host(self) -> str:
        """Give whose."""
        return self.scene.old


class CandidateKilled(_PostmasterKilled):
    """The candidate's server dies."""

    def host(self) -> str:
        """Give whose."""
        return self.scene.candidate


class Supervised(Fault):
    """Somebody starts the old primary whenever it is down."""

    actions = SWITCHOVER_ONLY

    def __init__(self, scene: Scene, dice: random.Random) -> None:
        super().__init__(scene, dice)
        self._pid = ""

    def strike(self) -> None:
        """Try it ten times a second from now on."""
        scene = self.scene
        scene.touched.add(scene.old)
        ctl = f"/usr/lib/postgresql/{scene.spec.version}/bin/pg_ctl"
        loop = 'while sleep 0.1; do "$@"; done'
        argv = ["sh", "-c", f"({loop}) >/dev/null 2>&1 & echo $!", "sh", ctl]
        argv += ["-D", scene.spec.data_root, "-W", *scene.start_words()]
        started = scene.lab.exec(scene.old, argv, user="postgres")
        self._pid = started.stdout.strip()

    def mend(self) -> None:
        """End it."""
        self.scene.signal(self.scene.old, "KILL", self._pid)
        self._pid = ""
