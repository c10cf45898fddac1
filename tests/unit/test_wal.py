"""Where a record of the WAL ends, and which file holds a position."""

from __future__ import annotations

import pytest

from herds.domain.lsn import Lsn
from herds.postgres.wal import end_of_record, read_last_record, segment_of

MB = 1024 * 1024

# The last lines of pg_waldump, as 15 printed them.
SHUTDOWN = (
    "rmgr: XLOG        len (rec/tot):    114/   114, tx:          0, "
    "lsn: 0/03027AF0, prev 0/03027AB8, desc: CHECKPOINT_SHUTDOWN redo 0/3027AF0; "
    "tli 1; prev tli 1; fpw true; xid 0:735; oid 13565; multi 1; offset 0"
)
COMMIT = (
    "rmgr: Transaction len (rec/tot):     34/    34, tx:        740, "
    "lsn: 0/086C3C8, prev 0/086C388, desc: COMMIT 2026-11-23 02:58:31.123456 UTC"
)
SWITCH = (
    "rmgr: XLOG        len (rec/tot):     24/    24, tx:          0, "
    "lsn: 0/03000148, prev 0/03000110, desc: SWITCH "
)


@pytest.mark.parametrize(
    ("line", "end"),
    [
        pytest.param(SHUTDOWN, "0/3027B68", id="shutdown checkpoint"),
        pytest.param(COMMIT, "0/86C3F0", id="commit"),
        pytest.param(SWITCH, "0/4000000", id="a switch fills its segment"),
    ],
)
def test_the_last_record_tells_where_wal_ends(line: str, end: str) -> None:
    assert read_last_record(line, 16 * MB) == Lsn.parse(end)


@pytest.mark.parametrize(
    "line",
    [
        "",
        "first record is after 0/3000000, at 0/3000028, skipping over 40 bytes",
    ],
)
def test_no_record_has_no_end(line: str) -> None:
    assert read_last_record(line, 16 * MB) is None


@pytest.mark.parametrize(
    ("start", "length", "end"),
    [
        pytest.param(0x3000028, 30, 0x3000048, id="rounded up to eight bytes"),
        pytest.param(0x3001F80, 128, 0x3002000, id="up to the end of its page"),
        pytest.param(0x3001FE0, 114, 0x3002070, id="over a page's header of 24 bytes"),
        pytest.param(
            0x3FFFFE0, 114, 0x4000080, id="over a segment's first header of 40 bytes"
        ),
        pytest.param(
            0x3001FE0, 8192 + 32, 0x3004030, id="over two pages, a header each"
        ),
    ],
)
def test_a_record_ends_behind_the_headers_it_crosses(
    start: int, length: int, end: int
) -> None:
    assert end_of_record(Lsn(start), length, 16 * MB) == Lsn(end)


@pytest.mark.parametrize(
    ("end", "segment_bytes", "name", "until"),
    [
        ("0/3027B68", 16 * MB, "0000000000000003", 0x27B68),
        ("0/4000000", 16 * MB, "0000000000000003", 16 * MB),
        ("0/86C3F0", MB, "0000000000000008", 0x6C3F0),
        ("2A/FF000001", 16 * MB, "0000002A000000FF", 1),
        ("2B/0", 16 * MB, "0000002A000000FF", 16 * MB),
        ("1/40000000", 1024 * MB, "0000000100000000", 1024 * MB),
    ],
)
def test_a_position_is_in_the_segment_of_the_byte_before_it(
    end: str, segment_bytes: int, name: str, until: int
) -> None:
    assert segment_of(Lsn.parse(end), segment_bytes) == (name, until)
