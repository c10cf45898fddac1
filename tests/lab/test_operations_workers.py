"""Workers that share an operation, die in it, or lose their metadata meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone

from herds.domain.states import OperationState, TargetState
from herds.models import Operation, OperationOutput, Worker
from herds.operations import requests
from herds.operations.requests import Requester
from lab import LabError
from tests.lab.metadata import MetadataServer
from tests.lab.product import (
    ANNA,
    Product,
    ended,
    finish,
    refreshed,
    said,
    states,
    target,
    until,
)


@pytest.fixture(scope="module", autouse=True)
def _whole(debian: Product) -> Iterator[None]:
    yield
    debian.make_whole()


def began_or_none(product: Product) -> dict[str, str | None]:
    """Give when every postmaster began; None for those that do not answer."""
    found: dict[str, str | None] = {}
    for herd in product.herds:
        for host in product.hosts(herd):
            try:
                found[f"{herd}@{host}"] = product.lab.sql(
                    herd, host, "SELECT pg_postmaster_start_time()"
                )
            except LabError:
                found[f"{herd}@{host}"] = None
    return found


def in_the_middle(operation: Operation, worker: Worker) -> bool:
    """Tell whether a worker has done a part of its share and is at another part."""
    states = set(
        operation.targets.filter(worker=worker).values_list("state", flat=True)
    )
    return {TargetState.SUCCEEDED, TargetState.RUNNING} <= states


def test_two_workers_share_an_operation_and_one_is_lost_in_the_middle(
    debian: Product,
) -> None:
    with (
        debian.worker("control", threads=2) as left,
        debian.worker("dns", threads=2) as lost,
    ):
        before = began_or_none(debian)
        operation = debian.ask("restart", *debian.herds)
        assert operation.targets.count() == 12
        until(lambda: in_the_middle(operation, lost.row), 60, "its herd is half done")
        lost.kill()

        until(
            lambda: refreshed(operation).state == OperationState.INTERRUPTED,
            60,
            "the worker that is left notices",
        )

        interrupted = operation.targets.filter(state=TargetState.INTERRUPTED)
        assert {each.worker_id for each in interrupted} == {lost.row.pk}
        assert {each.worker_id for each in operation.targets.all()} == {
            left.row.pk,
            lost.row.pk,
        }
        assert operation.targets.filter(state=TargetState.SUCCEEDED).count() == (
            12 - interrupted.count()
        )
        for each in interrupted:
            assert each.outcome.startswith(
                f"The worker {lost.row.pid} on dns was lost. What is true of this "
            )
        at_resume = began_or_none(debian)

        requests.resume(operation.pk, ANNA)
        operation = ended(operation)

    assert operation.state == OperationState.SUCCEEDED, said(operation)
    began = began_or_none(debian)
    for name, moment in began.items():
        assert moment is not None
        assert moment > str(before[name]), f"{name} was restarted"
        if str(at_resume[name]) > str(before[name]) and at_resume[name] is not None:
            assert moment == at_resume[name], f"{name} was restarted a second time"


def silence(worker: Worker) -> None:
    """Let so much time pass since a dead worker's last sign of life."""
    Worker.objects.filter(pk=worker.pk).update(
        heartbeat_at=timezone.now() - timedelta(seconds=30)
    )


