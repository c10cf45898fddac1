"""Builds the packages into ``dist/``: ``python3 -m tools.package deb`` or ``rpm``.

What is built is the checkout as it is, in a copy outside of it. A package whose sources
have not changed since it was built last is taken from where that one was kept.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from tools.stage import CACHE, PROJECT

DIST = PROJECT / "dist"
RELEASE = "2.0.0"

# What packages are made of; a test or a benchmark makes none new.
SOURCES = (
    *("debian", "docs", "elephaas", "herds", "packaging", "pgutil_report", "rpm"),
    *("static", "templates", "tools", "manage.py", "CHANGELOG.md", "LICENSE"),
    *("requirements.txt", "requirements-ldap.txt"),
)

_KEPT = 3  # builds of a kind

NEEDS = {
    "deb": ("dpkg-buildpackage", "dpkg-dev, debhelper and fakeroot"),
    "rpm": ("rpmbuild", "rpm"),
}


class PackageError(Exception):
    """No package can be built; the text says why and what to do."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Build the packages of a kind into ``dist/``; give the exit status."""
    parser = argparse.ArgumentParser(prog="python3 -m tools.package")
    parser.add_argument("kind", choices=BUILDERS)
    kind = parser.parse_args(arguments).kind
    try:
        found = built(kind)
    except PackageError as error:
        print(error, file=sys.stderr)
        return 1
    DIST.mkdir(exist_ok=True)
    for package in found:
        shutil.copy(package, DIST / package.name)
        print(DIST / package.name)
    return 0


def built(kind: str) -> list[Path]:
    """Build the packages of a kind, or find them as they were built before.

    Raises:
        PackageError: a program is missing, or the build failed.
    """
    kept = CACHE / f"{kind}-{digest()}"
    if not kept.is_dir():
        program, packages = NEEDS[kind]
        if shutil.which(program) is None:
            raise PackageError(
                f"There is no {program} here. Install it with: apt-get install "
                f"{packages.replace(', ', ' ').replace(' and ', ' ')}"
            )
        CACHE.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="build-", dir=CACHE) as folder:
            results = Path(folder) / "results"
            results.mkdir()
            BUILDERS[kind](_copied(Path(folder)), results)
            results.rename(kept)
        _forget_older(kind)
    return sorted(kept.glob(f"*.{kind}"))


def _forget_older(kind: str) -> None:
    """Delete what was built before, but for the last few."""
    found = sorted(CACHE.glob(f"{kind}-*"), key=lambda each: -each.stat().st_mtime)
    for each in found[_KEPT:]:
        shutil.rmtree(each, ignore_errors=True)


def digest() -> str:
    """Return what changes when a package would."""
    found = hashlib.sha256(sys.version.encode())
    for path in _sources():
        mode = os.access(path, os.X_OK)
        found.update(f"{path.relative_to(PROJECT)} {mode}\n".encode())
        found.update(path.read_bytes())
    return found.hexdigest()[:16]


def _sources() -> list[Path]:
    """Give every file of the checkout that git knows, or would take."""
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude=__pycache__"],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    private = {"elephaas/local_settings.py"}
    return [
        PROJECT / name
        for name in sorted(set(listing.split("\0")) - private)
        if name.partition("/")[0] in SOURCES and (PROJECT / name).is_file()
    ]


def _copied(folder: Path) -> Path:
    """Copy the sources, to be built without touching the checkout."""
    copy = folder / f"elephaas-{RELEASE}"
    for path in _sources():
        target = copy / path.relative_to(PROJECT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    return copy


def _deb(sources: Path, results: Path) -> None:
    _run(["dpkg-buildpackage", "-b", "-us", "-uc", "-d"], sources)
    for package in sources.parent.glob("*.deb"):
        package.rename(results / package.name)


def _rpm(sources: Path, results: Path) -> None:
    archive = sources.parent / f"{sources.name}.tar"
    _run(["tar", "-cf", str(archive), sources.name], sources.parent)
    top = sources.parent / "rpmbuild"
    for spec in sorted((sources / "rpm").glob("*.spec")):
        _run(
            [
                *("rpmbuild", "-bb", "--nodeps", "--define", f"_topdir {top}"),
                *("--define", f"_sourcedir {sources.parent}", str(spec)),
            ],
            sources,
        )
    for package in top.glob("RPMS/*/*.rpm"):
        package.rename(results / package.name)


BUILDERS: dict[str, Callable[[Path, Path], None]] = {"deb": _deb, "rpm": _rpm}


def _run(command: list[str], folder: Path) -> None:
    """Run a program quietly; show the end of what it said where it fails.

    Raises:
        PackageError: it failed.
    """
    pip = os.environ.get("ELEPHAAS_BUILD_PIP", str(PROJECT / ".venv/bin/python"))
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, "ELEPHAAS_BUILD_PIP": pip, "LC_ALL": "C.UTF-8"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        end = "\n".join(done.stdout.splitlines()[-40:])
        raise PackageError(
            f"{end}\n\n{command[0]} ended with exit status {done.returncode}; no "
            "package was built."
        )


if __name__ == "__main__":
    sys.exit(main())
