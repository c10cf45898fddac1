"""Prepares what a host finds at power-on: its /etc and its own directories."""

import os
import re
import secrets
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from lab import agents, clusters, nameserver, sshd
from lab.files import directory, write
from lab.layout import CONTROL, DATA_PARENTS, DNS
from lab.state import LabState

PEER_KEY = "peer_ed25519"
_COPIES_AT_ONCE = 4


def make_all(state: LabState) -> None:
    """Write the keys, the shared /etc and the disk of every host of a new lab."""
    directory(state.keys)
    password = _make_keys(state)
    for host in state.hosts:
        _make_host(state, host)
    for parent in DATA_PARENTS.values():
        directory(state.mount_points / Path(parent).name)
    host_keys = {host: sshd.make_host_key(state, host) for host in state.hosts}
    _make_shared_etc(state, sshd.known_hosts(state, host_keys))
    agents.install(state, state.directory / "etc")
    nameserver.write_disk(state, state.keys / nameserver.KEY_FILE)
    for host in state.database_hosts:
        _make_postgres_home(state, host, password)
    _make_clusters(state, password)
    _give_keys_to_the_owner_of_the_code(state.keys)


def _make_keys(state: LabState) -> str:
    """Make the lab's keys and the replication password; return the password."""
    sshd.make_key(state.keys / sshd.LOGIN_KEY, f"elephaas@{CONTROL}")
    sshd.make_key(state.keys / PEER_KEY, f"{clusters.OWNER}@{state.domain}")
    password = clusters.new_password()
    write(state.keys / nameserver.KEY_FILE, nameserver.make_key(), mode=0o600)
    write(state.keys / clusters.PASSWORD_FILE, password + "\n", mode=0o600)
    agents.make_password(state)
    return password


def _give_keys_to_the_owner_of_the_code(keys: Path) -> None:
    """Let a product that runs as the user who checked it out read what it needs."""
    owner = Path(__file__).stat()
    for path in (keys, *keys.iterdir()):
        os.chown(path, owner.st_uid, owner.st_gid)


def _make_shared_etc(state: LabState, known_hosts: str) -> None:
    """Copy the machine's /etc once: a layer nobody changes underneath the hosts."""
    etc = state.directory / "etc"
    subprocess.run(["cp", "-a", "-T", "/etc", str(etc)], check=True)
    shutil.rmtree(etc / "postgresql", ignore_errors=True)
    # As postgresql-common makes it: empty, and its owner's who makes clusters.
    directory(etc / "postgresql", owner=clusters.OWNER)
    for key in (etc / "ssh").glob("ssh_host_*"):
        key.unlink()
    # On many machines this is a link into /run, which is not the host's.
    (etc / "resolv.conf").unlink(missing_ok=True)
    write(etc / "resolv.conf", nameserver.resolv_conf(state))
    write(etc / "ssh/sshd_config", sshd.SSHD_CONFIG)
    write(etc / "ssh/ssh_known_hosts", known_hosts)
    switch = etc / "nsswitch.conf"
    switch.write_text(re.sub(r"(?m)^hosts:.*$", "hosts: files dns", switch.read_text()))
    shadow = etc / "shadow"
    # With UsePAM no, sshd refuses an account whose password field begins with "!".
    shadow.write_text(
        re.sub(
            rf"(?m)^{clusters.OWNER}:[^:]*:", f"{clusters.OWNER}:*:", shadow.read_text()
        )
    )


def _make_host(state: LabState, host: str) -> None:
    """Make the directories of a host and the files that carry its name."""
    disk = state.disk(host)
    for name in ("etc", "etc-work"):
        directory(disk / name)
    write(disk / "etc/hostname", f"{host}\n")
    address = state.hosts[host].address
    write(
        disk / "etc/hosts",
        f"127.0.0.1 localhost\n{address} {host}.{state.domain} {host}\n",
    )
    if host == CONTROL:
        return
    directory(disk / "tmp", mode=0o1777)
    directory(disk / "log", mode=0o1775, owner=clusters.OWNER)
    if host == DNS:
        return
    for parent in DATA_PARENTS.values():
        directory(clusters.disk_of(state, host, parent), owner=clusters.OWNER)


def _make_postgres_home(state: LabState, host: str, password: str) -> None:
    home = state.disk(host) / "postgresql"
    authorized = [
        (state.keys / f"{name}.pub").read_text().strip()
        for name in (sshd.LOGIN_KEY, PEER_KEY)
    ]
    sshd.write_login(home, clusters.OWNER, authorized, state.keys / PEER_KEY)
    clusters.write_passwords(home, password, agents.pgpass_line(state))


def _make_clusters(state: LabState, password: str) -> None:
    versions = {herd.version for herd in state.herds.values()}
    templates = {
        version: clusters.make_template(state, version, password)
        for version in sorted(versions)
    }
    # PostgreSQL's own identifiers are 63 bits wide in practice.
    identifiers = {herd: secrets.randbits(63) for herd in state.herds}
    with ThreadPoolExecutor(_COPIES_AT_ONCE) as pool:
        copies = [
            pool.submit(_copy_herds, state, templates, identifiers, host)
            for host in state.database_hosts
        ]
        for copy in copies:
            copy.result()


def _copy_herds(
    state: LabState, templates: dict[str, Path], identifiers: dict[str, int], host: str
) -> None:
    for herd in state.herds_on(host):
        template = templates[herd.version]
        clusters.write_member(state, template, herd, identifiers[herd.name], host)
