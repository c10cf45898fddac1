"""Registering records what is there, creates what is not, and touches nothing else."""

from __future__ import annotations

import pytest

from herds.domain.cluster import Activity, Follower
from herds.domain.probe import Receiver
from herds.errors import HostUnreachable, PreconditionFailed
from herds.models import Herd, Instance, Operation
from herds.operations import requests
from tests import factories
from tests.doubles.clusters import SimulatedFleet
from tests.doubles.engine import ANNA, ended, on, outcomes, states, until

pytestmark = pytest.mark.usefixtures("worker")

FIFTEEN = "/usr/lib/postgresql/15/bin"


@pytest.fixture
def newcomer(trade: Herd) -> Instance:
    """An instance that was just added: nothing is known of it."""
    return factories.instance(
        "trade", "ele04", observed_at=None, is_online=False, version=""
    )


def planned(instance: Instance, **parameters: str) -> Operation:
    """Plan the registration of an instance, and wait until a worker has looked."""
    operation = requests.draft("register", [instance.pk], ANNA, parameters)
    until(lambda: Operation.objects.get(pk=operation.pk).state != "planning")
    return Operation.objects.get(pk=operation.pk)


def carried_out(operation: Operation) -> Operation:
    return ended(requests.confirm(operation.pk, ANNA, acknowledged=True))


def alone(fleet: SimulatedFleet, herd: str = "fresh") -> Instance:
    """An instance of a herd that has nothing yet, on a host with PostgreSQL 15."""
    instance = factories.instance(herd, "ele07", observed_at=None, is_online=False)
    cluster = fleet[instance]
    cluster.running, cluster.activity = False, Activity.ABSENT
    cluster.probed["installed"] = (FIFTEEN,)
    cluster.answers = {
        "read the settings": f"port={cluster.ref.port}\n",
        "look for what standbys need": "0\nlocalhost",
    }
    return instance


def test_a_running_replica_is_recorded_with_its_role_version_and_upstream(
    fleet: SimulatedFleet, trade: Herd, newcomer: Instance
) -> None:
    cluster = fleet[newcomer]
    cluster.in_recovery = True
    cluster.probed["receiver"] = Receiver(
        status="streaming",
        host="ele02.lab.test",
        port=5432,
        slot="",
        timeline=1,
        flushed=None,
    )

    operation = planned(newcomer)
    assert operation.targets.get().plan["now"] == "replica of ele02, running"
    operation = carried_out(operation)

    recorded = on(trade, "ele04")
    assert operation.state == "succeeded"
    assert recorded.version == "15.18"
    assert recorded.is_online
    assert recorded.master == on(trade, "ele02")
    assert fleet.log == []


def test_a_receiver_that_names_the_virtual_host_follows_the_primary(
    fleet: SimulatedFleet, trade: Herd, newcomer: Instance
) -> None:
    cluster = fleet[newcomer]
    cluster.in_recovery = True
    cluster.probed["receiver"] = Receiver(
        status="streaming",
        host="trade.lab.test",
        port=5432,
        slot="",
        timeline=1,
        flushed=None,
    )

    carried_out(planned(newcomer))

    assert on(trade, "ele04").master == on(trade, "ele01")


def test_a_stopped_replica_is_recorded_as_one(
    fleet: SimulatedFleet, trade: Herd, newcomer: Instance
) -> None:
    cluster = fleet[newcomer]
    cluster.running, cluster.in_recovery = False, True
    cluster.probed["files"] = frozenset({"standby.signal"})

    carried_out(planned(newcomer))

    recorded = on(trade, "ele04")
    assert not recorded.is_online
    assert recorded.master == on(trade, "ele01")
    assert recorded.version == "15"


def test_a_second_primary_is_recorded_after_a_warning(
    fleet: SimulatedFleet, trade: Herd, newcomer: Instance
) -> None:
    operation = planned(newcomer)

    checks = operation.targets.get().plan["checks"]
    assert [check["name"] for check in checks if check["verdict"] == "warn"] == [
        "Other primary"
    ]
    assert on(trade, "ele04").is_primary


def test_the_data_of_another_cluster_is_refused(
    fleet: SimulatedFleet, trade: Herd, newcomer: Instance
) -> None:
    fleet[newcomer].system_identifier = "7400000000000000002"

    operation = planned(newcomer)

    assert states(operation) == {"ele04": "refused"}
    assert "holds another cluster than the herd" in outcomes(operation)["ele04"]
    assert "7400000000000000002" in outcomes(operation)["ele04"]


def test_a_directory_with_something_else_in_it_is_refused(
    fleet: SimulatedFleet, trade: Herd, newcomer: Instance
) -> None:
    cluster = fleet[newcomer]
    cluster.running, cluster.activity = False, Activity.FOREIGN
    cluster.probed["is_occupied"] = True

    operation = planned(newcomer, version="15")

    assert states(operation) == {"ele04": "refused"}
    assert "is not empty and is no PostgreSQL data" in outcomes(operation)["ele04"]
    assert fleet.log == []


