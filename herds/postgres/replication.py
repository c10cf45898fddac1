"""Makes a cluster follow another, or nobody."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from herds.domain.clock import watch
from herds.domain.lsn import Lsn
from herds.errors import CommandFailed, NotObserved, PreconditionFailed

from .cluster import Cluster
from .configuration import read_auto_conf, read_settings
from .look import script
from .sql_text import with_settings

USER = "replication"
"""The role of the contract that standbys connect as."""

NOBODY = "nobody.invalid"
"""The upstream of who follows nobody: a name that no DNS ever has (RFC 6761, 6.4)."""

_APPLY_TIMEOUT = 10.0  # seconds until a reloaded setting is in force

# With one of these, a standby would stop following at some point, or promote itself.
_TARGETS = (
    "recovery_target",
    "recovery_target_lsn",
    "recovery_target_name",
    "recovery_target_time",
    "recovery_target_xid",
)

_SECRETS = ("password", "sslpassword")


@dataclass(frozen=True, kw_only=True)
class Upstream:
    """What a standby connects to, as the contract names it.

    ``host`` is the herd's virtual host, or a host's own name where the upstream is
    not the primary; ``slot`` is empty where none is used.
    """

    host: str
    port: int
    application_name: str
    user: str = USER
    slot: str = ""


@dataclass(frozen=True, kw_only=True)
class Identity:
    """Who answered a replication connection."""

    system_identifier: str
    timeline: int
    position: Lsn
    is_standby: bool


def application_name(base_name: str, hostname: str) -> str:
    """Name a standby to its upstream: base name, ``_``, host without its domain."""
    return f"{base_name}_{hostname.partition('.')[0]}"


def slot_name(base_name: str, hostname: str) -> str:
    """Name the slot of a standby: slots know lower case letters, digits and ``_``."""
    name = application_name(base_name, hostname).lower()
    return re.sub(r"[^a-z0-9_]", "_", name)[:63]


def conninfo(existing: str, upstream: Upstream) -> str:
    """Write a connection string, with all of an existing one that is no address.

    A password file, TLS, keepalives and what else it says are kept.

    Args:
        existing: the connection string to change, of either form; may be empty.
        upstream: where it is to lead.

    Raises:
        PreconditionFailed: the existing one cannot be read. It is not repeated: it
            may hold a password.
    """
    try:
        parameters = conninfo_to_dict(existing)
    except ProgrammingError:
        raise PreconditionFailed(
            "The existing primary_conninfo cannot be read, so what it says beside the "
            "address cannot be kept.",
            hint="Correct or empty it on the host, then try again.",
        ) from None
    parameters.pop("hostaddr", None)
    parameters["host"] = upstream.host
    parameters["port"] = upstream.port
    parameters["user"] = upstream.user
    parameters["application_name"] = upstream.application_name
    return make_conninfo("", **parameters)


def follow(cluster: Cluster, upstream: Upstream, *, existing: str = "") -> None:
    """Make a cluster follow an upstream: a running standby at once, else when started.

    A running standby is told by ALTER SYSTEM and a reload. A stopped cluster gets
    ``standby.signal`` first and then its ``postgresql.auto.conf``, and is a standby at
    its next start. What would make a standby stop following (``recovery_target…``) is
    taken back.

    Args:
        cluster: the cluster that is to follow.
        upstream: whom.
        existing: the connection string whose other parameters are kept, where the
            cluster's own is not the one that counts: after a copy it is its source's.

    Raises:
        PreconditionFailed: it is a running primary, or no cluster, or its settings
            cannot be read or changed.
        NotObserved: the running server did not take the settings over.
        ElephaasError: nothing is known of the host, or the change failed.
    """
    _set_upstream(
        cluster, lambda own: conninfo(existing or own, upstream), upstream.slot
    )


def stop_following(cluster: Cluster) -> None:
    """Make a standby follow nobody: it stays a standby, and receives nothing.

    A stopped cluster is made a standby by it, so that it cannot come up as a primary.
    Its connection string leads to a name that nobody has, and keeps everything else,
    such as a password file, for when it follows again.

    Raises:
        As ``follow``.
    """
    _set_upstream(cluster, _to_nobody, "")


def _to_nobody(own: str) -> str:
    try:
        parameters = conninfo_to_dict(own)
    except ProgrammingError:
        return ""
    if not parameters:
        return ""
    parameters.pop("hostaddr", None)
    return make_conninfo("", **{**parameters, "host": NOBODY})


def read_conninfo(cluster: Cluster) -> str:
    """Read a cluster's ``primary_conninfo``, running or not, to keep it over a copy.

    It may hold a password: it is never shown or recorded.

    Raises:
        PreconditionFailed: there is no cluster.
        ElephaasError: it cannot be read, or nothing is known of the host.
    """
    if cluster.look().is_running:
        return cluster.psql("SHOW primary_conninfo;", words="SHOW primary_conninfo")
    return read_settings(cluster, "primary_conninfo")["primary_conninfo"]


def identify(cluster: Cluster, connection: str, *, bin_directory: str = "") -> Identity:
    """Ask who answers a replication connection that is made from the cluster's host.

    This proves address, password, ``pg_hba.conf`` and the role's rights at once.

    Args:
        cluster: from whose host; it need not exist yet.
        connection: as in ``primary_conninfo``. A passphrase for a client key in it
            is not used.
        bin_directory: where PostgreSQL's programs are on that host; empty for those
            of the data directory.

    Raises:
        PreconditionFailed: nobody answers, or the login is refused, with the reason.
        ElephaasError: nothing is known of the host.
    """
    parameters = {"connect_timeout": "5", **conninfo_to_dict(connection)}
    password = str(parameters.get("password", ""))
    for name in (*_SECRETS, "dbname"):
        parameters.pop(name, None)
    public = make_conninfo("", **{**parameters, "replication": "true"})
    done = cluster.run_script(
        [
            *("sh", "-c", script("identify.sh"), "elephaas"),
            *(cluster.ref.data_directory, bin_directory, public),
        ],
        "IDENTIFY_SYSTEM",
        stdin=f"{password}\n".encode(),
    )
    if done.status != 0:
        said = done.stderr.strip().splitlines() or [f"exit status {done.status}"]
        reason = said[0].removeprefix("psql: error: ").rstrip(".:")
        raise PreconditionFailed(
            f"{cluster.host} cannot open a replication connection to "
            f"{parameters.get('host', 'its upstream')}: {reason}.",
            host=cluster.host,
            command="IDENTIFY_SYSTEM",
            status=done.status,
            output=done.stderr,
            hint=(
                f"Check the role {parameters.get('user', USER)!r}, pg_hba.conf of the "
                f"upstream, and ~/.pgpass on {cluster.host}."
            ),
        )
    told, standby = done.stdout.splitlines()
    system_identifier, timeline, position, *_ = told.split("|")
    return Identity(
        system_identifier=system_identifier,
        timeline=int(timeline),
        position=Lsn.parse(position),
        is_standby=standby == "on",
    )


def _set_upstream(
    cluster: Cluster, connection_from: Callable[[str], str], slot: str
) -> None:
    """Set whom a cluster follows; ``connection_from`` is given its own setting."""
    seen = cluster.look()
    if not seen.is_running:
        found = read_settings(cluster, "primary_conninfo", *_TARGETS)
        targets = [name for name in _TARGETS if found[name]]
        wanted = _settings(connection_from(found["primary_conninfo"]), slot, targets)
        _write(cluster, with_settings(read_auto_conf(cluster), wanted), "stopped")
        return
    if not seen.answers:
        raise PreconditionFailed(
            f"{cluster.host} runs but answers no connection ({seen.trouble.strip()}), "
            "so its replication settings stay as they are.",
            host=cluster.host,
            hint="Wait until it answers, or stop it first.",
        )
    if not seen.in_recovery:
        raise PreconditionFailed(
            f"{cluster.host} runs as a primary, and a running primary follows nobody.",
            host=cluster.host,
            hint="Stop it first.",
        )
    _set_running(cluster, connection_from, slot)


def _settings(connection: str, slot: str, targets: list[str]) -> dict[str, str]:
    return {
        "primary_conninfo": connection,
        "primary_slot_name": slot,
        "recovery_target_timeline": "latest",
        **dict.fromkeys(targets, ""),
    }


def _set_running(
    cluster: Cluster, connection_from: Callable[[str], str], slot: str
) -> None:
    may_alter, targets, own = cluster.psql(
        """
        SELECT coalesce(current_setting('allow_alter_system', true), 'on');
        SELECT coalesce(string_agg(name, ' '), '') FROM pg_settings
         WHERE setting <> '' AND name = ANY (string_to_array(:'targets', ' '));
        SHOW primary_conninfo;
        """,
        values={"targets": " ".join(_TARGETS)},
        words="SHOW primary_conninfo",
    ).split("\n", 2)
    wanted = _settings(connection_from(own), slot, targets.split())
    if may_alter == "on":
        cluster.psql(
            "\n".join(f"ALTER SYSTEM SET {name} = :'{name}';" for name in wanted),
            values=wanted,
            words="ALTER SYSTEM",
            secret=True,
        )
    else:
        # From 17 on an administrator may forbid ALTER SYSTEM; its file still counts.
        _write(cluster, with_settings(read_auto_conf(cluster), wanted), "running")
    cluster.psql("SELECT pg_reload_conf();", words="pg_reload_conf")
    _await_settings(cluster, wanted)


def _await_settings(cluster: Cluster, wanted: dict[str, str]) -> None:
    """See the settings in force: a reload is only asked for, and may be refused."""
    came, _ = watch(
        lambda: cluster.psql(
            """
            SELECT current_setting('primary_conninfo') = :'primary_conninfo'
                AND current_setting('primary_slot_name') = :'primary_slot_name';
            """,
            values=wanted,
            words="SHOW primary_conninfo",
            secret=True,
        ),
        lambda answer: answer == "t",
        clock=cluster.clock,
        timeout=_APPLY_TIMEOUT,
    )
    if not came:
        errors = "; ".join(cluster.look().configuration_errors)
        raise NotObserved(
            f"{cluster.host} to use its new primary_conninfo",
            observed=errors or "the former one, although the files were loaded",
            seconds=_APPLY_TIMEOUT,
            host=cluster.host,
            hint="Correct its configuration files, or the command line it was started "
            "with, then try again.",
        )


def _write(cluster: Cluster, text: str, state: str) -> None:
    content = text.encode("utf-8", "surrogateescape")
    argv = ["sh", "-c", script("standby_write.sh"), "elephaas"]
    argv += [cluster.ref.data_directory, str(len(content)), state]
    words = "write postgresql.auto.conf"
    done = cluster.run_script(argv, words, stdin=content)
    if done.status != 0:
        raise CommandFailed(cluster.host, words, done.status, done.stderr)
