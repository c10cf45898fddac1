"""Runs the few programs that tell about clusters; each has a time limit."""

from __future__ import annotations

import os
import subprocess

SECONDS = 10.0
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_BINARIES = ("/usr/lib/postgresql/{}/bin", "/usr/pgsql-{}/bin", "/usr/local/pgsql/bin")


def output(argv: list[str], seconds: float = SECONDS) -> str:
    """Return what a program prints, in English.

    Raises:
        OSError: when there is no such program, or it cannot be run.
        subprocess.SubprocessError: when it fails or takes too long.
    """
    done = subprocess.run(
        argv,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        timeout=seconds,
        check=True,
        cwd="/",
        env={"PATH": _PATH, "LC_ALL": "C", "HOME": os.environ.get("HOME", "/")},
    )
    return done.stdout.decode("utf-8", "surrogateescape")


def of_major(name: str, major: str) -> str:
    """Return the path of a major's own program; where it is not found, its name."""
    for pattern in _BINARIES:
        path = os.path.join(pattern.format(major), name)
        if os.access(path, os.X_OK):
            return path
    return name
