"""The front page says what needs a person, worst first."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from herds.models import Fence, Herd, Instance, Operation
from tests import factories

from .pages import visit

pytestmark = pytest.mark.django_db


def herd_of_two(name: str, *, vhost_target: str = "") -> tuple[Instance, Instance]:
    """Give a primary and its standby, both seen online just now."""
    primary = factories.instance(name, f"{name}1", "prod")
    standby = factories.instance(name, f"{name}2", "prod", master=primary)
    seen = {"is_online": True, "observed_at": timezone.now()}
    Instance.objects.filter(herd=primary.herd).update(**seen)
    Herd.objects.filter(pk=primary.herd_id).update(
        vhost=f"{name}.example", vhost_target=vhost_target, vhost_seen_at=timezone.now()
    )
    return primary, standby


def test_with_nothing_wrong_it_says_so(administrator: Client) -> None:
    herd_of_two("trade", vhost_target="trade1.example")

    assert "✔ nothing needs you" in visit(administrator, "/admin/").text


def test_each_trouble_is_a_sentence_with_its_page(administrator: Client) -> None:
    primary, _ = herd_of_two("trade", vhost_target="trade2.example")
    both, other = herd_of_two("quote", vhost_target="quote1.example")
    Instance.objects.filter(pk=other.pk).update(master=None)
    _, lost = herd_of_two("mail", vhost_target="mail1.example")
    Fence.objects.create(instance=lost)
    operation = Operation.objects.create(
        action="switchover",
        headline="Switch over 1 herd",
        requested_by_name="anna",
        state="interrupted",
        expires_at=timezone.now(),
    )

    page = visit(administrator, "/admin/")

    lines = [
        "quote (prod): quote1 and quote2 all take writes. Decide which one stays, and "
        "demote the others.",
        f"Operation {operation.pk} (Switch over 1 herd) was interrupted: resume it.",
        "trade (prod): trade.example points at trade2.example, the primary is trade1. "
        "Refresh DNS.",
        "mail (prod): mail2 was lost and is not fenced yet: it is as soon as it can be "
        "reached.",
    ]
    assert page.links[lines[0]] == f"/admin/herds/herd/{both.herd_id}/change/"
    assert page.links[lines[1]] == f"/admin/herds/operation/{operation.pk}/"
    assert page.links[lines[2]] == f"/admin/herds/herd/{primary.herd_id}/change/"
    assert page.links[lines[3]] == f"/admin/herds/instance/{lost.pk}/change/"
    places = [page.text.index(line) for line in lines]
    assert places == sorted(places)


def test_a_fenced_primary_that_takes_writes_comes_first(administrator: Client) -> None:
    _, lost = herd_of_two("mail", vhost_target="mail1.example")
    Fence.objects.create(instance=lost, seen_writable_at=timezone.now())

    page = visit(administrator, "/admin/")

    said = "mail (prod): mail2 was failed over from and takes writes again."
    assert f"✖ now {said}" in page.text


def test_more_trouble_costs_no_more_queries(administrator: Client) -> None:
    counts = []
    for number in range(3):
        herd_of_two(f"herd{number}", vhost_target="elsewhere.example")
        if number in {0, 2}:
            with CaptureQueriesContext(
                connection,
            ) as asked:
                visit(administrator, "/admin/")
            counts.append(len(asked))

    assert counts[0] == counts[1]
