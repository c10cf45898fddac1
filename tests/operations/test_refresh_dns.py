"""Refresh DNS points virtual hosts at recorded primaries, if those take the writes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from django.utils import timezone

from herds.domain.states import TargetState
from herds.errors import HostUnreachable
from herds.models import Herd, Instance, Operation
from herds.operations import requests
from tests import factories
from tests.doubles.clusters import SimulatedFleet
from tests.doubles.engine import ANNA, ended, members, on, outcomes, states, until
from tests.doubles.name_server import Records, Scripted, nameserver_of, nobody

HOSTS = ("ele01", "ele02", "ele03")
AT = {host: f"{host}.lab.test." for host in HOSTS}
TRADE = "trade.lab.test."


@pytest.fixture(autouse=True)
def managed(settings: Any) -> None:
    """An installation in which DNS is managed."""
    settings.DNS = {"SERVERS": ["192.0.2.53"]}


@pytest.fixture
def records() -> Records:
    """A zone in which trade points at ele02, though its primary is on ele01."""
    return Records(HOSTS, trade="ele02")


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as opened:
        yield opened


@pytest.fixture
def name_server(
    stack: ExitStack, records: Records, fleet: SimulatedFleet, worker: object
) -> Scripted:
    """The zone's one server, which the worker asks."""
    server = stack.enter_context(Scripted(records))
    fleet.nameserver = nameserver_of(server.server)
    return server


def planned(*herds: Herd) -> Operation:
    """Plan for herds by any of their members, and wait until a worker has looked."""
    operation = requests.draft("refresh_dns", members(*herds), ANNA)
    until(lambda: Operation.objects.get(pk=operation.pk).state != "planning")
    return Operation.objects.get(pk=operation.pk)


def carried_out(operation: Operation) -> Operation:
    return ended(requests.confirm(operation.pk, ANNA, acknowledged=True))


def check(operation: Operation, name: str) -> dict[str, Any]:
    (target,) = operation.targets.all()
    (found,) = [each for each in target.plan["checks"] if each["name"] == name]
    return dict(found)


def test_the_plan_shows_the_drift_and_the_run_ends_it(
    name_server: Scripted, records: Records, trade: Herd
) -> None:
    operation = planned(trade)

    (target,) = operation.targets.all()
    assert target.hostname == "ele01"
    assert target.plan["will"] == (
        "trade.lab.test points at ele01.lab.test, no longer at ele02.lab.test"
    )
    assert check(operation, "Primary")["observed"] == "ele01 takes writes"
    assert check(operation, "Virtual host") | {"observed_at": ""} == {
        "name": "Virtual host",
        "how": f"asked {name_server.server.address}#{name_server.server.port}",
        "observed": "trade.lab.test points at ele02.lab.test",
        "threshold": "points at ele01.lab.test",
        "verdict": "ok",
        "observed_at": "",
    }
    assert check(operation, "Right to move it")["verdict"] == "ok"
    assert records.targets[TRADE] == AT["ele02"]

    operation = carried_out(operation)

    assert states(operation) == {"ele01": "succeeded"}
    assert outcomes(operation)["ele01"].startswith(
        "trade.lab.test points at ele01.lab.test on 127.0.0.1#"
    )
    assert operation.outcome == "The herd was refreshed in DNS."
    assert records.targets[TRADE] == AT["ele01"]
    herd = Herd.objects.get(pk=trade.pk)
    assert (herd.vhost_target, herd.vhost_trouble) == ("ele01.lab.test", "")
    assert herd.vhost_seen_at is not None


def test_what_the_plan_saw_stands_on_the_herd_though_nothing_is_done(
    name_server: Scripted, trade: Herd
) -> None:
    planned(trade)

    until(lambda: Herd.objects.get(pk=trade.pk).vhost_target == "ele02.lab.test")


def test_a_name_that_is_right_is_left_alone(
    name_server: Scripted, records: Records, trade: Herd
) -> None:
    records.targets[TRADE] = AT["ele01"]

    operation = planned(trade)
    assert operation.targets.get().plan["will"] == ("nothing: it points there already")

    assert states(carried_out(operation)) == {"ele01": "succeeded"}


