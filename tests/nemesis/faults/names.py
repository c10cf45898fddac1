"""Faults of the name server."""

from __future__ import annotations

from lab.nameserver import make_key
from tests.nemesis.faults.fault import Fault
from tests.nemesis.scene import Scene

_KEY = "/etc/bind/dns.key"


def _named(scene: Scene) -> str:
    """Give the number of the name server's process on its host."""
    return scene.lab.exec("dns", ["cat", "/run/named/named.pid"]).stdout.strip()


class DnsStopped(Fault):
    """The name server stands still and answers nobody."""

    def strike(self) -> None:
        """Stop it (SIGSTOP)."""
        self.scene.signal("dns", "STOP", _named(self.scene))

    def mend(self) -> None:
        """Let it go on."""
        self.scene.signal("dns", "CONT", _named(self.scene))


class DnsOtherValue(Fault):
    """Somebody has led the virtual host's name elsewhere."""

    def strike(self) -> None:
        """Lead it to the third member."""
        self.scene.lead(self.scene.sibling)


class DnsKeyRefused(Fault):
    """The name server has another key than the service."""

    def strike(self) -> None:
        """Give it another key."""
        self._give(make_key())

    def mend(self) -> None:
        """Give it the right key, where it has another."""
        key = self.scene.lab.dns_key.read_text()
        if self.scene.lab.exec("dns", ["cat", _KEY]).stdout != key:
            self._give(key)

    def _give(self, key: str) -> None:
        """Write a key where the name server reads it, and start that anew."""
        script = (
            'cat >"$1"; kill "$2"; while kill -0 "$2" 2>/dev/null; do sleep 0.02; done;'
            " exec /usr/sbin/named -4 -n 1 -u bind"
        )
        argv = ["sh", "-c", script, "sh", _KEY, _named(self.scene)]
        self.scene.lab.exec("dns", argv, stdin=key)
