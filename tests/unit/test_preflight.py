"""What is judged before a primary is moved, row by row, from what was seen."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from herds.domain.cluster import Activity, ClusterRef, Observation
from herds.domain.lsn import Lsn
from herds.domain.plan import Check, Verdict
from herds.domain.probe import Probe, Sender
from herds.postgres.readiness import LogicalSlot, Readiness, WalSender
from herds.services.pair import Pair
from herds.services.preflight import preflight, refusal, stops, warnings
from herds.services.scene import Scene, View, fed_by_others
from herds.services.target import Member

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SYSTEM = "7100000000000000001"
HERE = Lsn.parse("0/5000060")


@dataclass
class Clock:
    """A time that stands still."""

    def now(self) -> datetime:
        return NOW


def member(number: int, *, is_primary: bool = False) -> Member:
    ref = ClusterRef(
        hostname=f"ele{number:02}",
        data_directory="/data",
        port=5432,
        base_name="trade",
        herd_name="trade",
    )
    cluster: Any = SimpleNamespace(host=ref.hostname, ref=ref)
    return Member(instance_id=number, is_primary=is_primary, cluster=cluster)


def sender(name: str, state: str = "streaming") -> Sender:
    return Sender(
        application_name=name,
        address="192.0.2.9",
        state=state,
        sync_state="async",
        sent=HERE,
        flushed=HERE,
        replayed=HERE,
    )


def view(each: Member, *, senders: tuple[Sender, ...] = ()) -> View:
    seen = Observation(
        activity=Activity.RUNNING,
        observed_at=NOW,
        version="15.4",
        answers=True,
        in_recovery=not each.is_primary,
        position=HERE,
        system_identifier=SYSTEM,
    )
    probe = Probe(
        seen=seen,
        is_writable=True,
        has_perl=True,
        host_time=NOW,
        timeline=3,
        received=HERE,
        replayed=HERE,
        senders=senders,
        settings={"wal_level": "replica", "max_connections": "100"},
    )
    return View(member=each, probe=probe)


READY = Readiness(
    in_recovery=False,
    ready_files=0,
    is_archiver_failing=False,
    failed_wal="",
    senders=(),
    logical_slots=(),
    free_slots=10,
    free_senders=10,
    backups=0,
    prepared=0,
    clients=3,
    longest=0.1,
    unlogged=0,
    is_paused=False,
    preload="",
    sync_names="",
    sync_commit="on",
)


def pair(
    old: dict[str, Any] | None = None,
    new: dict[str, Any] | None = None,
    old_ready: dict[str, Any] | None = None,
    new_ready: dict[str, Any] | None = None,
    reached: dict[str, str] | None = None,
) -> Pair:
    """Give a herd of three that can be moved, but for what is said otherwise."""
    first, second, third = member(1, is_primary=True), member(2), member(3)
    followers = (sender("trade_ele02"), sender("trade_ele03"))
    views = [view(first, senders=followers), view(second), view(third)]
    for at, changes in ((0, old), (1, new)):
        probe = views[at].known
        views[at] = replace(views[at], probe=replace(probe, **(changes or {})))
    target: Any = SimpleNamespace(clock=Clock())
    return Pair(
        target=target,
        scene=Scene(views=tuple(views)),
        old=views[0],
        new=views[1],
        old_ready=replace(READY, **(old_ready or {})),
        new_ready=replace(READY, in_recovery=True, **(new_ready or {})),
        reached=reached or {},
    )


def row(checks: tuple[Check, ...], name: str) -> Check:
    (found,) = [check for check in checks if check.name == name]
    return found


def test_a_healthy_pair_has_nothing_in_its_way() -> None:
    checks = preflight(pair())

    assert stops(checks) == ()
    assert refusal(checks) == ""
    # The double has no pg_control, which rewinds depend on.
    assert [check.name for check in warnings(checks)] == ["Rewind"]


STUCK = WalSender(
    name="cdc", state="streaming", sync_state="async", is_logical=True,
    behind=512, silent=45.0,
)  # fmt: skip


@pytest.mark.parametrize(
    ("seen", "name", "verdict", "words"),
    [
        (
            {"new": {"timeline": 2}},
            "Timeline",
            Verdict.STOP,
            "2",
        ),
        (
            {"new": {"files": frozenset({"elephaas.incomplete"})}},
            "Complete",
            Verdict.STOP,
            "a rebuild began in it and did not end",
        ),
        (
            {"new": {"settings": {"recovery_target_time": "2026-01-01"}}},
            "Complete",
            Verdict.STOP,
            "recovery_target_time is set",
        ),
        (
            {"old": {"senders": (sender("trade_ele03"),)}},
            "Streaming",
            Verdict.STOP,
            "ele01 does not list trade_ele02 among its followers",
        ),
        (
            {"old": {"senders": (sender("trade_ele02", "catchup"),)}},
            "Streaming",
            Verdict.STOP,
            "catchup to ele02",
        ),
        (
            {"new": {"replayed": Lsn(HERE - Lsn(20 * 1024 * 1024))}},
            "Lag",
            Verdict.WARN,
            "21.0 MB behind",
        ),
        (
            {"new_ready": {"is_paused": True}},
            "Replay",
            Verdict.STOP,
            "paused",
        ),
        (
            {"old_ready": {"ready_files": 17}},
            "Archiver",
            Verdict.WARN,
            "17 WAL files wait",
        ),
        (
            {"old_ready": {"ready_files": 129}},
            "Archiver",
            Verdict.STOP,
            "129 WAL files wait",
        ),
        (
            {"old_ready": {"is_archiver_failing": True, "failed_wal": "00A"}},
            "Archiver",
            Verdict.WARN,
            "the last attempt failed (00A)",
        ),
        (
            {"old_ready": {"senders": (STUCK,)}},
            "WAL senders",
            Verdict.WARN,
            "cdc (512 B behind, silent for 45 s)",
        ),
        (
            {"new_ready": {"sync_names": "trade_ele01"}},
            "Synchronous replication",
            Verdict.WARN,
            "waits for ele01 until that follows again",
        ),
        (
            {"new_ready": {"sync_names": "FIRST 3 (*)"}},
            "Synchronous replication",
            Verdict.STOP,
            "only trade_ele03, trade_ele01 will be there",
        ),
        (
            {"new": {"settings": {"wal_level": "minimal"}}},
            "WAL level",
            Verdict.STOP,
            "minimal",
        ),
        (
            {"new_ready": {"free_senders": 1}},
            "Room for followers",
            Verdict.STOP,
            "1 senders",
        ),
        (
            {"reached": {"ele01": "no pg_hba.conf entry"}},
            "Way back",
            Verdict.STOP,
            "no pg_hba.conf entry",
        ),
        (
            {"reached": {"ele03": "no pg_hba.conf entry"}},
            "Way from ele03",
            Verdict.WARN,
            "no pg_hba.conf entry",
        ),
        (
            {"old": {"has_perl": False}},
            "Watcher",
            Verdict.STOP,
            "not there",
        ),
        (
            {"new": {"is_writable": False}},
            "Rights",
            Verdict.STOP,
            "not writable on ele02",
        ),
        (
            {"old_ready": {"preload": "repmgr"}},
            "Other managers",
            Verdict.STOP,
            "repmgr",
        ),
        (
            {
                "old_ready": {
                    "logical_slots": (
                        LogicalSlot(name="cdc", is_failover=False, is_synced=False),
                    )
                }
            },
            "Logical slots",
            Verdict.WARN,
            "cdc would be lost",
        ),
        (
            {"old_ready": {"prepared": 1, "longest": 90.0}},
            "Sessions",
            Verdict.WARN,
            "1 prepared transactions, the oldest transaction 90 s old",
        ),
        (
            {"old_ready": {"unlogged": 2}},
            "Unlogged tables",
            Verdict.WARN,
            "2",
        ),
    ],
)
def test_what_stands_in_the_way_is_told(
    seen: dict[str, Any], name: str, verdict: Verdict, words: str
) -> None:
    found = row(preflight(pair(**seen)), name)

    assert found.verdict is verdict, found
    assert words in found.observed


def test_who_follows_below_another_confirms_no_commit() -> None:
    below = replace(view(member(3)).known, senders=(sender("trade_ele04"),))
    seen = pair(new_ready={"sync_names": "trade_ele04"})
    views = (*seen.scene.views[:2], View(member=member(3), probe=below))
    fed = view(member(4))
    seen = replace(seen, scene=Scene(views=(*views, fed)))

    found = row(preflight(seen), "Synchronous replication")

    assert found.verdict is Verdict.STOP
    assert "only trade_ele03, trade_ele01 will be there" in found.observed


def test_another_cluster_that_was_recorded_by_mistake_is_refused() -> None:
    other = replace(view(member(2)).known.seen, system_identifier="7199999999999999999")

    checks = preflight(pair(new={"seen": other}))

    assert row(checks, "Same cluster").verdict is Verdict.STOP
    assert refusal(checks).startswith("Same cluster: 7199999999999999999,")


def test_a_logical_slot_that_is_synced_is_not_lost() -> None:
    slot = LogicalSlot(name="cdc", is_failover=True, is_synced=False)
    synced = replace(slot, is_synced=True)

    checks = preflight(
        pair(
            old_ready={"logical_slots": (slot,)}, new_ready={"logical_slots": (synced,)}
        )
    )

    assert row(checks, "Logical slots").verdict is Verdict.OK


def test_who_is_fed_by_a_standby_that_stays_goes_along_with_it() -> None:
    first, second, third, fourth = (
        member(1, is_primary=True),
        *(member(number) for number in (2, 3, 4)),
    )
    scene = Scene(
        views=(
            view(first, senders=(sender("trade_ele02"), sender("trade_ele03"))),
            view(second),
            view(third, senders=(sender("trade_ele04"),)),
            view(fourth),
        )
    )

    assert fed_by_others(scene, first, second) == {4: third}
    # Below the one that takes over it is a follower like any other.
    assert fed_by_others(scene, first, third) == {}
