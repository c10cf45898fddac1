"""Switchovers whose virtual host is served by two name servers, one of them behind."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from lab import Lab
from tests.lab.product import ended, said
from tests.lab.switching import SETTINGS, Moving, confirmed
from tests.lab.zones import Zones, second_nameserver


@pytest.fixture
def zones(switch_lab: Lab) -> Iterator[Zones]:
    """Two name servers, which the zone names both."""
    with second_nameserver(switch_lab, "ele03") as zones:
        record = f"{zones.domain}. 5 NS {zones.host}.{zones.domain}."
        zones.change(f"update add {record}")
        try:
            zones.level()
            yield zones
        finally:
            zones.change(
                f"update delete {zones.domain}. NS {zones.host}.{zones.domain}."
            )


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
