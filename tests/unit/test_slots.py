"""Which slots a herd's members need, and what becomes of one if a rejoin fails."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from herds.domain.cluster import Activity, ClusterRef, Observation
from herds.domain.probe import Probe, Slot
from herds.errors import HostUnreachable, NotObserved
from herds.services import ends, slots
from herds.services.target import Member, Target
from tests.doubles.stories import PassingClock, ToldSteps


@dataclass
class SlotKeeper:
    """A server that only knows slots: their names, and whether each is in use."""

    host: str
    use_slots: bool = True
    there: dict[str, bool] = field(default_factory=dict)
    is_lost: bool = False

    @property
    def ref(self) -> ClusterRef:
        return ClusterRef(
            hostname=f"{self.host}.lab.test",
            data_directory="/srv/trade",
            port=5432,
            base_name="Main-1",
            herd_name="trade",
            use_slots=self.use_slots,
        )

    def psql(self, text: str, *, values: Mapping[str, str], words: str) -> str:
        if self.is_lost:
            raise HostUnreachable(self.host, "timed out")
        names = values["names"].split()
        found = [name for name in names if name in self.there]
        if words == "read pg_replication_slots":
            return "\n".join(f"{each}|{'ft'[self.there[each]]}" for each in found)
        if words == "pg_drop_replication_slot":
            idle = [name for name in found if not self.there[name]]
            for name in idle:
                del self.there[name]
            return "\n".join(idle)
        made = [name for name in names if name not in found]
        self.there.update(dict.fromkeys(made, False))
        return "\n".join(f"made {name}" for name in made)


@dataclass
class Trade:
    """A herd of three; the first is its primary, the second is worked on."""

    use_slots: bool = True

    def __post_init__(self) -> None:
        self.keepers = [
            SlotKeeper(f"ele0{number}", self.use_slots) for number in (1, 2, 3)
        ]
        clusters: list[Any] = list(self.keepers)
        self.members = tuple(
            Member(instance_id=number, is_primary=number == 1, cluster=cluster)
            for number, cluster in enumerate(clusters, start=1)
        )
        self.steps = ToldSteps()
        self.target = Target(
            instance_id=2,
            cluster=clusters[1],
            members=self.members,
            steps=self.steps,
            clock=PassingClock(),
            record=lambda seen: None,
        )

    @property
    def notes(self) -> str:
        return " ".join(note for step in self.steps.told for note in step.notes)

    def settle(self, mine: Probe | None = None, theirs: Probe | None = None) -> None:
        slots.settle_slots(
            self.target, self.members[0], mine or probe(), theirs or probe()
        )


def probe(**told: Any) -> Probe:
    seen = Observation(
        activity=Activity.RUNNING, observed_at=PassingClock().now(), answers=True
    )
    return replace(Probe(seen=seen), **told)


def test_a_primary_needs_the_slots_of_all_others() -> None:
    trade = Trade()

    names = slots.needed_slots(trade.members, trade.members[1])

    assert names == ("main_1_ele01", "main_1_ele03")
    assert slots.make_slots(trade.members[1], trade.members) == names
    assert slots.make_slots(trade.members[1], trade.members) == ()
    assert trade.keepers[1].there == dict.fromkeys(names, False)


def test_a_herd_without_slots_needs_none_and_nobody_is_asked() -> None:
    trade = Trade(use_slots=False)
    trade.keepers[1].is_lost = True

    assert slots.make_slots(trade.members[1], trade.members) == ()
    assert ends.upstream_of(trade.target, trade.members[0]).slot == ""


def test_a_standby_is_told_its_own_slot() -> None:
    trade = Trade()

    assert ends.upstream_of(trade.target, trade.members[0]).slot == "main_1_ele02"
    assert ends.upstream_of(trade.members[2], trade.members[0]).slot == "main_1_ele03"


def test_only_idle_slots_of_the_herd_are_dropped() -> None:
    trade = Trade()
    trade.keepers[0].there = {
        "main_1_ele01": False,
        "main_1_ele02": True,
        "main_1_ele03": False,
        "barman": False,
    }

    dropped = slots.drop_idle_slots(trade.members[0], trade.members)

    assert dropped == ("main_1_ele03",)
    assert set(trade.keepers[0].there) == {"main_1_ele01", "main_1_ele02", "barman"}


def fail_within(trade: Trade, *, told: bool) -> None:
    with (
        pytest.raises(HostUnreachable),
        slots.slot_on(trade.target, trade.members[0], lambda: told),
    ):
        raise HostUnreachable("ele02", "timed out")


def test_a_slot_that_came_to_nothing_goes_again() -> None:
    trade = Trade()

    fail_within(trade, told=False)

    assert trade.keepers[0].there == {}
    assert "main_1_ele02 holds WAL from now on" in trade.notes


@pytest.mark.parametrize("why", ["it was told of it", "it was there before"])
def test_a_slot_that_a_standby_may_need_stays(why: str) -> None:
    trade = Trade()
    if why == "it was there before":
        trade.keepers[0].there = {"main_1_ele02": False}

    fail_within(trade, told=why == "it was told of it")

    assert trade.keepers[0].there == {"main_1_ele02": False}


def test_its_own_slots_elsewhere_and_idle_ones_on_it_are_dropped() -> None:
    trade = Trade()
    first, second, third = trade.keepers
    first.there = {"main_1_ele02": True}
    second.there = {"main_1_ele01": False, "main_1_ele03": False}
    third.there = {"main_1_ele02": False}

    trade.settle()

    assert (first.there, second.there, third.there) == ({"main_1_ele02": True}, {}, {})


def test_a_slot_whose_user_is_only_away_stays() -> None:
    trade = Trade()
    trade.keepers[0].there = {"main_1_ele02": True}
    trade.keepers[1].there = {"main_1_ele03": False}
    was_used = Slot(
        name="main_1_ele03",
        kind="physical",
        is_active=True,
        restart=None,
        wal_status="reserved",
        is_failover=False,
        is_synced=False,
        is_temporary=False,
    )

    trade.settle(mine=probe(slots=(was_used,)))

    assert trade.keepers[1].there == {"main_1_ele03": False}


def test_a_lost_member_holds_nothing_up() -> None:
    trade = Trade()
    trade.keepers[0].there = {"main_1_ele02": True}
    trade.keepers[2].is_lost = True

    trade.settle()

    assert trade.steps.told[-1].state == "succeeded"


def test_streaming_without_its_slot_is_no_success() -> None:
    trade = Trade()
    trade.keepers[0].there = {"main_1_ele02": False}

    with pytest.raises(NotObserved, match="stream through its slot main_1_ele02"):
        trade.settle()


def test_a_herd_that_never_had_slots_is_told_nothing_about_them() -> None:
    trade = Trade(use_slots=False)
    trade.keepers[0].is_lost = trade.keepers[2].is_lost = True

    trade.settle()

    assert trade.steps.told == []


def test_a_slot_is_dropped_where_the_herd_uses_none_any_more() -> None:
    trade = Trade(use_slots=False)
    trade.keepers[0].there = {"main_1_ele02": False}

    trade.settle(mine=probe(settings={"primary_slot_name": "main_1_ele02"}))

    assert trade.keepers[0].there == {}
