"""Looks at one data directory: its files, then its server if one runs there."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from pgutil_report import controldata, files, lockfiles, pgconf
from pgutil_report.values import PRIMARY, STANDBY, Answer, Candidate, Instance

DEFAULT_PORT = 5432
_MAJOR = re.compile(r"\d{1,2}(\.\d{1,2})?")
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,62}")
_UNTOLD = ("data", "pgdata", "pg_data")
_LOCAL = ("localhost", "127.0.0.1", "::1")
_SOCKETS = "/var/run/postgresql"

Ask = Callable[[str, str, int], Answer]
"""Asks the server of a data directory at a host and port; raises what it likes."""


class NoInstance(Exception):
    """There is no data directory of PostgreSQL in that place (any more)."""


@dataclass(frozen=True)
class Looker:
    """How instances of this host are looked at.

    Attributes:
        host: the name under which the host is reported.
        ask: asks a running server.
        explain: tells a failure of ``ask`` in words.
        is_silence: tells whether such a failure was the lack of any answer.
        names: cluster names by data directory, for those the files do not tell.
    """

    host: str
    ask: Ask
    explain: Callable[[BaseException], str] = str
    is_silence: Callable[[BaseException], bool] = lambda error: False
    names: Mapping[str, str] = field(default_factory=dict)

    def look(self, candidate: Candidate) -> Instance:
        """Return what is seen of one instance.

        Raises:
            NoInstance: when there is none.
        """
        directory = candidate.data_directory
        troubles: list[str] = []
        version = _version(directory, troubles)
        settings = pgconf.read(candidate.configuration or directory, directory)
        lock = _lock(directory, troubles)
        running = _runs(candidate, lock, directory, bool(troubles))
        port = candidate.port or _port(settings)
        if lock and running:
            port = lock.port or port
        seen_at = time.monotonic()
        answer = None
        silent = running is None
        if running is not False:
            try:
                answer = self.ask(directory, _address(lock, settings), port)
                running = True
            # Whatever is wrong with one instance, the others are looked at.
            except Exception as error:
                silent = silent or self.is_silence(error)
                troubles.append(
                    f"The server at port {port} could not be asked: "
                    f"{self.explain(error)}."
                )
        cluster_name = answer.cluster_name if answer else ""
        cluster_name = cluster_name or settings.get("cluster_name", "")
        found = Instance(
            base_name=self.names.get(directory) or base_name(candidate, cluster_name),
            port=port,
            data_directory=directory,
            found_by=tuple(candidate.found_by),
            version=version,
            online=None if silent and not answer else bool(running),
            trouble=" ".join(troubles),
            seen_at=seen_at,
        )
        if answer:
            return self._told(found, answer)
        return self._read(found, settings)

    def _told(self, found: Instance, answer: Answer) -> Instance:
        return _with(
            found,
            version=answer.version or found.version,
            role=STANDBY if answer.is_standby else PRIMARY,
            upstream=self._host(answer.upstream) if answer.is_standby else "",
            position=answer.position,
            system_identifier=answer.system_identifier,
            timeline=answer.timeline,
            streaming=answer.is_streaming,
        )

    def _read(self, found: Instance, settings: Mapping[str, str]) -> Instance:
        """Add what the files tell of an instance that says nothing itself."""
        directory = found.data_directory
        try:
            names = set(os.listdir(directory))
        except OSError:
            return found
        is_standby = "standby.signal" in names or (
            "recovery.conf" in names
            and settings.get("standby_mode", "").lower() in ("on", "true", "yes", "1")
        )
        conninfo = settings.get("primary_conninfo", "")
        upstream: str | None = ""
        if is_standby:
            upstream = self._host(pgconf.host_in(conninfo) or "/") if conninfo else None
        found = _with(found, role=STANDBY if is_standby else PRIMARY, upstream=upstream)
        control = found.online is False and controldata.read(
            directory, found.version or ""
        )
        if not control:
            return found
        return _with(
            found,
            position=control.position,
            system_identifier=control.system_identifier,
            timeline=control.timeline,
        )

    def _host(self, upstream: str | None) -> str | None:
        """Return an upstream's host; whoever is reached locally lives on ours."""
        if upstream and (upstream[0] in "/@" or upstream.lower() in _LOCAL):
            return self.host
        return upstream


def base_name(candidate: Candidate, cluster_name: str) -> str:
    """Return the cluster name by which command line tools know an instance.

    It is Debian's, else the setting cluster_name (of ``15/trade`` the last part), else
    the data directory's own name, or that of the directory above it where it is called
    ``data`` and is not in one that is named after a version. Characters that no cluster
    name has become ``_``.
    """
    if candidate.cluster:
        return candidate.cluster
    last = cluster_name.rstrip("/").rpartition("/")[2]
    if _NAME.fullmatch(last):
        return last
    above, name = os.path.split(candidate.data_directory.rstrip("/"))
    if name.lower() in _UNTOLD:
        parent = os.path.basename(above)
        if parent not in ("pgsql", "postgresql", "") and not parent[0].isdigit():
            name = parent
    return re.sub(r"[^A-Za-z0-9_.-]+", "_", name).lstrip(".-")[:63] or "data"


def _with(found: Instance, **changes: object) -> Instance:
    return Instance(**{**found.__dict__, **changes})


def _version(directory: str, troubles: list[str]) -> str | None:
    """Return the major version a data directory is of; None where it is closed."""
    path = os.path.join(directory, "PG_VERSION")
    try:
        version = files.read(path).strip()
    except (FileNotFoundError, NotADirectoryError):
        raise NoInstance(f"{directory} holds no data of PostgreSQL.") from None
    except (OSError, ValueError) as error:
        troubles.append(f"{path} cannot be read: {_reason(error)}.")
        return None
    if not _MAJOR.fullmatch(version):
        raise NoInstance(f"{path} holds no version of PostgreSQL.")
    return version


def _lock(directory: str, troubles: list[str]) -> lockfiles.LockFile | None:
    try:
        return lockfiles.of_directory(directory)
    except (OSError, ValueError) as error:
        troubles.append(f"postmaster.pid cannot be read: {_reason(error)}.")
        return None


def _reason(error: Exception) -> str:
    told = getattr(error, "strerror", None) or str(error)
    return told.rstrip(".")


def _runs(
    candidate: Candidate,
    lock: lockfiles.LockFile | None,
    directory: str,
    in_doubt: bool,
) -> bool | None:
    """Tell whether a postmaster runs there; None where that cannot be seen."""
    numbers = [pid for pid in (candidate.pid, lock and lock.pid) if pid]
    if any(lockfiles.is_postmaster(pid, directory) for pid in numbers):
        return True
    return None if in_doubt else False


def _port(settings: Mapping[str, str]) -> int:
    told = settings.get("port", "")
    return int(told) if told.isdecimal() and 0 < int(told) < 65536 else DEFAULT_PORT


def _address(lock: lockfiles.LockFile | None, settings: Mapping[str, str]) -> str:
    """Return where a server is asked: its socket's directory, else its address."""
    if lock and lock.socket_directory.startswith("/"):
        return lock.socket_directory
    if lock and lock.listen:
        return "localhost" if lock.listen in ("*", "0.0.0.0", "::") else lock.listen  # noqa: S104
    told = settings.get("unix_socket_directories", "").split(",")[0].strip(' "')
    return told if told.startswith("/") else _SOCKETS
