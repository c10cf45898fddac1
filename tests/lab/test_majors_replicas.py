"""Replicas of every major: promoted, brought back by each way, created anew.

Each operation works on all majors at once. A test begins with a primary and a standby
in every herd that stream, and leaves them so, with their roles exchanged or not.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pytest_django import DjangoDbBlocker

from herds.models import Environment, Herd, Instance, Server
from herds.operations import requests
from lab import Lab, Layout
from lab.clusters import program
from tests.lab.majors import (
    MAJORS,
    RHEL_COMMANDS,
    Pairs,
    carried_out,
    herd,
    lab_of,
)
from tests.lab.metadata import MetadataServer
from tests.lab.product import ANNA, Product, said, target

HOSTS = {"debian": ("ele01", "ele02", "ele03"), "rhel": ("ele04", "ele05", "ele06")}
"""A primary's, a standby's, and one for replicas that are created."""

LAYOUT = Layout(
    hosts=(*HOSTS["debian"], *HOSTS["rhel"]),
    herds=tuple(
        herd(major, 5400 + int(major), *hosts[:2], packaging=packaging)
        for packaging, hosts in HOSTS.items()
        for major in MAJORS
    ),
)


@pytest.fixture(scope="module")
def majors_lab() -> Iterator[Lab]:
    """A primary and a standby of every major, on Debian's hosts and on RHEL's."""
    with lab_of(LAYOUT, "replicas") as lab:
        yield lab


@pytest.fixture(scope="module", params=["debian", "rhel"])
def pairs(
    request: pytest.FixtureRequest,
    majors_lab: Lab,
    product_metadata: MetadataServer,
    django_db_blocker: DjangoDbBlocker,
) -> Iterator[Pairs]:
    """The product installed for each packaging, with a worker."""
    commands = {"debian": None, "rhel": RHEL_COMMANDS}[request.param]
    names = tuple(spec.name for spec in LAYOUT.herds if spec.packaging == request.param)
    with django_db_blocker.unblock():
        product = Product(
            majors_lab,
            product_metadata,
            f"majors_replicas_{request.param}",
            names,
            commands,
        )
        with product.used_here(), product.worker():
            yield Pairs(product, *HOSTS[request.param])


@pytest.mark.parametrize("method", ["rewind", "rsync", "basebackup"])
def test_a_diverged_old_primary_comes_back(pairs: Pairs, method: str) -> None:
    promoted = pairs.promote()

    for name in pairs.herds:
        assert pairs.sql(name, pairs.new, "SELECT pg_is_in_recovery()") == "f"
        control = "SELECT timeline_id FROM pg_control_checkpoint()"
        timeline = pairs.sql(name, pairs.new, control)
        outcome = target(promoted, f"{name}@{pairs.new}").outcome
        assert f"It writes on timeline {timeline}." in outcome
        assert int(timeline) > 1

    pairs.write(pairs.old)
    pairs.write(pairs.new)
    operation = pairs.do("demote", pairs.old, method=method)

    pairs.are_whole(operation)


@pytest.mark.parametrize("method", ["rewind", "rsync"])
def test_a_crashed_old_primary_comes_back(pairs: Pairs, method: str) -> None:
    pairs.promote()
    pairs.write(pairs.old)
    pairs.write(pairs.new)
    pairs.crashed(pairs.old)

    operation = pairs.do("demote", pairs.old, method=method)

    pairs.are_whole(operation)


def test_an_old_primary_that_was_stopped_before_follows(pairs: Pairs) -> None:
    pairs.write(pairs.new)
    pairs.stopped(pairs.new)
    pairs.promote()
    pairs.write(pairs.new)

    operation = pairs.do("demote", pairs.old, method="follow")

    pairs.are_whole(operation)


def test_a_standby_that_was_away_follows(pairs: Pairs) -> None:
    pairs.stopped(pairs.old)
    pairs.write(pairs.new)

    operation = pairs.do("rebuild", pairs.old, method="follow")

    pairs.are_whole(operation)


def test_a_replica_is_created_where_there_is_none(pairs: Pairs) -> None:
    for name in pairs.herds:
        add_instance(pairs, name)
    operation = pairs.do("register", pairs.spare, method="basebackup")

    pairs.are_whole(operation, pairs.spare)
    for name in pairs.herds:
        outcome = target(operation, f"{name}@{pairs.spare}").outcome
        assert outcome.startswith("Created as a replica."), outcome


@pytest.mark.parametrize("version", MAJORS)
def test_a_new_cluster_is_created_of_the_version_chosen(
    pairs: Pairs, version: str
) -> None:
    packaging = pairs.product.spec(pairs.herds[0]).packaging
    spec = herd(version, 5500 + int(version), pairs.spare, packaging=packaging)
    row = Herd.objects.create(
        herd_name=f"fresh{version}",
        base_name=f"fresh{version}",
        environment=Environment.objects.get(env_name=spec.environment),
        db_port=spec.port,
        pgdata=f"{spec.data_root.rpartition('/')[0]}/fresh{version}",
        vhost=pairs.lab.state.vhost(f"fresh{version}"),
    )
    member = Instance.objects.create(herd=row, server=server(pairs))

    operation = carried_out(
        requests.draft("register", [member.pk], ANNA, {"version": version})
    )

    assert operation.state == "succeeded", said(operation)
    member.refresh_from_db()
    assert member.version.startswith(f"{version}.")
    assert (member.is_online, member.master) == (True, None)
    lock = pairs.lab.exec(pairs.spare, ["cat", f"{row.pgdata}/postmaster.pid"]).stdout
    _, directory, _, port, socket, *_ = lock.splitlines()
    assert (directory, port) == (row.pgdata, str(row.db_port))
    argv = [program(spec, "psql"), "-h", socket, "-p", port, "-Atc", "SHOW port"]
    asked = pairs.lab.exec(pairs.spare, [*argv, "postgres"], user="postgres")
    assert asked.stdout.strip() == port


def add_instance(pairs: Pairs, name: str) -> None:
    """Enter a member of a herd on the spare host into the inventory."""
    row = Herd.objects.get(herd_name=name)
    Instance.objects.create(herd=row, server=server(pairs))


def server(pairs: Pairs) -> Server:
    """Give the spare host's row."""
    row, _ = Server.objects.get_or_create(
        hostname=pairs.spare,
        defaults={
            "environment": Environment.objects.get(env_name="prod"),
            "host_key": pairs.lab.host_key(pairs.spare),
        },
    )
    return row
