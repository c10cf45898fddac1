"""Wires the hosts: a switch in a namespace of its own, one cable to each host."""

import contextlib
import json
import os
import subprocess
import time
from collections.abc import Iterable

from lab.errors import LabError
from lab.processes import MARKER, TITLE, Process
from lab.state import HostRecord, LabState

BRIDGE = "br0"
NOBODY = "02:00:00:00:00:01"
"""A hardware address that no host has: frames sent to it are lost on the way."""


def start_switch(state: LabState) -> Process:
    """Start the process whose network namespace holds the bridge, and make the bridge.

    No address of the lab ever exists in the machine's own network namespace.
    """
    title = f"{TITLE} {state.name} switch"
    program = subprocess.Popen(
        ["unshare", "--net", "--", "bash", "-c", 'exec -a "$0" sleep infinity', title],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        cwd="/",
        env={"PATH": os.environ["PATH"], MARKER: state.marker},
    )
    switch = Process.of(program.pid)
    switch.write(state.switch_record)
    _await_own_namespace(switch)
    _ip(
        switch,
        f"link add {BRIDGE} type bridge stp_state 0 forward_delay 0",
        f"link set {BRIDGE} up",
        "link set lo up",
    )
    return switch


def _await_own_namespace(process: Process) -> None:
    """Return when the process has left the machine's network namespace."""
    own = os.readlink("/proc/self/ns/net")
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        with contextlib.suppress(FileNotFoundError):
            if os.readlink(process.namespace("net")) != own:
                return
        if not process.is_alive():
            break
        time.sleep(0.002)
    raise LabError("The kernel gave the switch no network namespace of its own.")


def find_switch(state: LabState) -> Process | None:
    """Return the lab's switch, None when it has died."""
    switch = Process.read(state.switch_record)
    return switch if switch is not None and switch.is_alive() else None


def switch_of(state: LabState) -> Process:
    """Return the lab's switch; LabError when it has died."""
    switch = find_switch(state)
    if switch is None:
        raise LabError(
            f"The switch of lab {state.name} has died; no host has a network.\n"
            "Run heal to make a new one and plug every running host into it."
        )
    return switch


def plug(state: LabState, host: str, init: Process) -> None:
    """Connect a running host to the switch and give it its address."""
    record = state.hosts[host]
    port = _port(host)
    _ip(
        switch_of(state),
        f"link add {port} type veth peer name eth0 address {_hardware(record)} "
        f"netns {init.pid}",
        f"link set {port} master {BRIDGE} up",
    )
    _ip(
        init,
        "link set lo up",
        f"addr add {record.address}/{state.prefix_length()} dev eth0",
        "link set eth0 up",
    )


def unplug(state: LabState, host: str) -> None:
    """Pull the cable out for good: nothing, not even a reset, leaves the host."""
    switch = find_switch(state)
    if switch is not None and host in ports(state):
        _ip(switch, f"link del {_port(host)}")


def link_up(state: LabState, host: str, *, up: bool) -> None:
    """Bring the switch's end of the host's cable up, or down."""
    _ip(switch_of(state), f"link set {_port(host)} {'up' if up else 'down'}")


def ports(state: LabState) -> dict[str, bool]:
    """Return the plugged hosts as the switch sees them: is the link up?"""
    switch = find_switch(state)
    if switch is None:
        return {}
    try:
        shown = _enter(switch, ["ip", "-json", "link", "show", "master", BRIDGE])
    except LabError:
        if os.path.exists(switch.namespace("net")):
            raise
        return {}  # It died between two looks at it.
    links = {link["ifname"]: link["operstate"] for link in json.loads(shown or "[]")}
    return {
        host: links[_port(host)] == "UP" for host in state.hosts if _port(host) in links
    }


def block(state: LabState, host: str, others: Iterable[str]) -> None:
    """Make everything ``host`` sends to ``others`` vanish without any answer.

    The neighbour's hardware address is pinned to one that nobody has, so packets leave
    and are lost, as they are in a broken network; a route to nowhere would answer the
    sender with an error at once.
    """
    init = _running(state, host)
    _ip(
        init,
        *(
            f"neigh replace {state.hosts[other].address} lladdr {NOBODY} "
            "nud permanent dev eth0"
            for other in others
        ),
    )


def mend(state: LabState, host: str) -> None:
    """Give a running host its network back, whatever was done to it."""
    init = state.running(host)
    if init is None:
        return
    if host not in ports(state):
        plug(state, host, init)
    link_up(state, host, up=True)
    unblock(state, host)


def unblock(state: LabState, host: str) -> None:
    """Undo every ``block`` of the host."""
    init = _running(state, host)
    shown = _enter(init, ["ip", "-json", "neigh", "show", "dev", "eth0"])
    _ip(
        init,
        *(
            f"neigh del {entry['dst']} dev eth0"
            for entry in json.loads(shown or "[]")
            if entry.get("lladdr") == NOBODY
        ),
    )


def _running(state: LabState, host: str) -> Process:
    init = state.running(host)
    if init is None:
        raise LabError(f"Host {host} is off.")
    return init


def _port(host: str) -> str:
    return f"p-{host}"


def _hardware(record: HostRecord) -> str:
    """Return 02:77: and the four bytes of the address, which is unique in the lab."""
    octets = (int(part) for part in record.address.split("."))
    return ":".join(("02", "77", *(f"{octet:02x}" for octet in octets)))


def _ip(where: Process, *commands: str) -> None:
    """Run ip(8) commands in the network namespace of a process."""
    if commands:
        _enter(where, ["ip", "-batch", "-"], "\n".join(commands) + "\n")


def _enter(where: Process, argv: list[str], text: str = "") -> str:
    done = subprocess.run(
        ["nsenter", f"--net={where.namespace('net')}", "--", *argv],
        input=text,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        asked = text.strip().replace("\n", "; ") or " ".join(argv)
        raise LabError(f"ip refused: {asked}\n{done.stderr.strip()}")
    return done.stdout
