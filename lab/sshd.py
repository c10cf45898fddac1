"""Makes the SSH side of a lab: host keys, login keys, sshd's configuration."""

import subprocess
from pathlib import Path

from lab.files import directory, write
from lab.state import LabState

LOGIN_KEY = "id_ed25519"
KNOWN_HOSTS = "ssh_known_hosts"

# UsePAM is off because a lab host has no session to set up; MaxStartups is raised
# because sshd's default drops logins when a fleet tool opens many at once.
SSHD_CONFIG = """\
# Made by the lab.
Port 22
HostKey /etc/ssh/ssh_host_ed25519_key
UsePAM no
UseDNS no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
MaxStartups 100:30:200
MaxSessions 10
AcceptEnv LANG LC_*
Subsystem sftp /usr/lib/openssh/sftp-server
"""


def make_key(path: Path, comment: str) -> str:
    """Make an ed25519 key pair at ``path`` and return the public key's line."""
    path.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", str(path)],
        check=True,
        stdin=subprocess.DEVNULL,
    )
    return path.with_suffix(".pub").read_text().strip()


def host_key_path(state: LabState, host: str) -> Path:
    """Return where a host's private key lies on the machine."""
    return state.disk(host) / "etc/ssh/ssh_host_ed25519_key"


def make_host_key(state: LabState, host: str) -> str:
    """Give a host its own key; return the public one as ``type base64``."""
    line = make_key(host_key_path(state, host), f"root@{host}")
    return " ".join(line.split()[:2])


def host_key(state: LabState, host: str) -> str:
    """Return the public key of a host as it is on its disk now: ``type base64``."""
    line = host_key_path(state, host).with_suffix(".pub").read_text()
    return " ".join(line.split()[:2])


def known_hosts(state: LabState, keys: dict[str, str]) -> str:
    """Return an OpenSSH known_hosts text for every name and address of the lab."""
    return "".join(
        f"{host},{host}.{state.domain},{state.hosts[host].address} {key}\n"
        for host, key in keys.items()
    )


def write_login(home: Path, owner: str, authorized: list[str], key_pair: Path) -> None:
    """Let the holders of keys log in as ``owner``, and ``owner`` into other hosts."""
    folder = directory(home / ".ssh", mode=0o700, owner=owner)
    lines = "\n".join(authorized) + "\n"
    write(folder / "authorized_keys", lines, mode=0o600, owner=owner)
    private = key_pair.read_text()
    write(folder / LOGIN_KEY, private, mode=0o600, owner=owner)
    public = key_pair.with_suffix(".pub").read_text()
    write(folder / f"{LOGIN_KEY}.pub", public, owner=owner)
