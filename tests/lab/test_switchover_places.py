"""Switchovers of herds without a virtual host, and in places without DNS."""

from __future__ import annotations

from herds.models import Herd
from tests.lab.product import said
from tests.lab.switching import SETTINGS, Moving


def test_a_key_that_does_not_fit_is_found_before_the_stop(idle_herd: Moving) -> None:
    herd = idle_herd
    key = 'key "elephaas" { algorithm hmac-sha256; secret "d3Jvbmcga2V5IQ=="; };\n'
    path = herd.product.directory / "wrong.key"
    path.write_text(key)
    path.chmod(0o600)
    with herd.product.worker(**SETTINGS, DNS={"KEY_FILE": str(path)}):
        plan = herd.plan()

    row = plan.targets.get()
    assert row.state == "refused", said(plan)
    assert "Right to move it" in row.outcome


def test_herds_without_a_name_and_places_without_dns_move_too(
    idle_herd: Moving,
) -> None:
    herd = idle_herd
    old, candidate, third = herd.hosts_from_primary()
    name = herd.member(old).herd.vhost
    Herd.objects.filter(vhost=name).update(vhost="")
    try:
        with herd.product.worker(**SETTINGS), herd.write() as writer:
            operation = herd.move("switchover", candidate, old_primary="rejoin")
    finally:
        Herd.objects.filter(herd_name=herd.herd).update(vhost=name)
    row = operation.targets.get()
    assert row.state == "succeeded", said(operation)
    assert herd.writers() == [candidate]
    for host in (old, third):
        assert herd.follows(host, candidate), host
        assert f"host={candidate} " in herd.sql(host, "SHOW primary_conninfo") + " "
    assert herd.lost(writer) == set()
    assert herd.vhost() == old
    herd.primary = candidate
    herd.point_at(candidate)

    with herd.product.worker(**SETTINGS, DNS={}), herd.write() as writer:
        operation = herd.move("switchover", old, old_primary="rejoin")
    row = operation.targets.get()
    assert row.state in {"succeeded", "follow-ups"}, said(operation)
    assert "DNS is not managed here" in row.outcome
    assert herd.writers() == [old]
    assert herd.vhost() == candidate
    assert herd.lost(writer) == set()
