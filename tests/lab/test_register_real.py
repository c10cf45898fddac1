"""Promote, demote and register on real hosts; what is not the herd's stays as it is."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pytest_django import DjangoDbBlocker

from herds.models import Environment, Herd, Instance, Server
from lab import Lab
from tests.lab.product import Product, RunningWorker, ended, said, target
from tests.lab.rebuilds import SETTINGS, Parted, confirmed, planned

NEW_HOST = "ele04"
NEW_PORT = 5460


@pytest.fixture(scope="module", params=["debian", "plain"])
def product(
    request: pytest.FixtureRequest,
    rebuild_products: dict[str, Product],
    django_db_blocker: DjangoDbBlocker,
) -> Iterator[Product]:
    """An installation with Debian's commands, and one with plain ones; a worker."""
    product: Product = rebuild_products[request.param]
    with django_db_blocker.unblock(), product.used_here():
        yield product


@pytest.fixture(scope="module", autouse=True)
def worker(product: Product) -> Iterator[RunningWorker]:
    with product.worker(**SETTINGS) as worker:
        yield worker


@pytest.fixture
def herd(product: Product, rebuild_herds: dict[str, Parted]) -> Parted:
    """A herd of the installation, whole before the test."""
    herd = rebuild_herds["trade" if product.name.endswith("debian") else "quote"]
    herd.make_whole()
    return herd


class Newcomers:
    """Instances on a host that had nothing; what they leave there is taken away."""

    def __init__(self, product: Product) -> None:
        self.product = product
        self.lab: Lab = product.lab
        self._made: list[Instance] = []

    def add(self, herd: Herd, **values: str) -> Instance:
        """Enter an instance of a herd on the new host, as the form does."""
        environment = Environment.objects.get(env_name="prod")
        server, _ = Server.objects.update_or_create(
            hostname=NEW_HOST,
            defaults={
                "environment": environment,
                "host_key": self.lab.host_key(NEW_HOST),
            },
        )
        instance = Instance.objects.create(herd=herd, server=server, **values)
        self._made.append(instance)
        return instance

    def run(self, script: str, *values: str, check: bool = True) -> str:
        """Run a shell script on the new host as the owner of the data."""
        argv = ["sh", "-c", script, "sh", *values]
        return self.lab.exec(NEW_HOST, argv, user="postgres", check=check).stdout

    def sql(self, port: int, query: str) -> str:
        """Ask what listens on a port of the new host."""
        return self.run(
            'exec /usr/lib/postgresql/15/bin/psql -XAtp "$1" -d postgres -c "$2"',
            *(str(port), query),
        ).strip()

    def take_away(self) -> None:
        """Stop what was made, and delete it from host and inventory."""
        for instance in self._made:
            self.run(
                '[ ! -f "$1/postmaster.pid" ] || /usr/lib/postgresql/15/bin/pg_ctl '
                '-s -D "$1" -m immediate stop; rm -rf "$1" "/etc/postgresql/15/$2"',
                *(instance.data_directory, instance.herd.base_name),
            )
            Instance.objects.filter(pk=instance.pk).delete()


@pytest.fixture
def newcomers(product: Product) -> Iterator[Newcomers]:
    newcomers = Newcomers(product)
    yield newcomers
    newcomers.take_away()


@pytest.fixture
def fresh(newcomers: Newcomers) -> Iterator[Herd]:
    """A herd that has no member yet, on a port that no ``init`` takes by itself."""
    herd = Herd.objects.create(
        herd_name="fresh",
        base_name="fresh",
        environment=Environment.objects.get(env_name="prod"),
        db_port=NEW_PORT,
        pgdata="/var/lib/postgresql/15/fresh",
    )
    yield herd
    herd.delete()


def registered(product: Product, instance: Instance, **parameters: str) -> str:
    """Register an instance, see that it succeeds, and give the outcome."""
    plan = planned(product, "register", _name(instance), **parameters)
    assert target(plan, _name(instance)).state == "planned", said(plan)
    operation = ended(confirmed(plan))
    assert operation.state == "succeeded", said(operation)
    return target(operation, _name(instance)).outcome


def refused(product: Product, instance: Instance, **parameters: str) -> str:
    """Plan to register an instance, see that it is refused, and give the reason."""
    row = target(
        planned(product, "register", _name(instance), **parameters), _name(instance)
    )
    assert row.state == "refused", row.outcome
    return row.outcome


def _name(instance: Instance) -> str:
    return f"{instance.herd.herd_name}@{instance.server.hostname}"


