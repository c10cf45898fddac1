"""What verbs are told of a virtual host, and when it is ready to be moved."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace

import pytest

from herds.domain.plan import Verdict
from herds.errors import (
    NameserverRefused,
    NameserverSilent,
    NameserverUnreachable,
    PreconditionFailed,
)
from herds.nameserver.values import Moved, Outcome
from herds.services import vhost
from herds.services.recording import VhostSight
from herds.services.target import Target
from tests.doubles.name_server import (
    Records,
    Reply,
    Scripted,
    nameserver_of,
    saying,
)
from tests.doubles.stories import stage

HOSTS = ("ele01", "ele02", "ele03")
ELE02 = "ele02.lab.test."


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as opened:
        yield opened


@pytest.fixture
def records() -> Records:
    """A zone in which trade points at ele01."""
    return Records(HOSTS, trade="ele01")


def target_of(
    stack: ExitStack, *replies: Reply, name: str = "trade.lab.test"
) -> tuple[Target, list[VhostSight]]:
    """Give a verb's target with a virtual host, and what of it is kept."""
    staged = stage([])
    staged.cluster.ref = replace(staged.cluster.ref, vhost=name)
    kept: list[VhostSight] = []
    servers = [stack.enter_context(Scripted(reply)).server for reply in replies]
    return (
        replace(
            staged.target,
            nameserver=nameserver_of(*servers) if servers else None,
            record_vhost=kept.append,
        ),
        kept,
    )


def test_a_name_is_moved_and_read_back(stack: ExitStack, records: Records) -> None:
    target, kept = target_of(stack, records)

    with vhost.prepare(target, "ele01", "ele02") as ready:
        assert ready.is_needed
        assert ready.words == "Point trade.lab.test at ele02.lab.test"
        ready.send().demand()
        assert records.targets["trade.lab.test."] == ELE02
        assert ready.send().outcome is Outcome.ALREADY
        read_back = ready.confirm(1.0)

    assert read_back.is_everywhere
    assert [sight.target for sight in kept] == ["ele01.lab.test", "ele02.lab.test"]


def test_what_is_prepared_and_not_sent_changes_nothing(
    stack: ExitStack, records: Records
) -> None:
    target, _ = target_of(stack, records)

    vhost.prepare(target, "ele01", "ele02").close()

    assert records.targets["trade.lab.test."] == "ele01.lab.test."


def test_a_name_that_points_elsewhere_goes_only_if_the_plan_showed_it(
    stack: ExitStack, records: Records
) -> None:
    records.targets["trade.lab.test."] = "ele03.lab.test."
    target, _ = target_of(stack, records)

    with pytest.raises(PreconditionFailed, match="neither at ele01 nor at ele02"):
        vhost.prepare(target, "ele01", "ele02")

    accepted = vhost.pointing(target)
    assert accepted == "ele03.lab.test"
    with vhost.prepare(target, "ele01", "ele02", accepted=accepted) as ready:
        assert ready.send().is_done


def test_an_old_host_that_dns_does_not_know_is_no_hindrance(
    stack: ExitStack, records: Records
) -> None:
    records.targets["trade.lab.test."] = ELE02
    target, _ = target_of(stack, records)

    with vhost.prepare(target, "192.0.2.1", "ele02") as ready:
        assert ready.send().outcome is Outcome.ALREADY


@pytest.mark.parametrize("has_name", [True, False])
def test_where_there_is_nothing_to_move_the_story_need_not_branch(
    stack: ExitStack, records: Records, has_name: bool
) -> None:
    target, kept = target_of(stack) if has_name else target_of(stack, records, name="")
    why = "DNS is not managed here" if has_name else "has no virtual host"

    with vhost.prepare(target, "ele01", "ele02") as ready:
        assert not ready.is_needed
        assert why in ready.why_not
        moved = ready.send()
        moved.demand()
        assert why in moved.words
        assert ready.confirm(1.0).is_everywhere

    assert vhost.pointing(target) == ""
    assert [check.verdict for check in vhost.checks(target, "ele01")] == (
        [Verdict.OK] if has_name else []
    )
    assert kept == []


@pytest.mark.parametrize(
    ("refuses", "at", "host", "verdicts"),
    [
        ("", "ele01", "ele01", ["ok", "ok"]),
        ("", "ele02", "ele01", ["warn", "ok"]),
        ("REFUSED", "ele01", "ele01", ["ok", "stop"]),
        ("SERVFAIL", "ele02", "ele01", ["warn", "stop"]),
        ("", "ele01", "192.0.2.1", ["stop"]),
    ],
)
def test_the_rows_of_a_plan_say_where_it_points_and_whether_it_may_be_moved(
    stack: ExitStack,
    records: Records,
    refuses: str,
    at: str,
    host: str,
    verdicts: list[str],
) -> None:
    records.targets["trade.lab.test."] = f"{at}.lab.test."
    records.refuses = refuses
    target, _ = target_of(stack, records)

    rows = vhost.checks(target, host)

    assert [row.verdict.value for row in rows] == verdicts
    assert [row.name for row in rows] == [vhost.NAME, vhost.RIGHT][: len(rows)]
    assert f"points at {at}.lab.test" in rows[0].observed or len(rows) == 1


def test_a_server_that_is_behind_is_a_warning(
    stack: ExitStack, records: Records
) -> None:
    target, kept = target_of(stack, records, Records(HOSTS, trade="ele03"))

    where, _ = vhost.checks(target, "ele01")

    assert where.verdict is Verdict.WARN
    assert "says ele03.lab.test" in where.observed
    assert "says ele03.lab.test" in kept[0].trouble


@pytest.mark.parametrize(
    ("reply", "told"),
    [
        (saying("SERVFAIL"), "answered SERVFAIL"),
        (saying("NOERROR", "trade 60 IN A 192.0.2.7"), "has A 192.0.2.7"),
    ],
)
def test_a_name_that_cannot_be_moved_stops_a_plan(
    stack: ExitStack, reply: Reply, told: str
) -> None:
    target, _ = target_of(stack, reply)

    rows = vhost.checks(target, "ele01")

    assert [row.verdict for row in rows] == [Verdict.STOP, Verdict.STOP]
    assert all(told in row.observed for row in rows)


@pytest.mark.parametrize(
    ("outcome", "raised"),
    [
        (Outcome.UNEXPECTED, PreconditionFailed),
        (Outcome.REFUSED, NameserverRefused),
        (Outcome.UNREACHABLE, NameserverUnreachable),
        (Outcome.UNKNOWN, NameserverSilent),
    ],
)
def test_whatever_is_not_done_stops_a_story_as_what_it_is(
    outcome: Outcome, raised: type[Exception]
) -> None:
    moved = Moved(
        name="trade.lab.test",
        target="ele02.lab.test",
        server="dns.lab.test",
        outcome=outcome,
        rcode="",
        words="It was not moved.",
        seconds=0.0,
    )

    with pytest.raises(raised, match="not moved") as stopped:
        moved.demand()

    assert stopped.value.host == "dns.lab.test"  # type: ignore[attr-defined]
