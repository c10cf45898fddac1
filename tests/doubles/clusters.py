"""Clusters that live in memory: they start, stop and reload as PostgreSQL does."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from herds.domain.cluster import Activity, ClusterRef, Follower, Observation
from herds.domain.lsn import Lsn
from herds.domain.probe import Probe
from herds.errors import CommandTimedOut, ElephaasError, OutcomeUnknown
from herds.models import Instance
from herds.postgres.cluster import Acted
from herds.services.target import Member
from herds.services.toolbox import cluster_ref
from herds.ssh.shell import Completed

Hook = Callable[["SimulatedCluster", str], None]


@dataclass
class SimulatedCluster:
    """One cluster; ``acts`` lists what was done to it, in order.

    ``before`` is called with the name of each act, ``after`` when it is done, and
    ``before_look`` at each look; they may wait, and may raise what a host would.
    ``activity`` is what a look tells where the cluster is neither just running nor just
    stopped.
    """

    ref: ClusterRef
    log: list[tuple[str, str]]
    running: bool = True
    in_recovery: bool = False
    started_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    unreachable: ElephaasError | None = None
    exit_status: int = 0
    ignores: set[str] = field(default_factory=set)
    before: Hook = lambda cluster, name: None
    before_look: Callable[[], None] = lambda: None
    after: Callable[[SimulatedCluster], None] = lambda cluster: None
    activity: Activity | None = None
    prints: str | None = None
    pid: int = 4711
    timeline: int = 1
    position: Lsn = field(default=Lsn(0x3000000))
    system_identifier: str = "7400000000000000001"
    followers: tuple[Follower, ...] = ()
    is_streaming: bool = True
    slot_name: str = ""
    slot_octets: int | None = None
    probed: dict[str, Any] = field(default_factory=dict)  # what only a probe tells
    answers: dict[str, str] = field(default_factory=dict)  # by what was asked
    _loaded: datetime = field(default_factory=lambda: datetime.now(UTC))

    @property
    def host(self) -> str:
        return self.ref.hostname

    def look(self) -> Observation:
        self.before_look()
        return self._seen()

    def _seen(self) -> Observation:
        if self.unreachable is not None:
            raise self.unreachable
        now = datetime.now(UTC)
        if not self.running and self.activity in {Activity.ABSENT, Activity.FOREIGN}:
            return Observation(activity=self.activity, observed_at=now)
        if not self.running:
            was = "shut down in recovery" if self.in_recovery else "shut down"
            return Observation(
                activity=Activity.STOPPED,
                observed_at=now,
                version="15",
                control_state=was,
                system_identifier=self.system_identifier,
            )
        return Observation(
            activity=self.activity or Activity.RUNNING,
            observed_at=now,
            version="15.18",
            pid=self.pid,
            started_at=self.started_at,
            answers=True,
            in_recovery=self.in_recovery,
            position=self.position,
            loaded_at=self._loaded,
            system_identifier=self.system_identifier,
            followers=self.followers,
            timeline=self.timeline,
            is_streaming=self.is_streaming if self.in_recovery else None,
            slot_name=self.slot_name,
            slot_octets=self.slot_octets,
            facts={"loaded_ago": (now - self._loaded).total_seconds()},
        )

    def probe(self, *, sizes: bool = True) -> Probe:
        return Probe(seen=self.look(), **self.probed)

    def command(self, name: str) -> str:
        return f"pg_ctl {name}"

    def act(self, name: str, *, need_running: bool = False) -> Acted:
        self.before(self, name)
        if self.unreachable is not None:
            raise self.unreachable
        self.log.append((self.host, name))
        status: int | None = self.exit_status
        if need_running and not self.running:
            status = None
        elif name not in self.ignores:
            self._obey(name)
        self.after(self)
        return Acted(
            command=f"pg_ctl {name}",
            status=status,
            stdout=f"{name} on {self.host}" if self.prints is None else self.prints,
            stderr="",
            seconds=0.01,
            seen=self._seen(),
        )

    def psql(self, text: str, *, words: str = "psql", **options: Any) -> str:
        """Answer the questions that verbs ask, known by what they are called."""
        if self.unreachable is not None:
            raise self.unreachable
        self.before(self, words)
        if words == "ask for timeline and position":
            return f"{self.timeline}|{self.position}"
        if words == "ask for size and last write":
            return "3200000000|1764069067.5"
        self.log.append((self.host, words))
        return self.answers.get(words, "")

    def run_script(self, argv: list[str], words: str, **options: Any) -> Completed:
        """Answer a script of the adapter, known by what it is called."""
        return Completed(
            argv=tuple(argv),
            status=0,
            stdout=self.answers[words],
            stderr="",
            seconds=0.01,
            truncated=False,
        )

    def _obey(self, name: str) -> None:
        now = datetime.now(UTC)
        if name == "stop":
            self.running = False
        elif name == "start":
            if not self.running:
                self.started_at, self.pid = now, self.pid + 1
            self.running, self.activity, self._loaded = True, None, now
        elif name == "reload":
            self._loaded = now
        elif name == "init":
            self.activity = None
        elif name == "promote":
            self.in_recovery, self.timeline = False, self.timeline + 1


class SimulatedFleet:
    """A toolbox whose clusters are simulated, one for every instance."""

    patience = 0.5
    nameserver: Any = None

    def __init__(self) -> None:
        self.log: list[tuple[str, str]] = []
        self._clusters: dict[int, SimulatedCluster] = {}
        self._lock = threading.Lock()

    def __getitem__(self, instance: Instance) -> SimulatedCluster:
        with self._lock:
            if instance.pk not in self._clusters:
                self._clusters[instance.pk] = SimulatedCluster(
                    ref=cluster_ref(instance),
                    log=self.log,
                    in_recovery=instance.master_id is not None,
                )
            return self._clusters[instance.pk]

    def cluster(self, instance: Instance) -> Any:
        return self[instance]

    def look_at_host(
        self, instances: Sequence[Instance], *, timeout: float
    ) -> list[Observation]:
        """See one after the other, until one does not come back."""
        seen: list[Observation] = []
        for instance in instances:
            try:
                seen.append(self[instance].look())
            except (CommandTimedOut, OutcomeUnknown):
                break
        return seen

    def members(self, herd_id: int | None) -> tuple[Any, ...]:
        return tuple(
            Member(
                instance_id=instance.pk,
                is_primary=instance.is_primary,
                cluster=self.cluster(instance),
            )
            for instance in Instance.objects.filter(herd_id=herd_id).select_related(
                "herd__environment", "server"
            )
        )

    def close(self) -> None:
        """Nothing is kept open."""
