"""What rsync asks for, prints and complains of, as its versions really do it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from herds.errors import PreconditionFailed
from herds.postgres.local_files import LOCAL_FILES
from herds.postgres.meter import Meter
from herds.postgres.pull import _PROGRESS, Synced, failure, read_stats, server_command
from herds.postgres.rsync import catalog_directory, data_filters, total
from herds.ssh.shell import Completed, Stream

DIRECTORY = "/var/lib/postgresql/it's here"


def asked(*words: str) -> bytes:
    return b"".join(word.encode() + b"\0" for word in words)


@pytest.mark.parametrize(
    "words",
    [
        # rsync 3.5.0 and 3.2.7: copy, dry run, by contents, slowly.
        "-logDtpre.LsfxCIvu -B8192 --timeout=120 --numeric-ids --inplace",
        "-nlogDtpre.LsfxCIvu -B8192 --timeout=120 --numeric-ids --inplace",
        "-logDtprce.LsfxCIvu -B8192 --timeout=120 --numeric-ids --inplace",
        "-logDtpre.LsfxCIvu -B8192 --timeout=120 --bwlimit=2929 --inplace",
    ],
)
def test_the_sources_rsync_is_started_for_the_directory_that_is_meant(
    words: str,
) -> None:
    line = asked("rsync", "--server", "--sender", *words.split(), ".", "/etc/")

    argv = server_command(line, DIRECTORY)

    assert argv == [
        *("rsync", "--server", "--sender"),
        *words.split(),
        *(".", "/var/lib/postgresql/it's here/"),
    ]


@pytest.mark.parametrize(
    "words",
    [
        ["sh", "-c", "id"],
        ["rsync", "--server", "-logDtpre.LsfxCIvu", ".", "/x/"],  # would write
        ["rsync", "--server", "--sender", "--remove-source-files", ".", "/x/"],
        ["rsync", "--server", "--sender", "-le.f", "--log-file=x", ".", "/x/"],
        ["rsync", "--server", "--sender", "-le.f", "--rsh=sh", ".", "/x/"],
        ["rsync", "--server", "--sender", "-le.f"],
        ["rsync", "--server", "--sender", ".", "/x/"],
        [],
    ],
)
def test_nothing_else_is_started_on_the_source(words: list[str]) -> None:
    with pytest.raises(PreconditionFailed, match="nothing was copied"):
        server_command(asked(*words), DIRECTORY)


STATS = """\

Number of files: 1,021 (reg: 994, dir: 27)
Number of created files: 3 (reg: 3)
Number of deleted files: 0
Number of regular files transferred: 12
Total file size: 25,216,524 bytes
Total transferred file size: 4,997,128 bytes
Literal data: 2,375,680 bytes
Matched data: 2,621,448 bytes
File list size: 15,417
File list generation time: 0.001 seconds
Total bytes sent: 20,021
Total bytes received: 2,440,465

