"""Primaries that are moved while everybody is well, and moved back."""

from __future__ import annotations

import pytest

from herds.operations.runbook import runbook_of
from tests.lab.product import said
from tests.lab.switching import Moving


@pytest.fixture(scope="module", params=["quote", "trade"])
def herd_name(request: pytest.FixtureRequest) -> str:
    """Once as pg_ctl keeps herds, once as Debian packages them."""
    return request.param


def test_a_herd_moves_and_loses_nothing(herd: Moving) -> None:
    old = herd.primary
    with herd.write() as writer:
        operation = herd.move(old_primary="rejoin")
    row = operation.targets.get()

    herd.has_moved(operation, row.hostname)
    assert row.state == "succeeded", said(operation)
    assert herd.follows(old, row.hostname)
    assert herd.lost(writer) == set()


def test_the_runbook_does_by_hand_what_the_plan_says(herd: Moving) -> None:
    plan = herd.plan()
    script = runbook_of(plan)
    new = plan.targets.get().hostname
    seen = plan.targets.get().plan["identity"]
    assert seen["system"].isdigit()
    assert "/" in seen["wal"]
    assert seen["octets"] > 10_000_000
    assert seen["written_at"]
    lab = herd.lab
    environment = [
        f"SSH=ssh -n -i {lab.ssh_key} -o StrictHostKeyChecking=no -o LogLevel=ERROR",
        f"DNS_KEY_FILE={lab.dns_key}",
    ]
    with herd.write() as writer:
        done = lab.exec(
            "control",
            ["env", "-C", "/tmp", *environment, "sh", "-x", "-s"],
            stdin=script,
            check=False,
        )

    assert done.returncode == 0, done.stderr
    assert herd.writers() == [new]
    assert herd.vhost() == new
    assert herd.lost(writer) == set()
