"""Installs what ElepHaaS needs on this machine, and says so before it does.

    python3 -m tools.setup [--tests] [--bench] [--packages] [--dry-run]

Debian packages are installed as root; for anybody else the command is printed. Python
packages go into ``.venv``. Nothing is done where nothing is missing. This runs under
the machine's own Python, before there is an environment, so it imports nothing that is
not in the standard library.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes.util
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from sysconfig import get_paths

PROJECT = Path(__file__).resolve().parent.parent
ENVIRONMENT = PROJECT / ".venv"
OLDEST_PYTHON = (3, 11)

# Debian asks this program before it starts a service that was just installed; 101
# forbids it (README.policy-rc.d.gz of init-system-helpers, invoke-rc.d(8)).
POLICY = Path("/usr/sbin/policy-rc.d")
POLICY_TEXT = """\
#!/bin/sh
# Put here by `make setup` of ElepHaaS while it installs packages. If you find it,
# the setup was ended half-way: delete it, or run the setup again.
exit 101
"""

# The services that come with our packages. The lab runs its own inside its hosts; the
# machine itself must not offer SSH, DNS or PostgreSQL because somebody tried a demo.
SERVICES = {
    "openssh-server": "ssh.service",
    "bind9": "named.service",
    "postgresql-common": "postgresql.service",
    "etcd-server": "etcd.service",
    "patroni": "patroni.service",
    "slapd": "slapd.service",
}

FONT = Path("/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf")


@dataclass(frozen=True)
class Extra:
    """A Debian package that is needed beside those of the lab."""

    package: str
    purpose: str
    is_there: Callable[[], object]


def _program(package: str, name: str, purpose: str) -> Extra:
    return Extra(package, purpose, lambda: shutil.which(name))


def _extension(package: str, name: str, purpose: str) -> Extra:
    control = Path("/usr/share/postgresql/15/extension") / f"{name}.control"
    return Extra(package, purpose, control.exists)


def _header(package: str, file: str) -> Extra:
    return Extra(package, "LDAP logins are built with it", Path(file).exists)


FOR_ALL = (
    # Debian leaves this part out of python3; without it an environment has no pip.
    Extra(
        "python3-venv",
        "Python packages get a place of their own",
        lambda: importlib.util.find_spec("ensurepip"),
    ),
)
FOR_PACKAGES = (
    _program("dpkg-dev", "dpkg-buildpackage", "Debian packages are built"),
    _program("debhelper", "dh", "Debian packages are built"),
    _program("rpm", "rpmbuild", "RPMs are built"),
    _program("gcc", "gcc", "LDAP logins are built for this machine"),
    # Packages are for the distribution's Python, which need not be the one at work now.
    Extra(
        "python3-dev",
        "LDAP logins are built with it",
        lambda: any(Path("/usr/include").glob("python3*/Python.h")),
    ),
    _header("libldap-dev", "/usr/include/ldap.h"),
    _header("libsasl2-dev", "/usr/include/sasl/sasl.h"),
)
FOR_CHECKED_PACKAGES = (
    *FOR_PACKAGES,
    _program("lintian", "lintian", "Debian packages are checked"),
)
FOR_TESTS = (
    *FOR_PACKAGES,
    _program("mmdebstrap", "mmdebstrap", "packages are tried in a clean Debian"),
    _program("chromium", "chromium", "the tests look at the pages"),
    Extra("fonts-dejavu-core", "pages are drawn with letters", FONT.exists),
    Extra(
        "libatomic1",
        "the driver of the browser is built on it",
        lambda: ctypes.util.find_library("atomic"),
    ),
    _program("busybox", "busybox", "the tests try another shell"),
    _program("slapd", "slapd", "the tests log in at a directory"),
    _header("python3-dev", f"{get_paths()['include']}/Python.h"),
)
FOR_BENCH = (
    _program("pssh", "parallel-ssh", "the benchmark compares with it"),
    _program("ansible-core", "ansible", "the benchmark compares with it"),
    _program("repmgr-common", "repmgr", "the benchmark compares with it"),
    _extension("postgresql-15-repmgr", "repmgr", "repmgr keeps its tables by it"),
    _program("patroni", "patronictl", "the benchmark compares with it"),
    _program("etcd-server", "etcd", "patroni keeps its leader there"),
    # Debian only suggests it, as patroni can do with other stores.
    Extra(
        "python3-etcd",
        "patroni talks to etcd by it",
        Path("/usr/lib/python3/dist-packages/etcd").is_dir,
    ),
    _program("pg-auto-failover-cli", "pg_autoctl", "the benchmark compares with it"),
    _extension(
        "postgresql-15-auto-failover",
        "pgautofailover",
        "pg_auto_failover's monitor is one",
    ),
)


class SetupError(Exception):
    """Something that the person has to do first; the text says what."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Set up what was asked for; return the exit status."""
    chosen = _parser().parse_args(arguments)
    try:
        _require_python()
        packages = missing_packages(
            tests=chosen.tests, bench=chosen.bench, packages=chosen.packages
        )
        if chosen.dry_run:
            print("\n".join(packages) or "No Debian package is missing.")
            return 0
        if packages:
            install_packages(packages)
        make_environment(tests=chosen.tests or chosen.bench)
        if chosen.tests:
            install_majors()
    except SetupError as error:
        print(error, file=sys.stderr)
        return 1
    except subprocess.CalledProcessError as failed:
        print(
            f"Setup stopped: `{' '.join(map(str, failed.cmd))}` ended with exit status "
            f"{failed.returncode}. What it said stands above; correct it and run the "
            "same command again.",
            file=sys.stderr,
        )
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python3 -m tools.setup",
        description="Install what ElepHaaS needs on this machine.",
    )
    parser.add_argument(
        "--tests", action="store_true", help="also what the tests and linters need"
    )
    parser.add_argument(
        "--bench", action="store_true", help="also the tools the benchmark compares"
    )
    parser.add_argument(
        "--packages", action="store_true", help="also what packages are built with"
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="only name the missing Debian packages"
    )
    return parser


