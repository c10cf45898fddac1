"""What agents report of known instances is recorded: what, when, and by whom."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from herds.domain.cluster import Activity, Observation
from herds.models import Discovery, Fence, Instance, Server
from herds.services.recording import record_sightings
from tests import factories as make
from tests.agents import MINUTE, call, checkin, make_agents, recorded

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _agents(db: None) -> None:
    make_agents()


def herd_of_two() -> tuple[Instance, Instance]:
    """Make trade with a primary on ele01 and a standby on ele02, seen a minute ago."""
    primary = recorded(make.instance("trade", "ele01"))
    return primary, recorded(make.instance("trade", "ele02", master=primary))


# What a report does ------------------------------------------------------------


def test_a_report_is_recorded_with_who_saw_it_when() -> None:
    instance = recorded(make.instance("trade", "ele01", is_online=False))

    number = checkin(
        sVer="15.18 (Debian 15.18-0+deb12u1)",
        bOnline=True,
        sDataDir="/var/lib/postgresql/15/trade",
        sMasterHost="",
        nXlog=123456,
        sSystemId="7301234567890123456",
        nTimeline=3,
        nAge=30.0,
    )

    assert number == instance.pk
    instance.refresh_from_db()
    assert (instance.version, instance.is_online, instance.xlog_pos) == (
        *("15.18", True, 123456),
    )
    assert instance.system_identifier == "7301234567890123456"
    assert (instance.timeline, instance.observed_by) == (3, "agent")
    assert instance.observed_at is not None
    age = timezone.now() - instance.observed_at
    assert timedelta(seconds=30) <= age < MINUTE
    assert instance.server.reported_at is not None


def test_the_first_report_of_an_instance_may_be_a_moment_old() -> None:
    made = make.instance("trade", "ele01", is_online=False)
    instance = recorded(made, observed_at=None)

    checkin(bOnline=True, sVer="15.4", nXlog=99, nAge=0.5)

    instance.refresh_from_db()
    assert (instance.is_online, instance.version) == (True, "15.4")
    assert instance.xlog_pos == 99
    assert instance.observed_at is not None


def test_the_first_three_arguments_are_enough() -> None:
    before = recorded(make.instance("trade", "ele01", xlog_pos=7, timeline=2))

    assert checkin() == before.pk

    after = Instance.objects.get()
    for field in ("version", "is_online", "xlog_pos", "timeline", "master_id"):
        assert getattr(after, field) == getattr(before, field)
    assert after.observed_at != before.observed_at


def test_a_promoted_standby_loses_its_upstream() -> None:
    _, standby = herd_of_two()

    checkin(sHost="ele02", bOnline=True, sMasterHost="")

    standby.refresh_from_db()
    assert standby.master_id is None
    assert standby.is_streaming is None


def test_a_demoted_primary_gets_an_upstream() -> None:
    primary, standby = herd_of_two()
    checkin(sHost="ele02", bOnline=True, sMasterHost="")

    checkin(bOnline=True, sMasterHost="ELE02.", bStreaming=True)

    primary.refresh_from_db()
    assert primary.master_id == standby.pk
    assert primary.is_streaming is True


def test_host_names_are_of_any_case_and_may_end_with_a_dot() -> None:
    instance = recorded(make.instance("trade", "ele01"))

    assert checkin(sHost="ELE01.") == instance.pk
    assert call("SELECT utility.sp_discover_server('Ele01.')") == instance.server_id
    assert Server.objects.count() == 1


def test_a_null_online_state_keeps_what_is_known() -> None:
    instance = recorded(make.instance("trade", "ele01", is_online=True))

    checkin(bOnline=None, nXlog=9)

    instance.refresh_from_db()
    assert instance.is_online
    assert instance.xlog_pos == 9


def test_a_new_instance_of_unknown_state_is_not_called_stopped() -> None:
    make.herd("trade")
    make.server("ele01")

    checkin(bOnline=None)

    assert Instance.objects.get().observed_at is None


def test_a_version_that_goes_down_after_a_restore_is_taken() -> None:
    instance = recorded(make.instance("trade", "ele01", version="16.2"))

    checkin(sVer="15.4")

    instance.refresh_from_db()
    assert instance.version == "15.4"


def test_a_stopped_clusters_major_version_keeps_the_fuller_one() -> None:
    instance = recorded(make.instance("trade", "ele01", version="15.4"))

    checkin(sVer="15", bOnline=False)

    instance.refresh_from_db()
    assert instance.version == "15.4"


def test_a_position_may_go_back() -> None:
    instance = recorded(make.instance("trade", "ele01", xlog_pos=1 << 40))

    checkin(nXlog=1 << 30)

    instance.refresh_from_db()
    assert instance.xlog_pos == 1 << 30


def test_an_older_report_never_overwrites_a_newer_observation() -> None:
    instance = make.instance("trade", "ele01", is_online=True, xlog_pos=500)

    assert checkin(bOnline=False, nXlog=100, nAge=60.0) == instance.pk

    instance.refresh_from_db()
    assert (instance.is_online, instance.xlog_pos) == (True, 500)


def test_an_observation_dated_an_hour_ahead_does_not_keep_reports_out() -> None:
    instance = recorded(
        make.instance("trade", "ele01"), observed_at=timezone.now() + 60 * MINUTE
    )

    checkin(bOnline=False)

    instance.refresh_from_db()
    assert not instance.is_online
    assert instance.observed_at is not None
    assert instance.observed_at <= timezone.now()


def test_a_report_ends_that_an_instance_is_unknown() -> None:
    instance = recorded(
        make.instance("trade", "ele01"),
        unreachable_since=timezone.now() - MINUTE / 2,
        unreachable_why="no answer",
    )

    checkin(bOnline=True, nAge=45.0)
    instance.refresh_from_db()
    assert instance.unreachable_since is not None

    checkin(bOnline=True)
    instance.refresh_from_db()
    assert (instance.unreachable_since, instance.unreachable_why) == (None, "")


def test_a_running_instance_that_moved_takes_its_directory_along() -> None:
    instance = recorded(make.instance("trade", "ele01"))

    checkin(bOnline=True, sDataDir="/data/trade/")
    instance.refresh_from_db()
    assert instance.local_pgdata == "/data/trade"

    checkin(bOnline=True, sDataDir=instance.herd.pgdata)
    instance.refresh_from_db()
    assert instance.local_pgdata == ""


def test_a_stopped_twin_of_the_same_name_and_port_overwrites_nothing() -> None:
    instance = recorded(make.instance("trade", "ele01", version="15.4"))

    assert checkin(bOnline=False, sVer="14", sDataDir="/old/trade") is None

    instance.refresh_from_db()
    assert (instance.is_online, instance.version) == (True, "15.4")
    assert "ele01 carries herd trade" in Discovery.objects.get().why


def test_lag_is_told_where_both_readings_are_of_one_moment() -> None:
    _, standby = herd_of_two()
    checkin(sHost="ele02", bOnline=True, sMasterHost="ele01", nXlog=900)
    standby.refresh_from_db()
    assert standby.lag_octets is None

    checkin(bOnline=True, sMasterHost="", nXlog=1000)
    recorded(standby)
    checkin(sHost="ele02", bOnline=True, sMasterHost="ele01", nXlog=900)

    standby.refresh_from_db()
    assert standby.lag_octets == 100
    assert standby.lag_seen_at is not None


def test_a_fenced_primary_that_is_down_does_not_become_primary_again() -> None:
    former, primary = herd_of_two()
    recorded(primary, master=None)
    former = recorded(former, master=primary, is_online=False)
    fence = Fence.objects.create(instance=former)

    checkin(bOnline=False, sMasterHost="")
    former.refresh_from_db()
    assert former.master_id == primary.pk

    checkin(bOnline=True, sMasterHost="")
    former.refresh_from_db()
    fence.refresh_from_db()
    assert former.master_id is None
    assert fence.seen_writable_at is not None


# Upstreams ---------------------------------------------------------------------


def test_a_virtual_host_as_upstream_means_the_primary() -> None:
    primary, standby = herd_of_two()
    primary.herd.vhost = "trade.db.test"
    primary.herd.save()
    recorded(standby, master=None)
    recorded(primary, master=standby)

    checkin(bOnline=True, sMasterHost="")
    checkin(sHost="ele02", bOnline=True, sMasterHost="trade.db.test")

    standby.refresh_from_db()
    assert standby.master_id == primary.pk


def test_an_upstream_is_found_with_and_without_its_domain() -> None:
    primary, standby = herd_of_two()
    third = recorded(make.instance("trade", "ele03", master=primary))

    checkin(sHost="ele03", bOnline=True, sMasterHost="ele02.lab.test")

    third.refresh_from_db()
    assert third.master_id == standby.pk


def test_an_unknown_upstream_leaves_the_recorded_one_and_is_kept_by_name() -> None:
    primary, standby = herd_of_two()

    checkin(sHost="ele02", bOnline=True, sMasterHost="10.0.0.77")
    standby.refresh_from_db()
    assert (standby.master_id, standby.upstream_host) == (primary.pk, "10.0.0.77")

    checkin(sHost="ele02", bOnline=True, sMasterHost="ele01")
    standby.refresh_from_db()
    assert (standby.master_id, standby.upstream_host) == (primary.pk, "")


def test_no_instance_becomes_its_own_upstream() -> None:
    primary, _ = herd_of_two()

    checkin(bOnline=True, sMasterHost="ele01")

    primary.refresh_from_db()
    assert primary.master_id != primary.pk
    assert primary.upstream_host == "ele01"


def test_a_look_at_the_host_ends_what_an_agent_could_not_place() -> None:
    primary, standby = herd_of_two()
    recorded(standby, master=None, upstream_host="10.0.0.77")
    seen = Observation(
        activity=Activity.RUNNING, observed_at=timezone.now(), in_recovery=False
    )

    record_sightings({primary.herd_id: {standby.pk: seen}})

    standby.refresh_from_db()
    assert (standby.master_id, standby.upstream_host) == (None, "")


def test_two_agents_of_one_host_tell_of_one_instance() -> None:
    instance = recorded(make.instance("trade", "ele01"))

    assert checkin(bOnline=True, nXlog=10) == instance.pk
    assert checkin(role="ele01", bOnline=True, nXlog=11) == instance.pk

    assert Instance.objects.count() == 1
