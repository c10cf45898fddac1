"""The faults by name: how each strikes, and how it is mended."""

from __future__ import annotations

import random
from collections.abc import Mapping
from datetime import timedelta
from typing import ClassVar

from django.db import connection
from django.utils import timezone

from herds.models import Worker
from herds.operations import reaper
from lab.nameserver import make_key
from tests.nemesis.arena import ARCHIVING
from tests.nemesis.scene import Scene

_SWITCHOVER = frozenset({"switchover", "by-hand"})
_ALL = frozenset({"switchover", "failover", "by-hand"})
_KEY = "/etc/bind/dns.key"


class Fault:
    """Something that goes wrong once in a run, or nothing.

    ``strike`` says what it did to the scene: who is out of reach since then, whose
    server it stopped or started, which rules it breaks itself. ``mend`` follows in
    any case, and has nothing to do where ``strike`` never came.
    """

    actions: ClassVar[frozenset[str]] = _ALL
    moment: ClassVar[str] = ""  # the one it is bound to; any where empty
    herds: ClassVar[frozenset[str]] = frozenset()  # any where empty

    def __init__(self, scene: Scene, dice: random.Random) -> None:
        self.scene = scene
        self.dice = dice

    @classmethod
    def fits(cls, action: str, herd: str) -> bool:
        """Tell whether it says something about an action on a herd."""
        return action in cls.actions and (not cls.herds or herd in cls.herds)

    def strike(self) -> None:
        """Break something."""

    def mend(self) -> None:
        """Undo it, as far as a person would who knows nothing of the operation."""


class WorkerKilled(Fault):
    """The worker dies without a word; its silence is noticed at once."""

    def __init__(self, scene: Scene, dice: random.Random) -> None:
        super().__init__(scene, dice)
        self._row: Worker | None = None

    def strike(self) -> None:
        """Kill it."""
        self._row = self.scene.arena.kill_worker(self.scene.herd)

    def mend(self) -> None:
        """Let its silence have lasted, and start another one."""
        row, self._row = self._row, None
        if row is not None:
            Worker.objects.filter(pk=row.pk).update(
                heartbeat_at=timezone.now() - timedelta(seconds=30)
            )
            reaper.reap()
            self.scene.arena.start_worker(self.scene.herd)


class _Cut(Fault):
    """Some hosts do not reach each other."""

    def sides(self) -> tuple[str, str]:
        """Give both."""
        raise NotImplementedError

    def strike(self) -> None:
        """Let no packet pass between them."""
        left, right = self.sides()
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
        """Take the link down."""
        if self.host() != "dns" and self.scene.lab.state.running(self.host()) is None:
            return
        self.scene.lab.cut(self.host())
        self.scene.reachable -= {self.host()}

    def mend(self) -> None:
        """Take it up."""
        self.scene.lab.heal(self.host())


class LinkDownPrimary(_LinkDown):
    """The old primary loses its network, and would go on taking writes."""

    actions = _SWITCHOVER

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

    actions = _SWITCHOVER

    def host(self) -> str:
        """Give whose."""
        return self.scene.old


class CandidateKilled(_PostmasterKilled):
    """The candidate's server dies."""

    def host(self) -> str:
        """Give whose."""
        return self.scene.candidate


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


class PromotionFrozen(Fault):
    """The candidate's startup process stands still, so that no promotion ends."""

    def __init__(self, scene: Scene, dice: random.Random) -> None:
        super().__init__(scene, dice)
        self._pid = ""

    def strike(self) -> None:
        """Stop it (SIGSTOP)."""
        query = "SELECT pid FROM pg_stat_activity WHERE backend_type = 'startup'"
        self._pid = self.scene.try_sql(self.scene.candidate, query)
        self.scene.signal(self.scene.candidate, "STOP", self._pid)

    def mend(self) -> None:
        """Let it go on."""
        self.scene.signal(self.scene.candidate, "CONT", self._pid)
        self._pid = ""


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


class DnsPoweredOff(_PoweredOff):
    """The name server's host loses its power."""

    def host(self) -> str:
        """Give which."""
        return "dns"


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


class ArchiverFailing(Fault):
    """The old primary cannot archive, which keeps it from stopping soon."""

    actions = _SWITCHOVER
    moment = "before"
    herds = frozenset({ARCHIVING})

    def strike(self) -> None:
        """Let every attempt fail after two seconds."""
        scene = self.scene
        scene.sql(scene.old, "ALTER SYSTEM SET archive_command = 'sleep 2; false'")
        scene.sql(scene.old, "SELECT pg_reload_conf()")
        scene.sql(scene.old, "SELECT pg_switch_wal()")

    def mend(self) -> None:
        """Let it succeed again, wherever it was kept from that."""
        for host in self.scene.members:
            self.scene.try_sql(host, "ALTER SYSTEM RESET archive_command")
            self.scene.try_sql(host, "SELECT pg_reload_conf()")


