"""Clusters of every major, packaged as Debian and RHEL do, are read and driven."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pytest_django import DjangoDbBlocker

from herds.domain.cluster import Activity
from herds.postgres import replication
from herds.postgres.cluster import Cluster
from herds.postgres.streaming import await_streaming
from lab import HerdSpec, Lab, Layout
from tests.lab.majors import MAJORS, RHEL_COMMANDS, herd, lab_of
from tests.lab.metadata import MetadataServer
from tests.lab.polling import eventually
from tests.lab.product import PROJECT, Product, said, states, until
from tests.lab.replicas import Replicas
from tests.lab.truth import Truth

DEBIAN = tuple(
    herd(major, 5400 + int(major), "ele01", "ele02", packaging="debian")
    for major in MAJORS
)
RHEL = tuple(
    herd(major, 5400 + int(major), "ele03", "ele04", packaging="rhel")
    for major in MAJORS
)
PLAIN = (herd("18", 5518, "ele01", "ele02", packaging="plain"),)
HERDS = DEBIAN + RHEL + PLAIN
LAYOUT = Layout(hosts=("ele01", "ele02", "ele03", "ele04"), herds=HERDS)

each_herd = pytest.mark.parametrize("spec", HERDS, ids=lambda spec: spec.name)


@pytest.fixture(scope="module")
def majors_lab() -> Iterator[Lab]:
    """A primary and a standby of every major, on Debian's hosts and on RHEL's."""
    with lab_of(LAYOUT, "read") as lab:
        yield lab


@pytest.fixture(scope="module")
def replicas(majors_lab: Lab) -> Iterator[Replicas]:
    """The clusters as the adapters see them."""
    with majors_lab.inside("control"):
        made = Replicas(majors_lab)
        try:
            yield made
        finally:
            made.close()


@pytest.fixture(params=["debian", "rhel"])
def product(
    request: pytest.FixtureRequest,
    majors_lab: Lab,
    product_metadata: MetadataServer,
    django_db_blocker: DjangoDbBlocker,
) -> Iterator[Product]:
    """The product installed for each packaging, and a worker."""
    commands = {"debian": None, "rhel": RHEL_COMMANDS}[request.param]
    specs = {"debian": DEBIAN, "rhel": RHEL}[request.param]
    names = tuple(spec.name for spec in specs)
    with django_db_blocker.unblock():
        product = Product(
            majors_lab, product_metadata, f"majors_{request.param}", names, commands
        )
        with product.used_here(), product.worker():
            yield product


def pair(replicas: Replicas, spec: HerdSpec) -> tuple[Cluster, Cluster]:
    """Give the primary and the standby of a herd, streaming."""
    primary, standby = (replicas.cluster(spec.name, host) for host in spec.members)
    await_streaming(standby, primary, f"{spec.name}_{spec.members[1]}", patience=20.0)
    return primary, standby


def config_file(spec: HerdSpec) -> str:
    if spec.packaging == "debian":
        return f"/etc/postgresql/{spec.version}/{spec.name}/postgresql.conf"
    return f"{spec.data_root}/postgresql.conf"


def bin_directory(spec: HerdSpec) -> str:
    if spec.packaging == "rhel":
        return f"/usr/pgsql-{spec.version}/bin"
    return f"/usr/lib/postgresql/{spec.version}/bin"


def test_the_settings_say_what_to_change_for_rhel() -> None:
    example = (PROJECT / "elephaas" / "local_settings.example.py").read_text()

    assert "/usr/pgsql-{version[0]}/bin" in example
    assert RHEL_COMMANDS["start"].startswith("{COMMANDS[base]} -w -l {pgdata}/")
    assert RHEL_COMMANDS["base"].startswith("/usr/pgsql-{version[0]}/bin/pg_ctl ")


def test_the_lab_tells_which_major_it_sees(majors_lab: Lab) -> None:
    seen = majors_lab.status()["herds"]

    for spec in HERDS:
        assert seen[spec.name]["packaging"] == spec.packaging
        assert set(seen[spec.name]["versions"]) == set(spec.members)
        for version in seen[spec.name]["versions"].values():
            assert version.startswith(f"{spec.version}.")
    assert "rhel 17." in majors_lab.describe()


def test_a_host_has_only_the_programs_of_its_kind(majors_lab: Lab) -> None:
    shown = {
        host: majors_lab.exec(
            host, ["sh", "-c", "ls -d /usr/lib/postgresql/* /usr/pgsql-*"], check=False
        ).stdout.split()
        for host in ("ele01", "ele03")
    }

    assert shown["ele01"] == [f"/usr/lib/postgresql/{major}" for major in MAJORS]
    assert shown["ele03"] == [f"/usr/pgsql-{major}" for major in MAJORS]


def test_clusters_of_every_major_start_when_their_host_does(majors_lab: Lab) -> None:
    for host in ("ele02", "ele04"):
        majors_lab.kill(host)
        majors_lab.boot(host)

    truth = Truth(majors_lab)
    for spec in HERDS:
        argv = [f"{bin_directory(spec)}/pg_ctl", "-D", spec.data_root, "status"]
        # The connection that was lost would stay listed for a minute.
        majors_lab.sql(
            spec.name,
            spec.members[0],
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_replication",
        )
        until(lambda spec=spec: truth.streams(spec.name), 90, f"{spec.name} streams")
        until(
            lambda spec=spec: (
                majors_lab.sql(
                    spec.name,
                    spec.members[0],
                    "SELECT count(*) FROM pg_stat_replication",
                )
                == "1"
            ),
            90,
            f"{spec.name} has one follower",
        )
        shown = majors_lab.exec(spec.members[1], argv, user="postgres").stdout
        assert f"{bin_directory(spec)}/postgres" in shown


@each_herd
def test_a_look_tells_roles_and_positions(replicas: Replicas, spec: HerdSpec) -> None:
    primary, standby = pair(replicas, spec)

    up, down = primary.look(), standby.look()

    assert up.activity is down.activity is Activity.RUNNING
    assert up.version.startswith(f"{spec.version}.")
    assert up.version == down.version
    assert (up.in_recovery, down.in_recovery) == (False, True)
    assert up.position is not None
    assert down.position is not None
    assert up.system_identifier == down.system_identifier != ""
    (follower,) = up.followers
    assert follower.application_name == f"{spec.name}_{spec.members[1]}"
    assert follower.state == "streaming"
    assert not up.configuration_errors
    assert up.loaded_at is not None


@each_herd
def test_a_probe_tells_everything_of_a_running_pair(
    replicas: Replicas, spec: HerdSpec
) -> None:
    primary, standby = pair(replicas, spec)
    name = f"{spec.name}_{spec.members[1]}"
    primary.psql("SELECT pg_create_physical_replication_slot('spare', true);")

    up, down = primary.probe(), standby.probe()

    for probe in (up, down):
        assert probe.seen.answers, probe.seen.trouble
        assert probe.bin_directory == bin_directory(spec)
        assert bin_directory(spec) in probe.installed
        assert probe.config_file == config_file(spec)
        assert probe.timeline == 1
        assert probe.control is not None
        assert probe.control.checksums
        assert probe.control.wal_log_hints
        assert probe.control.wal_segment_bytes == 1 << 20
        assert probe.control.system_identifier == probe.system_identifier
        assert probe.settings["data_checksums"] == "on"
        assert probe.settings["wal_segment_size"] == str(1 << 20)
        assert probe.data_bytes is not None
        assert probe.wal_bytes is not None
        assert probe.data_bytes > probe.wal_bytes > 0
        assert probe.has_rsync
        assert probe.has_perl
        assert probe.is_writable
    assert up.control is not None
    assert down.control is not None
    assert up.control.state == "in production"
    assert down.control.state == "in archive recovery"
    assert up.control.catalog_version == down.control.catalog_version
    (sender,) = up.senders
    assert (sender.application_name, sender.state) == (name, "streaming")
    assert sender.flushed is not None
    (slot,) = up.slots
    assert (slot.name, slot.kind, slot.is_active) == ("spare", "physical", False)
    assert (slot.is_failover, slot.is_synced, slot.is_temporary) == (False,) * 3
    assert slot.restart is not None
    assert slot.wal_status == "reserved"
    assert down.receiver is not None
    assert (down.receiver.status, down.receiver.timeline) == ("streaming", 1)
    assert down.receiver.host == replicas.lab.state.vhost(spec.name)
    assert down.receiver.port == spec.port
    assert down.receiver.flushed is not None
    assert down.received is not None
    assert down.replayed is not None
    assert up.received is up.receiver is None
    assert "standby.signal" in down.files
    assert "standby.signal" not in up.files
    primary.psql("SELECT pg_drop_replication_slot('spare');")


@pytest.mark.parametrize("spec", DEBIAN, ids=lambda spec: spec.name)
def test_a_running_standby_is_redirected_without_a_restart(
    replicas: Replicas, spec: HerdSpec
) -> None:
    _, standby = pair(replicas, spec)
    before = standby.look().pid

    redirect(replicas, standby, f"{spec.members[0]}.lab.test")
    redirect(replicas, standby, replicas.lab.state.vhost(spec.name))

    assert standby.look().pid == before


@pytest.mark.parametrize(
    "spec", [spec for spec in DEBIAN if int(spec.version) >= 17], ids=lambda s: s.name
)
def test_a_standby_is_redirected_where_alter_system_is_forbidden(
    replicas: Replicas, spec: HerdSpec
) -> None:
    _, standby = pair(replicas, spec)
    name = f"{spec.name}@{spec.members[1]}"
    with Truth(replicas.lab).configured(name, "\nallow_alter_system = off\n"):
        standby.psql("SELECT pg_reload_conf();")
        eventually(
            lambda: standby.psql("SHOW allow_alter_system;") == "off", "it is forbidden"
        )

        redirect(replicas, standby, f"{spec.members[0]}.lab.test")

    redirect(replicas, standby, replicas.lab.state.vhost(spec.name))
    assert standby.psql("SHOW allow_alter_system;") == "on"


def redirect(replicas: Replicas, standby: Cluster, host: str) -> None:
    """Have a running standby follow by another name, and see that it does."""
    upstream = replicas.upstream(standby.ref.base_name, standby.host, name=host)
    replication.follow(standby, upstream)

    def follows() -> bool:
        receiver = standby.probe().receiver
        return receiver is not None and (
            (receiver.status, receiver.host) == ("streaming", host)
        )

    eventually(follows, f"it streams from {host}")


@each_herd
def test_a_stopped_pair_is_read_from_its_control_files(
    replicas: Replicas, spec: HerdSpec
) -> None:
    primary, standby = pair(replicas, spec)
    running = primary.probe()
    clusters = {primary: "shut down", standby: "shut down in recovery"}
    argv = [f"{bin_directory(spec)}/pg_ctl", "-D", spec.data_root, "-w", "-s"]
    for cluster in clusters:
        cluster.shell.run([*argv, "-m", "fast", "stop"])

    for cluster, state in clusters.items():
        seen, probe = cluster.look(), cluster.probe()

        assert seen.activity is probe.seen.activity is Activity.STOPPED
        assert seen.version == probe.seen.version == spec.version
        assert seen.control_state == probe.seen.control_state == state
        assert seen.system_identifier == running.system_identifier
        # A file in the data directory is what a server takes without being told.
        told = config_file(spec) if spec.packaging == "debian" else ""
        assert probe.config_file == told
        assert probe.bin_directory == bin_directory(spec)
        assert probe.timeline == 1
        assert probe.control is not None
        assert probe.control.is_shut_down
        assert probe.control.checksums
        assert probe.control.was_primary is (cluster is primary)
        assert probe.total_bytes is not None

    option = ["-o", f"-c config_file={config_file(spec)}"]
    for cluster in clusters:
        start = [*argv, "-l", f"{spec.data_root}/startup.log", "start"]
        cluster.shell.run(start + option * (spec.packaging == "debian"))
        eventually(lambda cluster=cluster: cluster.look().answers, "it answers")


def test_the_product_stops_starts_restarts_and_reloads_every_major_at_once(
    product: Product,
) -> None:
    names = [f"{name}@{host}" for name in product.herds for host in product.hosts(name)]

    def tell_their_versions() -> bool:
        refreshed = product.do("refresh", *product.herds)
        assert refreshed.state == "succeeded", said(refreshed)
        return all(
            member.version.startswith(f"{product.spec(name).version}.")
            for name in product.herds
            for member in product.members(name)
        )

    # One that still comes up after the test before answers no question yet.
    until(tell_their_versions, 60, "every server tells its version")

    stopped = product.do("stop", *product.herds)

    assert set(states(stopped)) == set(names)
    assert stopped.state == "succeeded", said(stopped)
    assert not any(map(product.is_running, names))

    started = product.do("start", *product.herds)

    assert started.state == "succeeded", said(started)
    before = product.began(*product.herds)

    restarted = product.do("restart", *product.herds)

    assert restarted.state == "succeeded", said(restarted)
    after = product.began(*product.herds)
    assert all(after[name] > before[name] for name in names)
    until(lambda: all(map(product.streams, product.herds)), 30, "all standbys stream")

    reloaded = product.do("reload", *product.herds)

    assert reloaded.state == "succeeded", said(reloaded)
    assert {
        target.outcome.count("loaded its configuration at")
        for target in reloaded.targets.all()
    } == {1}