def test_no_new_cluster_is_made_in_a_herd_whose_primary_is_down(
    fleet: SimulatedFleet, trade: Herd, newcomer: Instance
) -> None:
    fleet[on(trade, "ele01")].running = False
    fleet[on(trade, "ele03")].unreachable = HostUnreachable("ele03", "timed out")
    cluster = fleet[newcomer]
    cluster.running, cluster.activity = False, Activity.ABSENT

    operation = planned(newcomer, version="15")

    outcome = outcomes(operation)["ele04"]
    assert states(operation) == {"ele04": "refused"}
    assert "ele01 is stopped" in outcome
    assert "nothing is known of ele03" in outcome


def test_a_new_herd_gets_a_cluster_of_the_chosen_version(
    fleet: SimulatedFleet, transactional_db: None
) -> None:
    instance = alone(fleet)

    operation = planned(instance, version="15")
    plan = operation.targets.get().plan
    assert "created as a brand-new cluster" in plan["will"]
    assert [check["verdict"] for check in plan["checks"]] == ["ok"]
    operation = carried_out(operation)

    assert states(operation) == {"ele07": "succeeded"}
    assert [name for _, name in fleet.log] == [
        "init",
        "start",
        "look for what standbys need",
    ]
    outcome = outcomes(operation)["ele07"]
    assert "runs PostgreSQL 15.18 as a primary" in outcome
    assert "there is no role replication" in outcome
    assert Instance.objects.get(pk=instance.pk).is_online


def test_a_version_that_nobody_asked_for_has_to_be_acknowledged(
    fleet: SimulatedFleet, transactional_db: None
) -> None:
    instance = alone(fleet)
    fleet[instance].probed["installed"] = (FIFTEEN, "/usr/pgsql-9.6/bin")

    operation = planned(instance)

    plan = operation.targets.get().plan
    assert [option["value"] for option in plan["choices"][0]["options"]] == [
        "15",
        "9.6",
    ]
    assert plan["choices"][0]["default"] == "15"
    with pytest.raises(PreconditionFailed, match="acknowledged"):
        requests.confirm(operation.pk, ANNA)
    assert fleet.log == []


def test_another_version_can_be_chosen_from_the_plan(
    fleet: SimulatedFleet, transactional_db: None
) -> None:
    instance = alone(fleet)
    fleet[instance].probed["installed"] = (FIFTEEN, "/usr/lib/postgresql/14/bin")
    operation = planned(instance, version="15")

    operation = ended(requests.confirm(operation.pk, ANNA, choices={"version": "14"}))

    assert states(operation) == {"ele07": "succeeded"}
    assert fleet[instance].ref.version == "14"


def test_no_cluster_is_created_where_postgresql_is_not_installed(
    fleet: SimulatedFleet, transactional_db: None
) -> None:
    instance = alone(fleet)
    fleet[instance].probed["installed"] = ()

    operation = planned(instance)

    assert states(operation) == {"ele07": "refused"}
    assert "PostgreSQL is not installed on ele07." in outcomes(operation)["ele07"]


def test_a_version_that_is_not_installed_is_refused(
    fleet: SimulatedFleet, transactional_db: None
) -> None:
    operation = planned(alone(fleet), version="18")

    assert states(operation) == {"ele07": "refused"}
    assert (
        "PostgreSQL 18 is not installed on ele07; 15 is."
        in outcomes(operation)["ele07"]
    )


def test_a_directory_that_appeared_after_the_plan_is_not_touched(
    fleet: SimulatedFleet, transactional_db: None
) -> None:
    instance = alone(fleet)
    operation = planned(instance, version="15")
    fleet[instance].activity = None

    operation = carried_out(operation)

    assert states(operation) == {"ele07": "failed"}
    assert "has changed since this was planned" in outcomes(operation)["ele07"]
    assert fleet.log == []


def test_an_init_that_makes_nothing_is_seen_through(
    fleet: SimulatedFleet, transactional_db: None
) -> None:
    instance = alone(fleet)
    fleet[instance].ignores = {"init"}

    operation = carried_out(planned(instance, version="15"))

    assert states(operation) == {"ele07": "failed"}
    assert "what was seen last was absent" in outcomes(operation)["ele07"]


def test_a_member_that_others_name_is_found_by_its_followers(
    fleet: SimulatedFleet, trade: Herd, newcomer: Instance
) -> None:
    fleet[newcomer].in_recovery = True
    fleet[on(trade, "ele03")].followers = (
        Follower(application_name="trade_ele04", address="", state="streaming"),
    )

    carried_out(planned(newcomer))

    assert on(trade, "ele04").master == on(trade, "ele03")