sent 20,021 bytes  received 2,440,465 bytes  1,640,324.00 bytes/sec
total size is 25,216,524  speedup is 10.25
"""


def test_numbers_are_read_by_their_names() -> None:
    stats = read_stats(STATS)

    assert stats["Total file size"] == 25_216_524
    assert stats["Total transferred file size"] == 4_997_128
    assert stats["Literal data"] == 2_375_680


PROGRESS = (
    b"\r         24,576   0%    0.00kB/s    0:00:00  "
    b"\r         32,768   0%    1.04MB/s    0:00:00 (xfr#1, to-chk=1019/1021)"
    b"\r      4,997,128  19%  135.81MB/s    0:00:00 (xfr#12, to-chk=0/1021)\n" + b"\n"
)


def test_progress_is_what_was_gone_through_of_what_differs() -> None:
    told: list[tuple[int, int]] = []
    meter = Meter(
        _PROGRESS,
        lambda done, total, rate: told.append((done, total)),
        unit=1,
        total=5_000_000,
    )

    for start in range(0, len(PROGRESS), 7):
        meter.read(Stream.STDERR, PROGRESS[start : start + 7])
    meter.read(Stream.STDERR, STATS.encode())
    meter.end()

    assert told[-1] == (4_997_128, 5_000_000)


def test_the_rate_is_that_of_the_last_seconds() -> None:
    now = [0.0]
    rates: list[float] = []
    meter = Meter(
        _PROGRESS,
        lambda done, total, rate: rates.append(rate),
        clock=lambda: now[0],
        unit=1,
    )

    for second in range(1, 21):
        now[0] = float(second)
        fast = 1000 * min(second, 10) + 10 * max(second - 10, 0)
        meter.read(Stream.STDERR, b"\r  %d   5%%  1kB/s\r" % fast)

    assert rates[9] == pytest.approx(1000, rel=0.01)
    assert rates[-1] == pytest.approx(10, rel=0.01)


def test_progress_is_not_told_all_the_time() -> None:
    now = [0.0]
    told: list[int] = []
    meter = Meter(
        _PROGRESS,
        lambda done, total, rate: told.append(done),
        clock=lambda: now[0],
        unit=1,
    )

    for step in range(1, 1001):
        now[0] = step / 1000
        meter.read(Stream.STDERR, b"\r  %d   5%%  1kB/s\r" % step)
    meter.end()
    meter.end()

    assert len(told) <= 5
    assert told[-1] == 1000


def ended(status: int, stderr: str = "") -> Completed:
    return Completed(
        argv=("rsync",),
        status=status,
        stdout="",
        stderr=stderr,
        seconds=1.0,
        truncated=False,
    )


CUT = (
    "rsync: connection unexpectedly closed (0 bytes received so far) [Receiver]\n"
    "rsync error: error in rsync protocol data stream (code 12) at io.c(285)"
    " [Receiver=3.5.0]\n"
)


@pytest.mark.parametrize(
    ("near", "far", "host", "says", "hint"),
    [
        (
            ended(
                23,
                '      5,840  0%\rrsync: [receiver] open "/data/base/1/112" failed:'
                " Permission denied (13)\n\nTotal file size: 1 bytes\nrsync error: some"
                " files/attrs were not transferred (see previous errors) (code 23) at"
                " main.c(1956) [generator=3.2.7]\n",
            ),
            ended(0),
            "target",
            '"/data/base/1/112" failed: Permission denied',
            "write that file on target",
        ),
        (
            ended(
                23,
                "rsync error: some files/attrs were not transferred (see previous"
                " errors) (code 23) at main.c(1956) [Receiver=3.5.0]\n",
            ),
            ended(
                23,
                'rsync: [sender] send_files failed to open "/data/x": Permission denied'
                " (13)\n",
            ),
            "source",
            '"/data/x": Permission denied',
            "write that file on source",
        ),
        (
            ended(
                11,
                'rsync: [receiver] write failed on "/data/base/5/2661": No space left'
                " on device (28)\nrsync error: error in file IO (code 11) at"
                " receiver.c(388) [receiver=3.5.0]\n",
            ),
            ended(
                12,
                "rsync: [sender] write error: Broken pipe (32)\nrsync error: error in"
                " file IO (code 12) at io.c(848) [sender=3.5.0]\n",
            ),
            "target",
            '"/data/base/5/2661": No space left on device',
            "Make room on target",
        ),
        (
            ended(12, CUT),
            ended(127, "bash: line 1: exec: rsync: not found\n"),
            "source",
            "it is not installed there",
            "Install rsync on source",
        ),
        (
            ended(127, "rsync: 9: exec: rsync: not found\n"),
            None,
            "target",
            "it is not installed there",
            "Install rsync on target",
        ),
        (
            ended(
                30,
                "rsync error: timeout in data send/receive (code 30) at io.c(197)"
                " [receiver=3.5.0]\n",
            ),
            ended(0),
            "target",
            "nothing came from source for 120 s",
            "",
        ),
        (
            ended(2, "rsync: 5: cannot open /data: No such file\n"),
            None,
            "target",
            "cannot open /data",
            "",
        ),
        (ended(12, CUT), ended(0), "target", "protocol data stream (code 12)", ""),
    ],
)
def test_a_failure_says_where_which_file_and_why(
    near: Completed, far: Completed | None, host: str, says: str, hint: str
) -> None:
    error = failure("target", "source", near, far)

    assert error.host == host
    assert says in error.message
    assert hint in error.hint
    assert bool(hint) == bool(error.hint)
    assert error.status == near.status


def test_several_copies_are_added_up() -> None:
    one = Synced(
        total=10, differing=5, literal=2, received=3, seconds=0.5, vanished=False
    )
    two = Synced(
        total=1, differing=1, literal=1, received=1, seconds=0.5, vanished=True
    )

    assert total([one, two]) == Synced(
        total=11, differing=6, literal=3, received=4, seconds=1.0, vanished=True
    )
    assert catalog_directory("15", "202209061") == "PG_15_202209061"


SOURCE = {
    "PG_VERSION": "source",
    "base/1/1259": "source",
    "base/1/pg_internal.init": "source",
    "base/pgsql_tmp/pgsql_tmp12.0": "source",
    "global/pg_control": "source",
    "global/pg_filenode.map": "source",
    "pg_wal/000000010000000000000001": "source",
    "pg_wal/archive_status/000000010000000000000001.done": "source",
    "pg_replslot/a/state": "source",
    "pg_stat/pgstat.stat": "source",
    "pg_notify/0000": "source",
    "log/today.log": "source",
    "postmaster.pid": "source",
    "postmaster.opts": "source",
    "standby.signal": "source",
    "backup_label.old": "source",
    "postgresql.conf": "source",
    "pg_hba.conf": "source",
    "conf.d/a.conf": "source",
    "current_logfiles": "source",
}
TARGET = {
    "PG_VERSION": "target",
    "base/1/1259": "target",
    "base/9/gone": "target",
    "global/pg_control": "target",
    "pg_wal/000000020000000000000007": "target",
    "pg_replslot/b/state": "target",
    "pg_stat_tmp/db_0.stat": "target",
    "log/mine.log": "target",
    "postmaster.pid": "target",
    "backup_label": "target",
    "elephaas.incomplete": "target",
    "postgresql.conf": "target",
    "conf.d/b.conf": "target",
    "recovery.signal": "target",
}
AFTERWARDS = {
    "PG_VERSION": "source",
    "base/1/1259": "source",
    "global/pg_filenode.map": "source",
    "pg_stat/pgstat.stat": "source",
    "pg_hba.conf": "source",  # the target had none of its own
    "pg_wal/000000020000000000000007": "target",
    "log/mine.log": "target",
    "elephaas.incomplete": "target",
    "postgresql.conf": "target",
    "conf.d/b.conf": "target",
}
DIRECTORIES = {"pg_replslot", "pg_notify", "pg_wal", "log", "conf.d", "pg_stat"}


def put(place: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_text(text)
    return place


@pytest.mark.skipif(shutil.which("rsync") is None, reason="rsync is not installed")
def test_what_belongs_to_the_node_or_the_moment_is_not_copied(tmp_path: Path) -> None:
    source, target = put(tmp_path / "a", SOURCE), put(tmp_path / "b", TARGET)
    kept = [name for name in LOCAL_FILES if (target / name).exists()]
    rules = [f"--filter={rule}" for rule in data_filters(kept)]

    options = ["-a", "--ignore-times", "--delete-before", "--delete-excluded", *rules]
    subprocess.run(["rsync", *options, f"{source}/", f"{target}/"], check=True)

    found = {
        str(path.relative_to(target)): path.read_text()
        for path in target.rglob("*")
        if path.is_file()
    }
    assert found == AFTERWARDS
    assert {path.name for path in target.iterdir() if path.is_dir()} >= DIRECTORIES
