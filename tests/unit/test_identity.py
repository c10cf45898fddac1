"""What a plan says of the cluster that it is about."""

from __future__ import annotations

from herds.services.identity import identity_words


def test_it_is_said_in_a_line() -> None:
    words = identity_words(
        {
            "port": 5432,
            "data_directory": "/srv/trade",
            "system": "7412345678901234567",
            "octets": 3_436_000_000,
            "wal": "0/3000060",
            "written_at": "2026-11-25T10:31:07+00:00",
        }
    )

    assert words == (
        "port 5432, /srv/trade, system 7412345678901234567, 3.2 GB, WAL at 0/3000060, "
        "last write 2026-11-25 10:31:07 UTC"
    )


def test_what_is_not_known_is_left_out() -> None:
    assert identity_words({"port": 5432, "seen_at": ""}) == "port 5432"
