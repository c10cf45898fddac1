"""Decides which hosts and herds a lab has, and refuses what cannot work."""

import itertools
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, cast, get_args

from lab.errors import LabError

Packaging = Literal["debian", "plain", "rhel"]
"""How a herd's clusters are kept.

``debian``: /etc/postgresql and pg_ctlcluster; ``plain``: only a data directory;
``rhel``: the same, with the programs in /usr/pgsql-N and the data in /var/lib/pgsql/N.
"""

CONTROL = "control"
DNS = "dns"
FIRST_PORT = 5432
HERD_SIZE = 3
MAXIMUM_HOSTS = 2000
ENVIRONMENTS = ("prod", "stage", "dev")
DATA_PARENTS: Mapping[Packaging, str] = {
    "debian": "/var/lib/postgresql/",
    "plain": "/var/lib/postgresql/",
    "rhel": "/var/lib/pgsql/",
}
"""The directories of a host that are its own and outlive it, and hold data."""
HERD_NAMES = (
    *("trade", "quote", "ledger", "billing", "orders", "reports", "search", "mail"),
    *("stock", "claims", "audit", "events", "catalog", "credit", "risk", "archive"),
)
_NAME = re.compile(r"[a-z][a-z0-9_]{0,29}")


@dataclass(frozen=True, slots=True)
class HerdSpec:
    """A herd as asked for; its first member starts as the primary.

    ``version`` is a major; until a lab is planned it may be empty for the lab's own.
    """

    name: str
    environment: str
    port: int
    members: tuple[str, ...]
    data_root: str
    packaging: Packaging = "debian"
    version: str = ""


@dataclass(frozen=True, slots=True)
class Layout:
    """What a lab is made of: database hosts in order, and herds."""

    hosts: tuple[str, ...]
    herds: tuple[HerdSpec, ...]

    def with_version(self, version: str) -> "Layout":
        """Return the same layout, with a major for the herds that name none."""
        herds = (replace(herd, version=herd.version or version) for herd in self.herds)
        return Layout(self.hosts, tuple(herds))

    def check(self) -> None:
        """Raise LabError when the herds do not fit on the hosts."""
        if len({herd.name for herd in self.herds}) < len(self.herds):
            raise LabError("Two herds have the same name.")
        taken: set[tuple[str, str]] = set()
        for herd in self.herds:
            _check_herd(herd, self.hosts)
            for member in herd.members:
                for what in (f"port {herd.port}", f"data root {herd.data_root}"):
                    if (member, what) in taken:
                        raise LabError(f"Two herds on {member} have {what}.")
                    taken.add((member, what))


def _check_herd(herd: HerdSpec, hosts: tuple[str, ...]) -> None:
    if not _NAME.fullmatch(herd.name) or herd.name in (CONTROL, DNS, "ns"):
        raise LabError(
            f"Herd name {herd.name!r} does not work: use a lower-case letter, then "
            "letters, digits and underscores, 30 at most, and no host's name."
        )
    if not 1024 <= herd.port <= 65535:
        raise LabError(f"Herd {herd.name}: port {herd.port} is not in 1024…65535.")
    if not herd.members or len(set(herd.members)) < len(herd.members):
        raise LabError(f"Herd {herd.name} has no members, or one of them twice.")
    for member in herd.members:
        if member not in hosts:
            raise LabError(f"Herd {herd.name} wants host {member}, which is not there.")
    root, parent = herd.data_root, DATA_PARENTS[herd.packaging]
    if not root.startswith(parent) or ".." in root.split("/") or "\n" in root:
        # Only this directory is the host's own; the rest of the tree is the machine's.
        raise LabError(f"Herd {herd.name}: its data root is not below {parent}.")


def host_names(count: int) -> tuple[str, ...]:
    """Return ele01 … for ``count`` hosts; all names are equally long."""
    if not 1 <= count <= MAXIMUM_HOSTS:
        raise LabError(f"A lab has 1 to {MAXIMUM_HOSTS} database hosts, not {count}.")
    width = max(2, len(str(count)))
    return tuple(f"ele{number:0{width}d}" for number in range(1, count + 1))


def default_data_root(name: str, version: str, packaging: Packaging = "debian") -> str:
    """Return the data directory a packaging gives a cluster called ``name``."""
    last = "data" if packaging == "rhel" else name
    return f"{DATA_PARENTS[packaging]}{version}/{last}"


