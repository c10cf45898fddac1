"""Switchovers and those who follow: cascaded, stopped, lost, with slots, or stuck."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest

from herds.models import Herd
from lab import Lab, LabError
from tests.lab.product import ended, said, until
from tests.lab.switching import Moving, confirmed

_SLOTS = (
    "SELECT coalesce(string_agg(slot_name || ' ' || active, ', ' ORDER BY slot_name),"
    " '') FROM pg_replication_slots"
)


@pytest.fixture
def cut(switch_lab: Lab) -> Iterator[Lab]:
    """The lab, whose hosts are there again after the test."""
    yield switch_lab
    for host in switch_lab.hosts:
        switch_lab.boot(host)
    switch_lab.heal()


def test_it_moves_there_and_back_and_an_emergency_copy_can_be_used(
    herd: Moving,
) -> None:
    old, candidate, third = herd.hosts_from_primary()
    with herd.write() as writer:
        first = herd.move("switchover", third)
        herd.has_moved(first, third)
        row = first.targets.get()
        assert row.state == "follow-ups"
        assert f"{old} is left stopped as an emergency copy" in row.outcome
        assert not herd.runs(old)
        assert herd.shell(old, "ls standby.signal").strip() == "standby.signal"
        herd.carries_out(first)
        back = herd.move("switchover", old, old_primary="rejoin")
        herd.has_moved(back, old)

    assert back.targets.get().state == "succeeded"
    assert herd.follows(third, old)
    assert herd.follows(candidate, old)
    assert herd.lost(writer) == set()


def test_a_standby_below_the_candidate_follows_it_on(herd: Moving) -> None:
    _, candidate, third = herd.hosts_from_primary()
    herd.follow(third, candidate)
    with herd.write() as writer:
        done = herd.move("switchover", candidate, old_primary="rejoin")
    herd.has_moved(done, candidate)
    assert done.targets.get().state == "succeeded", said(done)
    assert herd.lost(writer) == set()


def test_a_standby_below_one_that_stays_is_left_where_it_is(herd: Moving) -> None:
    _, candidate, third = herd.hosts_from_primary()
    with herd.fourth_below(third) as fourth:
        connection = herd.sql(fourth, "SHOW primary_conninfo")
        with herd.write() as writer:
            with herd.stopped(candidate) as operation:
                herd.comes_to(operation, "undo")
            ended(operation)
            # It is seen to be attached again, although not to the primary itself.
            herd.was_rolled_back(operation, "bytes would be lost")
            row = operation.targets.get()
            assert f"{candidate}, {third}, {fourth} follows it" in row.outcome
            assert "was not seen to" not in row.outcome

            done = herd.move("switchover", candidate, old_primary="rejoin")

        herd.has_moved(done, candidate)
        row = done.targets.get()
        assert row.state == "succeeded", said(done)
        assert f"{fourth} (below {third})" in row.outcome
        assert herd.follows(fourth, candidate)
        assert herd.sql(fourth, "SHOW primary_conninfo") == connection
        assert herd.member(fourth).master == herd.member(third)
        assert herd.lost(writer) == set()


def test_stopped_and_lost_siblings_are_left_for_later(herd: Moving, cut: Lab) -> None:
    old, candidate, third = herd.hosts_from_primary()
    herd.product.stop(f"{herd.herd}@{third}")
    with herd.write() as writer:
        done = herd.move("switchover", candidate, old_primary="rejoin")
    row = done.targets.get()
    assert row.state == "follow-ups", said(done)
    assert f"{third} does not follow" in row.outcome
    assert herd.follows(old, candidate)
    assert herd.lost(writer) == set()
    herd.primary = candidate
    herd.carries_out(done)

    # In the middle of it the power of the sibling goes.
    with herd.write() as writer:
        with herd.stopped(old, old_primary="rejoin") as operation:
            cut.kill(third)
        ended(operation)
    row = operation.targets.get()
    assert row.state == "follow-ups", said(operation)
    assert f"{third} does not follow: {third} could not be reached" in row.outcome
    assert herd.writers() == [old]
    assert herd.lost(writer) == set()
    herd.primary = old
    cut.boot(third)
    until(lambda: herd.runs(third), 30, "its cluster runs")
    herd.carries_out(operation)


def test_a_sibling_without_power_does_not_hold_the_stop_up(
    herd: Moving, cut: Lab
) -> None:
    old, candidate, third = herd.hosts_from_primary()
    with herd.write() as writer:
        cut.kill(third)
        done = herd.move("switchover", candidate, old_primary="rejoin")
    row = done.targets.get()
    assert row.state == "follow-ups", said(done)
    assert herd.writers() == [candidate]
    assert herd.follows(old, candidate)
    assert herd.lost(writer) == set()
    assert writer.outage < 10, writer.outage


def test_a_stuck_client_and_a_failing_archiver_do_not_hold_it_up(
    herd: Moving, cut: Lab
) -> None:
    old, candidate, third = herd.hosts_from_primary()
    herd.sql(old, "ALTER SYSTEM SET archive_mode = 'on'")
    herd.sql(old, "ALTER SYSTEM SET archive_command = '/bin/false'")
    herd.product.stop(f"{herd.herd}@{old}")
    herd.product.start(f"{herd.herd}@{old}")
    for host in (candidate, third):
        until(lambda h=host: herd.follows(h, old), 30, host)  # type: ignore[misc]
    herd.sql(old, "SELECT pg_switch_wal()")
    failed = "SELECT failed_count FROM pg_stat_archiver"
    until(lambda: herd.sql(old, failed) != "0", 30, "archiving fails")
    script = (
        "mkdir -p /tmp/wal && cd /tmp/wal && echo $$ >/tmp/receiver.pid && exec"
        ' /usr/lib/postgresql/15/bin/pg_receivewal -D /tmp/wal -h "$1" -p "$2"'
        " -U replication -w"
    )
    start = f'setsid sh -c \'{script}\' sh "$1" "$2" >/dev/null 2>&1 </dev/null &'
    herd.lab.exec(
        third,
        ["sh", "-c", start.replace("'", "'"), "sh", old, str(herd.spec.port)],
        user="postgres",
    )
    listed = (
        "SELECT count(*) FROM pg_stat_replication WHERE"
        " application_name = 'pg_receivewal'"
    )
    until(lambda: herd.sql(old, listed) == "1", 20, "the client streams")
    herd.lab.exec(third, ["sh", "-c", "kill -STOP $(cat /tmp/receiver.pid)"])
    try:
        with herd.write() as writer:
            plan = herd.plan("switchover", candidate)
            rows = {each["name"]: each for each in plan.targets.get().plan["checks"]}
            assert rows["Archiver"]["verdict"] == "warn", rows["Archiver"]
            done = ended(confirmed(plan, old_primary="rejoin"))
        herd.has_moved(done, candidate)
        assert herd.follows(old, candidate), said(done)
        assert herd.lost(writer) == set()
    finally:
        herd.lab.exec(third, ["sh", "-c", "kill -KILL $(cat /tmp/receiver.pid)"])
        for host in herd.hosts:
            with contextlib.suppress(LabError):
                herd.sql(host, "ALTER SYSTEM RESET archive_mode")
                herd.sql(host, "ALTER SYSTEM RESET archive_command")
                herd.sql(host, "SELECT pg_reload_conf()")


def test_a_supervisor_that_starts_the_old_primary_again_gets_a_standby(
    herd: Moving,
) -> None:
    old, candidate, _ = herd.hosts_from_primary()
    control = "/usr/lib/postgresql/15/bin/pg_ctl -D . -W -l /dev/null start"
    # It is there within a moment of the end, as systemd's Restart=always is.
    script = (
        f"nohup sh -c 'while [ ! -e ../quiet ]; do [ -e postmaster.pid ] || {control};"
        " sleep 0.02; done' >/dev/null 2>&1 </dev/null & echo $! >/tmp/supervisor"
    )
    herd.shell(old, "rm -f ../quiet")
    herd.shell(old, script, user="postgres")
    try:
        with herd.write() as writer:
            done = herd.move("switchover", candidate)
        herd.has_moved(done, candidate)
        until(lambda: herd.follows(old, candidate), 30, "it follows")
    finally:
        herd.shell(old, "touch ../quiet")
    assert herd.lost(writer) == set()
    assert not herd.member(old).is_primary


def test_followers_have_their_slots_before_they_need_them(herd: Moving) -> None:
    old, candidate, third = herd.hosts_from_primary()
    rows = Herd.objects.filter(herd_name=herd.herd)
    rows.update(use_slots=True)
    name = f"{herd.herd}_{{}}".format
    try:
        with herd.stopped(candidate, old_primary="rejoin") as operation:
            both = ", ".join(f"{name(host)} false" for host in sorted((old, third)))
            assert herd.sql(candidate, _SLOTS) == both
        ended(operation)
        herd.has_moved(operation, candidate)
        used = ", ".join(f"{name(host)} true" for host in sorted((old, third)))
        until(lambda: herd.sql(candidate, _SLOTS) == used, 15, "the slots are used")
        # And back: nothing is left on who is the standby then.
        herd.has_moved(herd.move("switchover", old, old_primary="rejoin"), old)
        used = ", ".join(f"{name(host)} true" for host in sorted((candidate, third)))
        until(lambda: herd.sql(old, _SLOTS) == used, 15, "the slots are used")
        assert herd.sql(candidate, _SLOTS) == ""

        with herd.stopped(candidate) as operation:
            herd.comes_to(operation, "undo")
        ended(operation)
        assert operation.targets.get().state == "rolled back", said(operation)
        assert herd.sql(candidate, _SLOTS) == ""
    finally:
        rows.update(use_slots=False)
        drop = "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots"
        for host in herd.hosts:
            with contextlib.suppress(LabError):
                herd.sql(host, "ALTER SYSTEM RESET primary_slot_name")
                herd.sql(host, "SELECT pg_reload_conf()")
                herd.sql(host, f"{drop} WHERE NOT active")


def test_a_logical_slot_is_warned_of_and_told_of_where_it_stays(herd: Moving) -> None:
    old, candidate, third = herd.hosts_from_primary()
    for host in (old, candidate):
        herd.sql(host, "ALTER SYSTEM SET wal_level = 'logical'")
    herd.product.stop(f"{herd.herd}@{old}")
    herd.product.start(f"{herd.herd}@{old}")
    for host in (candidate, third):
        until(lambda h=host: herd.follows(h, old), 30, host)  # type: ignore[misc]
    herd.sql(old, "SELECT pg_create_logical_replication_slot('audit', 'pgoutput')")
    try:
        with herd.write() as writer:
            plan = herd.plan("switchover", candidate)
            rows = {each["name"]: each for each in plan.targets.get().plan["checks"]}
            assert rows["Logical slots"]["verdict"] == "warn", rows["Logical slots"]
            assert rows["Logical slots"]["observed"] == "audit would be lost"
            done = ended(confirmed(plan, candidate=candidate, old_primary="rejoin"))

        herd.has_moved(done, candidate)
        outcome = done.targets.get().outcome
        assert f"Logical slots stayed on {old}: audit." in outcome, outcome
        assert f"drop them on {old}, where they hold WAL" in outcome, outcome
        assert herd.lost(writer) == set()
        slots = "SELECT string_agg(slot_name || ' ' || (restart_lsn IS NOT NULL), ',')"
        assert herd.sql(candidate, f"{slots} FROM pg_replication_slots") == ""
        assert herd.sql(old, f"{slots} FROM pg_replication_slots") == "audit true"
    finally:
        for host in (old, candidate):
            herd.sql(host, "ALTER SYSTEM RESET wal_level")
        herd.sql(
            old, "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots"
        )
