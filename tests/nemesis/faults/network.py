"""Faults of the network: hosts that do not reach each other, links that are down."""

from __future__ import annotations

from tests.nemesis.faults.fault import SWITCHOVER_ONLY, Fault
from tests.nemesis.scene import Scene


def _is_on(scene: Scene, host: str) -> bool:
    return scene.lab.state.running(host) is not None


class _Cut(Fault):
    """Some hosts do not reach each other."""

    def sides(self) -> tuple[str, str]:
        """Give both."""
        raise NotImplementedError

    def strike(self) -> None:
        """Let no packet pass between them, if both are there."""
        left, right = self.sides()
        if not (_is_on(self.scene, left) and _is_on(self.scene, right)):
            return
        self.scene.lab.partition([left], [right])
        self.scene.reachable -= {left, right}

    def mend(self) -> None:
        """Let them pass again."""
        self.scene.lab.heal(*self.sides())


class CutWorkerPrimary(_Cut):
    """The worker does not reach the old primary, which everybody else does."""

    def sides(self) -> tuple[str, str]:
        """Give both."""
        return "control", self.scene.old


class CutWorkerCandidate(_Cut):
    """The worker does not reach the candidate, which everybody else does."""

    def sides(self) -> tuple[str, str]:
        """Give both."""
        return "control", self.scene.candidate


class CutWorkerSibling(_Cut):
    """The worker does not reach the third member, which everybody else does."""

    def sides(self) -> tuple[str, str]:
        """Give both."""
        return "control", self.scene.sibling


class CutWorkerDns(_Cut):
    """The worker does not reach the name server."""

    def sides(self) -> tuple[str, str]:
        """Give both."""
        return "control", "dns"


class CutPrimaryCandidate(_Cut):
    """Old primary and candidate do not reach each other; the worker reaches both."""

    def sides(self) -> tuple[str, str]:
        """Give both."""
        return self.scene.old, self.scene.candidate


class _LinkDown(Fault):
    """A host loses its network and lives on."""

    def host(self) -> str:
        """Give which."""
        raise NotImplementedError

    def strike(self) -> None:
        """Take the link down, if the host is on."""
        if not _is_on(self.scene, self.host()):
            return
        self.scene.lab.cut(self.host())
        self.scene.reachable -= {self.host()}

    def mend(self) -> None:
        """Take it up."""
        self.scene.lab.heal(self.host())


class LinkDownPrimary(_LinkDown):
    """The old primary loses its network, and would go on taking writes."""

    actions = SWITCHOVER_ONLY

    def host(self) -> str:
        """Give which."""
        return self.scene.old


class LinkDownCandidate(_LinkDown):
    """The candidate loses its network."""

    def host(self) -> str:
        """Give which."""
        return self.scene.candidate


class LinkDownSibling(_LinkDown):
    """The third member loses its network."""

    def host(self) -> str:
        """Give which."""
        return self.scene.sibling


class LinkDownDns(_LinkDown):
    """The name server loses its network."""

    def host(self) -> str:
        """Give which."""
        return "dns"
