"""A confirmed operation runs to its end, each target to an outcome of its own."""

from __future__ import annotations

import pytest

from herds.errors import HostUnreachable, OutcomeUnknown
from herds.models import Herd, Instance, Operation, OperationOutput, OperationStep
from herds.operations import requests
from herds.operations.worker import WorkerProcess
from tests.doubles.clusters import SimulatedCluster, SimulatedFleet
from tests.doubles.engine import ANNA, ask, ended, make_herd, members, on

pytestmark = pytest.mark.usefixtures("worker")


def outcomes(operation: Operation) -> dict[str, tuple[str, str]]:
    return {
        target.hostname: (target.state, target.outcome)
        for target in operation.targets.all()
    }


def test_restart_takes_the_standbys_first_and_the_primary_last(
    fleet: SimulatedFleet, trade: Herd
) -> None:
    operation = ended(ask("restart", trade))

    assert operation.state == "succeeded"
    assert operation.outcome == "All 3 instances were restarted."
    assert fleet.log == [
        ("ele02", "stop"),
        ("ele02", "start"),
        ("ele03", "stop"),
        ("ele03", "start"),
        ("ele01", "stop"),
        ("ele01", "start"),
    ]


def test_every_step_is_recorded_with_command_status_output_and_evidence(
    fleet: SimulatedFleet, trade: Herd
) -> None:
    operation = ended(ask("restart", trade))

    target = operation.targets.get(hostname="ele02")
    steps = list(target.steps.all())
    assert [(step.name, step.state) for step in steps] == [
        ("look", "succeeded"),
        ("stop", "succeeded"),
        ("start", "succeeded"),
    ]
    assert steps[1].command == "pg_ctl stop"
    assert steps[1].exit_status == 0
    assert steps[1].evidence["pg_control"] == "shut down in recovery"
    assert steps[2].evidence["activity"] == "running"
    assert [row.text for row in OperationOutput.objects.filter(step=steps[1])] == [
        "stop on ele02"
    ]
    assert "runs PostgreSQL 15.18 as a standby" in target.outcome


def test_start_of_a_running_instance_is_a_quiet_success(
    fleet: SimulatedFleet, trade: Herd
) -> None:
    operation = ended(ask("start", trade))

    assert operation.state == "succeeded"
    assert fleet.log == []
    assert outcomes(operation)["ele01"][1].startswith("Nothing to do: ele01 runs")


def test_the_observed_state_counts_whatever_the_inventory_believed(
    fleet: SimulatedFleet, trade: Herd
) -> None:
    Instance.objects.update(is_online=False)

    ended(ask("stop", trade))

    assert [name for _, name in fleet.log] == ["stop", "stop", "stop"]
    assert fleet.log[0] == ("ele01", "stop")
    assert not Instance.objects.filter(is_online=True).exists()


def test_one_unreachable_host_stops_no_other_target(
    fleet: SimulatedFleet, trade: Herd
) -> None:
    fleet[on(trade, "ele02")].unreachable = HostUnreachable("ele02", "timed out")

    operation = ended(ask("restart", trade))

    states = {host: state for host, (state, _) in outcomes(operation).items()}
    assert states == {"ele01": "succeeded", "ele02": "failed", "ele03": "succeeded"}
    assert operation.state == "partly"
    assert operation.outcome.startswith("2 of 3 restarted; 1 failed.")
    assert "ele02 could not be reached over SSH" in outcomes(operation)["ele02"][1]
    lost = on(trade, "ele02")
    assert lost.unreachable_since is not None
    assert lost.is_online, "unknown is not stopped"


def test_a_command_whose_host_was_lost_meanwhile_leaves_its_step_unknown(
    fleet: SimulatedFleet, trade: Herd
) -> None:
    line = "pg_ctl stop -m fast"

    def lose(cluster: SimulatedCluster, name: str) -> None:
        cluster.unreachable = HostUnreachable("ele02", "timed out")
        raise OutcomeUnknown("ele02", line, "the connection was lost", "waiting...")

    fleet[on(trade, "ele02")].before = lose

    operation = ended(ask("restart", trade))

    target = operation.targets.get(hostname="ele02")
    step = OperationStep.objects.get(target=target, name="stop")
    assert target.state == "failed"
    assert "What runs there is unknown." in target.outcome
    assert step.state == "unknown"
    assert step.command == line
    assert step.message.startswith(f"The outcome of `{line}` on ele02 is unknown")
    assert OperationOutput.objects.get(step=step).text == "waiting..."


def test_a_command_that_does_nothing_is_judged_by_what_is_seen(
    fleet: SimulatedFleet, trade: Herd
) -> None:
    fleet[on(trade, "ele01")].ignores = {"stop"}

    operation = ended(ask("stop", trade))

    state, outcome = outcomes(operation)["ele01"]
    assert state == "failed"
    assert "was running" in outcome


def test_reload_of_a_stopped_instance_is_refused_with_the_reason(
    fleet: SimulatedFleet, trade: Herd
) -> None:
    fleet[on(trade, "ele03")].running = False

    operation = ended(ask("reload", trade))

    state, outcome = outcomes(operation)["ele03"]
    assert state == "failed"
    assert "ele03 is not running, so there is nothing to reload." in outcome
    assert outcomes(operation)["ele02"][0] == "succeeded"


def test_stop_at_the_first_failure_leaves_the_rest_alone(
    fleet: SimulatedFleet, trade: Herd
) -> None:
    fleet[on(trade, "ele02")].unreachable = HostUnreachable("ele02", "timed out")
    operation = requests.draft("restart", members(trade), ANNA)
    requests.confirm(operation.pk, ANNA, stop_at_first_failure=True)

    operation = ended(operation)

    states = {host: state for host, (state, _) in outcomes(operation).items()}
    assert states == {"ele01": "cancelled", "ele02": "failed", "ele03": "cancelled"}
    assert fleet.log == []


def test_herds_beyond_the_concurrency_follow_when_others_have_ended(
    fleet: SimulatedFleet, worker: WorkerProcess
) -> None:
    herds = [make_herd(f"herd{n}", [f"ele{n}"]) for n in range(5)]
    operation = requests.draft("restart", members(*herds), ANNA)
    Operation.objects.update(concurrency=2)
    requests.confirm(operation.pk, ANNA)

    assert ended(operation).state == "succeeded"
    assert len(fleet.log) == 10


def test_a_bug_in_a_verb_ends_its_target_and_tells_where_to_look(
    fleet: SimulatedFleet, trade: Herd
) -> None:
    def burst(cluster: object, name: str) -> None:
        raise RuntimeError("boom")

    fleet[on(trade, "ele01")].before = burst

    operation = ended(ask("restart", trade))

    target = operation.targets.get(hostname="ele01")
    assert target.state == "failed"
    assert "The program itself failed" in target.outcome
    assert "boom" in target.detail
    assert OperationStep.objects.get(target=target, name="stop").state == "failed"