def test_a_herd_whose_name_is_missing_gets_it(
    name_server: Scripted, records: Records, trade: Herd
) -> None:
    del records.targets[TRADE]

    assert states(carried_out(planned(trade))) == {"ele01": "succeeded"}
    assert records.targets[TRADE] == AT["ele01"]


def test_a_name_that_was_moved_since_the_plan_is_left(
    name_server: Scripted, records: Records, trade: Herd
) -> None:
    operation = planned(trade)
    records.targets[TRADE] = AT["ele03"]

    operation = carried_out(operation)

    assert states(operation) == {"ele01": "failed"}
    assert "points at ele03.lab.test, neither at" in outcomes(operation)["ele01"]
    assert records.targets[TRADE] == AT["ele03"]


def test_a_recorded_primary_that_is_a_standby_is_refused(
    name_server: Scripted, records: Records, trade: Herd, fleet: SimulatedFleet
) -> None:
    fleet[on(trade, "ele01")].in_recovery = True

    operation = planned(trade)

    assert states(operation) == {"ele01": "refused"}
    assert "recorded as the primary and takes no writes" in outcomes(operation)["ele01"]


def test_a_recorded_primary_that_is_stopped_is_refused(
    name_server: Scripted, trade: Herd, fleet: SimulatedFleet
) -> None:
    fleet[on(trade, "ele01")].running = False

    assert states(planned(trade)) == {"ele01": "refused"}


def test_the_name_follows_who_was_promoted_beside_a_lost_primary(
    fleet: SimulatedFleet, name_server: Scripted, records: Records, trade: Herd
) -> None:
    lost, promoted = on(trade, "ele01"), on(trade, "ele02")
    records.targets[TRADE] = AT["ele01"]
    fleet[lost].running = False
    fleet[promoted].in_recovery = False
    Instance.objects.filter(pk=lost.pk).update(is_online=False)
    Instance.objects.filter(pk=promoted.pk).update(master=None)

    operation = carried_out(planned(trade))

    assert states(operation) == {"ele02": "succeeded"}
    assert records.targets[TRADE] == AT["ele02"]


def test_a_primary_of_which_nothing_is_known_needs_an_acknowledgement(
    name_server: Scripted, trade: Herd, fleet: SimulatedFleet
) -> None:
    fleet[on(trade, "ele01")].unreachable = HostUnreachable("ele01", "timed out")

    operation = planned(trade)

    assert states(operation) == {"ele01": "planned"}
    assert check(operation, "Primary")["verdict"] == "warn"
    assert "unknown: ele01 could not be" in check(operation, "Primary")["observed"]
    assert states(carried_out(operation)) == {"ele01": "succeeded"}


def test_another_member_that_takes_the_writes_stops_it_where_the_primary_is_silent(
    name_server: Scripted, trade: Herd, fleet: SimulatedFleet
) -> None:
    fleet[on(trade, "ele01")].unreachable = HostUnreachable("ele01", "timed out")
    fleet[on(trade, "ele02")].in_recovery = False

    operation = planned(trade)

    assert states(operation) == {"ele01": "refused"}
    assert "ele02 takes the herd's writes" in outcomes(operation)["ele01"]


def test_two_that_take_writes_need_an_acknowledgement(
    name_server: Scripted, trade: Herd, fleet: SimulatedFleet
) -> None:
    fleet[on(trade, "ele02")].in_recovery = False

    operation = planned(trade)

    assert check(operation, "Primary")["verdict"] == "warn"
    assert "so does ele02" in check(operation, "Primary")["observed"]


def test_a_policy_that_refuses_is_found_by_the_plan(
    name_server: Scripted, records: Records, trade: Herd
) -> None:
    records.refuses = "REFUSED"

    operation = planned(trade)

    assert states(operation) == {"ele01": "refused"}
    assert "Right to move it: " in outcomes(operation)["ele01"]
    assert "policy does not let this key" in outcomes(operation)["ele01"]


