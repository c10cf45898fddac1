"""Switchovers whose virtual host is served by two name servers, one of them behind."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from herds.models import Herd
from lab import Lab
from tests.lab.product import ended, said
from tests.lab.switching import SETTINGS, Moving, confirmed
from tests.lab.zones import (
    BROKEN,
    FOLLOWS,
    STAYS_BEHIND,
    Zones,
    second_nameserver,
)


@contextmanager
def two_servers(lab: Lab, manner: str) -> Iterator[Zones]:
    """Have two name servers, which the zone names both."""
    first = Zones(lab, "ele03")
    record = f"{first.domain}. 5 NS {first.host}.{first.domain}."
    first.change(f"update add {record}")
    try:
        with second_nameserver(lab, first.host, manner) as zones:
            yield zones
    finally:
        first.change(f"update delete {first.domain}. NS {first.host}.{first.domain}.")


@pytest.fixture
def zones(switch_lab: Lab) -> Iterator[Zones]:
    """Two name servers; one copies what the other has within a second."""
    with two_servers(switch_lab, FOLLOWS) as zones:
        yield zones


@pytest.fixture
def stale(switch_lab: Lab) -> Iterator[Zones]:
    """Two name servers; one is told of no change, and looks for none for an hour."""
    with two_servers(switch_lab, STAYS_BEHIND) as zones:
        yield zones


def test_a_server_that_does_not_say_it_yet_is_named_until_it_does(
    idle_herd: Moving, zones: Zones
) -> None:
    herd = idle_herd
    old, candidate, third = herd.hosts_from_primary()
    server = f"{zones.host}.{zones.domain}"
    # A worker that began before knows the zone with one server yet.
    with herd.product.worker(**SETTINGS), herd.write() as writer:
        plan = herd.plan("switchover", candidate)
        with zones.hung(zones.host):
            # What the person has not read is not done.
            early = ended(confirmed(plan, old_primary="rejoin"))
            assert early.targets.get().state == "failed", said(early)
            assert f"{server} did not answer" in early.targets.get().outcome
            assert herd.writers() == [old]
            assert herd.vhost() == old

            plan = herd.plan("switchover", candidate)
            rows = {each["name"]: each for each in plan.targets.get().plan["checks"]}
            assert rows["Virtual host"]["verdict"] == "warn", rows["Virtual host"]
            operation = ended(confirmed(plan, old_primary="rejoin"))

    row = operation.targets.get()
    assert row.state == "follow-ups", said(operation)
    (left,) = row.follow_ups
    assert left["action"] == "refresh_dns"
    assert "on 1 of 2 name servers" in left["words"], left
    assert server in left["words"], left
    # The server that takes changes has it, and all follow.
    assert herd.writers() == [candidate]
    assert herd.vhost() == candidate
    for host in (old, third):
        assert herd.follows(host, candidate), host
    assert herd.lost(writer) == set()
    herd.primary = candidate
    zones.level()
    with herd.product.worker(**SETTINGS):
        herd.carries_out(operation)


def test_a_server_that_is_not_told_of_changes_is_named_until_it_has_them(
    idle_herd: Moving, stale: Zones
) -> None:
    herd = idle_herd
    old, candidate, third = herd.hosts_from_primary()
    server = f"{stale.host}.{stale.domain}"
    name = herd.lab.state.vhost(herd.herd)
    with herd.product.worker(**SETTINGS):
        with herd.write() as writer:
            operation = herd.move("switchover", candidate, old_primary="rejoin")

        row = operation.targets.get()
        assert row.state == "follow-ups", said(operation)
        (left,) = row.follow_ups
        assert left["action"] == "refresh_dns"
        assert f"{server} says {old}.{stale.domain}" in left["words"], left
        assert "on 1 of 2 name servers" in row.outcome, row.outcome
        assert stale.dig(name, "CNAME") == f"{candidate}.{stale.domain}."
        assert stale.dig(name, "CNAME", stale.second) == f"{old}.{stale.domain}."
        for host in (old, third):
            assert herd.follows(host, candidate), host
        assert herd.lost(writer) == set()
        herd.primary = candidate

        # As long as it stays behind, the plan of the follow-up says so too.
        plan = herd.plan("refresh_dns", candidate)
        assert f"{server} says {old}.{stale.domain}" in str(plan.targets.get().plan)
        stale.begin_anew()
        herd.carries_out(operation)


def test_a_zone_that_its_server_cannot_serve_keeps_the_herd_where_it_is(
    idle_herd: Moving, zones: Zones
) -> None:
    herd = idle_herd
    dns = {**herd.product.dns(), "ZONES": {BROKEN: {"SERVERS": [zones.second]}}}
    row = Herd.objects.filter(herd_name=herd.herd)
    row.update(vhost=f"{herd.herd}.{BROKEN}")
    try:
        with herd.product.worker(**SETTINGS, DNS=dns):
            plan = herd.plan()
    finally:
        row.update(vhost=herd.lab.state.vhost(herd.herd))

    refused = plan.targets.get()
    assert refused.state == "refused", said(plan)
    assert f"{zones.second} answered SERVFAIL" in refused.outcome, refused.outcome
    assert herd.writers() == [herd.primary]
