"""Refresh DNS from end to end: real herds, the real zone, the terminal and a worker."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from herds.models import Herd, Instance
from tests.lab.product import Product, Shown, finish
from tests.lab.zones import Zones


@pytest.fixture(scope="module")
def zones(debian: Product) -> Iterator[Zones]:
    """The lab's zone, and a worker that may change it."""
    with debian.worker(SSH={"CONNECT_TIMEOUT": 1.5}):
        yield Zones(debian.lab, "ele04")
    debian.make_whole()


@pytest.fixture(autouse=True)
def _led_back(debian: Product, zones: Zones) -> Iterator[None]:
    yield
    for herd in ("trade", "billing"):
        spec = debian.spec(herd)
        zones.set(herd, f"5 CNAME {spec.members[0]}.{zones.domain}.")


def refresh_dns(product: Product, *arguments: str) -> Shown:
    return finish(product.operate("refresh_dns", *arguments))


def leads_to(zones: Zones, herd: str) -> str:
    return zones.dig(f"{herd}.{zones.domain}", "CNAME")


def test_names_that_went_astray_are_led_back_to_their_primaries(
    debian: Product, zones: Zones
) -> None:
    zones.set("trade", f"77 CNAME ele03.{zones.domain}.")
    zones.set("billing")

    shown = refresh_dns(
        debian, "--herd", "trade", "--herd", "billing", "--yes", "--json"
    )

    assert shown.status == 0, shown.out
    told = {each["herd"]: each for each in shown.json["targets"]}
    assert told["trade"]["host"] == "ele01"
    assert told["trade"]["outcome"] == (
        f"trade.{zones.domain} points at ele01.{zones.domain} on dns.{zones.domain}; "
        "others may keep the old answer for 77 s."
    )
    assert leads_to(zones, "trade") == f"ele01.{zones.domain}."
    assert leads_to(zones, "billing") == f"ele04.{zones.domain}."
    trade = Herd.objects.get(herd_name="trade")
    assert (trade.vhost_target, trade.vhost_trouble) == (f"ele01.{zones.domain}", "")


def test_a_dry_run_shows_the_drift_and_moves_nothing(
    debian: Product, zones: Zones
) -> None:
    zones.set("trade", f"5 CNAME ele03.{zones.domain}.")

    shown = refresh_dns(debian, "--instance", "trade@ele02", "--dry-run")

    assert shown.status == 0
    assert f"points at ele01.{zones.domain}, no longer at ele03" in shown.out
    assert leads_to(zones, "trade") == f"ele03.{zones.domain}."


def test_a_recorded_primary_that_is_a_standby_leads_nobody(
    debian: Product, zones: Zones
) -> None:
    row = debian.instance
    Instance.objects.filter(pk=row("trade@ele02").pk).update(master=None)
    Instance.objects.filter(pk=row("trade@ele01").pk).update(master=row("trade@ele02"))
    try:
        shown = refresh_dns(debian, "--herd", "trade", "--yes", "--json")
    finally:
        debian.make_whole()

    (told,) = shown.json["targets"]
    assert (told["host"], told["state"]) == ("ele02", "refused")
    assert "takes no writes: ele02 runs PostgreSQL 15" in told["outcome"]
    assert leads_to(zones, "trade") == f"ele01.{zones.domain}."


def test_a_hung_name_server_is_told_in_time_and_nothing_is_moved(
    debian: Product, zones: Zones
) -> None:
    # It was asked a moment ago, so the worker knows whom to ask.
    refresh_dns(debian, "--herd", "trade", "--yes")
    started = time.monotonic()

    with zones.hung("dns"):
        shown = refresh_dns(debian, "--herd", "trade", "--yes", "--json")

    (told,) = shown.json["targets"]
    assert told["state"] == "refused"
    assert f"dns.{zones.domain} did not answer within 2 s" in told["outcome"]
    assert time.monotonic() - started < 40
