"""Settings of a stopped cluster are read as its next start would see them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from herds.postgres.cluster import Cluster
from herds.postgres.configuration import read_settings
from lab.private_server import PrivateServer
from tests.postgres.conftest import Clusters

TARGETS = (
    "recovery_target",
    "recovery_target_lsn",
    "recovery_target_name",
    "recovery_target_time",
    "recovery_target_xid",
)
NONE = dict.fromkeys(TARGETS, "")


@pytest.fixture
def stopped(server: PrivateServer, cluster: Clusters) -> Iterator[Cluster]:
    """The cluster at rest; its configuration is afterwards what it was."""
    at_rest = cluster()
    at_rest.act("stop")
    files = [server.data / "postgresql.conf", server.data / "postgresql.auto.conf"]
    before = [path.read_text() for path in files]
    yield at_rest
    for path, text in zip(files, before, strict=True):
        path.write_text(text)


def add(path: Path, line: str) -> None:
    with path.open("a") as file:
        file.write(f"\n{line}\n")
    path.chmod(0o644)


def asked(cluster: Cluster) -> dict[str, str]:
    return read_settings(cluster, "primary_conninfo", *TARGETS)


def test_recovery_targets_that_no_file_names_are_empty(
    server: PrivateServer, stopped: Cluster
) -> None:
    add(server.data / "postgresql.conf", "#recovery_target = 'immediate'")
    add(server.data / "postgresql.auto.conf", "recovery_target_timeline = 'latest'")
    add(server.data / "postgresql.auto.conf", "primary_conninfo = 'host=ele02'")

    assert asked(stopped) == {"primary_conninfo": "host=ele02", **NONE}


@pytest.mark.parametrize(
    ("place", "line", "name", "value"),
    [
        ("main", "recovery_target = 'immediate'", "recovery_target", "immediate"),
        ("auto", "  Recovery_Target_XID'77'", "recovery_target_xid", "77"),
        ("conf.d", "recovery_target_name\there", "recovery_target_name", "here"),
        ("elsewhere", "recovery_target_lsn='0/77'", "recovery_target_lsn", "0/77"),
    ],
)
def test_a_recovery_target_is_found_wherever_it_stands(
    server: PrivateServer,
    stopped: Cluster,
    place: str,
    line: str,
    name: str,
    value: str,
) -> None:
    main = server.data / "postgresql.conf"
    file = {
        "main": main,
        "auto": server.data / "postgresql.auto.conf",
        "conf.d": server.data / "conf.d" / "mine.conf",
        "elsewhere": server.directory / "more.conf",
    }[place]
    if place == "conf.d":
        add(main, "include_dir = 'conf.d'  # as Debian has it")
        file.parent.mkdir(mode=0o755, exist_ok=True)
    if place == "elsewhere":
        add(main, f"include '{str(file).replace(chr(39), chr(39) * 2)}'")
    add(file, line)
    try:
        assert asked(stopped)[name] == value
    finally:
        if file.parent.name == "conf.d" or place == "elsewhere":
            file.unlink()
