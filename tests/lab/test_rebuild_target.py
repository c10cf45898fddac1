"""Targets that are full, read-only, watched over, or lack what a rung needs."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest

from tests.lab.product import Product, RunningWorker, ended, target
from tests.lab.rebuilds import COPYING, FRESH, MB, SETTINGS, SLOW, Parted, confirmed


@pytest.fixture(scope="module", autouse=True)
def worker(plain_herds: Product) -> Iterator[RunningWorker]:
    """One worker for all tests of this module."""
    with plain_herds.worker(**SETTINGS) as worker:
        yield worker


@pytest.mark.parametrize("method", ["rewind", "rsync", "basebackup"])
def test_the_targets_disk_is_full_in_the_middle(small: Parted, method: str) -> None:
    small.part(fresh=2 * FRESH)
    with small.slowed(method) as bandwidth:
        operation = small.ask(method=method, bandwidth=bandwidth)
        small.in_the_middle(operation, COPYING[method])
        with small.full_disk():
            operation = ended(operation, 30)

            outcome = small.failed(operation)
            assert "No space left on device" in outcome
            assert f"{small.old} is incomplete and cannot start" in outcome
            small.source_is_clean()
            small.is_incomplete_and_cannot_start()
    small.succeeds_again(method="basebackup" if method == "basebackup" else "rsync")


def test_a_disk_that_is_full_before_leaves_the_target_as_it_was(
    small: Parted,
) -> None:
    small.part()
    before = small.digest()
    with small.full_disk():
        operation = small.rebuild(method="rsync")

        outcome = small.failed(operation)
        assert "No space left on device" in outcome
        assert f"The data of {small.old} is as it was." in outcome
        small.source_is_clean()
        assert not small.is_marked()
        assert small.digest() == before
    small.succeeds_again(method="rsync")


def test_a_whole_copy_for_which_there_is_no_room_is_not_offered(
    small: Parted,
) -> None:
    small.part(fresh=64)
    with small.full_disk(left=4 * MB):
        plan = target(small.plan(), small.target).plan

    options = {each["value"]: each for each in plan["choices"][0]["options"]}
    assert not options["basebackup"]["possible"]
    assert "has room for" in options["basebackup"]["why"]


def make_read_only(herd: Parted) -> None:
    """Give a file of the target to somebody else."""
    herd.shell(herd.old, "chown root: base/1/PG_VERSION; chmod 444 base/1/PG_VERSION")


def test_a_read_only_file_leaves_only_the_whole_copy(quote: Parted) -> None:
    quote.part(fresh=1)
    before_it_was = quote.plan()
    make_read_only(quote)
    before = quote.digest()

    in_run = ended(confirmed(before_it_was, method="rsync"))

    told = "base/1/PG_VERSION is another user's and not writable"
    assert told in quote.failed(in_run)
    assert quote.digest() == before
    method = target(quote.plan(), quote.target).plan["choices"][0]
    options = {each["value"]: each for each in method["options"]}
    assert method["default"] == "basebackup"
    for rung in ("rewind", "rsync"):
        assert told in options[rung]["why"]
    quote.succeeds_again()


def test_a_file_that_nobody_may_delete_stops_the_whole_copy(quote: Parted) -> None:
    quote.part(fresh=1)
    path = "base/1/PG_VERSION"
    quote.shell(quote.old, 'chattr +i "$1"', path)

    operation = quote.rebuild(method="basebackup")

    outcome = quote.failed(operation)
    assert "Operation not permitted" in outcome
    assert f"data directory of {quote.old} is incomplete and cannot start" in outcome
    quote.source_is_clean()
    quote.is_incomplete_and_cannot_start()
    quote.shell(quote.old, 'chattr -i "$1"', path)
    quote.succeeds_again()


REMOVE_OLD_WAL = """
redo=$("$1" -D . | sed -n "s/^Latest checkpoint's REDO WAL file: *//p")
cd pg_wal && for each in [0-9A-F]*[0-9A-F]; do
  case $each in *.history) continue ;; esac
  [ "${each#????????}" \\< "${redo#????????}" ] && rm "$each"
done
:
"""


def lose_wal(herd: Parted) -> None:
    """Remove the target's WAL from before the histories have parted."""
    herd.shell(herd.old, REMOVE_OLD_WAL, herd.program("pg_controldata"))


def test_a_rewind_that_lacks_its_wal_is_not_offered(quote: Parted) -> None:
    quote.part(fresh=1, stop=False)
    quote.recycle_wal(quote.old)
    quote.product.stop(quote.target)
    lose_wal(quote)

    quote.tell()
    quote.action = "rebuild"
    method = target(quote.plan(), quote.target).plan["choices"][0]

    rewind = next(each for each in method["options"] if each["value"] == "rewind")
    assert not rewind["possible"]
    assert "could not" in rewind["why"]
    assert method["default"] == "rsync"
    quote.succeeds_again()


def test_a_rewind_that_turns_out_to_lack_its_wal_goes_on_as_a_copy(
    quote: Parted,
) -> None:
    quote.part(fresh=1, stop=False)
    quote.recycle_wal(quote.old)
    lose_wal(quote)

    operation = quote.rebuild(method="rewind")

    failed = quote.step(operation, "rewind")
    assert failed.state == "failed"
    assert "pg_rewind" in failed.message
    quote.succeeded(operation)


def test_without_checksums_and_hints_a_rewind_is_not_offered(bare: Parted) -> None:
    bare.part(fresh=1)

    method = target(bare.plan(), bare.target).plan["choices"][0]

    rewind = next(each for each in method["options"] if each["value"] == "rewind")
    assert not rewind["possible"]
    assert "neither data checksums nor wal_log_hints" in rewind["why"]
    bare.succeeds_again(checksums=False)


def test_a_supervisor_that_starts_the_target_at_once_is_told(quote: Parted) -> None:
    quote.part(fresh=1, stop=False)
    with quote.supervised(0.02):
        operation = quote.rebuild(method="rewind")

        outcome = quote.failed(operation)
        assert "runs again: something there starts it" in outcome
        assert f"The data of {quote.old} is as it was, and it runs." in outcome
        quote.source_is_clean()
        quote.still_has_its_own()
    quote.succeeds_again(method="rewind")


@pytest.mark.parametrize("method", ["rewind", "basebackup"])
def test_a_supervisor_that_comes_late_finds_nothing_that_starts(
    quote: Parted, method: str
) -> None:
    quote.part()
    with contextlib.ExitStack() as watching:
        with quote.slowed(method, 2 * SLOW) as bandwidth:
            operation = quote.ask(method=method, bandwidth=bandwidth)
            quote.in_the_middle(operation, COPYING[method])
            watching.enter_context(quote.supervised(0.02))
        operation = ended(operation)
    quote.succeeded(operation)
