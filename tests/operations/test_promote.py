"""Promote: a replica becomes a primary, and the rest of its herd stays as it is."""

from __future__ import annotations

import pytest

from herds.domain.lsn import Lsn
from herds.errors import CommandFailed, HostUnreachable, PreconditionFailed
from herds.models import Herd, Instance, Operation, OperationStep
from herds.operations import requests
from tests.doubles.clusters import SimulatedCluster, SimulatedFleet
from tests.doubles.engine import ANNA, ended, on, outcomes, states, until

pytestmark = pytest.mark.usefixtures("worker")


def planned(*instances: Instance) -> Operation:
    """Plan the promotion of some instances, and wait until a worker has looked."""
    operation = requests.draft("promote", [each.pk for each in instances], ANNA)
    until(lambda: Operation.objects.get(pk=operation.pk).state != "planning")
    return Operation.objects.get(pk=operation.pk)


def carried_out(operation: Operation) -> Operation:
    return ended(requests.confirm(operation.pk, ANNA, acknowledged=True))


def checks(operation: Operation) -> dict[str, tuple[str, str]]:
    return {
        check["name"]: (check["verdict"], check["observed"])
        for target in operation.targets.all()
        for check in target.plan["checks"]
    }


def test_a_replica_of_a_stopped_primary_is_promoted_and_recorded_as_a_primary(
    fleet: SimulatedFleet, trade: Herd
) -> None:
    fleet[on(trade, "ele01")].running = False

    operation = carried_out(planned(on(trade, "ele02")))

    assert operation.state == "succeeded"
    assert fleet.log == [("ele02", "promote"), ("ele02", "CHECKPOINT")]
    assert on(trade, "ele02").is_primary
    assert not on(trade, "ele03").is_primary
    outcome = outcomes(operation)["ele02"]
    assert "Promoted from timeline 1. It writes on timeline 2." in outcome
    assert checks(operation) == {
        "Other primary": ("ok", "no other member takes writes")
    }


MAKE, DROP = "pg_create_physical_replication_slot", "pg_drop_replication_slot"


@pytest.fixture
def with_slots(fleet: SimulatedFleet, trade: Herd) -> Herd:
    """The herd, which uses slots; its primary is down."""
    Herd.objects.update(use_slots=True)
    fleet[on(trade, "ele01")].running = False
    fleet[on(trade, "ele02")].answers = {MAKE: "made trade_ele03"}
    return trade


def test_the_other_standbys_have_their_slots_before_it_is_promoted(
    fleet: SimulatedFleet, with_slots: Herd
) -> None:
    operation = planned(on(with_slots, "ele02"))
    assert operation.targets.get().plan["steps"][1:3] == [
        "Have the slots of the other standbys",
        "Promote",
    ]

    operation = carried_out(operation)

    assert operation.state == "succeeded"
    assert fleet.log == [
        ("ele02", MAKE),
        ("ele02", "promote"),
        ("ele02", "CHECKPOINT"),
    ]
    step = OperationStep.objects.get(target__operation=operation, name="slots")
    assert step.message == "Made trade_ele03."


def test_slots_that_cannot_be_made_hold_no_promotion_up(
    fleet: SimulatedFleet, with_slots: Herd
) -> None:
    def refuse(cluster: SimulatedCluster, name: str) -> None:
        if name == MAKE:
            raise CommandFailed(cluster.host, name, 3, "ERROR:  no room")

    fleet[on(with_slots, "ele02")].before = refuse

    operation = carried_out(planned(on(with_slots, "ele02")))

    assert states(operation) == {"ele02": "succeeded"}
    step = OperationStep.objects.get(target__operation=operation, name="slots")
    assert "Rebuild them once it is promoted." in step.message


def test_slots_go_again_where_it_is_not_promoted(
    fleet: SimulatedFleet, with_slots: Herd
) -> None:
    fleet[on(with_slots, "ele02")].ignores = {"promote"}

    operation = carried_out(planned(on(with_slots, "ele02")))

    assert states(operation) == {"ele02": "failed"}
    assert fleet.log == [("ele02", MAKE), ("ele02", "promote"), ("ele02", DROP)]


def test_a_primary_is_refused_with_the_reason(
    fleet: SimulatedFleet, trade: Herd
) -> None:
    Instance.objects.update(observed_at="2026-11-22T00:00:00Z")

    operation = planned(on(trade, "ele01"))

    assert states(operation) == {"ele01": "refused"}
    assert "is a primary of trade already" in outcomes(operation)["ele01"]
    assert fleet.log == []


def test_of_two_replicas_of_a_herd_none_is_promoted(
    fleet: SimulatedFleet, trade: Herd
) -> None:
    operation = planned(on(trade, "ele02"), on(trade, "ele03"))

    assert states(operation) == {"ele02": "refused", "ele03": "refused"}
    assert "only one can take over" in outcomes(operation)["ele02"]


