"""Finds the data directories of a host: each way by itself, then all of them as one."""

from __future__ import annotations

import glob
import os
import re
import shlex
import subprocess
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from pgutil_report import files, lockfiles, pgconf, programs
from pgutil_report.values import Candidate

MOST = 1000
"""Data directories of one host; more are not looked at."""

_CLUSTER = re.compile(
    r"(?P<version>\d\S*)\s+(?P<name>\S+)\s+(?P<port>\d+)\s+\S+\s+\S+"
    r"(?:\s+(?P<directory>/.*?)(?:\s+(?:/|<|syslog).*)?|\s.*)?$"
)
_DIRECTORY_OPTION = re.compile(r"^(?:-D|--pgdata=?)(.*)$")


@dataclass(frozen=True)
class Places:
    """Where to look. The defaults are those of a real host."""

    debian: str = "/etc/postgresql"
    roots: tuple[str, ...] = ()
    sockets: tuple[str, ...] = ("/var/run/postgresql", "/tmp")  # noqa: S108
    units: tuple[str, ...] = (
        "/etc/systemd/system",
        "/run/systemd/system",
        "/usr/lib/systemd/system",
        "/lib/systemd/system",
    )
    distributions: tuple[str, ...] = (
        "/var/lib/postgresql/[0-9]*/*",
        "/var/lib/pgsql/[0-9]*/data",
        "/var/lib/pgsql/data",
    )
    proc: str = "/proc"
    remembered: tuple[str, ...] = ()


def find(places: Places) -> tuple[list[Candidate], list[str]]:
    """Return the candidates, one a data directory, and sentences about what failed."""
    ways: tuple[tuple[str, Callable[[Places], Iterable[Candidate]]], ...] = (
        ("pg_lsclusters", debian_clusters),
        ("process", postmasters),
        ("socket", sockets),
        ("unit", units),
        ("root", roots),
        ("remembered", remembered),
    )
    found: list[Candidate] = []
    troubles = []
    for name, way in ways:
        try:
            for candidate in way(places):
                candidate.found_by = [name]
                found.append(candidate)
        except (OSError, ValueError, subprocess.SubprocessError) as error:
            troubles.append(f"Looking for instances by {name} failed: {error}")
    merged = merge(found)
    if len(merged) > MOST:
        troubles.append(
            f"There are {len(merged)} data directories; the first {MOST} are looked at."
        )
    return merged[:MOST], troubles


def merge(candidates: Iterable[Candidate]) -> list[Candidate]:
    """Return one candidate for each real data directory, knowing what all of them do.

    What was found first counts where two say different things.
    """
    merged: dict[str, Candidate] = {}
    for candidate in candidates:
        real = os.path.realpath(candidate.data_directory)
        if real in merged:
            merged[real].take(candidate)
        else:
            candidate.data_directory = real
            merged[real] = candidate
    return list(merged.values())


def debian_clusters(places: Places) -> Iterator[Candidate]:
    """Find what pg_lsclusters lists, or where it is not, what it would read."""
    try:
        listed = parse_clusters(programs.output(["pg_lsclusters", "--no-header"]))
    except FileNotFoundError:
        listed = [
            (version, name, None, "")
            for version, name in (
                path.split("/")[-3:-1]
                for path in sorted(glob.glob(f"{places.debian}/*/*/postgresql.conf"))
            )
        ]
    for version, name, port, directory in listed:
        configuration = os.path.join(places.debian, version, name)
        # A path may hold spaces, so the list is asked only where its source is closed.
        told = pgconf.read(configuration, configuration).get("data_directory")
        if told or directory:
            yield Candidate(
                told or directory,
                configuration=configuration,
                cluster=name,
                port=port,
            )


def parse_clusters(text: str) -> list[tuple[str, str, int | None, str]]:
    """Return version, name, port and data directory of each line of pg_lsclusters.

    Other lines are passed over: it prints warnings of broken clusters, too.
    """
    found = (_CLUSTER.match(line.strip()) for line in text.splitlines())
    return [
        (line["version"], line["name"], int(line["port"]), line["directory"] or "")
        for line in found
        if line
    ]


def postmasters(places: Places) -> Iterator[Candidate]:
    """Find the postmasters that run on this host, by the directory they work in.

    Only those of our own user can be seen so. One inside of a container works in
    another tree of files: the number in its postmaster.pid is not the one seen here.
    """
    for name in os.listdir(places.proc):
        if not name.isdecimal():
            continue
        try:
            directory = os.readlink(f"{places.proc}/{name}/cwd")
            lock = lockfiles.of_directory(directory)
        except (OSError, ValueError):
            continue
        if lock and lock.pid == int(name):
            yield Candidate(directory, port=lock.port, pid=lock.pid)


def sockets(places: Places) -> Iterator[Candidate]:
    """Find data directories by the lock files beside sockets.

    Anybody can put a file into /tmp: those of others than root and us count for
    nothing.
    """
    for directory in places.sockets:
        for path in sorted(glob.glob(f"{glob.escape(directory)}/.s.PGSQL.*.lock")):
            try:
                text, owner = files.read_with_owner(path, follow=False)
                lock = lockfiles.parse(text, path)
            except (OSError, ValueError):
                continue
            if owner in (0, os.geteuid()):
                yield Candidate(lock.data_directory, port=lock.port)


def units(places: Places) -> Iterator[Candidate]:
    """Find data directories that service units name: PGDATA, or the option -D."""
    for root in places.units:
        escaped = glob.escape(root)
        for pattern in ("postgres*.service", "postgres*.service.d/*.conf"):
            for path in sorted(glob.glob(f"{escaped}/{pattern}")):
                try:
                    text = files.read(path)
                except (OSError, ValueError):
                    continue
                yield from map(Candidate, directories_of_unit(text))


def directories_of_unit(text: str) -> list[str]:
    """Return the data directories in a service unit; those with ``%`` are templates."""
    words: list[str] = []
    for line in text.replace("\\\n", " ").splitlines():
        key, _, value = line.strip().partition("=")
        if key.strip() in ("Environment", "ExecStart"):
            try:
                words += shlex.split(value)
            except ValueError:
                continue
    found = []
    for place, word in enumerate(words):
        option = _DIRECTORY_OPTION.match(word)
        if word.startswith("PGDATA="):
            found.append(word.partition("=")[2])
        elif option:
            found.append(option[1] or "".join(words[place + 1 : place + 2]))
    return [
        directory
        for directory in dict.fromkeys(found)
        if directory.startswith("/") and not set("%$") & set(directory)
    ]


def roots(places: Places) -> Iterator[Candidate]:
    """Find data directories where distributions have them, and below further roots.

    A root is one itself, or holds them directly or one level deeper.
    """
    for pattern in places.distributions:
        for directory in sorted(glob.iglob(pattern)):
            # One that is closed to us is named, so that somebody can open it.
            if _holds_data(directory) or not os.access(directory, os.X_OK):
                yield Candidate(directory)
    for root in places.roots:
        escaped = glob.escape(root.rstrip("/") or "/")
        for pattern in (escaped, f"{escaped}/*", f"{escaped}/*/*"):
            yield from map(Candidate, filter(_holds_data, sorted(glob.iglob(pattern))))


def _holds_data(directory: str) -> bool:
    return os.path.exists(os.path.join(directory, "PG_VERSION"))


def remembered(places: Places) -> Iterator[Candidate]:
    """Find those reported before, which may be stopped in an unusual place by now."""
    return map(Candidate, places.remembered)
