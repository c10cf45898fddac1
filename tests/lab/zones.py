"""A second real name server in a lab, and changes of the lab's zone by hand."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from herds.nameserver.key import TsigKey, load_key
from lab import Lab
from tests.lab.polling import eventually

GUARDED = "guarded.test"
"""A zone whose policy lets the key change one name only, ``open``."""

BROKEN = "broken.test"
"""A zone that its server cannot load."""

_ROOT = "/tmp/second-nameserver"

_CONFIGURATION = """\
key "{key.name}" {{ algorithm {key.algorithm}; secret "{key.secret}"; }};
options {{
    directory "{root}";
    pid-file "{root}/pid";
    session-keyfile "{root}/session.key";
    listen-on {{ any; }};
    listen-on-v6 {{ none; }};
    recursion no;
    dnssec-validation no;
    empty-zones-enable no;
    max-cache-size 4m;
}};
controls {{ }};
zone "{domain}" {{
    type secondary;
    file "copy";
    primaries {{ {primary}; }};
    {manner}
}};
zone "{guarded}" {{
    type primary;
    file "guarded";
    update-policy {{ grant "{key.name}" name open.{guarded} CNAME; }};
}};
zone "{broken}" {{ type primary; file "no-such-file"; }};
"""

FOLLOWS = "min-refresh-time 1; max-refresh-time 1; max-retry-time 1;"
"""How a second server copies the zone: it looks for changes every second."""

STAYS_BEHIND = "min-refresh-time 3600;"
"""How one copies it that is told of no change, and looks for none for an hour."""

_GUARDED_ZONE = """\
$TTL 5
@ IN SOA {host}.{domain}. hostmaster.{domain}. 1 3600 600 86400 5
@ IN NS {host}.{domain}.
open IN CNAME ele01.{domain}.
shut IN CNAME ele01.{domain}.
"""


class Zones:
    """The lab's name server, and a second one that copies its zone."""

    def __init__(self, lab: Lab, host: str) -> None:
        self.lab = lab
        self.domain = lab.domain
        self.host = host
        self.first = lab.hosts["dns"].address
        self.second = lab.hosts[host].address
        self.key: TsigKey = load_key(lab.dns_key)

    def change(self, *lines: str) -> None:
        """Change the zone with nsupdate."""
        script = "\n".join([f"server {self.first}", f"zone {self.domain}", *lines])
        argv = ["nsupdate", "-k", str(self.lab.dns_key)]
        self.lab.exec("control", argv, stdin=f"{script}\nsend\n")

    def set(self, name: str, record: str = "") -> None:
        """Give a name this record alone (``5 CNAME ele01``), or none."""
        full = f"{name}.{self.domain}."
        lines = [f"update delete {full}"]
        self.change(*lines, *([f"update add {full} {record}"] if record else []))

    def dig(self, name: str, kind: str, server: str = "") -> str:
        """Ask a server, the lab's own by default, with dig."""
        argv = ["dig", f"@{server or self.first}", "+norec", "+short", name, kind]
        return self.lab.exec("control", argv, check=False).stdout.strip()

    def serial(self, server: str = "") -> int:
        """Give the serial of the zone on a server."""
        return int(self.dig(self.domain, "SOA", server).split()[2])

    def level(self) -> None:
        """Wait until the second server has what the first has."""
        eventually(
            lambda: self.serial(self.second) == self.serial(),
            "the second server has the whole zone",
        )

    def begin_anew(self) -> None:
        """Have the second server forget its copy, and get it again."""
        self.end_second()
        self.lab.exec(self.host, ["rm", "-f", f"{_ROOT}/copy"])
        self.begin_second()

    def begin_second(self) -> None:
        """Run the second server, and wait until it has a copy of the zone."""
        # It goes on by itself, as a service of its host.
        argv = ["/usr/sbin/named", "-4", "-n", "1", "-c", f"{_ROOT}/named.conf"]
        self.lab.exec(self.host, argv)
        eventually(
            lambda: self.dig(self.domain, "SOA", self.second) != "",
            "the second name server has its copy",
        )

    def end_second(self) -> None:
        """End the second server."""
        self.lab.exec(self.host, ["sh", "-c", f"kill $(cat {_ROOT}/pid)"])
        eventually(
            lambda: (
                self.lab.exec(self.host, ["pgrep", "named"], check=False).returncode
                == 1
            ),
            "the second name server has ended",
        )

    @contextmanager
    def hung(self, host: str) -> Iterator[None]:
        """Let the name server of a host answer nothing until the block is left."""
        self.signal(host, "STOP")
        try:
            yield
        finally:
            self.signal(host, "CONT")

    def locked(self, is_locked: bool) -> None:
        """Let the first server write no change down (SERVFAIL), or let it again."""
        mark = "+i" if is_locked else "-i"
        script = 'chattr "$1" /var/lib/bind /var/lib/bind/*'
        self.lab.exec("dns", ["sh", "-c", script, "sh", mark])

    def signal(self, host: str, name: str) -> None:
        """Send a signal to the name server of a host."""
        # A host numbers its own processes, and these are all that pgrep sees there.
        self.lab.exec(host, ["sh", "-c", f"kill -{name} $(pgrep -x named)"])


@contextmanager
def second_nameserver(lab: Lab, host: str, manner: str = FOLLOWS) -> Iterator[Zones]:
    """Run a second name server on a host of the lab until the block is left."""
    zones = Zones(lab, host)
    configuration = _CONFIGURATION.format(
        key=zones.key,
        root=_ROOT,
        domain=lab.domain,
        primary=zones.first,
        manner=manner,
        guarded=GUARDED,
        broken=BROKEN,
    )
    zone = _GUARDED_ZONE.format(host=host, domain=lab.domain)
    write = f"rm -rf {_ROOT} && mkdir {_ROOT} && cat > {_ROOT}/named.conf"
    lab.exec(host, ["sh", "-c", write], stdin=configuration)
    lab.exec(host, ["sh", "-c", f"cat > {_ROOT}/guarded"], stdin=zone)
    try:
        zones.begin_second()
        yield zones
    finally:
        zones.end_second()
