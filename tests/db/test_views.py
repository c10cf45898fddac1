"""The views: DR pairs choose the right standby, the flat view shows everything."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from herds.models import DisasterRecovery, Environment, Herd, Instance
from tests import factories as make

pytestmark = pytest.mark.django_db

MB = 1024 * 1024


def online(herd: Herd, host: str, position: int | None, **values: Any) -> Instance:
    """Make a member that is online at a WAL position."""
    return make.instance(herd.herd_name, host, xlog_pos=position, **values)


def pair() -> DisasterRecovery:
    return DisasterRecovery.objects.get()


def test_the_standby_with_the_least_lag_is_the_pair() -> None:
    herd = make.herd()
    primary = online(herd, "ele01", 100 * MB)
    online(herd, "ele02", 90 * MB, master=primary)
    best = online(herd, "ele03", 97 * MB - 200_000, master=primary)

    assert pair().herd == herd
    assert pair().instance == best
    assert pair().master == primary
    assert pair().server == best.server
    assert pair().mb_lag == Decimal("3.2")
    assert pair().vhost == "trade.lab.test"


def test_the_lower_number_wins_where_lag_is_equal() -> None:
    herd = make.herd()
    primary = online(herd, "ele01", MB)
    first = online(herd, "ele03", MB, master=primary)
    online(herd, "ele02", MB, master=primary)

    assert pair().instance == first


def test_a_standby_that_is_down_is_never_the_pair() -> None:
    herd = make.herd()
    primary = online(herd, "ele01", MB)
    make.instance("trade", "ele02", is_online=False, xlog_pos=MB, master=primary)

    assert not DisasterRecovery.objects.exists()


def test_a_primary_that_is_down_still_has_its_pair() -> None:
    herd = make.herd()
    primary = make.instance("trade", "ele01", is_online=False, xlog_pos=MB)
    standby = online(herd, "ele02", 0, master=primary)

    assert pair().instance == standby
    assert pair().mb_lag == Decimal("1.0")


def test_a_standby_of_unknown_state_comes_after_all_others() -> None:
    herd = make.herd()
    primary = online(herd, "ele01", 9 * MB)
    silent = online(
        *(herd, "ele02", 9 * MB),
        master=primary,
        unreachable_since=timezone.now(),
    )
    behind = online(herd, "ele03", MB, master=primary)
    assert pair().instance == behind

    behind.delete()

    assert pair().instance == silent


def test_a_standby_of_unknown_position_comes_after_those_known() -> None:
    herd = make.herd()
    primary = online(herd, "ele01", 9 * MB)
    unknown = online(herd, "ele02", None, master=primary)
    known = online(herd, "ele03", MB, master=primary)
    assert pair().instance == known

    known.delete()

    assert pair().instance == unknown
    assert pair().mb_lag is None


def test_a_standby_read_after_its_primary_is_not_ahead_of_it() -> None:
    herd = make.herd()
    primary = online(herd, "ele01", MB)
    online(herd, "ele02", 3 * MB, master=primary)

    assert pair().mb_lag == 0


def test_a_cascading_standby_is_paired_with_the_primary() -> None:
    herd = make.herd()
    primary = online(herd, "ele01", 9 * MB)
    relay = make.instance("trade", "ele02", is_online=False, master=primary)
    cascaded = online(herd, "ele03", 8 * MB, master=relay)

    assert pair().instance == cascaded
    assert pair().master == primary
    assert pair().mb_lag == 1


def test_upstreams_that_go_round_in_a_circle_have_no_pair() -> None:
    herd = make.herd()
    first = online(herd, "ele01", MB)
    second = online(herd, "ele02", MB, master=first)
    Instance.objects.filter(pk=first.pk).update(master=second)

    assert not DisasterRecovery.objects.exists()


def test_every_herd_has_a_row_of_its_own() -> None:
    for name in ("trade", "quote"):
        herd = make.herd(name)
        primary = online(herd, "ele01", MB)
        online(herd, "ele02", MB, master=primary)
        online(herd, "ele03", MB, master=primary)

    assert [row.herd.herd_name for row in DisasterRecovery.objects.all()] == [
        *("quote", "trade")
    ]


def test_the_flat_view_shows_herd_server_and_environment() -> None:
    herd = make.herd(db_port=5440)
    primary = online(herd, "ele01", MB, local_pgdata="/fast/trade")

    with connection.cursor() as cursor:
        cursor.execute("SELECT * FROM v_flat_instance")
        (row,) = cursor.fetchall()

    assert row == (
        *(primary.pk, "15.4", "/var/lib/postgresql/15/trade", "/fast/trade", MB, True),
        *("trade", "trade", 5440, "trade.lab.test", primary.server_id, "ele01"),
        *(None, herd.environment_id, "prod"),
    )


def test_the_flat_view_shows_instances_without_an_environment() -> None:
    make.instance()
    Environment.objects.all().delete()

    with connection.cursor() as cursor:
        cursor.execute("SELECT hostname, environment_id, env_name FROM v_flat_instance")
        assert cursor.fetchall() == [("ele01", None, None)]


# Lag by readings that can be compared --------------------------------------------


def seen(seconds: float) -> datetime:
    return timezone.now() - timedelta(seconds=seconds)


def test_a_standby_is_not_preferred_because_its_primary_was_read_long_ago() -> None:
    """The one that was read first looks less behind a reading that is older still."""
    herd = make.herd()
    primary = online(herd, "ele01", 50 * MB, observed_at=seen(600))
    early = online(herd, "ele02", 49 * MB, master=primary, observed_at=seen(300))
    online(herd, "ele03", 90 * MB, master=primary, lag_octets=MB, lag_seen_at=seen(5))

    assert pair().instance != early
    assert pair().lag_octets == MB
    assert pair().mb_lag == 1


def test_a_lag_that_cannot_be_compared_is_none() -> None:
    herd = make.herd()
    primary = online(herd, "ele01", 9 * MB, observed_at=seen(60))
    online(herd, "ele02", 8 * MB, master=primary)

    assert (pair().mb_lag, pair().lag_octets, pair().lag_seen_at) == (None, None, None)


def test_positions_on_two_timelines_tell_no_lag() -> None:
    herd = make.herd()
    primary = online(herd, "ele01", 9 * MB, timeline=2)
    online(herd, "ele02", 8 * MB, master=primary, timeline=1)

    assert pair().mb_lag is None


def test_the_newer_of_a_recorded_lag_and_two_positions_counts() -> None:
    herd = make.herd()
    primary = online(herd, "ele01", 9 * MB)
    old = {"lag_octets": 7 * MB, "lag_seen_at": seen(60)}
    online(herd, "ele02", 8 * MB, master=primary, **old)

    assert pair().mb_lag == 1


def test_one_that_streams_comes_before_one_that_does_not() -> None:
    herd = make.herd()
    primary = online(herd, "ele01", 9 * MB)
    online(herd, "ele02", 9 * MB, master=primary, is_streaming=False)
    streams = online(herd, "ele03", 4 * MB, master=primary, is_streaming=True)
    online(herd, "ele04", 9 * MB, master=primary)

    assert pair().instance == streams


def test_an_old_lag_is_no_better_than_a_fresh_one_and_better_than_none() -> None:
    herd = make.herd()
    primary = online(herd, "ele01", 9 * MB, observed_at=seen(900))
    old = online(
        *(herd, "ele02", 9 * MB), master=primary, lag_octets=0, lag_seen_at=seen(400)
    )
    fresh = online(
        *(herd, "ele03", 9 * MB), master=primary, lag_octets=MB, lag_seen_at=seen(3)
    )
    online(herd, "ele04", 9 * MB, master=primary)
    assert pair().instance == fresh

    fresh.delete()

    assert pair().instance == old


def test_the_recorded_lags_of_a_chain_add_up_and_are_as_old_as_the_oldest() -> None:
    herd = make.herd()
    primary = online(herd, "ele01", 9 * MB, observed_at=seen(900))
    upstream, oldest = primary, seen(50)
    for number in (2, 3, 4, 5, 6):
        upstream = online(
            *(herd, f"ele0{number}", 8 * MB),
            master=upstream,
            lag_octets=MB,
            lag_seen_at=oldest if number == 3 else seen(5),
            is_streaming=number == 6,
        )

    assert pair().instance == upstream
    assert pair().master == primary
    assert pair().mb_lag == 5
    assert pair().lag_seen_at == oldest
