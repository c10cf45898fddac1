"""Herds that use slots: standbys take theirs up and leave it; none stays behind."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest
from pytest_django import DjangoDbBlocker

from herds.models import Herd, Operation
from lab import LabError
from tests.lab.product import Product, ended, said, until
from tests.lab.rebuilds import SETTINGS, Parted, confirmed, planned

SLOTS = "SELECT string_agg(slot_name || ' ' || active, ', ' ORDER BY slot_name)"
SLOTS += " FROM pg_replication_slots"


@pytest.fixture(scope="module")
def product(
    rebuild_products: dict[str, Product], django_db_blocker: DjangoDbBlocker
) -> Iterator[Product]:
    """The installation with Debian's commands, and a worker."""
    product = rebuild_products["debian"]
    with (
        django_db_blocker.unblock(),
        product.used_here(),
        product.worker(**SETTINGS),
    ):
        yield product


@pytest.fixture
def trade(product: Product, rebuild_herds: dict[str, Parted]) -> Iterator[Parted]:
    """A herd of three that uses slots; what follows it afterwards has none."""
    herd = rebuild_herds["trade"]
    herd.make_whole()
    use_slots(True)
    yield herd
    use_slots(False)
    drop_all(herd)
    herd.make_whole()
    drop_all(herd)


def drop_all(herd: Parted) -> None:
    """Drop the slots that nobody uses, on every member that runs."""
    query = "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots"
    for host in herd.spec.members:
        with contextlib.suppress(LabError):
            herd.sql(host, f"{query} WHERE NOT active")


def use_slots(wanted: bool) -> None:
    Herd.objects.filter(herd_name="trade").update(use_slots=wanted)


def rebuilt(herd: Parted, *hosts: str, **choices: str) -> Operation:
    """Rebuild members, and see it succeed."""
    names = [f"{herd.herd}@{host}" for host in hosts]
    operation = planned(herd.product, "rebuild", *names)
    operation = ended(confirmed(operation, **choices))
    assert operation.state == "succeeded", said(operation)
    return operation


def has(herd: Parted, host: str, slots: str) -> bool:
    """See these slots on a host, as soon as connections that ended are gone."""
    return bool(until(lambda: herd.sql(host, SLOTS) == slots, 10, f"{host}: {slots}"))


def slot_used(herd: Parted, host: str) -> str:
    return herd.sql(
        host, "SELECT concat_ws(' ', slot_name, status) FROM pg_stat_wal_receiver"
    )


def test_standbys_take_up_their_slots_and_leave_them(trade: Parted) -> None:
    (third,) = set(trade.spec.members) - {trade.old, trade.new}

    # Both have what the new primary never had.
    trade.part()
    rebuilt(trade, trade.old, method="rsync")
    rebuilt(trade, third)

    on_new = sorted(f"trade_{host} true" for host in (trade.old, third))
    assert has(trade, trade.new, ", ".join(on_new))
    for host in (trade.old, third):
        assert slot_used(trade, host) == f"trade_{host} streaming"
        assert trade.sql(host, "SHOW primary_slot_name") == f"trade_{host}"
    trade.is_whole(checksums=False)

    # Now they exchange their roles in peace: the demoted one holds slots of the others.
    trade.product.stop(f"trade@{trade.new}")
    trade.old, trade.new = trade.new, trade.old
    promotion = planned(trade.product, "promote", f"trade@{trade.new}")
    promotion = ended(confirmed(promotion))
    assert promotion.state == "succeeded", said(promotion)
    trade.tell()
    # Its slot is there when the herd's name leads the third to the new primary.
    assert has(trade, trade.new, f"trade_{third} true")
    trade.sql(trade.new, "SELECT pg_create_physical_replication_slot('barman', true)")
    rebuilt(trade, trade.old, method="follow")
    on_new = sorted(f"trade_{host} true" for host in (trade.old, third))
    assert has(trade, trade.new, ", ".join(["barman false", *on_new]))
    assert has(trade, trade.old, "")
    # A slot of the third is left on the former upstream, as if it had been away.
    trade.sql(
        trade.old,
        f"SELECT pg_create_physical_replication_slot('trade_{third}', true)",
    )
    started = trade.sql(third, "SELECT pg_postmaster_start_time()")
    rebuilt(trade, third)
    assert has(trade, trade.new, ", ".join(["barman false", *on_new]))
    assert has(trade, trade.old, "")
    assert trade.sql(third, "SELECT pg_postmaster_start_time()") == started

    # Slots that are not the herd's own are nobody's business here.
    use_slots(False)
    rebuilt(trade, trade.old, third)
    assert has(trade, trade.new, "barman false")
    for host in (trade.old, third):
        assert slot_used(trade, host) == "streaming"
        assert trade.sql(host, "SHOW primary_slot_name") == ""


def test_a_rebuild_that_cannot_have_a_slot_changes_nothing(trade: Parted) -> None:
    trade.part()
    trade.sql(
        trade.new,
        "SELECT pg_create_physical_replication_slot('filler_' || n) FROM"
        " generate_series(1, current_setting('max_replication_slots')::int) AS n",
    )
    before = trade.digest()

    operation = trade.rebuild(method="rsync")

    assert "has no room for another replication slot" in trade.failed(operation)
    assert trade.digest() == before
    assert not trade.is_marked()
