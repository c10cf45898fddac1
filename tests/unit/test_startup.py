"""PostgreSQL's own words are found in what a failing command printed."""

from __future__ import annotations

import pytest

from herds.postgres.startup import telling_words

DEBIAN_WRONG_VALUE = """\
Error: /usr/lib/postgresql/15/bin/pg_ctl /usr/lib/postgresql/15/bin/pg_ctl start -D \
/var/lib/postgresql/15/orders exited with status 1:
2026-11-23 03:53:56.690 UTC [22204] LOG:  invalid value for parameter "work_mem": "x"
2026-11-23 03:53:56.690 UTC [22204] FATAL:  configuration file "/etc/x.conf" contains \
errors
pg_ctl: could not start server
Examine the log output.
"""

PORT_TAKEN = """\
waiting for server to start....2026-11-23 03:53:56.690 UTC [9] LOG:  starting PostgreSQL
2026-11-23 03:53:56.691 UTC [9] LOG:  could not bind IPv4 address "0.0.0.0": Address \
already in use
2026-11-23 03:53:56.691 UTC [9] HINT:  Is another postmaster running on port 5432?
2026-11-23 03:53:56.691 UTC [9] WARNING:  could not create listen socket for "*"
2026-11-23 03:53:56.691 UTC [9] FATAL:  could not create any TCP/IP sockets
2026-11-23 03:53:56.692 UTC [9] LOG:  database system is shut down
 stopped waiting
pg_ctl: could not start server
Examine the log output.
"""

OLDER_LOG = """\
2026-11-23 02:00:00.000 UTC [9] FATAL:  an older failure
2026-11-23 03:53:56.690 UTC [9] LOG:  starting PostgreSQL 15.18
2026-11-23 03:53:56.691 UTC [9] FATAL:  data directory "/srv" has wrong ownership
"""


@pytest.mark.parametrize(
    ("printed", "words"),
    [
        (
            DEBIAN_WRONG_VALUE,
            'invalid value for parameter "work_mem": "x"; '
            'configuration file "/etc/x.conf" contains errors',
        ),
        (
            PORT_TAKEN,
            'could not bind IPv4 address "0.0.0.0": Address already in use; '
            "could not create any TCP/IP sockets",
        ),
        (OLDER_LOG, 'data directory "/srv" has wrong ownership'),
        (
            "pg_ctl: PID file does not exist\nIs server running?\n",
            "Is server running?",
        ),
        ("sh: 1: pg_ctlcluster: not found\n", "sh: 1: pg_ctlcluster: not found"),
        ("pg_ctl: could not start server\nExamine the log output.\n",
         "Examine the log output."),
        (" \n", ""),
    ],
)  # fmt: skip
def test_the_telling_words_are_found(printed: str, words: str) -> None:
    assert telling_words(printed) == words
