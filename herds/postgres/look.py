"""One look at a cluster in one round trip, and the reading of what came back."""

from __future__ import annotations

import json
import secrets
from collections.abc import Sequence
from datetime import datetime
from functools import cache
from importlib import resources

from herds.domain.cluster import (
    Activity,
    ClusterRef,
    Follower,
    Observation,
    from_epoch,
)
from herds.domain.lsn import Lsn


@cache
def script(*names: str) -> str:
    """Join scripts that lie beside this module, after what all of them share."""
    return "\n".join(map(_text, ("cluster.sh", *names)))


@cache
def sql(*names: str) -> str:
    """Give a question that lies beside this module, or several in one, on one line.

    Several are asked in one statement, whose answers are put together.
    """
    asked = [" ".join(_text(name).split()) for name in names]
    return asked[0] if len(asked) == 1 else f"SELECT ({') || ('.join(asked)})"


WHOLE = ("standing.sql", "configuration.sql")
"""What a look asks a running server."""


def _text(name: str) -> str:
    """Read a file that lies beside this module, without its comment lines."""
    text = resources.files(__package__).joinpath(name).read_text("utf-8")
    return "\n".join(
        line for line in text.splitlines() if line and not line.startswith("#")
    )


def look_argv(
    cluster: ClusterRef,
    mark: str,
    *,
    command: str = "",
    need_running: bool = False,
    written_for: str = "",
    question: tuple[str, ...] = WHOLE,
) -> list[str]:
    """Write the command line of a look, with or without a command before it.

    Args:
        cluster: where to look.
        mark: the line that will begin and end the observation, from ``new_mark``.
        command: text for ``sh -c``, run first; empty for a look alone.
        need_running: whether the command is only run on a living postmaster.
        written_for: the major version the command was filled for; the command
            is not run on a data directory of another one.
        question: the files beside this module with what a running server is asked.
    """
    return [
        "sh",
        "-c",
        script("ask.sh", "see.sh", "look.sh"),
        "elephaas",
        cluster.data_directory,
        str(cluster.port),
        mark,
        "running" if need_running else "",
        written_for,
        command,
        sql(*question),
    ]


def host_argv(clusters: Sequence[ClusterRef], mark: str) -> list[str]:
    """Write the command line of a look at several clusters of one host, in turn.

    Args:
        clusters: where to look, all on the same host.
        mark: the line that will begin and end each observation, from ``new_mark``.
    """
    places = [(each.data_directory, str(each.port)) for each in clusters]
    return [
        "sh",
        "-c",
        script("ask.sh", "see.sh", "host.sh"),
        "elephaas",
        mark,
        # Its configuration, the dearest to be told, is no matter of the inventory.
        sql("standing.sql"),
        *(value for place in places for value in place),
    ]


def new_mark() -> str:
    """Make a line that no command prints by chance."""
    return f"== seen {secrets.token_hex(8)} =="


def split_host_output(stdout: str, mark: str) -> list[dict[str, str]]:
    """Part what a look at several clusters printed into the fields of each.

    Returns:
        The fields of each cluster that was looked at to the end, in the order asked.
    """
    found: list[dict[str, str]] = []
    while True:
        _, fields = split_output(stdout, mark)
        if not fields:
            return found
        found.append(fields)
        stdout = stdout.split(f"\n{mark}\n", 2)[2]


def split_output(stdout: str, mark: str) -> tuple[str, dict[str, str]]:
    """Part a command's own output from the observation that follows it.

    Returns:
        The output, and the fields of the observation; they are empty where the
        look was cut off.
    """
    output, begun, rest = stdout.partition(f"\n{mark}\n")
    seen, ended, _ = rest.partition(f"\n{mark}\n")
    if not begun or not ended:
        return output, {}
    fields: dict[str, str] = {}
    lines = seen.split("\n")
    for number, line in enumerate(lines):
        name, separator, value = line.partition("=")
        if name == "trouble":
            # The server's words may take several lines, and they come last.
            fields[name] = "\n".join([value, *lines[number + 1 :]]).strip()
            break
        if separator:
            fields[name] = value.strip()
    return output, fields


def read_observation(fields: dict[str, str], observed_at: datetime) -> Observation:
    """Turn the fields of a look into what they mean.

    Args:
        fields: as ``split_output`` gives them, not empty.
        observed_at: when the look came back.
    """
    if fields.get("directory") == "absent":
        return Observation(activity=Activity.ABSENT, observed_at=observed_at)
    if fields.get("directory") == "foreign":
        return Observation(activity=Activity.FOREIGN, observed_at=observed_at)
    if "pid" not in fields:
        return Observation(
            activity=Activity.STOPPED,
            observed_at=observed_at,
            version=fields.get("version", ""),
            control_state=fields.get("control", ""),
            system_identifier=fields.get("system", ""),
            timeline=int(fields["timeline"]) if "timeline" in fields else None,
        )
    return _read_running(fields, observed_at)


def _read_running(fields: dict[str, str], observed_at: datetime) -> Observation:
    sql = json.loads(fields["sql"]) if "sql" in fields else {}
    slot = sql.get("slot") or {}
    return Observation(
        activity=_activity(fields.get("phase", ""), answers=bool(sql)),
        observed_at=observed_at,
        version=sql.get("version", fields.get("version", "")).split(" ")[0],
        pid=int(fields["pid"]),
        # Not what the server tells by itself, a moment later: the same postmaster has
        # to look the same when it does not answer.
        started_at=from_epoch(fields.get("started")),
        answers=bool(sql),
        trouble=fields.get("trouble", ""),
        in_recovery=sql.get("recovery"),
        position=Lsn.parse(sql["position"]) if sql.get("position") else None,
        loaded_at=from_epoch(sql.get("loaded")),
        configuration_errors=tuple(sql.get("errors") or ()),
        pending_restart=tuple(sql.get("pending") or ()),
        system_identifier=sql.get("system", ""),
        timeline=sql.get("timeline"),
        is_streaming=sql.get("streaming"),
        slot_name=slot.get("name", ""),
        slot_octets=slot.get("behind"),
        followers=tuple(
            Follower(
                application_name=row["name"] or "",
                address=row["address"] or "",
                state=row["state"] or "",
                octets_behind=_not_ahead(row.get("behind")),
            )
            for row in sql.get("followers") or ()
        ),
        facts={
            "loaded_ago": sql.get("loaded_ago"),
            # Of a file with a syntax error or an unknown name nothing is applied, and
            # then it does not count as loaded (pg_file_settings in the manual).
            "configuration_refused": bool(sql.get("refused")),
            # The short question of reload.sql leaves errors to a whole look.
            "has_errors": bool(sql.get("has_errors")),
        },
    )


def _not_ahead(octets: int | None) -> int | None:
    """Read a distance; more may have been flushed since the upstream's was read."""
    return None if octets is None else max(0, octets)


def _activity(phase: str, *, answers: bool) -> Activity:
    """Read the postmaster's own word from the last line of its lock file.

    The words are "starting", "stopping", "ready" and "standby" (miscadmin.h,
    PM_STATUS_*). "standby" means that it does not take connections yet or is not
    meant to (hot_standby off).
    """
    if answers or phase in {"ready", "standby"}:
        return Activity.RUNNING
    if phase == "stopping":
        return Activity.STOPPING
    return Activity.STARTING