def test_a_refusal_that_came_after_the_plan_fails_with_the_servers_word(
    name_server: Scripted, records: Records, trade: Herd
) -> None:
    operation = planned(trade)
    records.refuses = "SERVFAIL"

    operation = carried_out(operation)

    assert states(operation) == {"ele01": "failed"}
    assert "answers SERVFAIL" in outcomes(operation)["ele01"]


def test_a_server_that_is_behind_leaves_something_to_do(
    stack: ExitStack,
    name_server: Scripted,
    trade: Herd,
    fleet: SimulatedFleet,
) -> None:
    stale = stack.enter_context(Scripted(Records(HOSTS, trade="ele02")))
    fleet.nameserver = nameserver_of(name_server.server, stale.server)

    operation = carried_out(planned(trade))

    (target,) = operation.targets.all()
    assert target.state == TargetState.FOLLOW_UPS
    assert "on 1 of 2 name servers" in target.outcome
    assert "says ele02.lab.test" in target.outcome
    assert [each["action"] for each in target.follow_ups] == ["refresh_dns"]
    assert "says ele02" in Herd.objects.get(pk=trade.pk).vhost_trouble


def test_a_server_that_is_not_there_refuses_and_forgets_nothing(
    stack: ExitStack, worker: object, trade: Herd, fleet: SimulatedFleet
) -> None:
    fleet.nameserver = nameserver_of(stack.enter_context(nobody()))
    Herd.objects.filter(pk=trade.pk).update(
        vhost_target="ele02.lab.test", vhost_seen_at=timezone.now()
    )

    operation = planned(trade)

    assert states(operation) == {"ele01": "refused"}
    assert "connection refused" in outcomes(operation)["ele01"]
    until(
        lambda: "refused" in Herd.objects.get(pk=trade.pk).vhost_trouble,
    )
    assert Herd.objects.get(pk=trade.pk).vhost_target == "ele02.lab.test"


def test_where_dns_is_not_managed_the_plan_says_so(
    worker: object, trade: Herd, settings: Any
) -> None:
    settings.DNS = {}

    operation = planned(trade)

    assert states(operation) == {"ele01": "refused"}
    assert "DNS is not managed here" in outcomes(operation)["ele01"]


def test_a_herd_without_a_virtual_host_is_refused(
    name_server: Scripted, trade: Herd
) -> None:
    Herd.objects.filter(pk=trade.pk).update(vhost="")

    operation = planned(trade)

    assert outcomes(operation)["ele01"] == "trade has no virtual host."


def test_many_herds_are_one_target_each(
    name_server: Scripted, records: Records, trade: Herd
) -> None:
    records.targets["quote.lab.test."] = AT["ele03"]
    quote = factories.instance("quote", "ele02").herd

    operation = planned(trade, quote)
    assert operation.headline == "Refresh DNS of 2 herds in prod"

    operation = carried_out(operation)

    assert states(operation) == {"ele01": "succeeded", "ele02": "succeeded"}
    assert operation.outcome == "All 2 herds were refreshed in DNS."
    assert records.targets == {TRADE: AT["ele01"], "quote.lab.test.": AT["ele02"]}


def test_a_refresh_of_the_primary_sees_where_the_name_points(
    name_server: Scripted, trade: Herd
) -> None:
    operation = requests.draft("refresh", members(trade), ANNA)

    ended(requests.confirm(operation.pk, ANNA))

    assert Herd.objects.get(pk=trade.pk).vhost_target == "ele02.lab.test"
    assert len(name_server.updates) == 0


def test_a_herd_without_a_recorded_primary_is_refused(
    name_server: Scripted, trade: Herd
) -> None:
    Instance.objects.filter(pk=on(trade, "ele01").pk).delete()
    Instance.objects.filter(pk=on(trade, "ele02").pk).update(master=on(trade, "ele03"))
    Instance.objects.filter(pk=on(trade, "ele03").pk).update(master=on(trade, "ele02"))

    operation = planned(trade)

    assert "No primary of trade is recorded" in outcomes(operation)["ele02"]
