"""Watches a standby become a primary, from the server itself, every 2 milliseconds."""

from __future__ import annotations

from herds.domain.lsn import Lsn
from herds.errors import CommandFailed

from .cluster import Cluster
from .look import script
from .session import Session
from .sql_text import literal

EVERY = 0.002  # seconds between two looks; pg_promote() itself looks every 0.1
_MARGIN = 5.0  # seconds more for the answer to come

# A standby that has lost its primary's connection gets no more WAL: it is given this
# many looks to have received what was on its way.
_LOOKS_WITHOUT_RECEIVER = 500

_RECEIVED = """
WITH RECURSIVE look (n, position, receives) AS (
    SELECT 0, greatest(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn()), true
     UNION ALL
    SELECT n + 1, greatest(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn()),
           EXISTS (SELECT FROM pg_stat_get_wal_receiver() r WHERE r.pid IS NOT NULL)
      FROM look, LATERAL (SELECT pg_sleep({every})) AS rest
     WHERE position <= {goal} AND n < {looks} AND (receives OR n < {patient}))
SELECT max(position) FROM look;
"""

# Told to promote while its receiver tries to connect again, the startup process ends
# that one and sleeps for what is left of wal_retrieve_retry_interval, by default 5 s,
# although it knows (xlogrecovery.c, WaitForWALToBecomeAvailable). A reload wakes it.
_WOKEN_AT = "8, 16, 24, 32, 48, 64, 96, 128, 256, 512, 1024, 2048"

_PROMOTED = """
WITH RECURSIVE look (n, promoted, woken) AS (
    SELECT 0, NOT pg_is_in_recovery(), false
     UNION ALL
    SELECT n + 1, NOT pg_is_in_recovery(),
           CASE WHEN n IN ({woken_at}) THEN pg_reload_conf() END
      FROM look, LATERAL (SELECT pg_sleep({every})) AS rest
     WHERE NOT promoted AND n < {looks})
SELECT bool_or(promoted) FROM look;
"""


def await_received(standby: Session, goal: Lsn, *, seconds: float) -> Lsn:
    """Wait until a standby has received WAL beyond a position; give how far it got.

    Args:
        standby: a session on it.
        goal: where the record begins that it has to have.
        seconds: to wait at most.

    Raises:
        OutcomeUnknown: the session was lost, or the server does not answer.
    """
    (position,) = standby.ask(
        _RECEIVED.format(
            every=EVERY,
            goal=f"{literal(str(goal))}::pg_lsn",
            looks=int(seconds / EVERY),
            patient=_LOOKS_WITHOUT_RECEIVER,
        ),
        timeout=seconds + _MARGIN,
    )
    return Lsn.parse(position)


def await_promoted(standby: Session, *, seconds: float) -> bool:
    """Wait until a standby has become a primary; tell whether it has.

    Raises:
        OutcomeUnknown: the session was lost, or the server does not answer.
    """
    (answer,) = standby.ask(
        _PROMOTED.format(every=EVERY, looks=int(seconds / EVERY), woken_at=_WOKEN_AT),
        timeout=seconds + _MARGIN,
    )
    return answer == "t"


def sender_pids(primary: Cluster, application_name: str) -> tuple[int, ...]:
    """Give the processes of a server that send WAL to one of its followers.

    Raises:
        PreconditionFailed: it does not run.
        ElephaasError: it does not answer, or nothing is known of the host.
    """
    told = primary.psql(
        "SELECT pid FROM pg_stat_replication WHERE application_name = :'name';",
        values={"name": application_name},
        words="look at pg_stat_replication",
    )
    return tuple(map(int, told.split()))


def fence(cluster: Cluster) -> None:
    """Have a stopped primary start as nothing but a standby.

    Raises:
        PreconditionFailed: it runs, or there is no cluster.
        ElephaasError: it could not be written, or nothing is known of the host.
    """
    _run(cluster, "fence.sh", "write standby.signal")


def unfence(cluster: Cluster) -> None:
    """Take from a stopped primary what would make it a standby at its next start.

    Raises:
        PreconditionFailed: it runs, or there is no cluster.
        ElephaasError: nothing is known of the host.
    """
    _run(cluster, "unfence.sh", "remove standby.signal")


def quit_at_once(cluster: Cluster) -> None:
    """End a server that does not stop; it recovers by itself when it is started.

    Raises:
        PreconditionFailed: it does not run.
        ElephaasError: nothing is known of the host.
    """
    _run(cluster, "quit.sh", "send SIGQUIT to the postmaster", "QUIT")


def end_fast(cluster: Cluster) -> None:
    """Ask a server to shut down fast, and wait for nothing.

    Raises:
        As ``quit_at_once``.
    """
    _run(cluster, "quit.sh", "send SIGINT to the postmaster", "INT")


def nudge(standby: Cluster) -> None:
    """Have a running standby connect to its upstream at once.

    By itself it waits for wal_retrieve_retry_interval after a failure, and for minutes
    on an address that does not answer.

    Raises:
        PreconditionFailed: it does not run.
        ElephaasError: nothing is known of the host.
    """
    _run(standby, "nudge.sh", "wake the standby")


def _run(cluster: Cluster, name: str, words: str, *values: str) -> None:
    argv = ["sh", "-c", script(name), "elephaas", cluster.ref.data_directory, *values]
    done = cluster.run_script(argv, words)
    if done.status != 0:
        raise CommandFailed(cluster.host, words, done.status, done.stderr)
