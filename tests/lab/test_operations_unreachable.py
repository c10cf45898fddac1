"""Hosts that are off, hang or show another key before anything is done to them."""

from __future__ import annotations

import contextlib
import html
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
from django.test import Client

from herds.models import Operation
from herds.operations import requests
from herds.selectors.inventory import InstanceState, state_of
from tests.lab.product import ANNA, Product, ended, said, states, target, until
from tests.lab.sshd import SshServer

OFF, HUNG, CHANGED = "trade@ele03", "billing@ele05", "orders@ele08"
TARGETS = (OFF, "trade@ele02", HUNG, "billing@ele06", CHANGED, "orders@ele09")
PATIENCE = 4.0


@pytest.fixture(scope="module")
def before(debian: Product) -> dict[str, str]:
    """When every postmaster began, before any of this."""
    return debian.began("trade", "billing", "orders")


@dataclass
class Faults:
    """An operation during which three hosts were not themselves, until ``heal``."""

    operation: Operation
    heal: Callable[[], None]


@pytest.fixture(scope="module")
def faults(debian: Product, before: dict[str, str]) -> Iterator[Faults]:
    """A restart of six standbys, while three of their hosts are not themselves."""
    lab = debian.lab
    hung, changed = SshServer(lab, "ele05"), SshServer(lab, "ele08")
    with contextlib.ExitStack() as faults:
        faults.callback(debian.make_whole)
        lab.kill("ele03")
        hung.hang()
        faults.callback(hung.go_on)
        faults.enter_context(changed.with_another_key())
        with debian.worker(
            SSH={"CONNECT_TIMEOUT": 1.5}, OPERATIONS={"PATIENCE": PATIENCE}
        ):
            yield Faults(debian.do("restart", *TARGETS, seconds=45), faults.close)


@pytest.fixture(scope="module")
def operation(faults: Faults) -> Operation:
    """The restart that met three hosts that were not themselves."""
    return faults.operation


def test_the_others_finish(operation: Operation) -> None:
    assert states(operation) == {
        name: "failed" if name in {OFF, HUNG, CHANGED} else "succeeded"
        for name in TARGETS
    }, said(operation)
    assert operation.state == "partly"
    assert operation.outcome == (
        "3 of 6 restarted; 3 failed. Each says why; then retry those."
    )


def test_a_host_that_is_off_could_not_be_reached(operation: Operation) -> None:
    assert target(operation, OFF).outcome == (
        "ele03 could not be reached over SSH (connection timed out after 1.5 s). "
        "What runs there is unknown. Check the host and its network, then try again."
    )


def test_an_sshd_that_hangs_could_not_be_reached(operation: Operation) -> None:
    assert target(operation, HUNG).outcome == (
        "ele05 could not be reached over SSH (no SSH server answered on port 22 within "
        "1.5 s). What runs there is unknown. Check the host and its network, then try "
        "again."
    )


def test_a_host_with_another_key_is_refused_loudly_and_nothing_is_run(
    debian: Product, operation: Operation, before: dict[str, str]
) -> None:
    refused = target(operation, CHANGED)
    assert refused.outcome.startswith("ele08 presents the SSH host key SHA256:")
    assert "; nothing was run there. Either the host was installed anew or" in (
        refused.outcome
    )
    (step,) = refused.steps.all()
    assert (step.name, step.state, step.command) == ("look", "failed", "")
    assert debian.began("orders")[CHANGED] == before[CHANGED]


@pytest.mark.parametrize("name", [OFF, HUNG, CHANGED])
def test_the_inventory_says_unknown_and_not_stopped(
    debian: Product, operation: Operation, name: str, visitor: Client
) -> None:
    instance = debian.instance(name)

    assert state_of(instance) is InstanceState.UNKNOWN
    assert instance.is_online, "what was seen last stays on record"
    assert instance.unreachable_why in target(operation, name).outcome
    page = visitor.get(f"/admin/herds/instance/{instance.pk}/change/").text
    assert 'aria-hidden="true">?</span> unknown</span>' in page
    assert instance.unreachable_why in html.unescape(page)


def test_a_retry_of_what_failed_succeeds_once_the_hosts_are_themselves(
    debian: Product, faults: Faults
) -> None:
    faults.heal()

    again = requests.retry(faults.operation.pk, ANNA)
    again = ended(requests.confirm(again.pk, ANNA))

    assert states(again) == dict.fromkeys([OFF, HUNG, CHANGED], "succeeded"), said(
        again
    )
    assert state_of(debian.instance(OFF)) is InstanceState.ONLINE
    until(lambda: debian.streams("trade"), 30, "its standbys stream")
