"""The journal keeps everything it is handed, whatever is in it, in order."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import DataError

from herds.domain.cluster import Observation
from herds.domain.states import StepState
from herds.models import Herd, Operation, OperationOutput, OperationStep
from herds.operations.journal import Disowned, Journal
from herds.operations.records import (
    OutputPrinted,
    StepBegun,
    StepEnded,
    TargetBegun,
)
from tests import factories
from tests.doubles.clusters import SimulatedFleet
from tests.doubles.engine import (
    ask,
    ended,
    on,
    outcomes,
    states,
    target_on,
    until,
)

NOW = datetime(2026, 11, 23, tzinfo=UTC)


def printed(operation: Operation, host: str, step: str) -> str:
    chunks = OperationOutput.objects.filter(
        step__target=target_on(operation, host), step__name=step
    ).order_by("number")
    return "".join(chunk.text for chunk in chunks)


@pytest.mark.usefixtures("worker")
def test_a_nul_byte_in_output_is_kept_as_its_sign(
    fleet: SimulatedFleet, trade: Herd
) -> None:
    fleet[on(trade, "ele01")].prints = "a\0b\n\0"

    operation = ended(ask("stop", trade))

    assert set(states(operation).values()) == {"succeeded"}
    assert printed(operation, "ele01", "stop") == "a␀b\n␀"


@pytest.mark.usefixtures("worker")
def test_a_megabyte_of_output_is_kept_whole_and_in_order(
    fleet: SimulatedFleet, trade: Herd
) -> None:
    megabyte = "".join(f"line {n} ä€\n" for n in range(70_000))
    fleet[on(trade, "ele01")].prints = megabyte

    operation = ended(ask("stop", trade))

    assert states(operation)["ele01"] == "succeeded"
    assert printed(operation, "ele01", "stop") == megabyte


@pytest.mark.usefixtures("worker")
@pytest.mark.parametrize("trouble", ["a\0b", "a\\u0000b", "\\\\u0000", "a\\\0b"])
def test_what_was_seen_is_kept_whatever_the_server_says(
    fleet: SimulatedFleet,
    trade: Herd,
    trouble: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def evidence(seen: Observation) -> dict[str, Any]:
        return {"activity": seen.activity.value, "trouble": trouble, "of": [trouble]}

    monkeypatch.setattr(Observation, "evidence", evidence)

    operation = ended(ask("stop", trade))

    step = target_on(operation, "ele01").steps.get(name="stop")
    assert step.state == "succeeded"
    kept = trouble.replace("\0", "␀")
    assert (step.evidence["trouble"], step.evidence["of"]) == (kept, [kept])


@pytest.mark.usefixtures("worker")
def test_a_nul_byte_in_an_error_reaches_the_outcome_as_its_sign(
    fleet: SimulatedFleet, trade: Herd
) -> None:
    def burst(cluster: object, name: str) -> None:
        raise RuntimeError("bo\0om")

    fleet[on(trade, "ele01")].before = burst

    operation = ended(ask("stop", trade))

    assert "failed while it worked on ele01" in outcomes(operation)["ele01"]
    assert "bo␀om" in target_on(operation, "ele01").detail
    step = target_on(operation, "ele01").steps.get(name="stop")
    assert step.message == "RuntimeError: bo␀om"


@pytest.fixture
def journal(transactional_db: None) -> Iterator[Journal]:
    """A journal that writes."""
    found = Journal(factories.worker().worker_id)
    found.start()
    yield found
    found.stop()


@pytest.fixture
def step(journal: Journal) -> UUID:
    """A step that runs, of a target that the journal's worker works on."""
    operation = factories.operation()
    target = factories.target(operation, factories.instance())
    target.worker_id = journal._worker_id
    target.state = "queued"
    target.save()
    number = uuid4()
    assert journal.write(
        TargetBegun(
            target_id=target.pk, attempt=0, worker_id=journal._worker_id, at=NOW
        ),
        StepBegun(
            step_id=number,
            target_id=target.pk,
            attempt=0,
            number=1,
            name="stop",
            words="Stop",
            at=NOW,
        ),
    ) == [True, True]
    return number


def chunk(step: UUID, number: int, stream: str = "stdout") -> OutputPrinted:
    return OutputPrinted(step_id=step, number=number, stream=stream, text=str(number))


def test_a_record_that_cannot_be_written_spoils_no_other(
    journal: Journal, step: UUID
) -> None:
    hold = threading.Event()
    blocker = threading.Thread(target=journal.do, args=(lambda: hold.wait(20),))
    blocker.start()
    good = journal.hand_in(chunk(step, 0))
    bad = journal.hand_in(chunk(step, 1, stream="much too long"))
    other = journal.hand_in(chunk(step, 2))
    hold.set()
    blocker.join()

    assert good.result(20) == [True]
    assert other.result(20) == [True]
    with pytest.raises(DataError):
        bad.result(20)
    assert list(OperationOutput.objects.values_list("number", flat=True)) == [0, 2]


def test_records_written_twice_are_there_once(journal: Journal, step: UUID) -> None:
    end = StepEnded(step_id=step, state=StepState.SUCCEEDED, at=NOW, message="one")
    again = StepEnded(step_id=step, state=StepState.FAILED, at=NOW, message="two")

    journal.write(chunk(step, 0), end)
    journal.write(chunk(step, 0), again)

    assert OperationOutput.objects.count() == 1
    found = OperationStep.objects.get()
    assert (found.state, found.message) == ("succeeded", "one")


def test_other_work_is_undone_as_a_whole_when_it_fails(journal: Journal) -> None:
    def work() -> None:
        factories.environment("half")
        raise ValueError("boom")

    with pytest.raises(ValueError, match="boom"):
        journal.do(work)

    assert not factories.Environment.objects.filter(env_name="half").exists()


def test_the_same_work_is_done_together_and_one_failure_spoils_no_other(
    journal: Journal,
) -> None:
    calls: list[list[str]] = []

    def add(names: Sequence[str]) -> list[int]:
        calls.append(list(names))
        return [factories.environment(name).pk for name in names if valid(name)]

    def valid(name: str) -> bool:
        if name == "bad":
            raise ValueError(name)
        return True

    begun, hold = threading.Event(), threading.Event()

    def block() -> bool:
        begun.set()
        return hold.wait(20)

    with ThreadPoolExecutor(4) as threads:
        blocker = threads.submit(journal.do, block)
        assert begun.wait(20)
        added = {
            name: threads.submit(journal.do_jointly, add, name)
            for name in ("one", "bad", "two")
        }
        until(lambda: journal._waiting.qsize() == 3)
        hold.set()
        assert blocker.result(20)

        assert added["one"].result(20) != added["two"].result(20)
        with pytest.raises(ValueError, match="bad"):
            added["bad"].result(20)
    assert [len(names) for names in calls] == [3, 1, 1, 1]
    names = factories.Environment.objects.values_list("env_name", flat=True)
    assert set(names) >= {"one", "two"}
    assert "bad" not in names


def test_a_disowned_worker_writes_nothing_and_learns_of_it(
    transactional_db: None,
) -> None:
    told = threading.Event()
    worker = factories.worker()
    journal = Journal(worker.worker_id, on_disowned=told.set)
    journal.start()
    worker.stopped_at = NOW
    worker.save()
    try:
        with pytest.raises(Disowned):
            journal.write(chunk(uuid4(), 0))
        with pytest.raises(Disowned):
            journal.do(lambda: factories.environment("never"))
    finally:
        journal.stop()

    assert told.is_set()
    assert not factories.Environment.objects.filter(env_name="never").exists()