def test_a_replica_beside_its_primary_is_promoted_and_brought_back(
    product: Product, herd: Parted
) -> None:
    name = f"{herd.herd}@{herd.old}"
    before = herd.sql(herd.new, "SELECT timeline_id FROM pg_control_checkpoint()")
    plan = planned(product, "promote", name)
    (writers, *_) = target(plan, name).plan["checks"]
    assert writers["verdict"] == "warn"
    assert f"{herd.new} takes writes" in writers["observed"]

    operation = ended(confirmed(plan))

    assert operation.state == "succeeded", said(operation)
    timeline = herd.sql(herd.old, "SELECT timeline_id FROM pg_control_checkpoint()")
    assert int(timeline) > int(before), "the checkpoint after it is done already"
    assert f"writes on timeline {timeline}" in target(operation, name).outcome
    assert product.instance(name).is_primary
    herd.sql(herd.old, "CREATE TABLE mine ()")  # it takes writes
    assert herd.sql(herd.new, "SELECT pg_is_in_recovery()") == "f", "it stays"

    # The other one is the herd's real primary from here on, and this one goes back.
    operation = ended(confirmed(planned(product, "demote", name)))
    assert operation.state == "succeeded", said(operation)
    herd.is_whole()
    assert product.instance(name).master == product.instance(f"{herd.herd}@{herd.new}")


def test_the_last_primary_is_not_demoted(product: Product, herd: Parted) -> None:
    name = f"{herd.herd}@{herd.new}"

    row = target(planned(product, "demote", name), name)

    assert row.state == "refused"
    assert herd.sql(herd.new, "SELECT pg_is_in_recovery()") == "f"


def test_what_is_there_is_recorded_and_not_changed(
    product: Product, herd: Parted
) -> None:
    name = f"{herd.herd}@{herd.old}"
    old = product.instance(name)
    began = herd.sql(herd.old, "SELECT pg_postmaster_start_time()")
    Instance.objects.filter(pk=old.pk).delete()
    again = Instance.objects.create(herd=old.herd, server=old.server)

    assert registered(product, again).startswith("Recorded.")

    seen = product.instance(name)
    assert seen.is_online
    assert seen.version.startswith("15.")
    assert seen.master == product.instance(f"{herd.herd}@{herd.new}")
    assert herd.sql(herd.old, "SELECT pg_postmaster_start_time()") == began


def test_a_replica_is_created_where_there_is_nothing(
    product: Product, herd: Parted, newcomers: Newcomers
) -> None:
    primary = product.instance(f"{herd.herd}@{herd.new}")
    instance = newcomers.add(primary.herd)

    outcome = registered(product, instance)

    assert "Created as a replica" in outcome
    herd.is_whole(NEW_HOST)
    row = product.instance(_name(instance))
    assert row.master == primary
    streaming = "SELECT count(*) FROM pg_stat_replication WHERE application_name = "
    assert herd.sql(herd.new, f"{streaming} '{herd.herd}_{NEW_HOST}'") == "1"
    herd.source_is_clean()
    if product.name.endswith("debian"):
        told = newcomers.run(f"pg_lsclusters -h 15 {herd.herd}")
        assert "online,recovery" in told


def test_a_replica_is_created_in_a_directory_of_its_own(
    product: Product, herd: Parted, newcomers: Newcomers
) -> None:
    primary = product.instance(f"{herd.herd}@{herd.new}")
    elsewhere = "/var/lib/postgresql/it's elsewhere/data"
    instance = newcomers.add(primary.herd, local_pgdata=elsewhere)

    registered(product, instance)

    port = primary.herd.db_port
    assert newcomers.sql(port, "SHOW data_directory") == elsewhere
    assert newcomers.sql(port, "SELECT status FROM pg_stat_wal_receiver") == "streaming"


def test_the_first_cluster_of_a_herd_is_created_by_init(
    product: Product, newcomers: Newcomers, fresh: Herd
) -> None:
    instance = newcomers.add(fresh)
    assert "PostgreSQL 9 is not installed" in refused(product, instance, version="9")

    outcome = registered(product, instance, version="15")

    assert "as a primary" in outcome
    assert "No replica can follow it yet: there is no role replication" in outcome
    assert newcomers.sql(NEW_PORT, "SHOW data_directory") == fresh.pgdata
    row = product.instance(_name(instance))
    assert row.is_primary
    assert row.is_online


def test_a_directory_with_something_else_in_it_stays_untouched(
    product: Product, newcomers: Newcomers, fresh: Herd
) -> None:
    instance = newcomers.add(fresh)
    newcomers.run('mkdir -p "$1" && echo mine >"$1/letters"', fresh.pgdata)

    outcome = refused(product, instance, version="15")

    assert "is not empty and is no PostgreSQL data directory" in outcome
    assert newcomers.run('ls -A "$1"; cat "$1"/*', fresh.pgdata) == "letters\nmine\n"


def test_another_herds_data_is_refused_and_goes_on(
    product: Product, herd: Parted, newcomers: Newcomers, fresh: Herd
) -> None:
    stranger = newcomers.add(fresh)
    registered(product, stranger, version="15")
    began = newcomers.sql(NEW_PORT, "SELECT pg_postmaster_start_time()")
    primary = product.instance(f"{herd.herd}@{herd.new}")
    instance = newcomers.add(primary.herd, local_pgdata=fresh.pgdata)

    outcome = refused(product, instance)

    assert "holds another cluster than the herd" in outcome
    assert newcomers.sql(NEW_PORT, "SELECT pg_postmaster_start_time()") == began
