"""Writes a switchover as the commands that a person would type, should we be down."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from herds.errors import ElephaasError, PreconditionFailed
from herds.postgres.commands import TemplateProblem

from .scene import View
from .target import Target

_ON = 'on() { host=$1; shift; ${SSH:-ssh} -l "${REMOTE_USER:-postgres}" "$host" "$@"; }'


def switchover_by_hand(
    target: Target, old: View, new: View, others: Sequence[View], *, points_at: str
) -> tuple[str, ...]:
    """Give lines of shell, with a check before each step that has no way back.

    Args:
        target: a member of the herd.
        old: the primary.
        new: the standby that takes over.
        others: the members that follow it.
        points_at: where the virtual host points, in full; empty where it is not moved.
    """
    try:
        stop = old.member.cluster.command("stop")
        promote = new.member.cluster.command("promote")
    except (TemplateProblem, ElephaasError):
        return ()
    control = f"{old.known.bin_directory}/pg_controldata -D {_directory(old)}"
    signal = shlex.quote(f"{old.member.cluster.ref.data_directory}/standby.signal")
    return (
        _ON,
        f"# A quick stop needs little left to write on {old.host}.",
        _sql(old, "CHECKPOINT"),
        f"# Clients cannot write from here on, until {new.host} is promoted.",
        _on(old, stop),
        f"{_on(old, f'LC_ALL=C {control}')} >control",
        "grep -q '^Database cluster state: *shut down$' control",
        f"# {old.host} can only start as a standby now. To go back: remove this file,",
        f"# and start PostgreSQL on {old.host}.",
        _on(old, f"touch {signal}"),
        "wrote=$(sed -n 's/^Latest checkpoint location: *//p' control)",
        f"# {new.host} must have received more than that, or something would be lost.",
        f"received=$({_sql(new, 'SELECT pg_last_wal_receive_lsn()')})",
        f"lost=$({_sql(new, _NOT_BEYOND, 'received', 'wrote')})",
        '[ "$lost" = f ] || { echo "received $received, written $wrote" >&2; exit 1; }',
        "# ---- From here on there is no way back.",
        _on(new, promote),
        f'[ "$({_sql(new, "SELECT pg_is_in_recovery()")})" = f ]',
        *_names(target, new, points_at),
        *(
            f"{_sql(view, 'SELECT pg_reload_conf()')}  # it follows the name"
            for view in others
            if view.probe is not None
        ),
        _sql(new, "CHECKPOINT"),
        f"# Then rebuild {old.host}, or point its primary_conninfo at {new.host} and",
        "# start it.",
    )


_NOT_BEYOND = "SELECT '${received}'::pg_lsn <= '${wrote}'::pg_lsn"


def _on(view: View, command: str) -> str:
    return f"on {shlex.quote(view.host)} {shlex.quote(command)}"


def _sql(view: View, text: str, *variables: str) -> str:
    """Ask a server; variables of the script that the text names are filled in there."""
    ref = view.member.cluster.ref
    program = f"{view.known.bin_directory}/psql -XAtq -p {ref.port} -d postgres -c "
    command = shlex.quote(program + shlex.quote(text))
    for name in variables:
        command = command.replace(f"${{{name}}}", f"'\"${{{name}}}\"'")
    return f"on {shlex.quote(view.host)} {command}"


def _directory(view: View) -> str:
    return shlex.quote(view.member.cluster.ref.data_directory)


def _names(target: Target, new: View, points_at: str) -> Sequence[str]:
    """Give the update of the virtual host, on the condition that it is as it was."""
    if not points_at or target.nameserver is None:
        return ()
    vhost = target.cluster.ref.vhost
    try:
        look = target.nameserver.look(vhost)
        wanted = target.nameserver.host_name(new.host, vhost)
    except (ElephaasError, PreconditionFailed):
        return ()
    name = look.name
    return (
        "# The key is the one of the setting DNS.",
        'nsupdate -k "${DNS_KEY_FILE:?}" <<END',
        f"server {look.zone.primary.address}",
        f"prereq yxrrset {name}. CNAME {points_at}.",
        f"update delete {name}. CNAME",
        f"update add {name}. {look.primary.ttl or 300} CNAME {wanted}.",
        "send",
        "END",
    )