class ReceiverStopped(Fault):
    """A receiver of the old primary's WAL stands still and keeps it from stopping."""

    actions = _SWITCHOVER

    def __init__(self, scene: Scene, dice: random.Random) -> None:
        super().__init__(scene, dice)
        self._pid = ""

    def strike(self) -> None:
        """Attach pg_receivewal from the third member's host, and stop it (SIGSTOP)."""
        scene = self.scene
        receive = f"/usr/lib/postgresql/{scene.spec.version}/bin/pg_receivewal"
        where = f"host={scene.old} port={scene.spec.port} user=replication"
        script = (
            'rm -rf /tmp/wal; mkdir /tmp/wal; "$1" -D /tmp/wal -d "$2" -w'
            " >/tmp/receiver.log 2>&1 & echo $!"
        )
        argv = ["sh", "-c", script, "sh", receive, f"{where} application_name=receiver"]
        started = scene.lab.exec(scene.sibling, argv, user="postgres", check=False)
        self._pid = started.stdout.strip()
        streaming = (
            "SELECT count(*) FROM pg_stat_replication WHERE application_name ="
            " 'receiver' AND state = 'streaming'"
        )
        for _ in range(20):
            if scene.try_sql(scene.old, streaming) == "1":
                break
        scene.signal(scene.sibling, "STOP", self._pid)

    def mend(self) -> None:
        """End it."""
        self.scene.signal(self.scene.sibling, "KILL", self._pid)
        self._pid = ""


class ReplayPaused(Fault):
    """The candidate receives and does not replay."""

    def strike(self) -> None:
        """Pause its replay."""
        self.scene.try_sql(self.scene.candidate, "SELECT pg_wal_replay_pause()")

    def mend(self) -> None:
        """Resume it where it is still a standby."""
        self.scene.try_sql(
            self.scene.candidate,
            "SELECT pg_wal_replay_resume() WHERE pg_is_in_recovery()",
        )


class SyncNames(Fault):
    """The candidate would wait for a synchronous standby that does not exist."""

    moment = "before"

    def strike(self) -> None:
        """Set it on the candidate, where it means nothing until it is a primary."""
        scene = self.scene
        scene.sql(
            scene.candidate, "ALTER SYSTEM SET synchronous_standby_names = 'nobody'"
        )
        scene.sql(scene.candidate, "SELECT pg_reload_conf()")

    def mend(self) -> None:
        """Unset it wherever it is."""
        for host in self.scene.members:
            self.scene.try_sql(host, "ALTER SYSTEM RESET synchronous_standby_names")
            self.scene.try_sql(host, "SELECT pg_reload_conf()")


class MetadataRestarted(Fault):
    """The metadata server is away for a while."""

    def strike(self) -> None:
        """Stop it."""
        connection.close()
        self.scene.arena.metadata.postgres.stop()

    def mend(self) -> None:
        """Start it, where it is down."""
        self.scene.arena.metadata.postgres.start()


class Supervised(Fault):
    """Somebody starts the old primary whenever it is down."""

    actions = _SWITCHOVER

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


class SecondOperation(Fault):
    """Somebody else asks for something on the same herd at the same time."""

    def strike(self) -> None:
        """Ask for a restart of a standby, or for a switchover to another one."""
        self.scene.ask_besides(self.dice.choice(("restart", "switchover")))


class PromotedByHand(Fault):
    """Somebody has promoted the candidate since the plan was written."""

    moment = "planned"

    def strike(self) -> None:
        """Promote it; that there are two writers now is nobody else's doing."""
        scene = self.scene
        scene.touched.add(scene.candidate)
        scene.excused |= {"one writer at a time", "one writer in the end"}
        scene.sql(scene.candidate, "SELECT pg_promote(true, 10)")


FAULTS: Mapping[str, type[Fault]] = {
    "none": Fault,
    "worker-killed": WorkerKilled,
    "cut-worker-primary": CutWorkerPrimary,
    "cut-worker-candidate": CutWorkerCandidate,
    "cut-worker-sibling": CutWorkerSibling,
    "cut-worker-dns": CutWorkerDns,
    "cut-primary-candidate": CutPrimaryCandidate,
    "link-down-primary": LinkDownPrimary,
    "link-down-candidate": LinkDownCandidate,
    "link-down-sibling": LinkDownSibling,
    "link-down-dns": LinkDownDns,
    "primary-killed": PrimaryKilled,
    "candidate-killed": CandidateKilled,
    "candidate-powered-off": CandidatePoweredOff,
    "sibling-powered-off": SiblingPoweredOff,
    "sibling-loses-power": SiblingLosesPower,
    "promotion-frozen": PromotionFrozen,
    "dns-stopped": DnsStopped,
    "dns-powered-off": DnsPoweredOff,
    "dns-other-value": DnsOtherValue,
    "dns-key-refused": DnsKeyRefused,
    "archiver-failing": ArchiverFailing,
    "receiver-stopped": ReceiverStopped,
    "replay-paused": ReplayPaused,
    "sync-names": SyncNames,
    "metadata-restarted": MetadataRestarted,
    "supervised": Supervised,
    "second-operation": SecondOperation,
    "promoted-by-hand": PromotedByHand,
}
"""All of them; the first is none."""
