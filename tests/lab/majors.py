"""Herds of every major that we support, in a lab of their own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lab import HerdSpec, Lab, Layout, majors
from lab.layout import Packaging, default_data_root
from lab.state import lab_names
from tests.lab.product import PLAIN_COMMANDS

PREFIX = "test-majors-"

MAJORS = ("14", "15", "16", "17", "18")

RHEL_COMMANDS = {
    name: template.replace(
        "/usr/lib/postgresql/{version[0]}", "/usr/pgsql-{version[0]}"
    )
    for name, template in PLAIN_COMMANDS.items()
}
"""What the settings say for plain pg_ctl, with the programs where RHEL has them."""


def herd(version: str, port: int, *hosts: str, packaging: Packaging) -> HerdSpec:
    """Describe a herd that is named after its packaging and major: ``debian14``."""
    name = f"{packaging}{version}"
    return HerdSpec(
        name=name,
        environment="prod",
        port=port,
        members=hosts,
        data_root=default_data_root(name, version, packaging),
        packaging=packaging,
        version=version,
    )


@contextmanager
def lab_of(layout: Layout, purpose: str) -> Iterator[Lab]:
    """Make a lab for one purpose, and end it afterwards.

    Where the majors are not installed the tests are skipped, saying how to have them;
    in CI they have to be there.
    """
    if os.geteuid() != 0:
        pytest.skip("the lab needs root")
    lacking = majors.lacking()
    if lacking:
        told = (
            f"PostgreSQL {', '.join(lacking)} is not installed for the lab; "
            "install it with: python -m lab majors"
        )
        (pytest.fail if os.environ.get("CI") else pytest.skip)(told)
    for name in lab_names():
        owner = name.removeprefix(PREFIX).partition("-")[0]
        if name.startswith(PREFIX) and not Path(f"/proc/{owner}").exists():
            Lab(name).down()
    lab = Lab(f"{PREFIX}{os.getpid()}-{purpose}")
    try:
        lab.up(layout)
        yield lab
    finally:
        lab.down()
