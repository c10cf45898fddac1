"""A herd's page tells where its virtual host was seen to point, and asks no DNS."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from herds.models import Herd, Instance
from herds.selectors import vhosts
from tests import factories
from tests.admin.pages import visit


@pytest.fixture
def herd(db: None, settings: Any) -> Herd:
    """Herd trade with its primary on ele01 and a replica on ele02; DNS is managed."""
    settings.DNS = {"SERVERS": ["192.0.2.53"]}
    primary = factories.instance("trade", "ele01")
    factories.instance("trade", "ele02", master=primary)
    return primary.herd


def seen(herd: Herd, target: str, trouble: str = "", *, minutes: int = 0) -> None:
    Herd.objects.filter(pk=herd.pk).update(
        vhost_target=target,
        vhost_trouble=trouble,
        vhost_seen_at=timezone.now() - timedelta(minutes=minutes),
    )


def told(client: Client, herd: Herd) -> str:
    return visit(client, f"/admin/herds/herd/{herd.pk}/change/").text


def test_a_name_that_leads_to_the_primary_is_fine(
    administrator: Client, herd: Herd
) -> None:
    seen(herd, "ele01.lab.test")

    assert "points at ele01.lab.test ✔ the primary, " in told(administrator, herd)


def test_a_name_that_leads_elsewhere_is_told_with_its_age(
    administrator: Client, herd: Herd
) -> None:
    seen(herd, "ele02.lab.test", "ns2.lab.test says ele01.lab.test", minutes=5)

    page = told(administrator, herd)

    assert (
        "5 min ago: trade.lab.test points at ele02.lab.test ✖ not the primary" in page
    )
    assert "– ns2.lab.test says ele01.lab.test" in page


def test_a_name_that_is_missing_is_told(administrator: Client, herd: Herd) -> None:
    seen(herd, "")

    assert "trade.lab.test is missing ✖ not the primary" in told(administrator, herd)


def test_without_one_recorded_primary_nothing_is_judged(
    administrator: Client, herd: Herd
) -> None:
    seen(herd, "ele01.lab.test")
    Instance.objects.filter(herd=herd).update(master=None)

    assert "points at ele01.lab.test ? unknown" in told(administrator, herd)


def test_what_was_never_asked_is_no_drift(administrator: Client, herd: Herd) -> None:
    assert "trade.lab.test: DNS was never asked." in told(administrator, herd)


def test_where_dns_is_not_managed_the_page_says_so(
    administrator: Client, herd: Herd, settings: Any
) -> None:
    settings.DNS = {}

    assert "trade.lab.test: DNS is not managed here." in told(administrator, herd)


def test_a_new_virtual_host_forgets_where_the_former_pointed(
    administrator: Client, herd: Herd
) -> None:
    seen(herd, "ele01.lab.test", "ns2 did not answer")
    address = f"/admin/herds/herd/{herd.pk}/change/"
    form = administrator.get(address).context["adminform"].form.initial
    values = {name: value for name, value in form.items() if value is not None}

    administrator.post(address, {**values, "herd_descr": "Trades."})
    assert Herd.objects.get(pk=herd.pk).vhost_target == "ele01.lab.test"

    administrator.post(address, {**values, "vhost": "trading.lab.test"})
    changed = Herd.objects.get(pk=herd.pk)
    assert changed.vhost == "trading.lab.test"
    assert (changed.vhost_target, changed.vhost_seen_at) == ("", None)


@pytest.mark.parametrize(
    ("target", "hostname", "leads"),
    [
        ("ele01.lab.test", "ele01", True),
        ("ele01.lab.test", "ele01.lab.test", True),
        ("ele01", "ele01", True),
        ("ele011.lab.test", "ele01", False),
        ("ele01.lab.test.example.com", "ele01.lab.test", False),
        ("ele_1.lab.test", "ele%1", False),
        ("", "ele01", False),
    ],
)
def test_a_full_name_is_compared_with_a_registered_host(
    db: None, target: str, hostname: str, leads: bool
) -> None:
    primary = factories.instance("trade", "ele09")
    type(primary.server).objects.filter(pk=primary.server_id).update(
        hostname=hostname.replace("%", "-")
    )
    primary.refresh_from_db()
    seen(primary.herd, target)
    herd = Herd.objects.get(pk=primary.herd_id)
    is_right = vhosts.state_of(herd, [primary]) is vhosts.Aim.PRIMARY

    assert is_right is leads
    assert (herd in vhosts.astray()) is not leads


def test_who_may_not_see_herds_is_not_told_of_them(herd: Herd) -> None:
    seen(herd, "ele02.lab.test")
    client = Client()
    client.force_login(factories.user("anna", "herds.view_instance"))

    assert "trade" not in visit(client, "/admin/").text
