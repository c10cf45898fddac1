"""Workers look at real hosts by themselves: cables, kills, hands and names."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from datetime import datetime
from functools import partial

import pytest
from django.utils import timezone

from herds.models import Herd, Instance, Operation
from herds.selectors.inventory import InstanceState, lag_of, state_of
from tests.lab.product import Product, until
from tests.lab.sshd import SshServer
from tests.lab.zones import Zones

SECONDS = 45  # until a change has to be on record, of the minute that is promised


@pytest.fixture(scope="module")
def watched(debian: Product) -> Iterator[Product]:
    """The installation, with a worker that looks at every host each second."""
    with debian.worker(
        SSH={"CONNECT_TIMEOUT": 1.5},
        REFRESH={"INTERVAL": 1.0, "JITTER": 0.0, "NAMES_INTERVAL": 1.0},
    ):
        since = timezone.now()
        until(lambda: seen_since(debian, since, *all_names(debian)), 60, "a round")
        yield debian
    debian.make_whole()


def all_names(product: Product) -> list[str]:
    return [f"{herd}@{host}" for herd in product.herds for host in product.hosts(herd)]


def seen_since(product: Product, since: datetime, *names: str) -> bool:
    """Tell whether all of some instances were seen after a moment."""
    seen = [product.instance(name).observed_at for name in names]
    return all(at is not None and at > since for at in seen)


def state(product: Product, name: str) -> InstanceState:
    return state_of(product.instance(name))


def come(product: Product, wanted: InstanceState, *names: str) -> None:
    """Wait until all of some instances are in a state."""

    def are_there() -> bool:
        return all(state(product, name) is wanted for name in names)

    until(are_there, SECONDS, f"{', '.join(names)}: {wanted}")


def primaries(herd: str) -> set[str]:
    found = Instance.objects.filter(herd__herd_name=herd, master__isnull=True)
    return {instance.server.hostname for instance in found.select_related("server")}


def test_a_round_records_what_the_servers_say(watched: Product) -> None:
    primary, standby = (watched.instance(f"trade@ele0{n}") for n in (1, 2))

    asked = watched.lab.sql(
        "trade", "ele01", "SELECT system_identifier FROM pg_control_system()"
    )
    assert primary.system_identifier == standby.system_identifier == asked
    assert primary.timeline == standby.timeline == 1
    assert (primary.is_streaming, standby.is_streaming) == (None, True)
    assert standby.master == primary
    assert standby.observed_by == "worker"
    lag = lag_of(standby)
    assert lag is not None
    assert lag.octets is not None, lag.why
    assert standby.lag_seen_at is not None
    assert not Operation.objects.filter(created_at__gt=primary.observed_at).exists()


def test_a_slot_that_holds_wal_for_nobody_is_named(watched: Product) -> None:
    sql = watched.lab.sql
    sql("trade", "ele01", "SELECT pg_create_physical_replication_slot('left', true)")
    try:
        found = until(
            lambda: (
                watched.instance("trade@ele01").slot_name == "left"
                and watched.instance("trade@ele01")
            ),
            SECONDS,
        )
        assert found.slot_octets is not None
    finally:
        sql("trade", "ele01", "SELECT pg_drop_replication_slot('left')")
    until(lambda: not watched.instance("trade@ele01").slot_name, SECONDS)


def test_a_pulled_cable_and_an_sshd_that_hangs_hold_up_nobody(watched: Product) -> None:
    lost = ("trade@ele03", "ledger@ele03", "billing@ele05")
    others = sorted(set(all_names(watched)) - set(lost))
    hung = SshServer(watched.lab, "ele05")
    hung.hang()
    watched.lab.cut("ele03")
    try:
        come(watched, InstanceState.UNKNOWN, *lost)
        # Now it is known that they hang: rounds of the others go on.
        for _ in range(2):
            since = timezone.now()
            until(partial(seen_since, watched, since, *others), SECONDS, "a round")
        for name in lost:
            silent = watched.instance(name)
            assert silent.server.hostname in silent.unreachable_why
            assert silent.unreachable_since is not None
            assert silent.is_online, "what was seen last stays on record"
        assert all(state(watched, name) is InstanceState.ONLINE for name in others)
    finally:
        hung.go_on()
        watched.lab.heal()
    come(watched, InstanceState.ONLINE, *lost)


def test_a_primary_whose_postmaster_was_killed_is_stopped(watched: Product) -> None:
    root = watched.spec("orders").data_root
    kill = 'read -r pid <"$1/postmaster.pid" && kill -9 "$pid"'
    watched.lab.exec("ele07", ["sh", "-c", kill, "sh", root])
    try:
        come(watched, InstanceState.STOPPED, "orders@ele07")
        assert primaries("orders") == {"ele07"}, "the herd has one, and it is down"
        until(lambda: watched.instance("orders@ele08").is_streaming is False, SECONDS)
    finally:
        until(lambda: started(watched, "orders@ele07"), SECONDS, "it starts again")
    until(lambda: watched.instance("orders@ele08").is_streaming, SECONDS)


def started(product: Product, name: str) -> bool:
    """Start an instance; sessions of the killed one may still hold its memory."""
    with contextlib.suppress(Exception):
        product.start(name)
    return product.is_running(name)


@contextlib.contextmanager
def kept_as_it_is(product: Product, name: str) -> Iterator[None]:
    """Put a standby back as it was before the block."""
    herd, _, host = name.partition("@")
    root = product.spec(herd).data_root

    def move(script: str) -> None:
        product.stop(name)
        product.lab.exec(host, ["sh", "-ec", script, "sh", root], user="postgres")
        product.start(name)

    move('cp -a "$1" "$1.was"')
    try:
        yield
    finally:
        move('rm -rf "$1"; mv "$1.was" "$1"')


def test_a_standby_promoted_by_hand_is_a_second_primary(watched: Product) -> None:
    with kept_as_it_is(watched, "billing@ele06"):
        watched.lab.sql("billing", "ele06", "SELECT pg_promote()")

        until(lambda: primaries("billing") == {"ele04", "ele06"}, SECONDS, "two")
        promoted = watched.instance("billing@ele06")
        assert promoted.timeline == 2
        assert promoted.lag_octets is None
        assert state_of(promoted) is InstanceState.ONLINE
        assert watched.instance("billing@ele04").timeline == 1

    until(lambda: primaries("billing") == {"ele04"}, SECONDS, "one again")


def test_a_name_that_goes_astray_is_noted(watched: Product) -> None:
    zones = Zones(watched.lab, "ele04")

    def target() -> str:
        return Herd.objects.get(herd_name="trade").vhost_target

    until(lambda: target() == f"ele01.{zones.domain}", SECONDS)
    zones.set("trade", f"5 CNAME ele03.{zones.domain}.")
    try:
        until(lambda: target() == f"ele03.{zones.domain}", SECONDS)
    finally:
        zones.set("trade", f"5 CNAME ele01.{zones.domain}.")
