"""Start, stop, restart and reload of clusters as Debian packages them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from herds.models import Instance
from tests.lab.product import Product, RunningWorker, said, states, target, until


@pytest.fixture(scope="module", autouse=True)
def worker(debian: Product) -> Iterator[RunningWorker]:
    """One worker for all tests of this module."""
    with debian.worker() as worker:
        yield worker
    debian.make_whole()


def test_refresh_learns_roles_versions_and_states_from_the_hosts(
    debian: Product,
) -> None:
    Instance.objects.filter(herd__herd_name="trade").update(
        master=None, version="", is_online=False, observed_at=None
    )

    operation = debian.do("refresh", "trade")

    assert operation.state == "succeeded", said(operation)
    members = {each.server.hostname: each for each in debian.members("trade")}
    assert members["ele01"].master is None
    assert members["ele02"].master == members["ele03"].master == members["ele01"]
    assert all(each.is_online and each.observed_at for each in members.values())
    assert all(each.version.startswith("15.") for each in members.values())


def test_restart_takes_the_standbys_first_and_they_stream_again(
    debian: Product,
) -> None:
    before = debian.began("trade")

    operation = debian.do("restart", "trade")

    assert operation.state == "succeeded", said(operation)
    assert operation.outcome == "All 3 instances were restarted."
    began = debian.began("trade")
    assert all(began[name] > before[name] for name in before)
    assert began["trade@ele02"] < began["trade@ele03"] < began["trade@ele01"]
    assert "as a primary since" in target(operation, "trade@ele01").outcome
    assert "as a standby since" in target(operation, "trade@ele02").outcome
    until(lambda: debian.streams("trade"), 30, "both standbys stream again")


def test_a_herd_is_stopped_primary_first_and_started_again(debian: Product) -> None:
    stopped = debian.do("stop", "billing")

    assert stopped.state == "succeeded", said(stopped)
    assert not any(
        debian.is_running(f"billing@{host}") for host in debian.hosts("billing")
    )
    assert not any(each.is_online for each in debian.members("billing"))
    primary, standby = (
        target(stopped, f"billing@{host}") for host in debian.hosts("billing")[:2]
    )
    assert primary.finished_at is not None
    assert standby.started_at is not None
    assert primary.finished_at <= standby.started_at
    assert "pg_control says 'shut down')" in primary.outcome
    assert "pg_control says 'shut down in recovery')" in standby.outcome

    again = debian.do("stop", "billing")

    assert again.state == "succeeded"
    assert target(again, "billing@ele04").outcome.startswith("Nothing to do: ele04 is")

    started = debian.do("start", "billing")

    assert started.state == "succeeded", said(started)
    assert all(each.is_online for each in debian.members("billing"))
    until(lambda: debian.streams("billing"), 30, "its standbys stream")

    again = debian.do("start", "billing")

    assert again.state == "succeeded"
    assert target(again, "billing@ele04").outcome.startswith("Nothing to do: ele04 ru")


def test_a_data_root_with_a_space_and_a_quote_is_worked_on_unharmed(
    debian: Product,
) -> None:
    assert "'" in debian.spec("ledger").data_root
    for action in ("stop", "start", "restart", "reload"):
        operation = debian.do(action, "ledger@ele03", "ledger@ele01")

        assert operation.state == "succeeded", said(operation)
        assert debian.is_running("ledger@ele03") is (action != "stop")
    until(lambda: debian.streams("ledger"), 30, "its standbys stream")


def test_what_the_host_says_counts_whatever_the_inventory_believes(
    debian: Product,
) -> None:
    debian.stop("orders@ele08")
    Instance.objects.filter(herd__herd_name="orders").update(is_online=True)
    Instance.objects.filter(pk=debian.instance("orders@ele09").pk).update(
        is_online=False
    )

    started = debian.ask("start", "orders@ele08")
    stopped = debian.do("stop", "orders@ele09")
    until(lambda: states(started) == {"orders@ele08": "succeeded"})

    assert target(started, "orders@ele08").outcome.startswith("Started. ele08 runs")
    assert debian.is_running("orders@ele08")
    assert target(stopped, "orders@ele09").outcome.startswith("Stopped. ele09 is")
    assert not debian.is_running("orders@ele09")

    # The other way round: restart brings up what was believed to run, and says so.
    restarted = debian.do("restart", "orders@ele09")

    assert restarted.state == "succeeded", said(restarted)
    assert "it was not running" in target(restarted, "orders@ele09").outcome
    assert debian.instance("orders@ele09").is_online


def test_reload_of_a_broken_file_says_which_file_and_line(debian: Product) -> None:
    path = debian.configuration("trade")
    lines = len(debian.lab.exec("ele02", ["cat", path]).stdout.splitlines())
    with debian.configured("trade@ele02", "\nwork_mem = = 4MB\n"):
        operation = debian.do("reload", "trade@ele02", "trade@ele03")

    assert states(operation) == {
        "trade@ele02": "failed",
        "trade@ele03": "succeeded",
    }, said(operation)
    outcome = target(operation, "trade@ele02").outcome
    assert f"{path}:{lines + 2}: syntax error" in outcome
    assert debian.do("reload", "trade@ele02").state == "succeeded"


def test_reload_names_the_settings_that_only_a_restart_applies(
    debian: Product,
) -> None:
    with debian.configured("trade@ele02", "\nshared_buffers = '17MB'\n"):
        operation = debian.do("reload", "trade@ele02")

        assert operation.state == "succeeded", said(operation)
        outcome = target(operation, "trade@ele02").outcome
        assert outcome.endswith("Only a restart applies: shared_buffers.")

    assert debian.do("reload", "trade@ele02").state == "succeeded"


def test_reload_of_a_stopped_instance_is_refused(debian: Product) -> None:
    debian.stop("orders@ele08")

    operation = debian.do("reload", "orders@ele08")

    assert states(operation) == {"orders@ele08": "failed"}
    assert "nothing to reload" in target(operation, "orders@ele08").outcome
    assert not debian.instance("orders@ele08").is_online


def test_a_cluster_that_cannot_start_fails_with_postgresqls_own_words(
    debian: Product,
) -> None:
    debian.start("orders@ele08")
    with debian.configured("orders@ele08", "\nshared_buffers = 'plenty'\n"):
        operation = debian.do("restart", "orders@ele08", "orders@ele09")

    assert states(operation) == {
        "orders@ele08": "failed",
        "orders@ele09": "succeeded",
    }, said(operation)
    failed = target(operation, "orders@ele08")
    assert "is stopped (pg_control says 'shut down in recovery')" in failed.outcome
    told = 'and said: invalid value for parameter "shared_buffers": "plenty"; '
    assert f"{told}configuration file " in failed.outcome
    assert " contains errors. Read the command's output" in failed.outcome
    assert not debian.instance("orders@ele08").is_online
