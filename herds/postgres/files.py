"""Changes single files of a data directory so that they hold whatever happens."""

from __future__ import annotations

from collections.abc import Collection

from herds.errors import PreconditionFailed, ServerRuns
from herds.ssh.shell import Completed, Shell, Stream

from .look import script

INCOMPLETE = "elephaas.incomplete"
"""The file that says, in a data directory, that a copy of it is not whole."""

_ABSENT = 44  # files.sh: there is no such file
_RUNNING = 73  # cluster.sh, ``need``: a server runs there
_REFUSED = 65  # files.sh: a guard does not hold; nothing was changed

_OBSTACLES = {
    "link": "{} is a symbolic link",
    "unwritable": "{} is not writable",
    "foreign": "{} is another user's and not writable",
    "stranger": "{} is a directory that PostgreSQL does not know",
}


def read_small(shell: Shell, path: str) -> bytes | None:
    """Give what a file holds, byte for byte; None where there is none.

    Args:
        shell: where the file is.
        path: absolute; the whole file is held in memory.

    Raises:
        CommandFailed: it is there and cannot be read.
        ElephaasError: the host could not be asked.
    """
    chunks: list[bytes] = []

    def keep(stream: Stream, chunk: bytes) -> None:
        if stream is Stream.STDOUT:
            chunks.append(chunk)

    done = shell.run(_argv("read", path), ok=(0, _ABSENT), on_output=keep)
    return None if done.status == _ABSENT else b"".join(chunks)


def write_atomically(
    shell: Shell, path: str, data: bytes, *, mode: int = 0o600
) -> None:
    """Replace a file by a new one at once, or leave it as it is.

    The file and its directory are on disk when this returns. A symbolic link stays;
    what it names is replaced.

    Args:
        shell: where the file is.
        path: absolute; its directory exists.
        data: what the file will hold.
        mode: its permissions.

    Raises:
        CommandFailed: it could not be written; what was there before is there still.
        ElephaasError: the host could not be asked.
    """
    argv = _argv("write", path, f"{mode:04o}", str(len(data)))
    shell.run(argv, stdin=data)


def remove(shell: Shell, path: str) -> None:
    """Remove one file if it is there.

    Raises:
        CommandFailed: it is there and cannot be removed.
        ElephaasError: the host could not be asked.
    """
    shell.run(_argv("remove", path))


def mark_incomplete(shell: Shell, data_directory: str, words: str) -> None:
    """Write into a data directory that what it holds is not a whole copy.

    Args:
        shell: where the directory is.
        data_directory: an existing directory.
        words: which operation does what there, for who finds it later.

    Raises:
        ElephaasError: it could not be written.
    """
    write_atomically(shell, _inside(data_directory, INCOMPLETE), f"{words}\n".encode())


def clear_incomplete(shell: Shell, data_directory: str) -> None:
    """Take away what ``mark_incomplete`` wrote.

    Raises:
        ElephaasError: it could not be removed.
    """
    remove(shell, _inside(data_directory, INCOMPLETE))


def remove_control(shell: Shell, data_directory: str) -> None:
    """Remove ``global/pg_control``, without which no server starts.

    Raises:
        ServerRuns: PostgreSQL runs there; nothing was changed.
        ElephaasError: the host could not be asked.
    """
    _guarded(shell, "remove-control", data_directory)


def enable(shell: Shell, data_directory: str) -> None:
    """Let a cluster start that was rewound or copied whole: it knows whom to follow.

    Raises:
        ServerRuns: it runs.
        CommandFailed: it could not be done; it still cannot start.
        ElephaasError: the host could not be asked.
    """
    argv = ["sh", "-c", script("enable.sh"), "elephaas", data_directory]
    done = shell.run(argv, ok=(0, _RUNNING))
    if done.status == _RUNNING:
        raise ServerRuns(
            f"PostgreSQL runs in {data_directory} on {shell.host}.", host=shell.host
        )


def obstacles(
    shell: Shell,
    data_directory: str,
    *,
    kinds: Collection[str] = tuple(_OBSTACLES),
    most: int = 5,
) -> tuple[str, ...]:
    """Find what would make ``pg_rewind`` fail half-way, which its dry run passes over.

    Args:
        shell: where the directory is.
        data_directory: of a stopped or running cluster.
        kinds: which are looked for: rsync fails at what is "foreign" alone, as the
            copy makes the user's own files writable first.
        most: how many are told.

    Returns:
        Phrases such as "pg_hba.conf is not writable"; none where all is well.

    Raises:
        CommandFailed: the directory could not be searched.
        ElephaasError: the host could not be asked.
    """
    # Files of a running server come and go: find says so with its exit status.
    done = shell.run(_argv("obstacles", data_directory), ok=(0, 1), timeout=300.0)
    found = []
    for line in done.stdout.splitlines():
        kind, separator, name = line.partition(" ")
        if separator and kind in kinds:
            found.append(_OBSTACLES[kind].format(name or "the data directory"))
    return tuple(found[:most])


def make_empty_directory(shell: Shell, path: str) -> None:
    """Make a directory for a new cluster, or take an empty one (mode 0700).

    Raises:
        PreconditionFailed: something is there already; nothing was changed.
        CommandFailed: it could not be made.
        ElephaasError: the host could not be asked.
    """
    _guarded(shell, "make", path)


def clear_directory(
    shell: Shell, data_directory: str, system_identifier: str, *, words: str = ""
) -> None:
    """Delete what a cluster holds, its tablespaces and linked WAL too.

    The directory itself stays. What makes it able to start goes first, and until all
    is gone the rest is marked as incomplete.

    Args:
        shell: where the directory is.
        data_directory: of a stopped cluster, or of an incomplete copy of one.
        system_identifier: which cluster may be deleted.
        words: what the marker says meanwhile.

    Raises:
        ServerRuns: PostgreSQL runs there; nothing was changed.
        PreconditionFailed: it is no data directory, belongs to another cluster, or is
            the root of a mounted file system; nothing was changed.
        CommandFailed: something could not be deleted; the rest cannot start.
        ElephaasError: the host could not be asked.
    """
    words = words or "a deletion"
    _guarded(shell, "clear", data_directory, system_identifier, words, timeout=3600.0)


def _guarded(
    shell: Shell, verb: str, path: str, *more: str, timeout: float = 60.0
) -> None:
    argv = _argv(verb, path, *more)
    done = shell.run(argv, ok=(0, _REFUSED, _RUNNING), timeout=timeout)
    if done.status != 0:
        refused = ServerRuns if done.status == _RUNNING else PreconditionFailed
        raise refused(
            f"On {shell.host}, {_said(done)}; nothing was changed.",
            host=shell.host,
        )


def _argv(verb: str, path: str, *more: str) -> list[str]:
    return ["sh", "-c", script("files.sh"), "elephaas", verb, path, *more]


def _inside(data_directory: str, name: str) -> str:
    return f"{data_directory.rstrip('/')}/{name}"


def _said(done: Completed) -> str:
    return (done.stderr.strip().splitlines() or [""])[-1]
