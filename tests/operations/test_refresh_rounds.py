"""Workers that look at hosts by themselves: what is taken, what is kept."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
from django.db import connection, transaction
from django.utils import timezone
from pytest_django.fixtures import Settings

from herds import conf
from herds.conf import RefreshSettings
from herds.domain.clock import SystemClock
from herds.domain.cluster import Activity, Follower
from herds.domain.lsn import Lsn
from herds.domain.states import OperationState, TargetState
from herds.errors import CommandTimedOut, HostUnreachable
from herds.models import Herd, HostRefresh, Instance, Operation, Server
from herds.operations.refresher import Refresher
from herds.selectors.herd_tree import writers
from herds.selectors.inventory import InstanceState, members_of, state_of
from herds.services import recording, rounds
from tests import factories
from tests.doubles.clusters import SimulatedFleet
from tests.doubles.engine import make_herd, on, until, working

CLOCK = SystemClock()
SETTINGS = RefreshSettings()
HOSTS = ["ele01", "ele02", "ele03"]


@pytest.fixture
def herd(trade: Herd) -> Herd:
    """The herd trade, on hosts whose keys were accepted, last seen a minute ago."""
    before = timezone.now() - timedelta(minutes=1)
    Instance.objects.update(observed_at=before)
    Server.objects.update(host_key="ssh-ed25519 AAAA")
    rounds.enter_hosts()
    return trade


def take(**options: Any) -> list[rounds.Host]:
    return rounds.take_hosts(
        SETTINGS, options.pop("most", 99), is_slow=options.pop("is_slow", False)
    )


def go_round(fleet: SimulatedFleet, **options: Any) -> list[rounds.Looked]:
    looked = [rounds.look(host, fleet, CLOCK) for host in take(**options)]  # type: ignore[arg-type]
    rounds.keep(looked, SETTINGS)
    return looked


def make_due() -> None:
    HostRefresh.objects.update(due_at=timezone.now() - timedelta(seconds=1))


def names(hosts: list[rounds.Host]) -> set[str]:
    return set(
        Server.objects.filter(pk__in=[host.server_id for host in hosts]).values_list(
            "hostname", flat=True
        )
    )


# What is taken -------------------------------------------------------------------


def test_a_host_is_taken_once_and_again_after_the_interval(
    herd: Herd, fleet: SimulatedFleet
) -> None:
    assert len(go_round(fleet)) == 3
    assert take() == []

    due = HostRefresh.objects.values_list("due_at", flat=True)
    waits = [(at - timezone.now()).total_seconds() for at in due]
    assert all(26 < wait < 34 for wait in waits), waits


def test_a_host_whose_worker_died_is_due_again_by_itself(herd: Herd) -> None:
    assert len(take()) == 3, "taken, and never kept"

    waits = {at - timezone.now() for (at,) in HostRefresh.objects.values_list("due_at")}

    assert max(waits) <= timedelta(seconds=rounds.LEASE)


def test_what_is_taken_is_not_due_soon_however_long_the_interval(herd: Herd) -> None:
    daily = RefreshSettings(interval=86400.0)

    assert len(rounds.take_hosts(daily, 2, is_slow=False)) == 2
    assert len(rounds.take_hosts(daily, 99, is_slow=False)) == 1


def test_what_is_due_soon_comes_along(herd: Herd) -> None:
    make_due()
    assert len(take(most=1)) == 1
    HostRefresh.objects.filter(due_at__lt=timezone.now()).update(
        due_at=timezone.now() + timedelta(seconds=1)
    )
    assert take() == [], "nobody is due"

    one = HostRefresh.objects.earliest("due_at")
    HostRefresh.objects.filter(pk=one.pk).update(due_at=timezone.now())
    assert len(take()) == 2


def test_two_workers_take_no_host_twice(herd: Herd) -> None:
    taken: list[rounds.Host] = []

    def other_worker() -> None:
        try:
            taken.extend(take())
        finally:
            connection.close()

    with transaction.atomic():
        mine = take(most=2)
        other = threading.Thread(target=other_worker)
        other.start()
        other.join(20)

    assert len(mine) == 2
    assert len(taken) == 1
    assert names(mine) | names(taken) == set(HOSTS)


def test_hosts_without_an_accepted_key_are_no_ones(
    trade: Herd, fleet: SimulatedFleet
) -> None:
    rounds.enter_hosts()

    assert take() == []


def test_environments_with_agents_are_left_to_them(
    herd: Herd, fleet: SimulatedFleet
) -> None:
    herd.environment.is_refreshed = False  # type: ignore[union-attr]
    herd.environment.save()  # type: ignore[union-attr]

    assert all(not host.instances for host in take())


def test_what_an_operation_works_on_is_passed_over(
    herd: Herd, fleet: SimulatedFleet
) -> None:
    at_work(on(herd, "ele02"))

    assert all(not host.instances for host in take())


def at_work(instance: Instance, state: str = TargetState.RUNNING) -> Any:
    operation = factories.operation(state=OperationState.RUNNING)
    return factories.target(operation, instance, TargetState(state))


# What is kept --------------------------------------------------------------------


def test_everything_that_was_seen_is_recorded(
    herd: Herd, fleet: SimulatedFleet
) -> None:
    primary, standby = on(herd, "ele01"), on(herd, "ele02")
    fleet[primary].timeline = fleet[standby].timeline = 3
    fleet[primary].slot_name, fleet[primary].slot_octets = "left", 5000
    fleet[primary].followers = (
        Follower(
            application_name="trade_ele02",
            address="",
            state="streaming",
            octets_behind=77,
        ),
    )
    fleet[standby].position = Lsn(0x2000000)

    go_round(fleet)

    primary, standby = on(herd, "ele01"), on(herd, "ele02")
    assert primary.observed_by == standby.observed_by == "worker"
    assert primary.system_identifier == "7400000000000000001"
    assert (primary.timeline, standby.timeline) == (3, 3)
    assert (primary.is_streaming, standby.is_streaming) == (None, True)
    assert (primary.slot_name, primary.slot_octets) == ("left", 5000)
    assert (primary.lag_octets, standby.lag_octets) == (None, 77)
    assert standby.lag_seen_at == primary.observed_at


def test_positions_read_together_tell_a_lag_where_the_upstream_tells_none(
    herd: Herd, fleet: SimulatedFleet
) -> None:
    fleet[on(herd, "ele02")].position = Lsn(0x3000000 - 4096)
    fleet[on(herd, "ele03")].timeline = 9

    go_round(fleet)

    assert on(herd, "ele02").lag_octets == 4096
    assert on(herd, "ele03").lag_octets is None, "on another timeline"


def test_an_upstream_that_was_not_seen_tells_no_lag(
    herd: Herd, fleet: SimulatedFleet
) -> None:
    go_round(fleet)
    before = on(herd, "ele02")
    Instance.objects.update(observed_at=timezone.now() - timedelta(seconds=30))
    lost(fleet, on(herd, "ele01"))
    fleet[on(herd, "ele02")].position = Lsn(0x5000000)
    make_due()

    go_round(fleet)

    after = on(herd, "ele02")
    assert after.observed_at is not None
    assert before.observed_at is not None
    assert after.observed_at > before.observed_at
    assert (after.lag_octets, after.lag_seen_at) == (
        before.lag_octets,
        before.lag_seen_at,
    )


def lost(fleet: SimulatedFleet, instance: Instance) -> None:
    fleet[instance].unreachable = HostUnreachable(
        instance.server.hostname, "connection timed out after 5 s"
    )


def test_a_host_that_is_not_reached_is_unknown_and_not_stopped(
    herd: Herd, fleet: SimulatedFleet
) -> None:
    lost(fleet, on(herd, "ele02"))

    go_round(fleet)

    silent = on(herd, "ele02")
    assert state_of(silent) is InstanceState.UNKNOWN
    assert silent.is_online
    assert "timed out" in silent.unreachable_why
    since = silent.unreachable_since
    make_due()
    go_round(fleet, is_slow=True)
    assert on(herd, "ele02").unreachable_since == since, "since then, not since now"

    fleet[silent].unreachable = None
    make_due()
    go_round(fleet, is_slow=True)
    assert state_of(on(herd, "ele02")) is InstanceState.ONLINE


def test_a_postmaster_that_was_killed_is_stopped(
    herd: Herd, fleet: SimulatedFleet
) -> None:
    fleet[on(herd, "ele01")].running = False

    go_round(fleet)

    assert state_of(on(herd, "ele01")) is InstanceState.STOPPED


def test_a_standby_promoted_by_hand_is_a_second_primary(
    herd: Herd, fleet: SimulatedFleet
) -> None:
    fleet[on(herd, "ele02")].in_recovery = False
    fleet[on(herd, "ele02")].timeline = 2
    go_round(fleet)

    primaries = herd.instances.filter(master__isnull=True)
    assert {each.server.hostname for each in primaries} == {"ele01", "ele02"}
    assert on(herd, "ele02").lag_octets is None
    assert on(herd, "ele02").is_streaming is None


def test_a_primary_that_became_a_standby_leaves_the_herd_without_one(
    herd: Herd, fleet: SimulatedFleet
) -> None:
    fleet[on(herd, "ele01")].in_recovery = True
    fleet[on(herd, "ele01")].is_streaming = False

    go_round(fleet)

    assert on(herd, "ele01").is_streaming is False


def test_a_standby_is_moved_below_whom_it_is_served_by_though_not_seen_itself(
    herd: Herd, fleet: SimulatedFleet
) -> None:
    lost(fleet, on(herd, "ele03"))
    fleet[on(herd, "ele02")].followers = (
        Follower(application_name="trade_ele03", address="", state="", octets_behind=5),
    )

    go_round(fleet)

    moved = on(herd, "ele03")
    assert moved.master == on(herd, "ele02")
    assert moved.lag_octets == 5
    assert state_of(moved) is InstanceState.UNKNOWN


def test_what_was_seen_later_stands(herd: Herd, fleet: SimulatedFleet) -> None:
    looked = [rounds.look(host, fleet, CLOCK) for host in take()]  # type: ignore[arg-type]
    later = timezone.now()
    Instance.objects.update(is_online=False, observed_at=later)

    rounds.keep(looked, SETTINGS)

    assert not on(herd, "ele01").is_online
    assert on(herd, "ele01").observed_at == later


def test_a_time_to_come_of_a_wrong_clock_does_not_stand(
    herd: Herd, fleet: SimulatedFleet
) -> None:
    tomorrow = timezone.now() + timedelta(hours=1)
    Instance.objects.update(is_online=False, observed_at=tomorrow, lag_seen_at=tomorrow)

    go_round(fleet)

    assert on(herd, "ele01").is_online
    assert on(herd, "ele02").lag_octets == 0


def test_an_operation_that_began_and_ended_meanwhile_knows_better(
    herd: Herd, fleet: SimulatedFleet
) -> None:
    looked = [rounds.look(host, fleet, CLOCK) for host in take()]  # type: ignore[arg-type]
    target = at_work(on(herd, "ele01"))
    Instance.objects.filter(pk=on(herd, "ele01").pk).update(master=on(herd, "ele02"))
    Instance.objects.filter(pk=on(herd, "ele02").pk).update(master=None)
    for values in (
        {"state": TargetState.RUNNING},
        {"state": TargetState.SUCCEEDED, "finished_at": timezone.now()},
    ):
        type(target).objects.filter(pk=target.pk).update(**values)
        rounds.keep(looked, SETTINGS)
        assert on(herd, "ele01").master == on(herd, "ele02"), values

    long_ago = looked[0].begun - timedelta(seconds=1)
    type(target).objects.filter(pk=target.pk).update(finished_at=long_ago)
    rounds.keep(looked, SETTINGS)
    assert on(herd, "ele01").master is None


def test_what_nobody_has_seen_and_is_not_there_stays_to_be_created(
    herd: Herd, fleet: SimulatedFleet
) -> None:
    Instance.objects.filter(herd=herd).update(observed_at=None)
    fleet[on(herd, "ele03")].running = False
    fleet[on(herd, "ele03")].activity = Activity.ABSENT

    go_round(fleet)

    assert on(herd, "ele02").observed_at is not None
    assert on(herd, "ele03").observed_at is None


def test_no_operation_is_written(herd: Herd, fleet: SimulatedFleet) -> None:
    go_round(fleet)

    assert not Operation.objects.exists()


def test_a_round_asks_the_metadata_as_often_for_many_hosts_as_for_one(
    herd: Herd, fleet: SimulatedFleet, django_assert_max_num_queries: Any
) -> None:
    for number in range(8):
        make_herd(f"more{number}", [f"m{number}{i}" for i in range(3)])
    Server.objects.update(host_key="ssh-ed25519 AAAA")
    rounds.enter_hosts()

    with django_assert_max_num_queries(12):
        assert len(go_round(fleet)) == 27


# What hangs ----------------------------------------------------------------------


def test_an_instance_that_hangs_holds_up_no_other_of_its_host(
    herd: Herd, fleet: SimulatedFleet
) -> None:
    for name in ("alpha", "omega"):
        factories.instance(name, "ele01")
    hung = on(Herd.objects.get(herd_name="alpha"), "ele01")
    fleet[hung].unreachable = CommandTimedOut("ele01", "look", 15.0, "", stopped=True)

    (looked,) = [each for each in go_round(fleet) if len(each.host.instances) == 3]

    assert looked.is_slow
    assert state_of(Instance.objects.get(pk=hung.pk)) is InstanceState.UNKNOWN
    for herd_name in ("trade", "omega"):
        other = on(Herd.objects.get(herd_name=herd_name), "ele01")
        assert state_of(other) is InstanceState.ONLINE
        assert other.observed_by == "worker"


@pytest.fixture
def busy(settings: Settings) -> None:
    """A worker looks all the time, at two hosts at once."""
    settings.REFRESH = {"INTERVAL": 0.2, "AT_ONCE": 2}
    assert conf.refresh().at_once == 2


def test_hosts_that_hang_hold_up_no_others(
    herd: Herd, fleet: SimulatedFleet, busy: None
) -> None:
    """As many hosts hang as are looked at at once; once that is known, they wait."""
    freed = threading.Event()
    for host in ("ele01", "ele02"):
        fleet[on(herd, host)].unreachable = CommandTimedOut(
            host, "l", 1.0, "", stopped=True
        )
    with working(fleet):
        until(lambda: HostRefresh.objects.filter(is_slow=True).count() == 2)
        for host in ("ele01", "ele02"):
            fleet[on(herd, host)].before_look = lambda: freed.wait(20) and None
        since = timezone.now()
        try:
            for _ in range(3):
                until(partial(_seen_since, herd, "ele03", since))
                since = timezone.now()
        finally:
            freed.set()


def _seen_since(herd: Herd, host: str, since: datetime) -> bool:
    seen = on(herd, host).observed_at
    return seen is not None and seen > since


def test_a_worker_looks_by_itself_and_not_where_it_is_switched_off(
    herd: Herd, fleet: SimulatedFleet, settings: Settings
) -> None:
    assert not Refresher(fleet, CLOCK, threading.Event()).has_work  # type: ignore[arg-type]

    settings.REFRESH = {"INTERVAL": 0.2}
    began = datetime.now(UTC)
    with working(fleet):
        until(lambda: _seen_since(herd, "ele02", began))


# Who took over -------------------------------------------------------------------


def test_who_took_over_takes_writes_before_anybody_looks_again(herd: Herd) -> None:
    old = Instance.objects.get(server__hostname="ele01")
    new = Instance.objects.get(server__hostname="ele02")
    now = timezone.now()
    Instance.objects.filter(pk=new.pk).update(
        is_online=True, is_streaming=True, observed_at=now
    )

    recording.note_succession(old.pk, new.pk)

    members = [each.instance for each in members_of(herd)]
    assert [each.pk for each in writers(members)] == [new.pk]
