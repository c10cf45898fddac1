"""An instance that is reported for the first time: its herd, or why it has none."""

from __future__ import annotations

import pytest

from herds.models import Discovery, Instance, Server
from tests import factories as make
from tests.agents import call, checkin, make_agents, recorded

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _agents(db: None) -> None:
    make_agents()


def test_a_new_instance_goes_to_its_upstreams_herd() -> None:
    primary = make.instance("trade", "ele01")
    make.server("ele02")

    number = checkin(sHost="ele02", bOnline=True, sMasterHost="ele01", sVer="15.4")

    new = Instance.objects.get(pk=number)
    assert (new.herd, new.master, new.is_online) == (primary.herd, primary, True)


def test_a_new_instance_on_a_host_without_environment_follows_its_upstream() -> None:
    primary = make.instance("trade", "ele01")

    number = checkin(sHost="ele09", bOnline=True, sMasterHost="ele01")

    assert Instance.objects.get(pk=number).herd == primary.herd
    assert Server.objects.get(hostname="ele09").environment is None


def test_a_new_instance_goes_to_the_herd_of_its_name_port_and_environment() -> None:
    herd = make.herd("trade")
    make.herd("trade", "stage")
    make.server("ele01")

    number = checkin(bOnline=True, sMasterHost="", sDataDir="/data/trade")

    new = Instance.objects.get(pk=number)
    assert (new.herd, new.local_pgdata) == (herd, "/data/trade")


def test_a_new_standby_of_an_unknown_upstream_follows_the_herds_primary() -> None:
    primary = make.instance("trade", "ele01")
    make.server("ele02")

    number = checkin(sHost="ele02", bOnline=True, sMasterHost="10.0.0.77")

    new = Instance.objects.get(pk=number)
    assert (new.master, new.upstream_host) == (primary, "10.0.0.77")


def test_a_standby_never_enters_a_herd_as_its_primary() -> None:
    make.herd("trade")
    make.server("ele01")

    assert checkin(bOnline=True, sMasterHost="ele77") is None

    assert "follows ele77" in Discovery.objects.get().why
    assert not Instance.objects.exists()


def test_a_host_nobody_knows_is_registered_and_its_instance_listed() -> None:
    assert checkin(sHost="ele09", bOnline=True, sVer="17.2", nXlog=5) is None

    server = Server.objects.get()
    found = Discovery.objects.get()
    assert (server.hostname, server.environment) == ("ele09", None)
    assert server.discovered_at is not None
    assert found.server == server
    assert (found.version, found.is_online, found.xlog_pos) == ("17.2", True, 5)
    assert found.why == "ele09 has no environment yet. Choose one."


def test_what_was_listed_is_recorded_once_its_herd_is_there() -> None:
    make.server("ele01")
    assert checkin(bOnline=True, sMasterHost="") is None
    assert "No herd of prod" in Discovery.objects.get().why

    make.herd("trade")

    assert checkin(bOnline=True, sMasterHost="") == Instance.objects.get().pk
    assert not Discovery.objects.exists()


def test_another_database_of_the_same_name_does_not_join_a_herd() -> None:
    recorded(make.instance("trade", "ele01"), system_identifier="71")
    make.server("ele02")

    assert checkin(sHost="ele02", bOnline=True, sMasterHost="", sSystemId="72") is None
    assert "system identifier differs" in Discovery.objects.get().why
    assert checkin(sHost="ele02", bOnline=True, sSystemId="71") is not None


def test_a_herd_of_another_environment_takes_nobody_in() -> None:
    make.instance("trade", "ele01", "prod")
    make.server("ele02", "stage")

    assert checkin(sHost="ele02", bOnline=True, sMasterHost="ele01") is None
    assert "ele02 belongs to stage" in Discovery.objects.get().why


def test_a_port_that_another_herd_has_there_is_not_given_twice() -> None:
    make.herd("quote", db_port=5432)
    make.instance("quote", "ele01")
    make.herd("trade", db_port=5432)

    assert checkin(bOnline=True, sMasterHost="") is None
    assert "quote at the same port already" in Discovery.objects.get().why


def test_two_herds_that_fit_are_a_persons_choice() -> None:
    make.herd("trade", base_name="main", db_port=5432)
    make.herd("quote", base_name="main", db_port=5432)
    make.server("ele01")

    assert checkin(sHerd="main", bOnline=True, sMasterHost="") is None
    assert "More than one herd" in Discovery.objects.get().why


def test_the_same_directory_at_the_same_port_is_the_same_instance() -> None:
    instance = recorded(make.instance("trade", "ele01"))

    number = checkin(sHerd="15-data", sDataDir=instance.data_directory, bOnline=True)

    assert number == instance.pk


def test_a_herd_is_found_by_name_port_and_environment() -> None:
    herd = make.herd("trade")
    find = "SELECT utility.sp_get_herd(%s, %s, %s)"

    assert call(find, "trade", 5432, herd.environment_id) == herd.pk
    assert call(find, "trade", 5433, herd.environment_id) is None
    assert call(find, "trade", 5432, None) is None


def test_an_instance_that_moved_to_another_host_is_there_and_its_old_row_ages() -> None:
    old = recorded(make.instance("trade", "ele01"), system_identifier="71")
    make.server("ele02")

    number = checkin(sHost="ele02", bOnline=True, sMasterHost="", sSystemId="71")

    assert Instance.objects.get(pk=number).server.hostname == "ele02"
    seen_last = old.observed_at
    old.refresh_from_db()
    assert old.observed_at == seen_last


def test_a_host_that_was_renamed_is_a_new_host_and_waits_for_a_place() -> None:
    recorded(make.instance("trade", "ele01"))

    assert checkin(sHost="ele01-new", bOnline=True, sMasterHost="") is None

    assert Discovery.objects.get().server.hostname == "ele01-new"
    assert Instance.objects.get().server.hostname == "ele01"
