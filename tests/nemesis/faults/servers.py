"""Faults of servers that run, and do not do what they are to do."""

from __future__ import annotations

import random

from tests.nemesis.arena import ARCHIVING
from tests.nemesis.faults.fault import SWITCHOVER_ONLY, Fault
from tests.nemesis.scene import Scene


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


class ArchiverFailing(Fault):
    """The old primary cannot archive, which keeps it from stopping soon."""

    actions = SWITCHOVER_ONLY
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

    actions = SWITCHOVER_ONLY

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


class PromotedByHand(Fault):
    """Somebody has promoted the candidate since the plan was written."""

    moment = "planned"

    def strike(self) -> None:
        """Promote it; that there are two writers now is nobody else's doing."""
        scene = self.scene
        scene.touched.add(scene.candidate)
        scene.excused |= {"one writer at a time", "one writer in the end"}
        # Nor has this somebody moved the name.
        scene.excused.add("the name leads to the writer")
        scene.sql(scene.candidate, "SELECT pg_promote(true, 10)")