def test_a_running_primary_beside_it_has_to_be_acknowledged(
    fleet: SimulatedFleet, trade: Herd
) -> None:
    fleet[on(trade, "ele01")].position = Lsn.parse("0/3000100")

    operation = planned(on(trade, "ele02"))

    verdict, observed = checks(operation)["Other primary"]
    assert verdict == "warn"
    assert "ele01 takes writes" in observed
    assert checks(operation)["Received WAL"] == ("warn", "256 bytes behind")
    with pytest.raises(PreconditionFailed, match="acknowledged"):
        requests.confirm(operation.pk, ANNA)
    assert carried_out(operation).state == "succeeded"
    assert fleet[on(trade, "ele01")].running


def test_an_unreachable_member_has_to_be_acknowledged(
    fleet: SimulatedFleet, trade: Herd
) -> None:
    fleet[on(trade, "ele01")].unreachable = HostUnreachable("ele01", "timed out")

    operation = planned(on(trade, "ele02"))

    verdict, observed = checks(operation)["Other primary"]
    assert verdict == "warn"
    assert "nothing is known of ele01" in observed


@pytest.mark.parametrize("state", ["stopped", "a primary in truth"])
def test_only_a_running_standby_can_be_promoted(
    fleet: SimulatedFleet, trade: Herd, state: str
) -> None:
    cluster = fleet[on(trade, "ele02")]
    if state == "stopped":
        cluster.running = False
    else:
        cluster.in_recovery = False

    operation = planned(on(trade, "ele02"))

    assert states(operation) == {"ele02": "refused"}
    assert fleet.log == []


def test_a_primary_that_appears_after_the_plan_stops_the_promotion(
    fleet: SimulatedFleet, trade: Herd
) -> None:
    fleet[on(trade, "ele01")].running = False
    operation = planned(on(trade, "ele02"))
    fleet[on(trade, "ele01")].running = True

    operation = carried_out(operation)

    assert states(operation) == {"ele02": "failed"}
    assert "ele01 takes writes now" in outcomes(operation)["ele02"]
    assert fleet.log == []


def test_a_command_that_promotes_nothing_is_seen_through(
    fleet: SimulatedFleet, trade: Herd
) -> None:
    fleet[on(trade, "ele01")].running = False
    fleet[on(trade, "ele02")].ignores = {"promote"}

    operation = carried_out(planned(on(trade, "ele02")))

    assert states(operation) == {"ele02": "failed"}
    assert "to leave recovery" in outcomes(operation)["ele02"]
    assert not on(trade, "ele02").is_primary


def test_a_promotion_that_a_lost_worker_had_done_is_finished_and_not_done_again(
    fleet: SimulatedFleet, trade: Herd
) -> None:
    fleet[on(trade, "ele01")].running = False
    operation = planned(on(trade, "ele02"))
    cluster = fleet[on(trade, "ele02")]
    OperationStep.objects.create(
        target=operation.targets.get(),
        number=1,
        name="look",
        words="Look",
        state="succeeded",
        started_at=cluster.started_at,
        evidence=cluster.look().evidence(),
    )
    operation.targets.update(state="interrupted", attempt=1)
    Operation.objects.update(state="interrupted")
    cluster._obey("promote")

    operation = ended(requests.resume(operation.pk, ANNA))

    assert states(operation) == {"ele02": "succeeded"}
    assert outcomes(operation)["ele02"].startswith("Promoted already. It writes on")
    assert fleet.log == [("ele02", "CHECKPOINT")]
    assert on(trade, "ele02").is_primary


def test_a_checkpoint_that_does_not_come_leaves_it_promoted_and_says_so(
    fleet: SimulatedFleet, trade: Herd
) -> None:
    fleet[on(trade, "ele01")].running = False

    def refuse(cluster: SimulatedCluster, name: str) -> None:
        if name == "CHECKPOINT":
            raise CommandFailed(cluster.host, name, 3, "ERROR:  disk full")

    fleet[on(trade, "ele02")].before = refuse

    operation = carried_out(planned(on(trade, "ele02")))

    assert states(operation) == {"ele02": "succeeded"}
    outcome = outcomes(operation)["ele02"]
    assert "first checkpoint is still to come" in outcome
    assert "disk full" in outcome
    assert on(trade, "ele02").is_primary


def test_a_stopped_primary_is_not_started_beside_the_one_that_took_over(
    fleet: SimulatedFleet, trade: Herd
) -> None:
    old, new = on(trade, "ele01"), on(trade, "ele02")
    fleet[old].running, fleet[new].in_recovery = False, False

    refused = ended(requests.confirm(_start(old).pk, ANNA, acknowledged=True))

    assert (
        "ele02 takes the herd's writes now: started, both would"
        in (outcomes(refused)["ele01"])
    )
    assert not fleet[old].running
    # As a standby it may start: it can take no writes.
    fleet[old].probed = {"files": frozenset({"standby.signal"})}
    started = ended(requests.confirm(_start(old).pk, ANNA, acknowledged=True))
    assert started.state == "succeeded", outcomes(started)


def _start(instance: Instance) -> Operation:
    return requests.draft("start", [instance.pk], ANNA)
