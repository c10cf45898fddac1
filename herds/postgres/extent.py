"""Tells how large a running cluster is, and when it was written to last."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from .cluster import Cluster

WORDS = "ask for size and last write"

_TIMEOUT = 2.0
"""Seconds: a person waits for the plan, and files by the hundred thousand are slow."""

_SQL = """
SELECT (SELECT sum(pg_database_size(oid)) FROM pg_database),
       extract(epoch FROM CASE
           WHEN pg_is_in_recovery() THEN pg_last_xact_replay_timestamp()
           WHEN current_setting('track_commit_timestamp')::boolean
           THEN (SELECT timestamp FROM pg_last_committed_xact()) END);
"""


@dataclass(frozen=True, kw_only=True)
class Extent:
    """A cluster's databases together in bytes, and its last commit.

    ``written_at`` is None where the server does not keep it: a standby knows the last
    commit it replayed, a primary needs ``track_commit_timestamp`` (PostgreSQL docs,
    Commit Timestamp Functions).
    """

    octets: int | None
    written_at: datetime | None


def extent(cluster: Cluster) -> Extent:
    """Ask a running server for its extent.

    Raises:
        PreconditionFailed: no postmaster lives here.
        CommandFailed: it takes too long, or does not answer.
        ElephaasError: nothing is known.
    """
    told = cluster.psql(_SQL, words=WORDS, timeout=_TIMEOUT).strip()
    octets, _, written = told.partition("|")
    return Extent(
        octets=int(octets) if octets else None,
        written_at=datetime.fromtimestamp(float(written), UTC) if written else None,
    )
