"""The agent on real hosts: Debian's and RHEL's, running, stopped and broken clusters.

It reports to a real metadata database with the product's functions, logged in as an
agent may be. The metadata server's socket is what all hosts reach it by here.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection
from pytest_django import DjangoDbBlocker

from herds.models import Discovery, Environment, Herd, Instance, Server
from lab import HerdSpec, Lab, Layout, access
from tests.lab.majors import lab_of
from tests.lab.metadata import MetadataServer
from tests.lab.polling import eventually

LAYOUT = Layout(
    hosts=("ele01", "ele02", "ele03"),
    herds=(
        HerdSpec("trade", "prod", 5432, ("ele01", "ele03"), "/var/lib/postgresql/15/t"),
        HerdSpec(
            *("quote", "prod", 5433, ("ele01",), "/var/lib/postgresql/it's/q; x"),
            packaging="plain",
        ),
        HerdSpec(
            *("hat", "prod", 5434, ("ele02",), "/var/lib/pgsql/17/data"),
            packaging="rhel",
            version="17",
        ),
        HerdSpec(
            *("cap", "prod", 5435, ("ele02",), "/var/lib/pgsql/16/data"),
            packaging="rhel",
            version="16",
        ),
    ),
)
INI = "/etc/pgutil_report.ini"
STATE = "/var/lib/postgresql/.local/state/pgutil_report"

_ORIGINAL = """
CREATE SCHEMA utility;
CREATE TABLE utility.heard (at serial, sHerd text, bOnline boolean, sMasterHost text);
CREATE FUNCTION utility.sp_discover_server(sHost text) RETURNS integer
LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION utility.sp_instance_checkin(
    sHerd text, sHost text, nPort integer, sVer text, bOnline boolean, sDataDir text,
    sMasterHost text, nXlog bigint) RETURNS integer
LANGUAGE sql AS
    'INSERT INTO utility.heard (sHerd, bOnline, sMasterHost)
     VALUES (sHerd, bOnline, sMasterHost) RETURNING at';
