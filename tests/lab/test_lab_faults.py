"""Hosts can be powered off, cut off and partitioned, and come back."""

from __future__ import annotations

import os
import signal
import socket

import pytest

from lab import Lab, LabError

from .polling import eventually

SSH_PORT = 22


def streaming(lab: Lab, herd: str) -> set[str]:
    """Return the application names that stream from a herd's primary."""
    primary = lab.primary(herd)
    if primary is None:
        return set()
    query = "select application_name from pg_stat_replication where state = 'streaming'"
    return set(lab.sql(herd, primary, query).split())


def greeting(lab: Lab, from_host: str, to_host: str) -> str:
    """Return what a host's sshd says first; TimeoutError when nothing comes."""
    with (
        lab.inside(from_host),
        socket.create_connection((to_host, SSH_PORT), timeout=1) as connection,
    ):
        return connection.recv(100).decode()


def test_a_host_that_is_powered_off_is_down_and_comes_back(breakable: Lab) -> None:
    assert breakable.kill("ele01")
    seen = breakable.status()
    assert seen["hosts"]["ele01"]["up"] is False
    assert seen["herds"]["trade"]["primary"] is None
    assert breakable.boot("ele01")
    assert breakable.status()["hosts"]["ele01"]["up"] is True
    eventually(
        lambda: streaming(breakable, "trade") == {"trade_ele02", "trade_ele03"},
        "both standbys of trade stream again",
    )


def test_every_cluster_of_a_host_starts_when_it_boots(breakable: Lab) -> None:
    breakable.kill("ele04")
    breakable.boot("ele04")
    eventually(
        lambda: streaming(breakable, "quote") == {"quote_ele04"}, "plain pg_ctl's"
    )
    eventually(lambda: breakable.primary("ledger") == "ele04", "the odd data root's")


def test_killing_and_booting_twice_say_so(breakable: Lab) -> None:
    assert breakable.boot("ele02") is False
    assert breakable.kill("ele02") is True
    assert breakable.kill("ele02") is False
    with pytest.raises(LabError, match="Host ele02 is off"):
        breakable.exec("ele02", ["true"])


def test_a_power_off_is_not_announced_to_connected_clients(breakable: Lab) -> None:
    with (
        breakable.inside("control"),
        socket.create_connection(("ele02", SSH_PORT), timeout=5) as connection,
    ):
        connection.recv(100)
        breakable.kill("ele02")
        connection.settimeout(0.5)
        # Neither an end of file nor a reset arrives: the host is simply gone.
        with pytest.raises(TimeoutError):
            connection.recv(100)


def test_a_cut_host_lives_on_alone(breakable: Lab) -> None:
    breakable.cut("ele03")
    assert breakable.status()["hosts"]["ele03"]["up"] is False
    assert breakable.sql("trade", "ele03", "select 1") == "1"
    with pytest.raises(OSError, match=r"timed out|No route"):
        greeting(breakable, "control", "ele03")
    breakable.heal("ele03")
    # The kernel takes a moment to call a link up.
    eventually(lambda: breakable.status()["hosts"]["ele03"]["up"], "ele03 is up")
    assert greeting(breakable, "control", "ele03").startswith("SSH-2.0")


def test_a_partition_is_between_the_named_hosts_only(breakable: Lab) -> None:
    breakable.partition(["control"], ["ele01", "ele02"])
    with pytest.raises(TimeoutError):
        greeting(breakable, "control", "ele01")
    with pytest.raises(TimeoutError):
        greeting(breakable, "ele02", "control")
    assert greeting(breakable, "control", "ele03").startswith("SSH-2.0")
    assert greeting(breakable, "ele01", "ele02").startswith("SSH-2.0")
    assert breakable.status()["hosts"]["ele01"]["up"] is True


def test_healing_undoes_a_partition(breakable: Lab) -> None:
    breakable.partition(["control"], ["ele01"])
    breakable.heal()
    assert greeting(breakable, "control", "ele01").startswith("SSH-2.0")


def test_replication_survives_a_partition_that_is_healed(breakable: Lab) -> None:
    breakable.partition(["ele01"], ["ele02"])
    breakable.sql("trade", "ele01", "create table during_partition (n int)")
    query = "select count(*) from pg_class where relname = 'during_partition'"
    eventually(
        lambda: breakable.sql("trade", "ele03", query) == "1", "the change at ele03"
    )
    assert breakable.sql("trade", "ele02", query) == "0"
    breakable.heal()
    eventually(
        lambda: breakable.sql("trade", "ele02", query) == "1", "the change at ele02"
    )


def test_healing_replaces_a_switch_that_died(breakable: Lab) -> None:
    switch = breakable.state.switch_record.read_text().split()[0]
    os.kill(int(switch), signal.SIGKILL)
    eventually(
        lambda: not any(host["up"] for host in breakable.status()["hosts"].values()),
        "every host without a network",
    )
    breakable.heal()
    assert all(host["up"] for host in breakable.status()["hosts"].values())
    assert greeting(breakable, "control", "ele01").startswith("SSH-2.0")
