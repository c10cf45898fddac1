"""Makes the lab's DNS zone and the server that takes signed changes to it."""

import base64
import secrets
import time
from pathlib import Path

from lab.files import directory, write
from lab.layout import DNS
from lab.state import LabState

KEY_NAME = "elephaas"
KEY_FILE = "dns.key"
TTL = 5  # seconds; a lab's names are moved often and looked at at once


def make_key() -> str:
    """Return a new TSIG key as BIND and nsupdate read it (RFC 8945, hmac-sha256)."""
    secret = base64.b64encode(secrets.token_bytes(32)).decode()
    return f'key "{KEY_NAME}" {{\n\talgorithm hmac-sha256;\n\tsecret "{secret}";\n}};\n'


def zone_text(state: LabState) -> str:
    """Return the zone at the beginning: hosts, and each herd's name on its primary."""
    lines = [
        "$ORIGIN .",
        f"$TTL {TTL}",
        f"{state.domain}. IN SOA {DNS}.{state.domain}. hostmaster.{state.domain}. "
        f"({int(time.time())} 3600 600 86400 {TTL})",
        f"{state.domain}. IN NS {DNS}.{state.domain}.",
    ]
    lines += [
        f"{host.name}.{state.domain}. IN A {host.address}"
        for host in state.hosts.values()
    ]
    lines += [
        f"{state.vhost(herd.name)}. IN CNAME {herd.members[0]}.{state.domain}."
        for herd in state.herds.values()
    ]
    return "\n".join(lines) + "\n"


def named_conf(state: LabState) -> str:
    """Return named's configuration: one zone, changed only by holders of the key."""
    return f"""\
include "/etc/bind/{KEY_FILE}";
options {{
    directory "/var/cache/bind";
    listen-on {{ any; }};
    listen-on-v6 {{ none; }};
    recursion no;
    dnssec-validation no;
    empty-zones-enable no;
    max-cache-size 4m;
}};
controls {{ }};
zone "{state.domain}" {{
    type primary;
    file "/var/lib/bind/{state.domain}.zone";
    notify no;  // a second server looks for changes itself, as often as it is told to
    update-policy {{ grant "{KEY_NAME}" zonesub ANY; }};
}};
"""


def resolv_conf(state: LabState) -> str:
    """Return resolv.conf(5) for every host; a dead server costs 2 s a name, not 10."""
    return (
        f"search {state.domain}\nnameserver {state.hosts[DNS].address}\n"
        "options timeout:1 attempts:2\n"
    )


def write_disk(state: LabState, key_file: Path) -> None:
    """Put zone, key and configuration on the dns host's disk."""
    disk = state.disk(DNS)
    configuration = disk / "etc/bind"
    directory(configuration, owner="root")
    write(configuration / "named.conf", named_conf(state))
    write(configuration / KEY_FILE, key_file.read_text(), mode=0o640, owner="bind")
    directory(disk / "bind-cache", mode=0o775, owner="bind")
    directory(disk / "bind", mode=0o775, owner="bind")
    zone = disk / f"bind/{state.domain}.zone"
    write(zone, zone_text(state), owner="bind")