def _require_python() -> None:
    if sys.version_info < OLDEST_PYTHON:
        raise SetupError(
            f"ElepHaaS needs Python {'.'.join(map(str, OLDEST_PYTHON))} or newer; "
            f"{sys.executable} is {sys.version.split()[0]}. "
            "Debian 12 has it: run this on Debian 12 or newer."
        )


def missing_packages(
    *, tests: bool, bench: bool, packages: bool = False
) -> dict[str, str]:
    """Return the Debian packages that are not installed, each with what it is for.

    Args:
        tests: look for those of the tests too.
        bench: look for those of the benchmark too.
        packages: look for those that packages are built with too.
    """
    from lab import prerequisites

    extras = [
        *FOR_ALL,
        *(FOR_TESTS if tests else ()),
        *(FOR_BENCH if bench else ()),
        *(FOR_CHECKED_PACKAGES if packages else ()),
    ]
    lacking = [extra for extra in extras if not extra.is_there()]
    return {need.package: need.purpose for need in [*prerequisites.missing(), *lacking]}


def install_packages(packages: dict[str, str]) -> None:
    """Install Debian packages; no service of theirs starts, now or at boot.

    Raises:
        SetupError: when this is not root, or not Debian; nothing was done.
        CalledProcessError: when apt-get fails.
    """
    names = sorted(packages)
    print("Missing on this machine:", flush=True)
    for name in names:
        print(f"  {name}: {packages[name]}", flush=True)
    install = ["apt-get", "install", "-y", "--no-install-recommends", *names]
    if shutil.which("apt-get") is None:
        raise SetupError(
            "This machine has no apt-get. The demo and the tests run on Debian 12; "
            "elsewhere install the programs of the packages above, then try again."
        )
    if os.geteuid() != 0:
        raise SetupError(
            "Installing them takes root. Run this, then the same command again:\n"
            f"  sudo apt-get update && sudo {' '.join(install)}"
        )
    print(
        "Installing them with apt-get now. Their services (SSH, DNS, PostgreSQL) are "
        "neither started on this machine nor enabled at boot.",
        flush=True,
    )
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    # Asked before, because afterwards nobody knows whether a service was wanted.
    new = [SERVICES[name] for name in names if name in SERVICES]
    with _no_service_starts():
        subprocess.run(["apt-get", "update", "-q"], env=quiet, check=True)
        subprocess.run([*install, "-q"], env=quiet, check=True)
    if new and shutil.which("systemctl"):
        subprocess.run(["systemctl", "disable", "--quiet", *new], check=False)


