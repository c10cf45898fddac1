"""Where a copy comes from, and whether the target's host reaches it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from psycopg.conninfo import make_conninfo

from herds.domain.probe import Probe
from herds.errors import PreconditionFailed
from herds.ssh.shell import Shell

from .look import script

_TIMEOUT = 15.0  # seconds; libpq itself gives up after 10

# Neither program has a time limit, and none of their servers has one for a client that
# is cut off: each end is told to ask after the other (in seconds and milliseconds).
_ALIVE = {
    "connect_timeout": "10",
    "tcp_user_timeout": "60000",
    "keepalives_idle": "20",
    "keepalives_interval": "10",
    "keepalives_count": "4",
    "options": (
        "-c tcp_user_timeout=60000 -c tcp_keepalives_idle=20"
        " -c tcp_keepalives_interval=10 -c tcp_keepalives_count=4"
    ),
}


@dataclass(frozen=True, kw_only=True)
class CopySource:
    """A server as ``pg_rewind`` and ``pg_basebackup`` connect to it.

    ``host`` is its own name: the virtual host may lead elsewhere, or to the target.
    ``options`` are further parameters of libpq, such as those of TLS or a password
    file. Without a ``password`` libpq looks for one in ``~/.pgpass`` of the target.
    """

    host: str
    port: int
    user: str
    options: Mapping[str, str] = field(default_factory=dict)
    password: str = field(default="", repr=False)

    def conninfo(self, **more: str) -> str:
        """Write the connection string, without the password, which argv must not hold.

        Args:
            more: parameters such as ``dbname``.
        """
        told = {"host": self.host, "port": str(self.port), "user": self.user}
        return make_conninfo(**{**_ALIVE, **self.options, **told, **more})

    def password_line(self) -> bytes:
        """Write what the scripts read from standard input."""
        return f"{self.password}\n".encode()


def connection_trouble(target: Shell, source: CopySource, *, bin_directory: str) -> str:
    """Try an ordinary connection from the target, as ``pg_rewind`` makes it.

    Returns:
        The server's or libpq's own words; nothing where it works.

    Raises:
        ElephaasError: the target could not be asked.
    """
    return ask_source(target, source, bin_directory, "SELECT 1", dbname="postgres")[1]


def replication_trouble(
    target: Shell, source: CopySource, *, bin_directory: str
) -> str:
    """Try a replication connection from the target, as ``pg_basebackup`` makes it.

    Returns:
        The server's or libpq's own words; nothing where it works.

    Raises:
        ElephaasError: the target could not be asked.
    """
    return ask_source(
        target, source, bin_directory, "IDENTIFY_SYSTEM", replication="true"
    )[1]


def ask_source(
    target: Shell, source: CopySource, bin_directory: str, sql: str, **parameters: str
) -> tuple[str, str]:
    """Run one statement on the source over a connection from the target.

    Returns:
        The rows, and what went wrong; one of them is empty.

    Raises:
        ElephaasError: the target could not be asked.
    """
    done = target.run(
        [
            *("sh", "-c", script("copy_source.sh"), "elephaas", bin_directory),
            *(source.conninfo(**parameters), sql),
        ],
        ok=None,
        timeout=_TIMEOUT,
        stdin=source.password_line(),
    )
    if done.status == 0:
        return done.stdout.strip("\n"), ""
    said = done.stderr.strip().removeprefix("psql: error: ")
    return "", " ".join(said.split()) or f"psql ended with exit status {done.status}"


def bin_directory(probe: Probe, major: str = "") -> str:
    """Find PostgreSQL's programs of a major version on a host.

    Args:
        probe: what was seen there.
        major: which one is wanted, such as ``"15"``; the existing cluster's where it
            is left out.

    Raises:
        PreconditionFailed: that version is not installed there.
    """
    wanted = major.partition(".")[0] or probe.seen.version.partition(".")[0]
    if probe.bin_directory and probe.seen.version.partition(".")[0] == wanted:
        return probe.bin_directory
    for directory in probe.installed:
        # /usr/lib/postgresql/15/bin, /usr/pgsql-15/bin
        if PurePosixPath(directory).parent.name in {wanted, f"pgsql-{wanted}"}:
            return directory
    raise PreconditionFailed(
        f"PostgreSQL {wanted or 'of the needed version'} is not installed there.",
        hint="Install it on the host, then try again.",
    )
