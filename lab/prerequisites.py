"""Says what the machine lacks for a lab, and the command that installs it."""

import os
import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from lab.errors import LabError

POSTGRES_ROOT = Path("/usr/lib/postgresql")
_INSTANCE_BYTES = 40_000_000
SEARCH_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True, slots=True)
class Need:
    """A Debian package, and the programs and paths by which its presence is known."""

    package: str
    programs: tuple[str, ...]
    purpose: str
    paths: tuple[str, ...] = ()

    def is_met(self) -> bool:
        """Tell whether every program and path is there."""
        return all(
            shutil.which(name, path=SEARCH_PATH) for name in self.programs
        ) and all(map(os.path.exists, self.paths))


NEEDS = (
    Need("openssh-server", ("sshd",), "every host runs its own sshd"),
    Need("openssh-client", ("ssh", "ssh-keygen"), "the control host logs in over SSH"),
    Need("bind9", ("named",), "the dns host serves the lab's zone"),
    Need("bind9-dnsutils", ("dig", "nsupdate"), "the zone is asked and updated"),
    Need("iproute2", ("ip",), "hosts are wired together"),
    Need("util-linux", ("nsenter", "unshare", "setpriv"), "hosts are namespaces"),
    Need("rsync", ("rsync",), "replicas are rebuilt"),
    Need("postgresql-common", ("pg_lsclusters", "pg_ctlcluster"), "Debian's clusters"),
    Need(
        "python3-psycopg2",
        (),
        "the hosts' agent asks PostgreSQL by it",
        ("/usr/lib/python3/dist-packages/psycopg2",),
    ),
)


def postgres_versions() -> list[str]:
    """Return the installed major versions of the PostgreSQL server, oldest first."""
    programs = POSTGRES_ROOT.glob("*/bin/initdb")
    return sorted((path.parts[-3] for path in programs), key=_version_key)


def _version_key(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdigit())


def choose_postgres(wanted: str | None) -> str:
    """Return ``wanted``, or the newest version that Debian's packages brought."""
    return wanted or postgres_versions()[-1]


def missing(
    needs: tuple[Need, ...] = NEEDS,
    versions: Callable[[], list[str]] = postgres_versions,
) -> list[Need]:
    """Return what is not installed."""
    lacking = [need for need in needs if not need.is_met()]
    if not versions():
        lacking.append(Need("postgresql-15", ("initdb",), "hosts run PostgreSQL"))
    return lacking


def advice(lacking: Sequence[Need]) -> str:
    """Return what is lacking, what for, and the command that installs it."""
    lines = [f"  {need.package}: {need.purpose}" for need in lacking]
    packages = " ".join(need.package for need in lacking)
    return "\n".join(
        [
            "The lab needs Debian packages that are not installed:",
            *lines,
            f"Install them with: apt-get install -y {packages}",
        ]
    )


def require_root() -> None:
    """Raise LabError unless we may make and end namespaces."""
    if os.geteuid() != 0:
        raise LabError(
            "The lab makes network and mount namespaces, which needs root.\n"
            "Run the same command with sudo, or as root."
        )


def require() -> None:
    """Raise LabError unless a lab can be made here; the text says what to do."""
    require_root()
    lacking = missing()
    if lacking:
        raise LabError(advice(lacking))
    _require_overlay()


def _require_overlay() -> None:
    """Have the kernel's overlay file system, loading it where it is a module."""
    if not _knows_overlay() and shutil.which("modprobe", path=SEARCH_PATH):
        subprocess.run(["modprobe", "overlay"], check=False, capture_output=True)
    if not _knows_overlay():
        raise LabError(
            "This kernel has no overlay file system, which every host's /etc needs.\n"
            "Use Debian's own kernel: apt-get install -y linux-image-amd64"
        )


def _knows_overlay() -> bool:
    known = Path("/proc/filesystems").read_text().splitlines()
    return any(line.split()[-1] == "overlay" for line in known)


def require_room(directory: Path, instances: int) -> None:
    """Raise LabError when the disks of so many instances do not fit."""
    needed = instances * _INSTANCE_BYTES
    found = shutil.disk_usage(directory).free
    if found < needed:
        raise LabError(
            f"{instances} instances need {needed / 1e9:.1f} GB in {directory}; "
            f"{found / 1e9:.1f} GB are free there.\n"
            "Ask for fewer hosts, or name a larger place in LAB_STATE_ROOT."
        )
