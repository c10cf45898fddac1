"""``manage.py operate``: what it chooses, shows, does, prints, and how it ends."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.core.management import call_command
from django.db import connection

from herds.errors import HostUnreachable
from herds.models import Herd, Operation
from herds.operations.worker import WorkerProcess
from lab.private_server import PrivateServer
from tests.doubles.clusters import SimulatedFleet
from tests.doubles.engine import (
    Gate,
    ask,
    ended,
    make_herd,
    on,
    states,
    until,
    working,
)

from .conftest import Ended

Operate = Callable[..., Ended]


@pytest.fixture
def quote(transactional_db: None) -> Herd:
    """A herd of stage, one of whose members shares a host with trade."""
    return make_herd("quote", ["ele02", "ele11"], "stage")


def chosen(operate: Operate, *options: str) -> set[str]:
    """Tell what the options select, by a plan that is not carried out."""
    end = operate("reload", *options, "--dry-run", "--json")
    assert end.status == 0, end.err
    return {
        f"{target['herd']}@{target['host']}"
        for target in json.loads(end.out)["targets"]
    }


@pytest.mark.usefixtures("trade", "quote")
class TestSelection:
    """Options of one kind add, different kinds narrow."""

    def test_one_herd(self, operate: Operate) -> None:
        assert chosen(operate, "--herd", "quote") == {"quote@ele02", "quote@ele11"}

    def test_two_herds_add(self, operate: Operate) -> None:
        assert len(chosen(operate, "--herd", "trade", "--herd", "quote")) == 5

    def test_a_server_narrows_a_herd(self, operate: Operate) -> None:
        assert chosen(operate, "--herd", "trade", "--server", "ele02") == {
            "trade@ele02"
        }

    def test_servers_add_and_an_environment_narrows(self, operate: Operate) -> None:
        assert chosen(
            operate,
            *("--server", "ele02", "--server", "ele11"),
            "--environment",
            "stage",
        ) == {"quote@ele02", "quote@ele11"}

    def test_an_instance_is_named_by_herd_and_host_or_by_number(
        self, operate: Operate, trade: Herd
    ) -> None:
        number = on(trade, "ele03").pk
        assert chosen(
            operate, "--instance", "quote@ele02", "--instance", str(number)
        ) == {"quote@ele02", "trade@ele03"}

    def test_names_are_found_in_any_case(self, operate: Operate) -> None:
        assert chosen(operate, "--herd", "TRADE", "--server", "ELE01") == {
            "trade@ele01"
        }

    def test_everything(self, operate: Operate) -> None:
        assert len(chosen(operate, "--all")) == 5

    def test_everything_of_one_environment(self, operate: Operate) -> None:
        assert len(chosen(operate, "--all", "--environment", "prod")) == 3

    @pytest.mark.parametrize(
        ("option", "name", "kind"),
        [
            ("--herd", "tarde", "herd"),
            ("--server", "ele99", "server"),
            ("--environment", "pord", "environment"),
            ("--instance", "trade@ele11", "instance"),
            ("--instance", "99999", "instance"),
            ("--instance", "99999999999999999999", "instance"),
            ("--herd", "%", "herd"),
        ],
    )
    def test_a_name_that_nothing_has_is_refused(
        self, operate: Operate, option: str, name: str, kind: str
    ) -> None:
        end = operate("reload", "--herd", "trade", option, name, "--yes")

        assert end.status == 1
        assert f"There is no {kind} named '{name}'." in end.err
        assert "Nothing was planned" in end.err
        assert not Operation.objects.exists()

    def test_choices_that_exclude_each_other_choose_nothing(
        self, operate: Operate
    ) -> None:
        end = operate("reload", "--herd", "trade", "--environment", "stage", "--yes")

        assert end.status == 1
        assert "No instance was chosen." in end.err

    def test_nothing_chosen_is_refused(self, operate: Operate) -> None:
        end = operate("restart", "--yes")

        assert end.status == 1
        assert "No instance was chosen. Use --herd" in end.err
        assert not Operation.objects.exists()


def test_a_dry_run_shows_the_plan_and_leaves_nothing_behind(
    operate: Operate, trade: Herd
) -> None:
    end = operate("stop", "--herd", "trade", "--dry-run")

    assert end.status == 0
    assert "Stop 3 instances of 1 herd in prod" in end.out
    assert end.out.index("ele01") < end.out.index("ele02") < end.out.index("ele03")
    assert "prod         trade  ele02      replica, running" in end.out
    assert "▲ trade: ele01 is the primary of trade; a herd whose primary" in end.out
    assert "Afterwards: None of them runs" in end.out
    assert not Operation.objects.exists()


def test_a_plan_that_stops_something_says_which_cluster_that_is(
    operate: Operate, trade: Herd
) -> None:
    member = on(trade, "ele01")
    member.system_identifier, member.xlog_pos = "7400000000000000001", 0x3000060
    member.save()

    out = operate("stop", "--herd", "trade", "--dry-run").out

    assert (
        f"trade on ele01: port {trade.db_port}, {trade.pgdata}, "
        "system 7400000000000000001, WAL at 0/3000060\n" in out
    )
    assert "system" not in operate("reload", "--herd", "trade", "--dry-run").out


def test_the_plan_lists_a_herds_members_in_the_order_of_their_turn(
    operate: Operate, trade: Herd
) -> None:
    out = operate("restart", "--all", "--dry-run").out

    assert out.index("ele02") < out.index("ele03") < out.index("ele01")


def test_a_dry_run_as_json_is_json_and_nothing_else(
    operate: Operate, trade: Herd
) -> None:
    end = operate("stop", "--herd", "trade", "--dry-run", "--json")

    plan = json.loads(end.out)
    assert plan["state"] == "planned"
    assert plan["headline"] == "Stop 3 instances of 1 herd in prod"
    assert plan["targets"][0]["will"] == "is stopped; its sessions are ended"
    assert not Operation.objects.exists()


def test_yes_acts_and_tells_each_end_and_the_whole(
    operate: Operate, trade: Herd, fleet: SimulatedFleet, worker: WorkerProcess
) -> None:
    end = operate("restart", "--herd", "trade", "--yes", "--reason", "new kernel")

    assert end.status == 0
    assert end.err == ""
    lines = end.out.splitlines()
    assert "✔ trade on ele02: succeeded. Restarted. ele02 runs PostgreSQL" in end.out
    assert lines[-1] == "All 3 instances were restarted."
    # A pipe gets whole lines, and nothing that is written over.
    assert "\x1b" not in end.out
    assert "\r" not in end.out
    assert "◐" not in end.out
    operation = Operation.objects.get()
    assert operation.reason == "new kernel"
    assert operation.source == "terminal"
    assert operation.requested_by is None
    assert operation.requested_by_name


def test_the_person_behind_sudo_is_the_one_who_asked(
    operate: Operate,
    trade: Herd,
    worker: WorkerProcess,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SUDO_USER", "anna")

    operate("reload", "--all", "--yes")

    assert Operation.objects.get().requested_by_name == "anna"


def test_a_service_without_a_name_is_told_by_its_number(
    operate: Operate,
    trade: Herd,
    worker: WorkerProcess,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def nobody() -> str:
        raise KeyError("getpwuid(): uid not found")

    monkeypatch.delenv("SUDO_USER", raising=False)
    monkeypatch.setattr("getpass.getuser", nobody)
    monkeypatch.setattr("os.getuid", lambda: 4711)

    operate("reload", "--all", "--yes")

    assert Operation.objects.get().requested_by_name == "uid 4711"


def test_as_json_it_prints_the_operation_as_it_ended_and_nothing_else(
    operate: Operate, trade: Herd, fleet: SimulatedFleet, worker: WorkerProcess
) -> None:
    fleet[on(trade, "ele02")].unreachable = HostUnreachable("ele02", "timed out")

    end = operate("restart", "--herd", "trade", "--yes", "--json")

    told = json.loads(end.out)
    assert end.status == 3
    assert told["state"] == "partly"
    assert told["action"] == "restart"
    assert told["outcome"].startswith("2 of 3 restarted; 1 failed.")
    by_host = {target["host"]: target for target in told["targets"]}
    assert by_host["ele02"]["state"] == "failed"
    assert "could not be reached over SSH" in by_host["ele02"]["outcome"]
    assert by_host["ele01"]["state"] == "succeeded"
    assert by_host["ele01"]["finished_at"]
    # Progress is for people, beside it.
    assert "✖ trade on ele02: failed." in end.err


def test_the_exit_status_tells_all_some_or_none(
    operate: Operate, trade: Herd, fleet: SimulatedFleet, worker: WorkerProcess
) -> None:
    assert operate("reload", "--all", "--yes").status == 0
    fleet[on(trade, "ele02")].unreachable = HostUnreachable("ele02", "timed out")
    assert operate("reload", "--all", "--yes").status == 3
    for host in ("ele01", "ele03"):
        fleet[on(trade, host)].unreachable = HostUnreachable(host, "timed out")
    assert operate("reload", "--all", "--yes").status == 1


def test_stop_at_the_first_failure_can_be_asked_for(
    operate: Operate, trade: Herd, fleet: SimulatedFleet, worker: WorkerProcess
) -> None:
    fleet[on(trade, "ele02")].unreachable = HostUnreachable("ele02", "timed out")

    end = operate("restart", "--all", "--yes", "--stop-at-first-failure")

    assert end.status == 1
    assert states(Operation.objects.get()) == {
        "ele01": "cancelled",
        "ele02": "failed",
        "ele03": "cancelled",
    }


def test_without_a_terminal_and_without_yes_nothing_is_done(
    operate: Operate, trade: Herd, fleet: SimulatedFleet, worker: WorkerProcess
) -> None:
    end = operate("restart", "--all")

    assert end.status == 1
    assert "Nobody can be asked: standard input is no terminal." in end.err
    assert "Add --yes" in end.err
    assert not Operation.objects.exists()
    assert fleet.log == []


def test_a_wrong_choice_leaves_nothing_behind(operate: Operate, trade: Herd) -> None:
    end = operate("restart", "--all", "--yes", "--choose", "nonsense")

    assert end.status == 1
    assert "'nonsense' chooses nothing" in end.err
    assert not Operation.objects.exists()


def test_a_missing_worker_is_said_and_one_that_comes_is_waited_for(
    trade: Herd, fleet: SimulatedFleet
) -> None:
    out, err = io.StringIO(), io.StringIO()

    def run() -> None:
        try:
            call_command("operate", "reload", "--all", "--yes", stdout=out, stderr=err)
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(run)
        until(lambda: "No worker is alive" in err.getvalue())
        assert "Start one: manage.py worker" in err.getvalue()
        with working(fleet):
            running.result(20)

    assert out.getvalue().splitlines()[-1] == "All 3 instances were reloaded."


def test_detached_it_tells_the_number_and_returns(
    operate: Operate, trade: Herd
) -> None:
    end = operate("restart", "--all", "--yes", "--detach", "--json")

    told = json.loads(end.out)
    assert end.status == 0
    assert told["operation"] == Operation.objects.get().pk
    assert told["state"] == "queued"


def test_show_tells_how_every_target_ended(
    operate: Operate, trade: Herd, fleet: SimulatedFleet, worker: WorkerProcess
) -> None:
    fleet[on(trade, "ele02")].unreachable = HostUnreachable("ele02", "timed out")
    operation = ended(ask("restart", trade))

    end = operate("show", "--operation", str(operation.pk))
    as_json = operate("show", "--operation", str(operation.pk), "--json")

    assert end.status == 0, "showing a failure is no failure"
    assert "✖ trade on ele02: failed. ele02 could not be reached" in end.out
    assert "✔ trade on ele01: succeeded." in end.out
    assert "partly. 2 of 3 restarted; 1 failed." in end.out
    assert json.loads(as_json.out)["state"] == "partly"


def test_show_follows_what_still_runs_to_its_end(
    operate: Operate, trade: Herd, fleet: SimulatedFleet, worker: WorkerProcess
) -> None:
    gate = fleet[on(trade, "ele01")].before = Gate("stop")
    operation = ask("restart", trade)
    assert gate.reached.wait(20)
    gate.opened.set()

    end = operate("show", "--operation", str(operation.pk))

    assert end.status == 0
    assert end.out.splitlines()[-1] == "All 3 instances were restarted."


def test_cancel_waits_for_the_safe_end_of_what_has_begun(
    operate: Operate, trade: Herd, fleet: SimulatedFleet, worker: WorkerProcess
) -> None:
    gate = fleet[on(trade, "ele02")].before = Gate("start")
    operation = ask("restart", trade)
    assert gate.reached.wait(20)
    gate.opened.set()

    end = operate("cancel", "--operation", str(operation.pk))

    assert end.status == 0
    assert fleet[on(trade, "ele02")].running
    assert states(operation)["ele01"] in {"cancelled", "succeeded"}


def test_retry_plans_what_failed_and_asks_again(
    operate: Operate, trade: Herd, fleet: SimulatedFleet, worker: WorkerProcess
) -> None:
    cluster = fleet[on(trade, "ele02")]
    cluster.unreachable = HostUnreachable("ele02", "timed out")
    first = ended(ask("restart", trade))
    cluster.unreachable = None
    number = str(first.pk)

    refused = operate("retry", "--operation", number)
    assert refused.status == 1
    assert Operation.objects.count() == 1
    dry = operate("retry", "--operation", number, "--dry-run")
    assert "Restart 1 instance of 1 herd" in dry.out
    assert Operation.objects.count() == 1
    end = operate("retry", "--operation", number, "--yes", "--json")

    assert end.status == 0
    told = json.loads(end.out)
    assert [target["host"] for target in told["targets"]] == ["ele02"]
    assert Operation.objects.get(pk=told["operation"]).retry_of == first


def test_resume_goes_on_with_what_was_interrupted(
    operate: Operate, trade: Herd, fleet: SimulatedFleet, worker: WorkerProcess
) -> None:
    operation = ended(ask("restart", trade))
    operation.targets.filter(hostname="ele02").update(state="interrupted")
    Operation.objects.update(state="interrupted")

    end = operate("resume", "--operation", str(operation.pk))

    assert end.status == 0
    assert end.out.splitlines()[-1] == "All 3 instances were restarted."


@pytest.mark.parametrize("action", ["cancel", "resume"])
def test_a_dry_run_does_nothing_to_an_operation_either(
    operate: Operate, trade: Herd, action: str
) -> None:
    operation = ask("restart", trade)
    before = Operation.objects.values().get()

    end = operate(action, "--operation", str(operation.pk), "--dry-run")

    assert end.status == 1
    assert f"--dry-run means nothing to {action}" in end.err
    assert Operation.objects.values().get() == before


@pytest.mark.parametrize("action", ["show", "cancel", "resume", "retry"])
def test_which_operation_has_to_be_said(operate: Operate, action: str) -> None:
    end = operate(action)

    assert end.status == 1
    assert f"Which operation? {action} needs it." in end.err
    assert "There is no operation 4711" in operate(action, "--operation", "4711").err


def test_a_metadata_server_that_goes_away_is_waited_for(
    operate: Operate,
    private_server: PrivateServer,
    trade: Herd,
    fleet: SimulatedFleet,
    worker: WorkerProcess,
) -> None:
    gate = fleet[on(trade, "ele02")].before = Gate("stop")

    def run() -> Ended:
        try:
            return operate("restart", "--all", "--yes")
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(run)
        assert gate.reached.wait(20)
        private_server.stop()
        time.sleep(0.5)
        private_server.start()
        connection.close()
        gate.opened.set()
        end = running.result(40)

    assert end.status == 0
    assert end.out.count("▲ The metadata database is away") == 1
    assert end.out.splitlines()[-1] == "All 3 instances were restarted."