GRANT USAGE ON SCHEMA utility TO agents;
GRANT INSERT, SELECT ON utility.heard TO agents;
GRANT USAGE ON SEQUENCE utility.heard_at_seq TO agents;
"""


class Agent:
    """The agent on the hosts of a lab, and the metadata database it reports to."""

    def __init__(self, lab: Lab, metadata: MetadataServer, database: str) -> None:
        self.lab = lab
        self.metadata = metadata
        self.database = database

    def configure(self, database: str = "", **report: Any) -> None:
        """Point the agents of all hosts to a database, as if for the first time."""
        lines = [
            "[upstream]",
            f"db_host = {self.metadata.postgres.directory}",
            f"db_port = {self.metadata.postgres.port}",
            "db_user = agents",
            f"db_name = {database or self.database}",
            "[report]",
            *(f"{name} = {value}" for name, value in report.items()),
        ]
        for host in self.lab.state.database_hosts:
            self.lab.exec(host, ["tee", INI], stdin="\n".join(lines))
            self.lab.exec(host, ["rm", "-rf", STATE])

    def run(self, host: str, *options: str) -> subprocess.CompletedProcess[str]:
        """Run the command on a host, as root does."""
        return self.lab.exec(host, ["pgutil_report", *options], check=False)

    def found(self, host: str) -> dict[str, dict[str, Any]]:
        """Return what ``--json`` prints, by cluster name."""
        listed = json.loads(self.run(host, "--json").stdout)
        assert isinstance(listed, list)
        return {each["base_name"]: each for each in listed}

    def news(self, host: str) -> list[str]:
        """Return the cluster names that would be reported, and why."""
        *calls, last = self.run(host, "--dry-run").stdout.splitlines()
        assert last.endswith("nothing was sent.")
        return [f"{call.split(chr(39))[1]} {call.split('-- ')[1]}" for call in calls]


@pytest.fixture(scope="module")
def fleet() -> Iterator[Lab]:
    with lab_of(LAYOUT, "agent") as lab:
        yield lab


@pytest.fixture(scope="module")
def installed(
    fleet: Lab, product_metadata: MetadataServer, django_db_blocker: DjangoDbBlocker
) -> Iterator[Agent]:
    with django_db_blocker.unblock():
        product_metadata.make("agent")
        product_metadata.postgres.psql("CREATE ROLE agents LOGIN IN ROLE util_exec")
        with product_metadata.used_here("agent"):
            yield Agent(fleet, product_metadata, "agent")


@pytest.fixture
def agent(installed: Agent) -> Iterator[Agent]:
    """The agents, which have reported nothing yet, and an empty inventory."""
    for model in (Discovery, Instance, Herd, Server, Environment):
        model.objects.all().delete()
    installed.configure()
    yield installed
    for herd in installed.lab.herds.values():
        for host in herd.members:
            start(installed.lab, host, herd)


def pg_ctl(lab: Lab, host: str, herd: HerdSpec, *words: str) -> None:
    root = "/usr/pgsql-{}" if herd.packaging == "rhel" else "/usr/lib/postgresql/{}"
    program = f"{root.format(herd.version)}/bin/pg_ctl"
    etc = f"/etc/postgresql/{herd.version}/{herd.name}/postgresql.conf"
    options = ["-o", f"-c config_file={etc}"] if herd.packaging == "debian" else []
    if words[0] != "start":
        options = []
    command = [program, "-D", herd.data_root, "-s", "-w", *options]
    lab.exec(host, [*command, "-l", "/tmp/pg.log", *words], user="postgres")


def stop(lab: Lab, host: str, name: str) -> None:
    pg_ctl(lab, host, lab.herds[name], "stop")


def start(lab: Lab, host: str, herd: HerdSpec) -> None:
    lock = f"{herd.data_root}/postmaster.pid"
    if lab.exec(host, ["test", "-e", lock], check=False).returncode != 0:
        pg_ctl(lab, host, herd, "start")


def place(*hosts: str) -> None:
    """Do what a person does: choose the environment, and register the herds."""
    prod = Environment.objects.create(env_name="prod")
    for host in hosts:
        Server.objects.update_or_create(hostname=host, defaults={"environment": prod})
    for herd in LAYOUT.herds:
        Herd.objects.create(
            environment=prod,
            base_name=herd.name,
            herd_name=herd.name,
            db_port=herd.port,
            pgdata=herd.data_root,
            vhost=f"{herd.name}.lab.test",
        )


# Finding


def test_a_debian_host_tells_all_it_carries(agent: Agent) -> None:
    lab = agent.lab
    running = agent.found("ele01")
    stop(lab, "ele01", "quote")
    stopped = agent.found("ele01")

    assert set(running) == {"trade", "quote"}
    trade = running["trade"]
    version = lab.sql("trade", "ele01", "show server_version").split()[0]
    assert trade["version"] == version
    assert (trade["host"], trade["port"]) == ("ele01", 5432)
    assert (trade["online"], trade["role"], trade["upstream"]) == (True, "primary", "")
    assert trade["data_directory"] == "/var/lib/postgresql/15/t"
    assert {"pg_lsclusters", "process", "socket", "root"} == set(trade["found_by"])
    assert running["quote"]["data_directory"] == "/var/lib/postgresql/it's/q; x"
    # Stopped, this one lies where nobody looks, unless it was reported before.
    assert set(stopped) == {"trade"}


def test_a_standby_names_its_upstream_running_or_not(agent: Agent) -> None:
    running = agent.found("ele03")["trade"]
    stop(agent.lab, "ele03", "trade")
    stopped = agent.found("ele03")["trade"]

    for seen, online in ((running, True), (stopped, False)):
        assert (seen["online"], seen["role"]) == (online, "standby")
        assert (seen["upstream"], seen["timeline"]) == ("trade.lab.test", 1)
        assert seen["system_identifier"] == agent.lab.sql(
            "trade", "ele01", "select system_identifier from pg_control_system()"
        )
    assert (running["streaming"], stopped["streaming"]) == (True, None)
    assert 0 < stopped["position"] <= running["position"]
    assert stopped["version"] == "15"


def test_a_rhel_host_tells_all_it_carries(agent: Agent) -> None:
    stop(agent.lab, "ele02", "cap")

    found = agent.found("ele02")

    assert set(found) == {"hat", "cap"}
    assert (found["hat"]["online"], found["cap"]["online"]) == (True, False)
    assert (found["hat"]["port"], found["cap"]["port"]) == (5434, 5435)
    assert found["hat"]["version"].startswith("17.")
    assert found["cap"]["version"] == "16"
    assert found["cap"]["position"] > 0


def test_whoever_runs_it_sees_the_same(agent: Agent) -> None:
    own = agent.lab.exec("ele01", ["pgutil_report", "--json"], user="postgres").stdout
    seen = {each["base_name"]: each["online"] for each in json.loads(own)}

    assert seen == {name: each["online"] for name, each in agent.found("ele01").items()}


def test_one_broken_instance_stops_no_other(agent: Agent) -> None:
    agent.configure(timeout=1)
    lab, data = agent.lab, "/var/lib/pgsql/17/data"
    signal = f"kill -$0 $(head -1 {data}/postmaster.pid)"
    lab.exec("ele02", ["sh", "-c", signal, "STOP"])
    other = "/var/lib/pgsql/15"
    lab.exec("ele02", ["install", "-d", "-m", "0700", f"{other}/data"])
    # Nobody is believed who is not the owner of instances here.
    lock = "/tmp/.s.PGSQL.1.lock"
    lab.exec("ele02", ["tee", lock], stdin=f"1\n{data}/x\n1\n1\n", user="nobody")
    try:
        done = agent.run("ele02", "--once", "--json")
    finally:
        lab.exec("ele02", ["sh", "-c", signal, "CONT"])
        lab.exec("ele02", ["rm", "-rf", other, lock])

    online = {each["base_name"]: each["online"] for each in json.loads(done.stdout)}
    assert online == {"cap": True, "hat": None, "data": None}
    assert done.returncode == 3
    assert "port 5434 could not be asked: it gives no answer." in done.stderr
    assert f"{other}/data/PG_VERSION cannot be read: Permission denied." in done.stderr
    # The closed one is a guess, and is not reported.
    listed = set(Discovery.objects.values_list("base_name", flat=True))
    assert listed == {"cap", "hat"}


# Reporting


def test_a_host_announces_itself_and_its_instances_find_their_herds(
    agent: Agent,
) -> None:
    assert agent.run("ele01", "--once").returncode == 0
    assert Server.objects.get(hostname="ele01").environment is None
    assert set(Discovery.objects.values_list("base_name", "db_port")) == {
        ("trade", 5432),
        ("quote", 5433),
    }

    place("ele01", "ele02", "ele03")
    agent.configure()
    for host in agent.lab.state.database_hosts:
        done = agent.run(host, "--once")
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")

    seen = {
        (each.herd.herd_name, each.server.hostname): each
        for each in Instance.objects.select_related("herd", "server", "master")
    }
    assert set(seen) == {
        ("trade", "ele01"),
        ("trade", "ele03"),
        ("quote", "ele01"),
        ("hat", "ele02"),
        ("cap", "ele02"),
    }
    primary, standby = seen["trade", "ele01"], seen["trade", "ele03"]
    assert (primary.master, standby.master) == (None, primary)
    assert (standby.is_streaming, standby.timeline) == (True, 1)
    assert {each.is_online for each in seen.values()} == {True}
    assert {each.observed_by for each in seen.values()} == {"agent"}
    assert primary.system_identifier == standby.system_identifier
    assert primary.xlog_pos is not None


def test_only_what_changed_is_told(agent: Agent) -> None:
    place("ele01")
    assert agent.news("ele01") == ["quote new", "trade new"]
    assert not Instance.objects.exists()

    agent.run("ele01", "--once")
    assert agent.news("ele01") == []

    stop(agent.lab, "ele01", "quote")
    assert agent.news("ele01") == ["quote changed"]
    agent.run("ele01", "--once")
    assert Instance.objects.get(herd__herd_name="quote").is_online is False
    assert Instance.objects.get(herd__herd_name="trade").is_online is True
    assert agent.news("ele01") == []


def test_a_standby_that_was_promoted_by_hand_follows_nobody(agent: Agent) -> None:
    place("ele01", "ele03")
    agent.run("ele01", "--once")
    agent.run("ele03", "--once")
    standby = Instance.objects.get(server__hostname="ele03")
    assert standby.master is not None
    data = LAYOUT.herds[0].data_root
    signal = f"{data}/standby.signal"
    stop(agent.lab, "ele03", "trade")
    try:
        agent.lab.exec("ele03", ["mv", signal, f"{signal}.not"], user="postgres")
        agent.run("ele03", "--once")
    finally:
        agent.lab.exec("ele03", ["mv", f"{signal}.not", signal], user="postgres")

    standby.refresh_from_db()
    assert (standby.master, standby.is_online) == (None, False)


def test_while_the_metadata_is_away_nothing_is_lost(agent: Agent) -> None:
    place("ele01")
    agent.run("ele01", "--once")
    connection.close()
    agent.metadata.postgres.stop()
    try:
        stop(agent.lab, "ele01", "quote")
        done = agent.run("ele01", "--once")
    finally:
        agent.metadata.postgres.start()

    assert done.returncode == 1
    assert "cannot be reached" in done.stderr
    assert "One instance is not reported; the next run does it." in done.stderr
    assert Instance.objects.get(herd__herd_name="quote").is_online is True
    assert agent.run("ele01", "--once").returncode == 0
    assert Instance.objects.get(herd__herd_name="quote").is_online is False


def test_the_original_function_is_told_what_it_understands(agent: Agent) -> None:
    postgres = agent.metadata.postgres
    postgres.psql("CREATE DATABASE original")
    postgres.psql(_ORIGINAL, "original")
    agent.configure("original")

    done = agent.run("ele03", "--once")
    agent.run("ele01", "--once")

    assert (done.returncode, done.stderr) == (0, "")
    heard = "SELECT sHerd, bOnline, sMasterHost FROM utility.heard ORDER BY at"
    assert postgres.psql(heard, "original").splitlines() == [
        "trade|t|trade.lab.test",
        "quote|t|",
        "trade|t|",
    ]


def test_a_login_without_rights_is_told_so(agent: Agent) -> None:
    agent.metadata.postgres.psql("CREATE ROLE nobody_here LOGIN")
    text = agent.lab.exec("ele01", ["cat", INI]).stdout
    agent.lab.exec(
        "ele01", ["tee", INI], stdin=text.replace("= agents", "= nobody_here")
    )

    done = agent.run("ele01", "--once")

    assert done.returncode == 1
    assert "permission denied for schema utility" in done.stderr


# Going on


def test_it_goes_on_until_it_is_ended(agent: Agent) -> None:
    place("ele01")
    agent.configure(interval=1, heartbeat=1)
    script = "echo $$ >/tmp/agent.pid; exec pgutil_report"
    init = access.init_of(agent.lab.state, "ele01")
    command = access.entering(init, ["bash", "-c", script])
    trade = Instance.objects.filter(herd__herd_name="trade")
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as running:
        eventually(trade.exists, "a first report")
        first = trade.get().observed_at
        eventually(lambda: trade.get().observed_at != first, "a second one")
        agent.lab.exec("ele01", ["bash", "-c", "kill $(cat /tmp/agent.pid)"])
        said, _ = running.communicate(timeout=30)

    assert (running.returncode, said) == (0, "")


def test_its_state_is_its_own(agent: Agent) -> None:
    agent.run("ele01", "--once")
    shown = agent.lab.exec(
        "ele01", ["stat", "-c", "%U %a", STATE, f"{STATE}/state.json"]
    )
    assert shown.stdout.splitlines() == ["postgres 700", "postgres 600"]

    agent.lab.exec("ele01", ["chmod", "0666", f"{STATE}/state.json"])
    done = agent.run("ele01", "--once")

    assert done.returncode == 2
    assert "open to others" in done.stderr


def test_a_password_in_the_configuration_is_refused(agent: Agent) -> None:
    text = agent.lab.exec("ele01", ["cat", INI]).stdout
    text = text.replace("[report]", "db_password = tiger42\n[report]")
    agent.lab.exec("ele01", ["tee", INI], stdin=text)

    done = agent.run("ele01", "--once")

    assert done.returncode == 2
    assert ".pgpass" in done.stderr
    assert "tiger42" not in done.stderr