@contextlib.contextmanager
def _no_service_starts() -> Iterator[None]:
    """Forbid the start of installed services, unless the machine has its own policy."""
    if POLICY.exists() and POLICY.read_text() != POLICY_TEXT:
        yield
        return
    POLICY.write_text(POLICY_TEXT)
    POLICY.chmod(0o755)
    try:
        yield
    finally:
        POLICY.unlink()


def make_environment(*, tests: bool) -> None:
    """Make ``.venv``, and install our requirements where they have changed.

    Args:
        tests: install those of the tests and linters too.

    Raises:
        CalledProcessError: when venv or pip fails.
    """
    python = ENVIRONMENT / "bin" / "python"
    if not _works(python):
        print(f"Making {ENVIRONMENT.name} …", flush=True)
        subprocess.run(
            [sys.executable, "-m", "venv", "--clear", str(ENVIRONMENT)], check=True
        )
    wanted = "requirements-dev.txt" if tests else "requirements.txt"
    if _is_installed(wanted):
        return
    print(f"Installing the Python packages of {wanted} into .venv …", flush=True)
    subprocess.run(
        [
            *(str(python), "-m", "pip", "install"),
            *("--quiet", "--disable-pip-version-check", "--requirement", wanted),
        ],
        cwd=PROJECT,
        check=True,
    )
    _stamp(wanted).write_text(_digest(wanted))


def install_majors() -> None:
    """Install the majors of PostgreSQL that Debian lacks, for the tests on them.

    Where they cannot be had it is said, and nothing else stops: those tests are
    skipped then, with the same reason.
    """
    from lab import majors
    from lab.errors import LabError

    try:
        majors.install(print, ENVIRONMENT / "bin" / "python")
    except LabError as error:
        print(f"Tests on other majors of PostgreSQL cannot run. {error}", flush=True)


def _works(python: Path) -> bool:
    """Tell whether an environment can run; a moved or half-made one cannot."""
    try:
        return (
            subprocess.run(
                [python, "-c", "import pip"], stderr=subprocess.DEVNULL, check=False
            ).returncode
            == 0
        )
    except OSError:
        return False


def _is_installed(wanted: str) -> bool:
    """Tell whether a file's requirements, or a larger file's, are installed as now."""
    larger = ("requirements-dev.txt",) if wanted == "requirements.txt" else ()
    return any(
        _stamp(name).exists() and _stamp(name).read_text() == _digest(name)
        for name in (wanted, *larger)
    )


def _stamp(name: str) -> Path:
    return ENVIRONMENT / f"installed-{name}"


def _digest(name: str) -> str:
    """Return what changes when requirements have to be installed anew."""
    return hashlib.sha256("".join(_requirements(name)).encode()).hexdigest()


def _requirements(name: str) -> Iterator[str]:
    """Give the lines of a file of requirements, and of those it includes."""
    for line in (PROJECT / name).read_text(encoding="utf-8").splitlines(keepends=True):
        yield line
        if line.startswith("-r "):
            yield from _requirements(line.split()[1])


if __name__ == "__main__":
    sys.exit(main())
