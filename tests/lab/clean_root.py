"""A clean Debian 12 of its own, whose network is that of the lab's control host.

It is made by mmdebstrap from Debian's own packages and holds what ours depend on, and
nothing else. There is no systemd at work in it: services are started by what their
units say.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from lab import Lab
from tools.stage import CACHE

SUITE = "bookworm"
PACKAGES = (
    *("adduser", "openssh-client", "python3", "python3-psycopg2"),
    *("libldap-2.5-0", "libgcc-s1", "zlib1g", "ca-certificates"),
)
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

_MOUNT = """
set -e
mount -t overlay overlay -o "lowerdir=$1,upperdir=$2/upper,workdir=$2/work" "$2/root"
mount -t proc proc "$2/root/proc"
mount --rbind /dev "$2/root/dev"
mount -t tmpfs tmpfs "$2/root/run"
mkdir -p "$2/root$3"
mount --bind "$3" "$2/root$3"
echo ready
exec sleep infinity
"""


def base() -> Path:
    """Make the clean root, or find it as it was made before.

    Raises:
        CalledProcessError: Debian's packages cannot be had.
    """
    digest = hashlib.sha256(f"{SUITE} {PACKAGES}".encode()).hexdigest()[:16]
    kept = CACHE / f"root-{digest}"
    if not kept.is_dir():
        CACHE.mkdir(parents=True, exist_ok=True)
        made = Path(tempfile.mkdtemp(prefix="root-", dir=CACHE))
        try:
            subprocess.run(
                [
                    *("mmdebstrap", "--quiet", "--variant=minbase"),
                    *(f"--include={','.join(PACKAGES)}", SUITE, str(made / "root")),
                ],
                check=True,
                stdin=subprocess.DEVNULL,
            )
            (made / "root").rename(kept)
        finally:
            shutil.rmtree(made, ignore_errors=True)
    return kept


class CleanRoot:
    """The clean Debian while it is used; what is written to it goes with it.

    Args:
        lab: whose control host's network and names it has.
        shared: a directory of the machine that is seen in it under the same path.
    """

    def __init__(self, lab: Lab, shared: Path) -> None:
        from lab import access
        from lab.layout import CONTROL

        self.complaint = ""  # what the last program said on standard error
        self._folder = Path(tempfile.mkdtemp(prefix="clean-", dir=CACHE))
        for name in ("upper", "work", "root"):
            (self._folder / name).mkdir()
        init = access.init_of(lab.state, CONTROL)
        self._holder = subprocess.Popen(
            [
                *("nsenter", f"--target={init.pid}", "--net", "--uts"),
                *("unshare", "--mount", "--propagation=private"),
                *("sh", "-c", _MOUNT, "sh", str(base()), str(self._folder)),
                str(shared),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._holder.stdout is not None
        assert self._holder.stdout.readline() == "ready\n"
        for file in ("/etc/hosts", "/etc/resolv.conf"):
            self.write(file, lab.exec(CONTROL, ["cat", file]).stdout)

    def command(
        self,
        argv: Sequence[str],
        *,
        user: str = "",
        environment: Mapping[str, str] | None = None,
        directory: str = "/",
    ) -> list[str]:
        """Give the command line that runs a program in this root.

        A user gets what systemd gives to a service: its groups, home and name.
        """
        variables = {"PATH": _PATH, "LANG": "C.UTF-8", "HOME": "/root"}
        become: list[str] = []
        if user:
            become = ["setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups"]
            become += ["--no-new-privs", "--"]
            home = self.run(["getent", "passwd", user]).split(":")[5]
            variables |= {"HOME": home, "USER": user, "LOGNAME": user}
        variables |= environment or {}
        inside = ["chroot", str(self._folder / "root"), "env", "-i", f"-C{directory}"]
        inside += [f"{name}={value}" for name, value in variables.items()]
        spaces = [
            "nsenter",
            f"--target={self._holder.pid}",
            "--mount",
            "--net",
            "--uts",
        ]
        return [*spaces, *inside, *become, *argv]

    def run(self, argv: Sequence[str], status: int = 0, **options: str) -> str:
        """Run a program, which has to end with a status, and give what it printed."""
        done = subprocess.run(
            self.command(argv, environment=options),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        said = f"{' '.join(argv)}\n{done.stdout}\n{done.stderr}"
        assert done.returncode == status, said
        self.complaint = done.stderr
        return done.stdout

    def write(self, file: str, text: str) -> None:
        """Write a file as root, keeping its owner and mode if it is there."""
        subprocess.run(
            self.command(["tee", file]),
            input=text,
            text=True,
            check=True,
            stdout=subprocess.DEVNULL,
        )

    def install(self, package: Path) -> str:
        """Install a package with dpkg; what it depends on has to be there."""
        name = f"/var/tmp/{package.name}"
        with package.open("rb") as source:
            subprocess.run(
                self.command(["tee", name]),
                stdin=source,
                check=True,
                stdout=subprocess.DEVNULL,
            )
        # What is installed here need not survive a power cut.
        dpkg = ["dpkg", "--force-unsafe-io", "--install", name]
        return self.run(dpkg, DEBIAN_FRONTEND="noninteractive")

    def rpm(self, *words: str) -> str:
        """Run the machine's rpm on this root, which has none; give what was printed.

        Its own database knows nothing of what Debian's packages brought.
        """
        root = self._folder / "root"
        spaces = ["nsenter", f"--target={self._holder.pid}", "--mount", "--net"]
        done = subprocess.run(
            [*spaces, "rpm", "--root", str(root), "--nodeps", "--nodigest", *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"rpm {' '.join(words)}\n{done.stdout}"
        return done.stdout

    def close(self) -> None:
        """End it, and take away what was written to it."""
        self._holder.send_signal(signal.SIGKILL)
        self._holder.wait()
        if self._holder.stdout is not None:
            self._holder.stdout.close()
        shutil.rmtree(self._folder, ignore_errors=True)


def unit(text: str) -> dict[str, list[str]]:
    """Read the section Service of a unit: values by name (systemd.syntax(7))."""
    found: dict[str, list[str]] = {}
    section = ""
    for line in text.splitlines():
        if line.startswith("["):
            section = line.strip()
        elif section == "[Service]" and "=" in line and not line.startswith("#"):
            name, _, value = line.partition("=")
            found.setdefault(name, []).append(value)
    return found


def is_root() -> bool:
    """Tell whether roots can be made here."""
    return os.geteuid() == 0
