"""Following and judging histories on every major, whose tools and settings differ."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from herds.domain.divergence import Remedy
from herds.errors import NotObserved, PreconditionFailed
from herds.postgres import replication, slots, wal
from herds.postgres.cluster import Cluster
from herds.postgres.streaming import await_streaming
from lab import Layout
from tests.lab.majors import MAJORS, herd, lab_of
from tests.lab.polling import eventually
from tests.lab.replicas import Replicas, replicas_in

HOSTS = ("ele01", "ele02")
LAYOUT = Layout(
    hosts=HOSTS,
    herds=tuple(
        herd(major, 5400 + int(major), *HOSTS, packaging="debian") for major in MAJORS
    ),
)


@pytest.fixture(scope="module")
def replicas() -> Iterator[Replicas]:
    """A primary on ele01 and a standby on ele02 of every major."""
    with lab_of(LAYOUT, "replication") as lab, replicas_in(lab) as replicas:
        yield replicas


class Pair:
    """A primary and its standby."""

    def __init__(self, replicas: Replicas, major: str) -> None:
        self.herd = f"debian{major}"
        self.replicas = replicas
        self.primary = replicas.cluster(self.herd, "ele01")
        self.standby = replicas.cluster(self.herd, "ele02")
        self.name = f"{self.herd}_ele02"

    def streams(self) -> bool:
        return bool(
            await_streaming(self.standby, self.primary, self.name, patience=20.0)
        )

    def follow(self, name: str = "") -> None:
        upstream = self.replicas.upstream(self.herd, "ele02", name=name)
        replication.follow(self.standby, upstream)

    def write(self) -> None:
        self.primary.psql(
            "CREATE TABLE IF NOT EXISTS written (what text);"
            "INSERT INTO written SELECT repeat('x', 200) FROM generate_series(1, 50);"
        )


@pytest.fixture(params=MAJORS)
def pair(replicas: Replicas, request: pytest.FixtureRequest) -> Pair:
    """The pair of one major, streaming."""
    pair = Pair(replicas, request.param)
    assert pair.streams()
    return pair


def stop(cluster: Cluster) -> None:
    assert not cluster.act("stop").seen.is_running


def test_a_standby_is_redirected_running_and_stopped(pair: Pair) -> None:
    pair.follow("ele01.lab.test")
    assert pair.streams()
    receiver = pair.standby.probe().receiver
    assert receiver is not None
    assert receiver.host == "ele01.lab.test"

    stop(pair.standby)
    pair.follow()
    pair.standby.act("start")

    assert pair.streams()
    assert f"host={pair.herd}.lab.test" in replication.read_conninfo(pair.standby)


def test_a_standby_is_redirected_where_alter_system_is_forbidden(pair: Pair) -> None:
    if int(pair.herd.removeprefix("debian")) < 17:
        pytest.skip("nobody can forbid it before 17")
    config = (
        f"/etc/postgresql/{pair.standby.ref.version}/{pair.herd}/conf.d/forbid.conf"
    )
    pair.standby.shell.run(
        ["sh", "-c", 'echo "allow_alter_system = off" >"$1"', "sh", config]
    )
    pair.standby.act("reload")
    eventually(
        lambda: pair.standby.psql("SHOW allow_alter_system;") == "off", "forbidden"
    )

    pair.follow("ele01.lab.test")

    assert pair.streams()
    assert "host=ele01.lab.test" in replication.read_conninfo(pair.standby)
    pair.standby.shell.run(["rm", config])
    pair.standby.act("reload")
    pair.follow()


def test_a_slot_is_made_and_dropped(pair: Pair) -> None:
    assert slots.create_slots(pair.primary, ["spare"]) == ("spare",)
    assert slots.create_slots(pair.primary, ["spare"]) == ()
    (slot,) = pair.primary.probe().slots
    assert (slot.name, slot.kind, slot.is_active) == ("spare", "physical", False)

    assert slots.drop_slots(pair.primary, ["spare"]) == ("spare",)
    assert pair.primary.probe().slots == ()


def test_slots_are_made_all_or_none_on_a_standby_too(pair: Pair) -> None:
    room = int(pair.standby.probe().settings["max_replication_slots"])
    names = [f"spare_{number}" for number in range(room)]
    assert sorted(slots.create_slots(pair.standby, names[1:])) == sorted(names[1:])

    with pytest.raises(PreconditionFailed, match=f"it may have {room}"):
        slots.create_slots(pair.standby, [names[0], "one_more"])

    there = slots.read_slots(pair.standby, [*names, "one_more"])
    assert there == dict.fromkeys(names[1:], False)
    assert sorted(slots.drop_slots(pair.standby, names)) == sorted(names[1:])
    assert pair.standby.probe().slots == ()


def test_the_end_of_wal_is_exact_on_both_sides_of_a_shutdown(pair: Pair) -> None:
    pair.write()
    stop(pair.primary)
    end = wal.end_of_wal(pair.primary, pair.primary.probe())

    assert pair.standby.probe().received == end.end
    stop(pair.standby)
    assert wal.end_of_wal(pair.standby, pair.standby.probe()) == end

    pair.primary.act("start")
    assert pair.replicas.judged(pair.standby, pair.primary).kind is Remedy.FOLLOW
    pair.standby.act("start")
    assert pair.streams()


def test_a_forked_history_is_seen_and_told_by_the_standby_that_does_not_follow(
    pair: Pair,
) -> None:
    stop(pair.standby)
    fork = wal.end_of_wal(pair.standby, pair.standby.probe()).end
    pair.write()
    stop(pair.primary)
    pair.standby.act("start")
    pair.standby.act("promote")
    eventually(lambda: pair.standby.look().in_recovery is False, "promoted")
    old, new = pair.primary, pair.standby

    judged = pair.replicas.judged(old, new)

    assert judged.kind is Remedy.REWIND
    assert judged.fork == fork
    upstream = pair.replicas.upstream(pair.herd, "ele01", name="ele02.lab.test")
    replication.follow(old, upstream)
    old.act("start")
    with pytest.raises(NotObserved) as told:
        await_streaming(old, new, f"{pair.herd}_ele01", patience=3.0)
    said = told.value.sentence()
    assert "forked off" in said or "is not in this server's history" in said
