"""Examines the ways out: the SSH key, some of the hosts, and DNS."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from herds import conf
from herds.domain.clock import SystemClock
from herds.errors import ElephaasError
from herds.models import Herd, Server
from herds.services import naming, servers

from .finding import Finding, attention, broken, fine, unknown

AT_ONCE = 8


def ssh_key() -> Iterator[Finding]:
    """Compute the public half of the private key and compare it with PUBLIC_KEY."""
    path = conf.ssh().private_key_file
    try:
        half = servers.public_half()
    except ElephaasError as error:
        yield broken(
            "ssh key",
            error.message,
            "Make a pair as the service's user: ssh-keygen -t ed25519 -N '' "
            f"-C elephaas -f {path}",
        )
        return
    shown = conf.public_key().split()[:2]
    if not shown:
        yield attention(
            "ssh key",
            "PUBLIC_KEY is empty: people cannot be told what to put on hosts.",
            f"Set it in the local settings to: {half}",
        )
    elif shown != half.split():
        yield broken(
            "ssh key",
            f"PUBLIC_KEY is not the public half of {path}: hosts refuse this service.",
            f"Set it in the local settings to: {half}",
        )
    else:
        yield fine("ssh key", f"{path} can be used, and PUBLIC_KEY is its other half.")


def reached(count: int) -> Iterator[Finding]:
    """Log in on some hosts, those nobody has changed for longest first.

    Args:
        count: how many, at most.
    """
    total = Server.objects.count()
    chosen = list(Server.objects.order_by("modified_dt", "server_id")[:count])
    if not total:
        yield attention(
            "hosts",
            "No server is registered yet.",
            "Add one on the page Servers, or run: manage.py import_fleet",
        )
        return
    with ThreadPoolExecutor(AT_ONCE) as pool:
        findings = [each for each in pool.map(_login, chosen) if each]
    yield from findings
    if len(findings) < len(chosen):
        let_in = len(chosen) - len(findings)
        yield fine(
            "hosts",
            f"{let_in} of {len(chosen)} tried let this service in; "
            f"{total} are registered.",
        )


def _login(server: Server) -> Finding | None:
    """Log in on a host; None where that works."""
    try:
        key = servers.pinned_key(server)
        if key is None:
            return attention(
                "hosts",
                f"The host key of {server.hostname} was never accepted.",
                "Compare and accept it on the server's page.",
            )
        servers.check_login(server.hostname, key)
    except ElephaasError as error:
        return attention("hosts", error.message, error.hint)
    return None


def dns(count: int) -> Iterator[Finding]:
    """Look some virtual hosts up, and ask whether this service may move them.

    Args:
        count: how many, at most.
    """
    found = naming.nameserver(conf.dns(), SystemClock())
    if found is None:
        yield fine("dns", "Virtual hosts are not managed (the setting DNS is empty).")
        return
    names = Herd.objects.exclude(vhost="").order_by("vhost")
    vhosts = list(names.values_list("vhost", flat=True).distinct()[:count])
    if not vhosts:
        yield unknown(
            "dns",
            "No herd has a virtual host, so the key was not tried.",
            "Enter one on a herd's page.",
        )
        return
    well = 0
    for vhost in vhosts:
        try:
            proof = found.prove_right(found.look(vhost))
        except ElephaasError as error:
            yield attention("dns", error.message, error.hint)
            continue
        if proof.granted:
            well += 1
        else:
            yield attention(
                "dns",
                f"{vhost} cannot be moved: {proof.words} ({proof.rcode}).",
                "Compare the key, both clocks and the zone's update-policy; "
                "docs/settings.md tells how.",
            )
    if well:
        yield fine("dns", f"{well} of {len(vhosts)} virtual hosts can be moved.")