def metadata_is_settled() -> bool:
    """Tell whether the metadata server is so old that silence means something."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT now() - pg_postmaster_start_time() > '11 s'")
        return cursor.fetchone() == (True,)


def lose_the_only_worker(product: Product, operation: Operation) -> None:
    """Kill the worker of an operation in the middle of its first target."""
    with product.worker() as worker:
        until(lambda: operation.targets.filter(state="running").exists(), 30)
        worker.kill()
    silence(worker.row)


def finish_with_another_worker(product: Product, operation: Operation) -> None:
    """Resume an interrupted operation and see that it succeeds."""
    requests.resume(operation.pk, ANNA)
    with product.worker():
        operation = ended(operation)
    assert operation.state == OperationState.SUCCEEDED, said(operation)


def test_without_another_worker_the_terminal_that_follows_notices_the_loss(
    debian: Product,
) -> None:
    latest = Operation.objects.order_by("-pk").values_list("pk", flat=True).first() or 0
    terminal = debian.operate("restart", "--herd", "trade", "--yes", "--json")
    until(lambda: Operation.objects.filter(pk__gt=latest, state="queued").exists(), 30)
    operation = Operation.objects.get(pk__gt=latest)

    lose_the_only_worker(debian, operation)

    shown = finish(terminal)
    assert shown.status == 1
    assert shown.json["state"] == "interrupted"
    assert shown.json["outcome"].endswith("Resume to go on.")
    finish_with_another_worker(debian, operation)


@pytest.mark.parametrize("page", ["", "live/"])
def test_without_another_worker_the_page_that_is_watched_notices_the_loss(
    debian: Product, visitor: Client, page: str
) -> None:
    operation = debian.ask("restart", "orders@ele08", "orders@ele09")
    lose_the_only_worker(debian, operation)

    until(metadata_is_settled, 15)
    watched = visitor.get(f"/admin/herds/operation/{operation.pk}/{page}")

    assert "Resume 2 interrupted" in watched.text
    assert states(operation) == dict.fromkeys(
        ["orders@ele08", "orders@ele09"], "interrupted"
    )


TALKATIVE_STOP = (
    "for line in 1 2 3 4 5 6 7 8 9; do echo line $line of $(hostname); done;"
    " touch /tmp/talking; sleep 1; {COMMANDS[base]} stop -m fast; touch /tmp/stopped"
)


def test_an_operation_goes_on_after_the_metadata_server_was_away(
    debian: Product, product_metadata: MetadataServer
) -> None:
    lab, postgres = debian.lab, product_metadata.postgres

    def exists(host: str, path: str) -> bool:
        return lab.exec(host, ["test", "-e", path], check=False).returncode == 0

    before = began_or_none(debian)
    with debian.worker(COMMANDS=debian.commands(stop=TALKATIVE_STOP)):
        terminal = debian.operate(
            *("restart", "--herd", "trade", "--herd", "billing", "--yes", "--json"),
        )
        until(lambda: exists("ele02", "/tmp/talking"), 30)
        connection.close()
        postgres.stop()
        # The command ends while nobody can write down what it printed.
        until(lambda: exists("ele02", "/tmp/stopped"), 30)
        postgres.start()
        shown = finish(terminal)

    operation = Operation.objects.get(pk=shown.json["operation"])
    assert operation.state == "succeeded", said(operation)
    assert shown.status == 0
    assert shown.err.count("The metadata database is away (") == 1
    began = began_or_none(debian)
    for each in operation.targets.all():
        name = f"{each.herd_name}@{each.hostname}"
        steps = list(each.steps.values_list("name", "state"))
        assert steps == [(step, "succeeded") for step in ("look", "stop", "start")]
        assert each.attempt == 1
        assert str(began[name]) > str(before[name])
        printed = OperationOutput.objects.filter(step__target=each, step__name="stop")
        assert [f"line {n} of {each.hostname}" for n in range(1, 10)] == [
            line
            for chunk in printed.filter(stream="stdout")
            for line in chunk.text.splitlines()
            if line.startswith("line ")
        ]


def test_two_people_act_on_one_herd_one_after_the_other(
    debian: Product, visitor: Client
) -> None:
    bert = Requester(name="bert", source="admin")
    first = debian.ask("restart", "trade")
    drafted = debian.draft("restart", "trade@ele02", "billing@ele05")
    second = requests.confirm(drafted.pk, bert, acknowledged=True)
    with debian.worker():
        until(lambda: states(first)["trade@ele02"] == "running", 30)
        page = visitor.get(f"/admin/herds/operation/{second.pk}/").text
        assert (
            f'Waits for <a href="/admin/herds/operation/{first.pk}/">operation '
            f"{first.pk}</a> by anna, which works on herd trade."
        ) in page

        first, second = ended(first), ended(second)

    assert (first.state, second.state) == ("succeeded", "succeeded")
    waited = target(second, "trade@ele02").started_at
    last = max(each.finished_at for each in first.targets.all() if each.finished_at)
    assert waited is not None
    assert waited >= last
    assert first.finished_at is not None
    other = target(second, "billing@ele05").finished_at
    assert other is not None
    assert other < first.finished_at, "the other herd did not wait"
