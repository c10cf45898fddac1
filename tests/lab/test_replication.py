"""Standbys follow, stop following, and tell why they do not; histories are judged."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from herds.domain.divergence import Remedy
from herds.errors import NotObserved, PreconditionFailed
from herds.postgres import promotion, replication, slots, wal
from herds.postgres.cluster import Cluster
from herds.postgres.streaming import await_streaming
from lab import HerdSpec, Layout
from tests.lab.polling import eventually
from tests.lab.replicas import Replicas, replicas_of


def _herd(name: str, port: int, *members: str) -> HerdSpec:
    return HerdSpec(
        name=name,
        environment="prod",
        port=port,
        members=members,
        data_root=f"/var/lib/postgresql/15/{name}",
    )


LAYOUT = Layout(
    hosts=("ele01", "ele02"),
    herds=(
        _herd("trade", 5432, "ele01", "ele02"),
        HerdSpec(
            name="odd",
            environment="prod",
            port=5433,
            members=("ele02", "ele01"),
            data_root="/var/lib/postgresql/it's here/odd",
            packaging="plain",
        ),
        _herd("forked", 5434, "ele01", "ele02"),
        _herd("rogue", 5435, "ele01", "ele02"),
        _herd("crashed", 5436, "ele01", "ele02"),
    ),
)


@pytest.fixture(scope="module")
def replicas() -> Iterator[Replicas]:
    """Five herds of a primary and a standby each, on two hosts."""
    with replicas_of(LAYOUT) as made:
        yield made


@pytest.fixture
def primary(replicas: Replicas) -> Cluster:
    return replicas.cluster("trade", "ele01")


@pytest.fixture
def standby(replicas: Replicas, primary: Cluster) -> Iterator[Cluster]:
    """The standby of trade, which follows again after the test."""
    cluster = replicas.cluster("trade", "ele02")
    yield cluster
    replication.follow(cluster, replicas.upstream("trade", "ele02"))
    if not cluster.look().is_running:
        cluster.act("start")
    await_streaming(cluster, primary, "trade_ele02", patience=20.0)


def streams(standby: Cluster, primary: Cluster, name: str = "trade_ele02") -> bool:
    return bool(await_streaming(standby, primary, name, patience=20.0).timeline)


def write(cluster: Cluster) -> None:
    cluster.psql(
        "CREATE TABLE IF NOT EXISTS written (at timestamptz DEFAULT now(), what text);"
        "INSERT INTO written (what)"
        " SELECT repeat('x', 200) FROM generate_series(1, 50);"
    )


def stop(cluster: Cluster) -> None:
    assert not cluster.act("stop").seen.is_running


def test_a_running_standby_is_redirected_without_a_restart(
    replicas: Replicas, primary: Cluster, standby: Cluster
) -> None:
    before = standby.look().pid
    assert slots.create_slots(primary, ["trade_ele02"]) == ("trade_ele02",)
    assert slots.create_slots(primary, ["trade_ele02"]) == ()

    upstream = replicas.upstream(
        "trade", "ele02", name="ele01.lab.test", slot="trade_ele02"
    )
    replication.follow(standby, upstream)

    assert streams(standby, primary)
    assert standby.look().pid == before
    eventually(
        lambda: [slot.is_active for slot in primary.probe().slots] == [True],
        "the standby uses its slot",
    )
    assert slots.drop_slots(primary, ["trade_ele02"]) == (), "it is in use"
    receiver = standby.probe().receiver
    assert receiver is not None
    assert (receiver.host, receiver.slot) == ("ele01.lab.test", "trade_ele02")

    replication.follow(standby, replicas.upstream("trade", "ele02"))
    assert streams(standby, primary)
    eventually(
        lambda: slots.drop_slots(primary, ["trade_ele02"]), "the slot is dropped"
    )
    assert primary.probe().slots == ()


def test_a_stopped_cluster_starts_as_a_standby_that_follows(
    replicas: Replicas, primary: Cluster, standby: Cluster
) -> None:
    stop(standby)
    standby.shell.run(["rm", f"{standby.ref.data_directory}/standby.signal"])

    replication.follow(standby, replicas.upstream("trade", "ele02"))
    standby.act("start")

    assert streams(standby, primary)
    assert "tcp_user_timeout=3000" in replication.read_conninfo(standby)


def test_a_standby_in_an_odd_directory_follows_too(replicas: Replicas) -> None:
    primary, standby = (
        replicas.cluster("odd", "ele02"),
        replicas.cluster("odd", "ele01"),
    )
    assert replicas.judged(standby, primary).kind is Remedy.FOLLOW
    before = replication.read_conninfo(standby)

    replicas.lab.kill("ele01")
    replicas.lab.boot("ele01")
    eventually(lambda: standby.look().answers, "odd runs after the boot")
    replication.follow(standby, replicas.upstream("odd", "ele01"))

    assert streams(standby, primary, "odd_ele01")
    assert "tcp_user_timeout=3000" in before


def test_a_running_primary_follows_nobody(replicas: Replicas, primary: Cluster) -> None:
    with pytest.raises(PreconditionFailed, match="runs as a primary"):
        replication.follow(primary, replicas.upstream("trade", "ele01"))

    assert primary.look().in_recovery is False


def test_a_new_connection_is_made_when_asked_for(
    primary: Cluster, standby: Cluster
) -> None:
    question = "SELECT pid FROM pg_stat_wal_receiver;"
    assert streams(standby, primary)
    before = standby.psql(question)

    promotion.nudge(standby)

    eventually(
        lambda: standby.psql(question) not in {"", before}, "another WAL receiver"
    )
    assert streams(standby, primary)


def test_nobody_is_followed_after_being_told_so(
    primary: Cluster, standby: Cluster
) -> None:
    replication.stop_following(standby)

    with pytest.raises(NotObserved, match="told to follow nobody"):
        await_streaming(standby, primary, "trade_ele02", patience=0.5)

    stop(standby)
    replication.stop_following(standby)
    standby.act("start")
    assert standby.look().in_recovery is True


def test_wal_that_comes_another_way_is_not_waited_for_for_ever(
    primary: Cluster, standby: Cluster
) -> None:
    given_up, written = threading.Event(), threading.Event()

    def keep_writing() -> None:
        while not written.wait(0.05):
            write(primary)

    busy = threading.Thread(target=keep_writing)
    late = threading.Timer(10.0, given_up.set)
    busy.start()
    late.start()
    try:
        with pytest.raises(NotObserved):
            await_streaming(standby, primary, "another", patience=1.0, cancel=given_up)
    finally:
        late.cancel()
        written.set()
        busy.join()


def test_a_wrong_password_is_told_and_not_shown(
    replicas: Replicas, primary: Cluster, standby: Cluster
) -> None:
    stop(standby)
    replication.follow(
        standby,
        replicas.upstream("trade", "ele02"),
        existing="password='not the one'",
    )
    standby.act("start")

    with pytest.raises(NotObserved) as told:
        await_streaming(standby, primary, "trade_ele02", patience=0.5)

    assert "password authentication failed" in told.value.sentence()
    assert "not the one" not in repr(told.value.__dict__)
    # Restore what the password replaced: the file with the right one.
    replication.follow(
        standby, replicas.upstream("trade", "ele02"), existing="tcp_user_timeout=3000"
    )


def test_a_connection_tells_who_answers(primary: Cluster, standby: Cluster) -> None:
    found = replication.identify(standby, replication.read_conninfo(standby))

    assert found.system_identifier == primary.look().system_identifier
    assert found.timeline == 1


def test_a_refusal_by_pg_hba_is_told(replicas: Replicas, standby: Cluster) -> None:
    upstream = replicas.upstream("trade", "ele02", name="ele01.lab.test")
    connection = replication.conninfo("user=x", upstream).replace(
        "user=replication", "user=postgres"
    )

    with pytest.raises(PreconditionFailed, match=r"password|pg_hba"):
        replication.identify(standby, connection)


def test_a_stopped_standby_ends_where_it_stopped_to_receive(
    replicas: Replicas, primary: Cluster, standby: Cluster
) -> None:
    assert streams(standby, primary)
    stop(standby)
    end = wal.end_of_wal(standby, standby.probe())
    write(primary)

    judged = replicas.judged(standby, primary)

    assert judged.kind is Remedy.FOLLOW
    assert judged.fork == end.end
    assert end.digest


def test_a_shut_down_primary_ends_where_its_standby_received_to(
    replicas: Replicas, primary: Cluster, standby: Cluster
) -> None:
    assert streams(standby, primary)
    write(primary)
    stop(primary)

    end = wal.end_of_wal(primary, primary.probe())

    assert end.end == standby.probe().received
    primary.act("start")


def test_an_old_primary_that_wrote_after_the_fork_is_to_be_rewound(
    replicas: Replicas,
) -> None:
    old, new = replicas.cluster("forked", "ele01"), replicas.cluster("forked", "ele02")
    assert streams(new, old, "forked_ele02")
    stop(new)
    fork = wal.end_of_wal(new, new.probe()).end
    write(old)
    stop(old)
    new.act("start")
    new.act("promote")
    eventually(lambda: new.look().in_recovery is False, "promoted")

    end = wal.end_of_wal(old, old.probe()).end
    judged = replicas.judged(old, new)

    assert judged.kind is Remedy.REWIND
    assert judged.fork == fork
    assert judged.bytes_after_fork == end - fork

    # Started without being rewound it looks like a standby, and follows nobody.
    replication.follow(old, replicas.upstream("forked", "ele01", name="ele02.lab.test"))
    old.act("start")
    assert old.look().in_recovery is True
    with pytest.raises(NotObserved) as told:
        await_streaming(old, new, "forked_ele01", patience=3.0)
    assert "forked off" in told.value.sentence() or "history" in told.value.sentence()


def test_a_standby_that_wrote_by_itself_is_seen_by_its_wal(replicas: Replicas) -> None:
    primary = replicas.cluster("rogue", "ele01")
    rogue = replicas.cluster("rogue", "ele02")
    assert streams(rogue, primary, "rogue_ele02")
    stop(rogue)
    rogue.shell.run(["rm", f"{rogue.ref.data_directory}/standby.signal"])
    rogue.act("start")
    write(rogue)
    stop(rogue)
    for _ in range(3):
        write(primary)

    judged = replicas.judged(rogue, primary)

    assert judged.kind is Remedy.COPY
    assert "both were written to" in judged.reason


def test_the_wal_of_a_crashed_primary_is_read_to_its_end(replicas: Replicas) -> None:
    primary = replicas.cluster("crashed", "ele01")
    standby = replicas.cluster("crashed", "ele02")
    write(primary)
    assert streams(standby, primary, "crashed_ele02")
    script = 'kill -9 "$(head -n 1 "$1/postmaster.pid")"'
    primary.shell.run(["sh", "-c", script, "sh", primary.ref.data_directory])
    eventually(lambda: not primary.leftovers(), "the primary's processes are gone")

    probe = primary.probe()
    end = wal.end_of_wal(primary, probe)

    assert probe.control is not None
    assert probe.control.state == "in production"
    replayed = standby.probe().replayed
    assert replayed is not None
    assert replayed <= end.end, "nobody has more whole records than were written"
    # The first thing that PostgreSQL writes after its own recovery stands right there,
    # or on the next page where a record was cut off by the crash.
    primary.act("start")
    recovered = primary.probe().control
    assert recovered is not None
    assert 0 <= recovered.checkpoint - end.end <= 2 * 8192


def test_a_slot_whose_wal_is_gone_is_made_anew(replicas: Replicas) -> None:
    # Its standby may lose what it needs as well: nothing comes after this test.
    primary = replicas.cluster("odd", "ele02")
    limits = {"wal_keep_size": "0", "max_slot_wal_keep_size": "1MB"}
    for name, value in limits.items():
        primary.psql(f"ALTER SYSTEM SET {name} = '{value}'")
    primary.psql("SELECT pg_reload_conf()")
    try:
        assert slots.create_slots(primary, ["trade_late"]) == ("trade_late",)
        megabyte = "SELECT pg_logical_emit_message(false, '', repeat('x', 1000000))"
        primary.psql(f"{megabyte} FROM generate_series(1, 6); CHECKPOINT")
        (slot,) = primary.probe().slots
        assert slot.wal_status == "lost"

        assert slots.create_slots(primary, ["trade_late"]) == ("trade_late",)

        (slot,) = primary.probe().slots
        assert slot.wal_status == "reserved"
    finally:
        slots.drop_slots(primary, ["trade_late"])
        for name in limits:
            primary.psql(f"ALTER SYSTEM RESET {name}")
        primary.psql("SELECT pg_reload_conf()")
