"""Keeps what a lab was made of, and where, in one directory of the machine's memory."""

import contextlib
import fcntl
import json
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any, Self

from lab.errors import LabError
from lab.layout import CONTROL, DNS, HerdSpec, Layout
from lab.processes import Process

PREFIX = "elephaas-lab-"
DEFAULT_NAME = "lab"
RECORD = "state.json"
_FORMAT = 1
_FIRST_NETWORK = 77
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,29}")


def state_root() -> Path:
    """Return the directory under which labs live: memory where there is some.

    A hundred hosts are 5 GB of small files, which a disk shared with other work takes
    minutes to write and delete. LAB_STATE_ROOT chooses another place.
    """
    chosen = os.environ.get("LAB_STATE_ROOT")
    if chosen:
        return Path(chosen)
    memory = Path("/dev/shm")
    return memory if memory.is_mount() else Path("/var/tmp")


@dataclass(frozen=True, slots=True)
class HostRecord:
    """A host of the lab: its name and address."""

    name: str
    address: str


@dataclass(frozen=True, slots=True)
class LabState:
    """Everything that is decided once, when a lab is made."""

    name: str
    directory: Path
    domain: str
    network: str
    postgres: str
    hosts: dict[str, HostRecord]
    herds: dict[str, HerdSpec]
    complete: bool = False

    @classmethod
    def plan(cls, name: str, layout: Layout, domain: str, postgres: str) -> Self:
        """Give every host an address in a network that no other lab has."""
        network = _free_network()
        numbered = {CONTROL: network[2], DNS: network[3]}
        for index, host in enumerate(layout.hosts):
            numbered[host] = _database_address(network, index)
        return cls(
            name=name,
            directory=directory_of(name),
            domain=domain,
            network=str(network),
            postgres=postgres,
            hosts={host: HostRecord(host, str(a)) for host, a in numbered.items()},
            herds={herd.name: herd for herd in layout.herds},
        )

    @classmethod
    def load(cls, name: str) -> Self | None:
        """Return the lab called ``name`` as recorded, None when there is none."""
        directory = directory_of(name)
        try:
            data = json.loads((directory / RECORD).read_text())
        except FileNotFoundError:
            return None
        if data.pop("format", None) != _FORMAT:
            raise LabError(
                f"Lab {name} in {directory} was made by another version of the lab.\n"
                "Take it down first."
            )
        data["directory"] = directory
        data["hosts"] = {key: HostRecord(**val) for key, val in data["hosts"].items()}
        data["herds"] = {key: _herd(val) for key, val in data["herds"].items()}
        return cls(**data)

    def save(self) -> None:
        """Write the record, all at once."""
        data = asdict(self) | {"format": _FORMAT}
        del data["directory"]
        temporary = self.directory / f"{RECORD}.new"
        temporary.write_text(json.dumps(data, indent=1))
        temporary.rename(self.directory / RECORD)

    def completed(self) -> Self:
        """Return the same lab, known to have come up."""
        return replace(self, complete=True)

    @property
    def database_hosts(self) -> list[str]:
        """The hosts that carry herds, in order."""
        return [name for name in self.hosts if name not in (CONTROL, DNS)]

    def herds_on(self, host: str) -> list[HerdSpec]:
        """Return the herds that have a member on ``host``."""
        return [herd for herd in self.herds.values() if host in herd.members]

    def kinds_on(self, host: str) -> list[HerdSpec]:
        """Return the herds whose needs a host serves: all of them on an empty one."""
        return self.herds_on(host) or list(self.herds.values())

    def vhost(self, herd: str) -> str:
        """Return the DNS name that points at the herd's primary."""
        return f"{herd}.{self.domain}"

    def prefix_length(self) -> int:
        """Return the number of bits of the lab's network."""
        return IPv4Network(self.network).prefixlen

    def disk(self, host: str) -> Path:
        """Return the directory that holds everything of a host that outlives it."""
        return self.directory / "hosts" / host

    @property
    def mount_points(self) -> Path:
        """The layer that adds directories to /var/lib, for hosts unlike Debian's."""
        return self.directory / "var-lib"

    @property
    def keys(self) -> Path:
        """The directory of keys, readable on the machine and on the control host."""
        return self.directory / CONTROL

    def init_of(self, host: str) -> Process | None:
        """Return the first process of a host, as recorded; it may have ended."""
        return Process.read(self.disk(host) / "init")

    def running(self, host: str) -> Process | None:
        """Return the first process of a host if it is alive."""
        init = self.init_of(host)
        return init if init is not None and init.is_alive() else None

    @property
    def switch_record(self) -> Path:
        """The file that says which process holds the lab's switch."""
        return self.directory / "switch"

    @property
    def marker(self) -> str:
        """The value by which processes of this lab are recognised."""
        return str(self.directory)


def _herd(data: dict[str, Any]) -> HerdSpec:
    return HerdSpec(**data | {"members": tuple(data["members"])})


def directory_of(name: str) -> Path:
    """Return the state directory of the lab called ``name``.

    Raises LabError for a name that is not a plain word.
    """
    if not _NAME.fullmatch(name):
        raise LabError(
            f"Lab name {name!r} does not work: use lower-case letters, digits and "
            "dashes, 30 at most."
        )
    return state_root() / (PREFIX + name)


def lab_names() -> list[str]:
    """Return the names of the labs that have a state directory, sorted."""
    found = state_root().glob(PREFIX + "*")
    return sorted(path.name.removeprefix(PREFIX) for path in found if path.is_dir())


def _free_network() -> IPv4Network:
    taken = set()
    for name in lab_names():
        with contextlib.suppress(LabError):
            other = LabState.load(name)
            if other is not None:
                taken.add(other.network)
    for second in range(_FIRST_NETWORK, 255):
        network = IPv4Network(f"10.{second}.0.0/16")
        if str(network) not in taken:
            return network
    raise LabError("Every network from 10.77.0.0/16 on belongs to another lab.")


def _database_address(network: IPv4Network, index: int) -> IPv4Address:
    """Return 10.n.1.1 for the first host, 10.n.2.1 for the 251st."""
    block, number = divmod(index, 250)
    return network[(block + 1) * 256 + number + 1]


@contextlib.contextmanager
def locked(name: str, *, create: bool = False) -> Iterator[Path | None]:
    """Hold the lab called ``name`` for changing; yield its directory.

    Yields None when there is no such lab and ``create`` is false. Whoever else changes
    the same lab waits. The lock is on the directory itself and leaves nothing behind.
    """
    directory = directory_of(name)
    while True:
        if create:
            directory.mkdir(mode=0o711, parents=True, exist_ok=True)
        try:
            descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
        except FileNotFoundError:
            yield None
            return
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if not _is_same(descriptor, directory):
                continue  # It was taken down while we waited for it.
            yield directory
            return
        finally:
            os.close(descriptor)


def _is_same(descriptor: int, directory: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), directory.stat())
    except FileNotFoundError:
        return False


def erase(directory: Path, *, itself: bool) -> None:
    """Delete what is in a state directory, and the directory when ``itself`` is true.

    The record goes last, so that an interrupted deletion can be repeated.
    """
    for entry in directory.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        elif entry.name != RECORD:
            entry.unlink()
    (directory / RECORD).unlink(missing_ok=True)
    if itself:
        directory.rmdir()
