"""Demote takes a primary that another has replaced, and nobody else."""

from __future__ import annotations

import pytest

from herds.domain.cluster import Follower
from herds.errors import HostUnreachable
from herds.models import Herd, Instance, Operation
from herds.operations import requests
from tests.doubles.clusters import SimulatedFleet
from tests.doubles.engine import ANNA, ended, on, outcomes, states, until

pytestmark = pytest.mark.usefixtures("worker")


@pytest.fixture
def split(fleet: SimulatedFleet, trade: Herd) -> Herd:
    """A herd whose ele02 was promoted while ele01 went on; ele03 follows ele02."""
    new = on(trade, "ele02")
    Instance.objects.filter(pk=new.pk).update(master=None)
    Instance.objects.filter(server__hostname="ele03").update(master=new)
    fleet[on(trade, "ele02")].followers = (
        Follower(application_name="trade_ele03", address="", state="streaming"),
    )
    return trade


def planned(*instances: Instance) -> Operation:
    """Plan the demotion of some instances, and wait until a worker has looked."""
    operation = requests.draft("demote", [each.pk for each in instances], ANNA)
    until(lambda: Operation.objects.get(pk=operation.pk).state != "planning")
    return Operation.objects.get(pk=operation.pk)


def test_the_last_primary_of_a_herd_is_refused(
    fleet: SimulatedFleet, trade: Herd
) -> None:
    operation = planned(on(trade, "ele01"))

    assert states(operation) == {"ele01": "refused"}
    assert "is the last primary of its herd" in outcomes(operation)["ele01"]
    assert fleet.log == []


def test_a_primary_beside_an_unreachable_one_is_the_last_that_is_known(
    fleet: SimulatedFleet, split: Herd
) -> None:
    fleet[on(split, "ele02")].unreachable = HostUnreachable("ele02", "timed out")

    operation = planned(on(split, "ele01"))

    assert states(operation) == {"ele01": "refused"}
    assert "nothing is known of ele02" in outcomes(operation)["ele01"]


def test_a_primary_with_followers_is_refused_by_their_names(
    fleet: SimulatedFleet, split: Herd
) -> None:
    operation = planned(on(split, "ele02"))

    assert states(operation) == {"ele02": "refused"}
    assert "has followers (trade_ele03)" in outcomes(operation)["ele02"]


def test_a_replica_is_refused(fleet: SimulatedFleet, split: Herd) -> None:
    operation = planned(on(split, "ele03"))

    assert "is a replica of trade already" in outcomes(operation)["ele03"]


def test_a_standby_that_the_inventory_takes_for_a_primary_is_refused(
    fleet: SimulatedFleet, split: Herd
) -> None:
    fleet[on(split, "ele01")].in_recovery = True

    operation = planned(on(split, "ele01"))

    assert "is a standby already" in outcomes(operation)["ele01"]


def test_of_two_primaries_one_has_to_stay(fleet: SimulatedFleet, split: Herd) -> None:
    operation = planned(on(split, "ele01"), on(split, "ele02"))

    assert states(operation) == {"ele01": "refused", "ele02": "refused"}
    assert "one has to stay" in outcomes(operation)["ele01"]


def test_two_others_that_take_writes_are_told_apart_by_nobody(
    fleet: SimulatedFleet, split: Herd
) -> None:
    fleet[on(split, "ele03")].in_recovery = False

    operation = planned(on(split, "ele01"))

    assert "ele02 and ele03 take writes beside ele01" in outcomes(operation)["ele01"]


def test_followers_that_came_after_the_plan_stop_the_demotion(
    fleet: SimulatedFleet, split: Herd, monkeypatch: pytest.MonkeyPatch
) -> None:
    from herds.domain.plan import PlannedTarget
    from herds.services import demote

    monkeypatch.setattr(
        demote, "examine_rejoin", lambda *_: PlannedTarget(now="", will="follows")
    )
    operation = planned(on(split, "ele01"))
    assert states(operation) == {"ele01": "planned"}
    fleet[on(split, "ele01")].followers = (
        Follower(application_name="trade_ele04", address="", state="streaming"),
    )

    operation = ended(requests.confirm(operation.pk, ANNA, acknowledged=True))

    assert states(operation) == {"ele01": "failed"}
    assert "has followers (trade_ele04)" in outcomes(operation)["ele01"]
    assert fleet.log == []
