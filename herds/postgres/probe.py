"""The probe: one round trip that tells everything of a cluster, running or not."""

from __future__ import annotations

import json
import shlex
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from herds.domain.cluster import ClusterRef, from_epoch
from herds.domain.control import parse_control
from herds.domain.lsn import Lsn
from herds.domain.probe import Clients, Probe, Receiver, Sender, Slot, Tablespace

from .look import read_observation, script, sql

Fields = Mapping[str, Sequence[str]]


def probe_argv(cluster: ClusterRef, mark: str, *, sizes: bool = True) -> list[str]:
    """Write the command line of a probe.

    Args:
        cluster: where to look.
        mark: the line that will begin what is seen, from ``look.new_mark``.
        sizes: whether the sizes of directories are told, which takes a while.
    """
    return [
        "sh",
        "-c",
        script("ask.sh", "probe.sh"),
        "elephaas",
        cluster.data_directory,
        str(cluster.port),
        mark,
        sql("probe.sql"),
        "sizes" if sizes else "",
    ]


def split_probe(stdout: str, mark: str) -> Fields:
    """Read the lines of a probe; empty where it was cut off."""
    _, found, seen = stdout.rpartition(f"\n{mark}\n")
    fields: dict[str, list[str]] = defaultdict(list)
    name = ""
    for line in seen.splitlines() if found else ():
        key, separator, value = line.partition("=")
        if name == "trouble" and key != "end":
            fields[name][-1] += f"\n{line}"
        elif separator:
            name = key
            fields[key].append(value.strip())
    return fields if fields.get("end") else {}


def read_probe(fields: Fields, observed_at: datetime) -> Probe:
    """Turn the lines of a probe into what they mean.

    Args:
        fields: as ``split_probe`` gives them, not empty.
        observed_at: when the probe came back.
    """
    one = {name: values[0] for name, values in fields.items()}
    control = parse_control(fields.get("control", ()))
    if control is not None:
        one.update(control=control.state, system=control.system_identifier)
    told: dict[str, Any] = json.loads(one["sql"]) if "sql" in one else {}
    for row in told.get("senders") or ():
        told.setdefault("followers", []).append(
            {
                "name": row["application_name"],
                "address": row["client_addr"],
                "state": row["state"],
            }
        )
    if "sql" in one:
        one["sql"] = json.dumps(told)
    seen = read_observation(one, observed_at)
    receiver = _receiver(told.get("receiver"))
    return Probe(
        seen=seen,
        bin_directory=one.get("bin", ""),
        installed=tuple(fields.get("installed", ())),
        has_rsync="rsync" in fields,
        has_perl="perl" in fields,
        is_occupied="occupied" in fields.get("directory", ()),
        is_writable="writable" in fields,
        files=frozenset(fields.get("file", ())),
        wal_link=one.get("wal_link", ""),
        config_file=_config_file(one, told),
        data_bytes=_number(one.get("data_bytes")),
        wal_bytes=_number(one.get("wal_bytes")),
        free_bytes=_number(one.get("free")),
        host_time=from_epoch(one.get("now")),
        control=control,
        timeline=_timeline(told, receiver, control.timeline if control else None),
        received=_lsn(told.get("received")),
        replayed=_lsn(told.get("replayed")),
        is_replay_paused=bool(told.get("replay_paused")),
        receiver=receiver,
        senders=tuple(map(_sender, told.get("senders") or ())),
        slots=tuple(map(_slot, told.get("slots") or ())),
        settings=told.get("settings") or {},
        tablespaces=tuple(map(_tablespace, fields.get("tablespace", ()))),
        clients=tuple(map(_clients, told.get("clients") or ())),
    )


def _config_file(one: Mapping[str, str], told: Mapping[str, Any]) -> str:
    """Find the main configuration file: asked of the server, else as last started."""
    asked = (told.get("settings") or {}).get("config_file", "")
    if asked:
        return str(asked)
    try:
        words = shlex.split(one.get("opts", ""))
    except ValueError:
        words = []
    for word in words:
        if word.startswith("config_file="):
            return word.removeprefix("config_file=")
    return ""


def _timeline(
    told: Mapping[str, Any], receiver: Receiver | None, checkpointed: int | None
) -> int | None:
    """Tell the live timeline; pg_control's own lags until the next checkpoint.

    A standby that receives nothing is on that of the WAL file it received last.
    """
    if told.get("timeline"):
        return int(told["timeline"])
    if receiver is not None and receiver.timeline:
        return receiver.timeline
    if told.get("wal_timeline"):
        return max(int(told["wal_timeline"]), checkpointed or 0)
    return checkpointed


def _receiver(row: Mapping[str, Any] | None) -> Receiver | None:
    if not row:
        return None
    return Receiver(
        status=row.get("status") or "",
        host=row.get("sender_host") or "",
        port=row.get("sender_port") or 0,
        slot=row.get("slot_name") or "",
        timeline=row.get("received_tli") or 0,
        flushed=_lsn(row.get("flushed_lsn") or row.get("received_lsn")),
    )


def _sender(row: Mapping[str, Any]) -> Sender:
    return Sender(
        application_name=row.get("application_name") or "",
        address=row.get("client_addr") or "",
        state=row.get("state") or "",
        sync_state=row.get("sync_state") or "",
        sent=_lsn(row.get("sent_lsn")),
        flushed=_lsn(row.get("flush_lsn")),
        replayed=_lsn(row.get("replay_lsn")),
    )


def _slot(row: Mapping[str, Any]) -> Slot:
    return Slot(
        name=row["slot_name"],
        kind=row["slot_type"],
        is_active=bool(row["active"]),
        restart=_lsn(row.get("restart_lsn")),
        wal_status=row.get("wal_status") or "",
        is_failover=bool(row.get("failover")),
        is_synced=bool(row.get("synced")),
        is_temporary=bool(row.get("temporary")),
    )


def _tablespace(line: str) -> Tablespace:
    oid, size, path = line.split(" ", 2)
    return Tablespace(oid=int(oid), size=_number(size) or 0, path=path)


def _clients(row: Mapping[str, Any]) -> Clients:
    return Clients(
        user=row.get("usename") or "",
        database=row.get("datname") or "",
        application_name=row.get("application_name") or "",
        address=row.get("address") or "",
        sessions=row["sessions"],
    )


def _lsn(text: str | None) -> Lsn | None:
    return Lsn.parse(text) if text else None


def _number(text: str | None) -> int | None:
    return int(text) if text and text.isdigit() else None