def default_layout(count: int, version: str, per_host: int | None = None) -> Layout:
    """Spread herds of about three members over ``count`` hosts.

    Half of the hosts are production, a quarter each stage and development; fewer than
    six are all production. ``per_host`` instances run on each host; None means one,
    and a second one on half of the hosts of each environment.
    """
    hosts = host_names(count)
    herds: list[HerdSpec] = []
    names = _herd_names()
    for environment, members in _split_environments(hosts).items():
        for group in _layers(members, per_host):
            name = next(names)
            port = FIRST_PORT + len(herds)
            root = default_data_root(name, version)
            herds.append(
                HerdSpec(name, environment, port, group, root, version=version)
            )
    return Layout(hosts, tuple(herds))


def _herd_names() -> Iterator[str]:
    yield from HERD_NAMES
    for number in itertools.count(2):
        for name in HERD_NAMES:
            yield f"{name}{number}"


def _split_environments(hosts: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    if len(hosts) < 6:
        return {ENVIRONMENTS[0]: hosts}
    half = (len(hosts) + 1) // 2
    quarter = half + (len(hosts) - half + 1) // 2
    parts = (hosts[:half], hosts[half:quarter], hosts[quarter:])
    return dict(zip(ENVIRONMENTS, parts, strict=True))


def _layers(members: tuple[str, ...], per_host: int | None) -> list[tuple[str, ...]]:
    """Return the member lists of the herds of one environment."""
    groups = _groups(members)
    if per_host is None:
        # The second layer begins in the middle of the first herd, so that the two
        # herds of a shared host do not have their primaries in the same place.
        half = members[1 : 1 + len(members) // 2]
        return groups + (_groups(half) if len(half) > 1 else [])
    for layer in range(1, per_host):
        shift = layer % len(members)
        groups += _groups(members[shift:] + members[:shift])
    return groups


def _groups(members: tuple[str, ...]) -> list[tuple[str, ...]]:
    """Cut ``members`` into lists of HERD_SIZE or one or two more."""
    count = max(1, len(members) // HERD_SIZE)
    bounds = [len(members) * part // count for part in range(count + 1)]
    return [members[start:stop] for start, stop in itertools.pairwise(bounds)]


def layout_from_json(text: str, count: int, version: str) -> Layout:
    """Return the layout that a JSON list of herds describes.

    Each herd is an object with ``name`` and ``members``, and optionally
    ``environment`` (prod), ``port`` (5432 and up), ``data_root``, ``packaging`` and
    ``version``, a major, for which the argument stands in. Raises LabError naming what
    does not fit.
    """
    try:
        entries = json.loads(text)
    except ValueError as error:
        raise LabError(f"The herds are not valid JSON: {error}.") from error
    if not isinstance(entries, list):
        raise LabError("The herds must be a JSON list of objects.")
    herds = [_herd(entry, index, version) for index, entry in enumerate(entries)]
    return Layout(host_names(count), tuple(herds))


def _herd(entry: Any, index: int, version: str) -> HerdSpec:
    allowed = {"name", "members", "environment", "port", "data_root", "packaging"} | {
        "version"
    }
    if not isinstance(entry, dict) or not {"name", "members"} <= set(entry) <= allowed:
        raise LabError(
            f"Herd number {index + 1} needs name and members, and may have only: "
            + ", ".join(sorted(allowed))
            + "."
        )
    name = str(entry["name"])
    version = str(entry.get("version", version))
    packaging = _packaging(entry.get("packaging", "debian"))
    root = default_data_root(name, version, packaging)
    return HerdSpec(
        name=name,
        environment=str(entry.get("environment", ENVIRONMENTS[0])),
        port=int(entry.get("port", FIRST_PORT + index)),
        members=tuple(entry["members"]),
        data_root=str(entry.get("data_root", root)),
        packaging=packaging,
        version=version,
    )


def _packaging(word: str) -> Packaging:
    for packaging in get_args(Packaging):
        if word == packaging:
            return cast(Packaging, packaging)
    raise LabError(f"Packaging is debian, plain or rhel, not {word!r}.")


def adjust(
    layout: Layout,
    data_roots: Mapping[str, str],
    packagings: Mapping[str, str],
) -> Layout:
    """Return the layout with some herds' data roots or packagings replaced."""
    known = {herd.name for herd in layout.herds}
    for name in (*data_roots, *packagings):
        if name not in known:
            raise LabError(f"There is no herd {name}; there are {sorted(known)}.")
    herds = tuple(
        _adjusted(herd, data_roots.get(herd.name), packagings.get(herd.name))
        for herd in layout.herds
    )
    return Layout(layout.hosts, herds)


def _adjusted(herd: HerdSpec, data_root: str | None, word: str | None) -> HerdSpec:
    packaging = _packaging(word or herd.packaging)
    root = herd.data_root
    if not root.startswith(DATA_PARENTS[packaging]):
        root = default_data_root(herd.name, herd.version, packaging)
    return replace(herd, data_root=data_root or root, packaging=packaging)
