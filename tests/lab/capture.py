"""Captures what probes of every major say, for the tests of what reads them.

    python -m tests.lab.capture

As root; writes tests/data/probe/<major>-<what>.txt anew from a lab of its own. Each
herd has a slot in use, a tablespace and somebody connected.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import django

from herds.postgres.cluster import Cluster
from herds.postgres.probe import probe_argv
from lab import Lab, Layout, access
from tests.lab.polling import eventually

DATA = Path(__file__).resolve().parent.parent / "data" / "probe"
MARK = "== seen =="
HOSTS = ("ele01", "ele02")
TABLESPACES = "/var/lib/postgresql/spaces"


def main() -> None:
    """Make the lab, write the files, end the lab."""
    from tests.lab.majors import MAJORS, herd
    from tests.lab.replicas import Replicas

    herds = [
        herd(major, 5400 + int(major), *HOSTS, packaging="debian") for major in MAJORS
    ]
    lab = Lab("capture")
    try:
        lab.up(Layout(HOSTS, tuple(herds)))
        with lab.inside("control"):
            replicas = Replicas(lab)
            for spec in herds:
                clusters = [replicas.cluster(spec.name, host) for host in HOSTS]
                capture(lab, spec.version, *clusters)
            replicas.close()
    finally:
        lab.down()


def capture(lab: Lab, major: str, primary: Cluster, standby: Cluster) -> None:
    """Write what is said of a running pair, and of the same pair stopped."""
    prepare(lab, major, primary, standby)
    psql = f"/usr/lib/postgresql/{major}/bin/psql"
    words = [psql, "-h", "/run/postgresql", "-p", str(primary.ref.port)]
    with subprocess.Popen(
        access.entering(access.init_of(lab.state, HOSTS[0]), words, user="postgres"),
        stdin=subprocess.PIPE,
    ) as somebody:
        eventually(lambda: bool(primary.probe().clients), "somebody is connected")
        write(f"{major}-primary", primary)
        write(f"{major}-standby", standby)
        assert somebody.stdin is not None
        somebody.stdin.close()
    for cluster, what in ((primary, "stopped"), (standby, "stopped-standby")):
        cluster.act("stop")
        write(f"{major}-{what}", cluster)


def prepare(lab: Lab, major: str, primary: Cluster, standby: Cluster) -> None:
    """Give the pair a slot that is in use, and a tablespace."""
    space = f"{TABLESPACES}/{major}"
    for host in HOSTS:
        lab.exec(host, ["mkdir", "-p", space], user="postgres")
    primary.psql("SELECT pg_create_physical_replication_slot('ours', true);")
    standby.psql("ALTER SYSTEM SET primary_slot_name = 'ours';SELECT pg_reload_conf();")
    primary.psql(f"CREATE TABLESPACE spare LOCATION '{space}';")
    primary.psql("CREATE TABLE kept (n int) TABLESPACE spare;")
    eventually(lambda: primary.probe().slots[0].is_active, "the slot is in use")
    position = primary.look().position
    assert position is not None
    eventually(
        lambda: (standby.probe().replayed or position - 1) >= position, "it is replayed"
    )


def write(name: str, cluster: Cluster) -> None:
    """Probe a cluster and keep what came back."""
    done = cluster.shell.run(probe_argv(cluster.ref, MARK))
    (DATA / f"{name}.txt").write_text(done.stdout)


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    django.setup()
    DATA.mkdir(parents=True, exist_ok=True)
    main()
