"""Saves what a node has of its own in its data directory from being copied over."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from herds.ssh.shell import Shell

from .look import script

LOCAL_FILES = (
    *("postgresql.conf", "postgresql.auto.conf", "postgresql.base.conf"),
    *("pg_hba.conf", "pg_ident.conf", "conf.d"),
    *("server.crt", "server.key", "root.crt", "root.crl"),
)
"""What a node may have of its own inside the data directory."""


def keep_local_files(
    shell: Shell, data_directory: str, names: Sequence[str] = LOCAL_FILES
) -> None:
    """Set a node's own files aside on its host, with their permissions.

    Where an earlier copy did not end, what it set aside is kept: the directory may hold
    the source's files by now.

    Args:
        shell: where the node is.
        data_directory: what the files lie in.
        names: files and directories right inside it, where they exist.

    Raises:
        CommandFailed: they cannot be read, or there is no room.
        ElephaasError: the host could not be asked.
    """
    shell.run(_argv("keep", data_directory, *names))


def restore_local_files(shell: Shell, data_directory: str) -> None:
    """Put back what ``keep_local_files`` set aside, in place of what lies there.

    Raises:
        CommandFailed: they could not be written; they are still set aside.
        ElephaasError: the host could not be asked.
    """
    shell.run(_argv("restore", data_directory))


def _argv(verb: str, data_directory: str, *names: str) -> list[str]:
    digest = hashlib.sha256(data_directory.encode()).hexdigest()[:16]
    return [
        *("sh", "-c", script("local_files.sh"), "elephaas", verb),
        *(data_directory.rstrip("/"), f"{digest}.tar", *names),
    ]
