"""Sources that fail, change or refuse in the middle of a rebuild, or before it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest

from herds.models import Operation
from lab import Lab
from tests.lab.product import Product, RunningWorker, ended, target
from tests.lab.rebuilds import CRAWL, SETTINGS, SLOW, Parted, confirmed

IMPATIENT = {**SETTINGS, "OPERATIONS": {"PATIENCE": 8.0}}


@pytest.fixture(scope="module", autouse=True)
def worker(plain_herds: Product) -> Iterator[RunningWorker]:
    """One worker for all tests of this module."""
    with plain_herds.worker(**IMPATIENT) as worker:
        yield worker


@pytest.fixture(scope="module", autouse=True)
def separated(
    worker: RunningWorker, rebuild_lab: Lab, rebuild_herds: dict[str, Parted]
) -> Iterator[tuple[Parted, Operation]]:
    """A rewind whose two hosts have lost each other.

    They notice it after more than a minute, while the tests of this module go on.
    """
    herd = rebuild_herds["small"]
    herd.make_whole()
    herd.part()
    with herd.slow(herd.new):
        operation = herd.ask(method="rewind")
        herd.in_the_middle(operation, "rewind")
        rebuild_lab.partition([herd.old], [herd.new])
    yield herd, operation
    rebuild_lab.heal(herd.old, herd.new)


def fails_incomplete(herd: Parted, operation: object) -> str:
    """See that a rebuild failed, that the source is clean and the target marked."""
    outcome = herd.failed(operation)  # type: ignore[arg-type]
    assert f"data directory of {herd.old} is incomplete and cannot start" in outcome
    herd.source_is_clean()
    herd.is_incomplete_and_cannot_start()
    return outcome


@pytest.mark.parametrize("method", ["rsync", "basebackup"])
def test_the_source_is_restarted_in_the_middle_of_a_copy(
    quote: Parted, method: str
) -> None:
    quote.part()
    operation = quote.ask(method=method, bandwidth=CRAWL)
    quote.in_the_middle(operation, "copy")

    quote.restart(quote.new)
    operation = ended(operation, 30)

    fails_incomplete(quote, operation)
    # rsync goes on with what a base backup has brought.
    quote.succeeds_again(method="rsync")


def test_a_rewind_whose_source_is_restarted_goes_on_as_a_copy(quote: Parted) -> None:
    quote.part()
    with quote.slow(quote.new):
        operation = quote.ask(method="rewind")
        quote.in_the_middle(operation, "rewind")
        quote.restart(quote.new)
    operation = ended(operation, 30)

    assert quote.step(operation, "rewind").state == "failed"
    assert quote.step(operation, "copy").state == "succeeded"
    quote.succeeded(operation)


def test_the_session_that_holds_the_backup_is_lost(quote: Parted) -> None:
    quote.part()
    operation = quote.ask(method="rsync", bandwidth=CRAWL)
    quote.in_the_middle(operation, "copy")

    quote.sql(
        quote.new,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE application_name LIKE 'elephaas rebuild of %'",
    )
    operation = ended(operation, 30)

    outcome = fails_incomplete(quote, operation)
    assert f"The session that held {quote.new} ready for the copy ended too" in outcome
    assert "terminating connection due to administrator command" in outcome
    quote.succeeds_again(method="rsync")


def test_wal_that_the_copy_needs_is_recycled(quote: Parted) -> None:
    quote.part()
    with quote.set(quote.new, max_slot_wal_keep_size="1MB", wal_keep_size="0"):
        operation = quote.ask(method="rsync", bandwidth=CRAWL)
        quote.in_the_middle(operation, "copy")
        quote.recycle_wal(quote.new)
        operation = ended(operation, 30)

    outcome = fails_incomplete(quote, operation)
    assert f"The session that held {quote.new} ready for the copy ended too" in outcome
    quote.succeeds_again(method="rsync")


def test_a_standby_whose_wal_was_recycled_meanwhile_is_copied(quote: Parted) -> None:
    quote.product.stop(quote.target)
    with quote.set(quote.new, wal_keep_size="0"):
        quote.recycle_wal(quote.new)
        plan = target(quote.plan(), quote.target).plan
        method = plan["choices"][0]
        options = {option["value"]: option for option in method["options"]}

        assert not options["follow"]["possible"]
        assert "no longer has the WAL" in options["follow"]["why"]
        assert method["default"] == "rsync"
        quote.succeeds_again()


def test_a_file_that_the_source_may_not_read_fails_the_copy(quote: Parted) -> None:
    quote.part(fresh=1)
    path = "base/unreadable"
    quote.shell(quote.new, 'echo secret >"$1" && chmod 600 "$1"', path)

    operation = quote.rebuild(method="rsync")

    outcome = fails_incomplete(quote, operation)
    assert "`rsync` ended with exit status 23" in outcome
    assert "unreadable" in outcome
    assert "Permission denied" in outcome
    quote.shell(quote.new, 'rm "$1"', path)
    quote.succeeds_again(method="rsync")


def test_files_that_vanish_from_the_source_do_not_fail_the_copy(
    quote: Parted,
) -> None:
    quote.part()
    quote.sql(quote.new, "CREATE TABLE doomed AS SELECT * FROM fresh LIMIT 4096")
    operation = quote.ask(method="rsync", bandwidth=SLOW)
    quote.in_the_middle(operation, "copy")

    quote.sql(quote.new, "DROP TABLE doomed")
    quote.sql(quote.new, "CHECKPOINT")
    operation = ended(operation, 30)

    assert "Files vanished meanwhile" in quote.step(operation, "copy").message
    quote.succeeded(operation)


def test_a_primary_that_has_become_a_standby_since_the_plan_is_not_copied(
    quote: Parted,
) -> None:
    quote.part(fresh=1)
    operation = quote.plan()
    before = quote.digest()
    quote.shell(quote.new, "touch standby.signal", user="postgres")
    quote.restart(quote.new)

    operation = ended(confirmed(operation))

    assert f"{quote.new} is a standby and takes no writes" in quote.failed(operation)
    assert quote.digest() == before
    quote.source_is_clean()
    quote.sql(quote.new, "SELECT pg_promote()")
    quote.succeeds_again()


@contextlib.contextmanager
def wrong_password(herd: Parted) -> Iterator[None]:
    """Have the target know another password than the source does."""
    passwords = "/var/lib/postgresql/.pgpass"
    herd.shell(
        herd.old, 'cp -p "$1" "$1.kept"; sed -i "s/[^:]*$/wrong/" "$1"', passwords
    )
    try:
        yield
    finally:
        herd.shell(herd.old, 'mv "$1.kept" "$1"', passwords)


@contextlib.contextmanager
def refusing(herd: Parted) -> Iterator[None]:
    """Have the source refuse every connection from the network."""
    herd.shell(
        herd.new,
        "cp -p pg_hba.conf kept.conf; sed -i s/samenet.*/samenet\\ reject/ pg_hba.conf",
    )
    herd.sql(herd.new, "SELECT pg_reload_conf()")
    try:
        yield
    finally:
        herd.shell(herd.new, "mv kept.conf pg_hba.conf")
        herd.sql(herd.new, "SELECT pg_reload_conf()")


REFUSALS = {
    wrong_password: "password authentication failed",
    refusing: "pg_hba.conf rejects",
}


@pytest.mark.parametrize("refused", REFUSALS)
def test_a_target_that_is_not_let_in_is_refused_in_the_plan_and_in_the_run(
    quote: Parted, refused: object
) -> None:
    quote.part(fresh=1)
    planned = quote.plan()
    before = quote.digest()
    with refused(quote):  # type: ignore[operator]
        in_plan = target(quote.plan(), quote.target)
        in_run = ended(confirmed(planned))

    for outcome in (in_plan.outcome, quote.failed(in_run)):
        assert f"{quote.old} cannot open a replication connection to" in outcome
        assert REFUSALS[refused] in outcome  # type: ignore[index]
    assert in_plan.state == "refused"
    assert quote.digest() == before
    quote.source_is_clean()
    quote.succeeds_again()


def test_a_target_that_is_locked_out_in_the_middle_stays_marked(
    quote: Parted,
) -> None:
    quote.part()
    operation = quote.ask(method="rsync", bandwidth=SLOW)
    quote.in_the_middle(operation, "copy")
    with wrong_password(quote):
        operation = ended(operation, 60)

        outcome = quote.failed(operation)
        assert REFUSALS[wrong_password] in outcome
        assert f"{quote.old} has all data as a standby and goes on trying" in outcome
        assert quote.is_marked()
        assert not quote.takes_writes(quote.old)
        quote.source_is_clean()

    quote.succeeds_again()


def test_target_and_source_lose_each_other_in_the_middle(
    separated: tuple[Parted, Operation], rebuild_lab: Lab
) -> None:
    herd, operation = separated

    operation = ended(operation, 120)

    assert "is incomplete and cannot start" in herd.failed(operation)
    herd.source_is_clean()
    herd.is_incomplete_and_cannot_start()
    rebuild_lab.heal(herd.old, herd.new)
    herd.succeeds_again()
