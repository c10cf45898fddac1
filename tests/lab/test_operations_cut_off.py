"""Hosts that are lost in the middle of a command: the target ends by what is seen."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from herds.domain.states import StepState
from herds.models import Operation, OperationStep
from herds.operations import requests
from herds.selectors.inventory import InstanceState, state_of
from lab import Lab
from tests.lab.product import ANNA, Product, ended, said, states, target, until
from tests.lab.sshd import SshServer

OFF, CUT, HUNG = "trade@ele03", "billing@ele05", "orders@ele08"
TARGETS = (OFF, "trade@ele02", CUT, "billing@ele06", HUNG, "orders@ele09")

COMMAND_TIMEOUT = 13.0
"""Seconds; more than the ten in which a dead connection is noticed."""

MARKER = "/tmp/stopping"
SLOW_STOP = f"touch {MARKER} && sleep 2 && {{COMMANDS[base]}} stop -m fast"
"""A stop that can be caught in the middle; else the one that the product ships."""


@dataclass
class Faults:
    """An operation during which three hosts were lost, until ``heal``."""

    operation: Operation
    before: dict[str, str]
    heal: Callable[[], None]


@pytest.fixture(scope="module")
def faults(debian: Product) -> Iterator[Faults]:
    """A restart of six standbys that loses three of their hosts in the middle.

    One loses its power, one its network for a while, and of one the SSH server hangs.
    """
    lab, hung = debian.lab, SshServer(debian.lab, "ele08")
    before = debian.began("trade", "billing", "orders")
    with contextlib.ExitStack() as faults:
        faults.callback(debian.make_whole)
        with debian.worker(
            SSH={"CONNECT_TIMEOUT": 1.5, "COMMAND_TIMEOUT": COMMAND_TIMEOUT},
            OPERATIONS={"PATIENCE": 7.0},
            COMMANDS=debian.commands(stop=SLOW_STOP),
        ):
            operation = debian.ask("restart", *TARGETS)
            for host, lose in (
                ("ele05", lambda: lab.cut("ele05")),
                ("ele08", hung.hang),
                ("ele03", lambda: lab.kill("ele03")),
            ):
                until(lambda host=host: is_stopping(lab, host))  # type: ignore[misc]
                lose()
            faults.callback(hung.go_on)
            # The cable is mended once the connection over it was given up.
            until(lambda: not is_connected(lab, "ele05"), 30)
            lab.heal("ele05")
            yield Faults(ended(operation, 60), before, faults.close)


@pytest.fixture(scope="module")
def operation(faults: Faults) -> Operation:
    """The restart that lost three hosts in the middle."""
    return faults.operation


def is_stopping(lab: Lab, host: str) -> bool:
    """Tell whether the slow stop was begun on a host."""
    return lab.exec(host, ["test", "-e", MARKER], check=False).returncode == 0


def is_connected(lab: Lab, host: str) -> bool:
    """Tell whether the control host still holds an SSH connection to a host."""
    address = lab.hosts[host].address
    argv = ["ss", "-Htn", "state", "established", "dst", address, "dport", "=", ":22"]
    return bool(lab.exec("control", argv).stdout.strip())


def step(operation: Operation, name: str, step: str) -> OperationStep:
    """Read a step of a target by its name."""
    return target(operation, name).steps.get(name=step)


def test_the_others_finish(operation: Operation) -> None:
    found = states(operation)

    assert {name: found[name] for name in TARGETS if name not in {OFF, CUT, HUNG}} == {
        "trade@ele02": "succeeded",
        "billing@ele06": "succeeded",
        "orders@ele09": "succeeded",
    }, said(operation)


def test_after_a_cut_the_host_is_looked_at_and_the_target_goes_on(
    debian: Product, faults: Faults
) -> None:
    stop = step(faults.operation, CUT, "stop")

    assert states(faults.operation)[CUT] == "succeeded", said(faults.operation)
    assert "is unknown (the connection was lost)." in stop.message
    assert stop.state == StepState.SUCCEEDED
    assert stop.command.endswith("pg_ctlcluster 15 billing stop -m fast")
    assert stop.evidence["activity"] == "stopped", "what was seen afterwards"
    assert debian.began("billing")[CUT] > faults.before[CUT]


def test_a_host_that_lost_its_power_ends_as_unknown(
    debian: Product, operation: Operation
) -> None:
    lost = target(operation, OFF)

    assert lost.state == "failed"
    assert lost.outcome.startswith("ele03 could not be reached over SSH (")
    assert "What runs there is unknown." in lost.outcome
    stop = step(operation, OFF, "stop")
    assert "is unknown (the connection was lost)." in stop.message
    assert stop.state == StepState.UNKNOWN
    assert state_of(debian.instance(OFF)) is InstanceState.UNKNOWN


def test_an_sshd_that_hangs_is_given_up_at_the_deadline(
    debian: Product, operation: Operation
) -> None:
    lost = target(operation, HUNG)

    assert lost.state == "failed"
    assert lost.outcome.startswith("ele08 could not be reached over SSH (")
    stop = step(operation, HUNG, "stop")
    assert (
        f"did not end within {COMMAND_TIMEOUT:g} s on ele08; it may still be running"
        in stop.message
    )
    assert stop.state == StepState.UNKNOWN
    assert state_of(debian.instance(HUNG)) is InstanceState.UNKNOWN


def test_a_retry_observes_what_became_of_the_hosts(
    debian: Product, faults: Faults
) -> None:
    faults.heal()

    again = requests.retry(faults.operation.pk, ANNA)
    again = ended(requests.confirm(again.pk, ANNA))

    assert states(again) == {OFF: "succeeded", HUNG: "succeeded"}, said(again)
    assert state_of(debian.instance(OFF)) is InstanceState.ONLINE
    assert state_of(debian.instance(HUNG)) is InstanceState.ONLINE
