"""Asks a running server what a change of roles depends on and a probe does not tell."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .cluster import Cluster
from .look import sql


@dataclass(frozen=True, kw_only=True)
class WalSender:
    """A connection that WAL is sent over.

    ``behind`` are the bytes that its client has not confirmed, ``silent`` the seconds
    since it last said anything: both None where that cannot be told.
    """

    name: str
    state: str
    sync_state: str
    is_logical: bool
    behind: int | None
    silent: float | None


@dataclass(frozen=True, kw_only=True)
class LogicalSlot:
    """A logical slot; it survives on a standby only where it is synced (from 17 on)."""

    name: str
    is_failover: bool
    is_synced: bool


@dataclass(frozen=True, kw_only=True)
class Readiness:
    """What stands in the way of stopping or promoting a server.

    ``ready_files`` counts the WAL files that wait for the archiver, None where nothing
    is archived; ``longest`` is the age of the oldest transaction of a client, in
    seconds.
    """

    in_recovery: bool
    ready_files: int | None
    is_archiver_failing: bool
    failed_wal: str
    senders: tuple[WalSender, ...]
    logical_slots: tuple[LogicalSlot, ...]
    free_slots: int
    free_senders: int
    backups: int
    prepared: int
    clients: int
    longest: float
    unlogged: int
    is_paused: bool
    preload: str
    sync_names: str
    sync_commit: str


def ask_readiness(cluster: Cluster) -> Readiness:
    """Ask a running server, primary or standby.

    Raises:
        PreconditionFailed: no server runs.
        CommandFailed: it refuses, in its own words.
        ElephaasError: nothing is known of the host.
    """
    answer = cluster.psql(sql("readiness.sql"), words="ask what it depends on")
    return read_readiness(json.loads(answer))


def read_readiness(told: Mapping[str, Any]) -> Readiness:
    """Turn the server's answer into what it means."""
    archiver = told["archiver"] or {}
    return Readiness(
        in_recovery=told["recovery"],
        ready_files=told["ready_files"],
        is_archiver_failing=bool(archiver.get("failing")),
        failed_wal=archiver.get("failed_wal") or "",
        senders=tuple(
            WalSender(
                name=row["name"] or "",
                state=row["state"] or "",
                sync_state=row["sync_state"] or "",
                is_logical=row["kind"] == "logical",
                behind=None if row["behind"] is None else int(row["behind"]),
                silent=row["silent"],
            )
            for row in told["senders"]
        ),
        logical_slots=tuple(
            LogicalSlot(
                name=row["name"],
                is_failover=row["failover"],
                is_synced=row["synced"],
            )
            for row in told["logical_slots"]
        ),
        free_slots=told["free_slots"],
        free_senders=told["free_senders"],
        backups=told["backups"],
        prepared=told["prepared"],
        clients=told["clients"],
        longest=told["longest"] or 0.0,
        unlogged=told["unlogged"],
        is_paused=bool(told["paused"]),
        preload=told["preload"],
        sync_names=told["sync_names"],
        sync_commit=told["sync_commit"],
    )
