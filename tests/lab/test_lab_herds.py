"""The herds of a lab are real ones: streaming, named, packaged as asked."""

from __future__ import annotations

import pytest

from lab import Lab

from .conftest import ODD_DATA_ROOT
from .polling import eventually


@pytest.mark.parametrize("herd", ["trade", "quote", "ledger"])
def test_standbys_stream_from_their_herds_name(lab: Lab, herd: str) -> None:
    members = lab.herds[herd].members
    assert lab.primary(herd) == members[0]
    for standby in members[1:]:
        seen = lab.sql(
            herd,
            standby,
            "select status, sender_host, sender_port from pg_stat_wal_receiver",
        )
        assert seen == f"streaming|{herd}.{lab.domain}|{lab.herds[herd].port}"
    names = lab.sql(
        herd, members[0], "select application_name from pg_stat_replication"
    )
    # A connection that lost its host stays listed beside the new one for a minute.
    assert set(names.split()) == {f"{herd}_{host}" for host in members[1:]}


def test_what_a_primary_writes_arrives_at_its_standbys(lab: Lab) -> None:
    lab.sql("trade", "ele01", "create table written as select 42 as n")
    for standby in ("ele02", "ele03"):
        eventually(
            lambda host=standby: (
                lab.sql("trade", host, "select to_regclass('written') is not null")
                == "t"
            ),
            f"the table at {standby}",
        )
        assert lab.sql("trade", standby, "select n from written") == "42"
    lab.sql("trade", "ele01", "drop table written")


def test_herds_are_told_apart_by_their_system_identifiers(lab: Lab) -> None:
    query = "select system_identifier from pg_control_system()"
    found = {
        herd.name: {lab.sql(herd.name, host, query) for host in herd.members}
        for herd in lab.herds.values()
    }
    assert all(len(identifiers) == 1 for identifiers in found.values())
    assert len(set.union(*found.values())) == len(lab.herds)


def test_a_primary_stopped_by_hand_is_no_longer_reported(lab: Lab) -> None:
    stop = ["pg_ctlcluster", "15", "ledger", "stop"]
    start = ["pg_ctlcluster", "15", "ledger", "start"]
    lab.exec("ele04", stop, user="postgres")
    try:
        assert lab.status()["herds"]["ledger"]["primary"] is None
    finally:
        lab.exec("ele04", start, user="postgres")
    eventually(
        lambda: lab.status()["herds"]["ledger"]["primary"] == "ele04",
        "ele04 reported as primary",
    )


def test_two_primaries_are_reported_as_none(lab: Lab) -> None:
    """A split brain has no primary that could be named."""
    data = lab.herds["quote"].data_root
    pg_ctl = "/usr/lib/postgresql/15/bin/pg_ctl"
    lab.exec("ele04", [pg_ctl, "promote", "-D", data], user="postgres")
    assert lab.status()["herds"]["quote"]["primary"] is None
    assert "SPLIT BRAIN" in lab.describe()
    rebuild = (
        f"{pg_ctl} stop -D {data} && find {data} -mindepth 1 -delete && "
        "pg_basebackup -h quote.lab.test -p 5433 -U replication -c fast -D "
        f"{data} && touch {data}/standby.signal && "
        "sed -i s/quote_ele03/quote_ele04/ "
        f"{data}/postgresql.auto.conf && {pg_ctl} start -D {data} -s -l /tmp/log"
    )
    lab.exec("ele04", ["sh", "-c", rebuild], user="postgres")
    eventually(lambda: lab.primary("quote") == "ele03", "quote with one primary")


def test_debian_sees_its_clusters_and_not_the_plain_ones(lab: Lab) -> None:
    shown = lab.exec("ele04", ["pg_lsclusters", "--no-header"]).stdout
    (line,) = shown.splitlines()
    assert line.split()[:5] == ["15", "ledger", "5434", "online", "postgres"]
    assert ODD_DATA_ROOT in line


def test_plain_clusters_keep_everything_in_the_data_directory(lab: Lab) -> None:
    where = lab.sql("quote", "ele03", "show config_file")
    assert where == "/var/lib/postgresql/15/quote/postgresql.conf"
    assert lab.sql("quote", "ele03", "show data_directory") == "/".join(
        where.split("/")[:-1]
    )


def test_a_data_root_with_spaces_and_a_quote_works(lab: Lab) -> None:
    assert lab.sql("ledger", "ele04", "show data_directory") == ODD_DATA_ROOT
    assert lab.sql("ledger", "ele01", "select pg_is_in_recovery()") == "t"
