"""Herds and instances are taken or refused with a reason, as they are typed."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.test import Client

from herds.admin.operation_urls import operation_url
from herds.models import Environment, Herd, Instance, Operation
from tests import factories

from .pages import Page, visit

pytestmark = pytest.mark.django_db

ADD_INSTANCE = "/admin/herds/instance/add/"
ADD_HERD = "/admin/herds/herd/add/"


def add(client: Client, herd: Herd, server: object, **fields: str) -> Page | None:
    """Send the form that adds an instance; None where it was taken."""
    response = client.post(
        ADD_INSTANCE,
        {
            "herd": herd.pk,
            "server": getattr(server, "pk", ""),
            "local_pgdata": "",
            **fields,
        },
    )
    return None if response.status_code == 302 else Page(response.content.decode())


def test_an_instance_is_one_herd_on_one_server(administrator: Client) -> None:
    herd, server = factories.herd(), factories.server()

    assert add(administrator, herd, server) is None
    again = add(administrator, herd, server)

    assert Instance.objects.get().herd == herd
    assert again is not None
    assert "This server carries this herd already." in again.text


def test_a_server_of_another_environment_is_refused_with_both_named(
    administrator: Client,
) -> None:
    page = add(
        administrator, factories.herd("trade", "prod"), factories.server("ele21", "dev")
    )

    assert page is not None
    assert (
        "ele21 belongs to dev, but herd trade belongs to prod. "
        "Choose a server of the herd's environment."
    ) in page.text
    assert not Instance.objects.exists()


def test_a_server_without_an_environment_is_no_server_of_prod(
    administrator: Client,
) -> None:
    stray = factories.server("stray", environment_id=None)

    page = add(administrator, factories.herd("trade", "prod"), stray)

    assert page is not None
    assert "stray belongs to no environment, but herd trade" in page.text


def test_two_herds_at_one_port_do_not_share_a_server(administrator: Client) -> None:
    factories.instance("trade", "ele01")
    other = factories.herd("quote", db_port=5432)

    page = add(administrator, other, factories.server("ele01"))

    assert page is not None
    assert "ele01 carries herd trade at the same port already." in page.text


def test_a_local_data_root_may_hold_spaces_and_quotes(administrator: Client) -> None:
    path = "/srv/pg data/o'rphan; x"

    refused = add(
        administrator, factories.herd(), factories.server(), local_pgdata=path
    )

    assert refused is None
    assert Instance.objects.get().local_pgdata == path


@pytest.mark.parametrize("path", ["relative", "/", "/srv/../etc", "/srv/a\nb"])
def test_a_meaningless_local_data_root_is_refused(
    administrator: Client, path: str
) -> None:
    page = add(administrator, factories.herd(), factories.server(), local_pgdata=path)

    assert page is not None
    assert "Please correct the error below." in page.text
    assert not Instance.objects.exists()


def test_what_is_observed_cannot_be_typed(administrator: Client) -> None:
    add(
        administrator,
        factories.herd(),
        factories.server(),
        is_online="on",
        version="99",
        xlog_pos="1",
    )

    instance = Instance.objects.get()
    assert (instance.is_online, instance.version, instance.xlog_pos) == (
        False,
        "",
        None,
    )


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"is_streaming": True}, "Streaming: ✔ streams"),
        ({"is_streaming": False}, "Streaming: ✖ receives no WAL"),
        ({"is_streaming": None}, "Streaming: ? not seen"),
        ({"timeline": 7}, "Timeline: 7"),
        ({"system_identifier": "7300000000000000001"}, "7300000000000000001"),
        (
            {"slot_name": "ele09", "slot_octets": 3 * 2**30},
            "ele09 holds 3.0 GB of WAL, and nobody uses it",
        ),
        ({"observed_by": "agent"}, "by the agent on its host"),
        ({"observed_by": "worker"}, "by a worker, over SSH"),
    ],
)
def test_the_page_of_an_instance_shows_what_was_seen_and_by_whom(
    administrator: Client, values: dict[str, Any], words: str
) -> None:
    primary = factories.instance()
    standby = factories.instance(host="ele02", master=primary, **values)

    page = visit(administrator, f"/admin/herds/instance/{standby.pk}/change/")

    assert words in page.text


def test_the_page_of_a_primary_says_nothing_of_streaming(administrator: Client) -> None:
    primary = factories.instance()

    page = visit(administrator, f"/admin/herds/instance/{primary.pk}/change/")

    assert "Streaming" not in page.text
    assert "Idle Slot" not in page.text


def test_an_instance_stays_with_its_herd_and_server(administrator: Client) -> None:
    instance = factories.instance()
    other = factories.herd("quote")

    administrator.post(
        f"/admin/herds/instance/{instance.pk}/change/",
        {"herd": other.pk, "local_pgdata": "/srv/moved"},
    )

    instance.refresh_from_db()
    assert instance.herd.herd_name == "trade"
    assert instance.local_pgdata == "/srv/moved"


def test_options_tell_their_environment_to_the_script(administrator: Client) -> None:
    herd = factories.herd("trade", "prod")
    factories.server("ele01", "prod")
    factories.server("stray", environment_id=None)
    prod = Environment.objects.get().pk

    html = administrator.get(ADD_INSTANCE).content.decode()

    assert f'<option value="{herd.pk}" data-environment="{prod}">trade (prod)' in html
    assert f'data-environment="{prod}">ele01 (prod)' in html
    assert 'data-environment="">stray (no environment)' in html
    assert "herds/instance_form.js" in html


def test_the_form_asks_a_constant_number_of_queries(
    administrator: Client,
    django_assert_max_num_queries,  # type: ignore[no-untyped-def]
) -> None:
    for number in range(30):
        factories.herd(f"herd{number}", ("dev", "prod")[number % 2])
        factories.server(f"ele{number}", ("dev", "prod")[number % 2])
    administrator.get(ADD_INSTANCE)

    with django_assert_max_num_queries(6):
        visit(administrator, ADD_INSTANCE)


# Herds and environments ----------------------------------------------------------


def herd_fields(**fields: str) -> dict[str, str]:
    return {
        "environment": str(factories.environment("prod").pk),
        "herd_name": "trade",
        "base_name": "trade",
        "herd_descr": "",
        "vhost": "trade.lab.test",
        "db_port": "5432",
        "pgdata": "/var/lib/postgresql/15/trade",
        **fields,
    }


def test_a_herd_is_added_as_typed(administrator: Client) -> None:
    name = "Aktien & Märkte <1>"

    response = administrator.post(ADD_HERD, herd_fields(herd_name=name))

    assert response.status_code == 302
    assert Herd.objects.get().herd_name == name
    html = administrator.get("/admin/herds/herd/").content.decode()
    assert "Aktien &amp; Märkte &lt;1&gt;" in html


def test_a_herd_uses_no_slots_unless_its_page_says_so(administrator: Client) -> None:
    administrator.post(ADD_HERD, herd_fields())
    herd = Herd.objects.get()
    assert not herd.use_slots
    page = f"/admin/herds/herd/{herd.pk}/change/"

    administrator.post(page, herd_fields(use_slots="on"))

    herd.refresh_from_db()
    assert herd.use_slots
    html = administrator.get(page).content.decode()
    assert re.search('<input type="checkbox" name="use_slots"[^>]* checked', html)


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("herd_name", "line\nbreak", "cannot stand in a name"),
        ("herd_name", "x" * 300, "at most 100 characters"),
        ("herd_name", "   ", "This field is required."),
        ("base_name", "a b", "A cluster name is made of letters"),
        ("base_name", "$(reboot)", "A cluster name is made of letters"),
        ("base_name", "a;b", "A cluster name is made of letters"),
        ("base_name", "-a", "A cluster name is made of letters"),
        ("db_port", "0", "A port is a number from 1 to 65535."),
        ("db_port", "65536", "A port is a number from 1 to 65535."),
        ("db_port", "x", "Enter a whole number."),
        ("pgdata", "relative", "it begins with '/'"),
        ("pgdata", "/srv/a\tb", "control characters"),
        ("vhost", "two words", "A host name is made of labels"),
        ("vhost", "x" * 300, "at most 253 characters"),
    ],
)
def test_a_meaningless_herd_is_refused_with_the_reason(
    administrator: Client, field: str, value: str, reason: str
) -> None:
    response = administrator.post(ADD_HERD, herd_fields(**{field: value}))

    assert response.status_code == 200
    assert reason in Page(response.content.decode()).text
    assert not Herd.objects.exists()


def test_a_herd_is_there_once_an_environment(administrator: Client) -> None:
    factories.herd("trade", "prod")
    dev = str(factories.environment("dev").pk)

    same = administrator.post(ADD_HERD, herd_fields(herd_name="Trade"))
    elsewhere = administrator.post(ADD_HERD, herd_fields(environment=dev))

    assert "This environment has a herd of this name already." in same.content.decode()
    assert elsewhere.status_code == 302


def test_an_environment_is_there_once_whatever_its_case(administrator: Client) -> None:
    factories.environment("prod")

    response = administrator.post(
        "/admin/herds/environment/add/", {"env_name": "PROD", "env_descr": ""}
    )

    assert "An environment of this name exists already." in response.content.decode()


def planned(client: Client, **fields: str) -> Operation:
    """Add an instance and give the operation that this led to."""
    assert add(client, factories.herd(), factories.server(), **fields) is None
    return Operation.objects.get()


def test_adding_an_instance_leads_to_the_plan_of_its_registration(
    administrator: Client,
) -> None:
    herd, server = factories.herd(), factories.server()

    response = administrator.post(
        ADD_INSTANCE,
        {"herd": herd.pk, "server": server.pk, "local_pgdata": "", "new_version": ""},
    )

    operation = Operation.objects.get()
    assert response.headers["Location"].endswith(f"/{operation.pk}/confirm/")
    assert operation.action == "register"
    assert operation.state == "planning"
    assert operation.targets.get().instance == Instance.objects.get()


def test_the_version_of_a_new_herd_is_part_of_the_plan(administrator: Client) -> None:
    assert planned(administrator, new_version="17").parameters == {"version": "17"}


def test_no_version_is_none(administrator: Client) -> None:
    assert planned(administrator).parameters == {}


def test_a_version_that_is_not_offered_is_refused(administrator: Client) -> None:
    page = add(administrator, factories.herd(), factories.server(), new_version="9.6")

    assert page is not None
    assert not Instance.objects.exists()


def test_who_adds_another_finds_the_plan_among_the_messages(
    administrator: Client,
) -> None:
    assert (
        add(administrator, factories.herd(), factories.server(), _addanother="1")
        is None
    )

    page = visit(administrator, ADD_INSTANCE)

    assert page.links["Read its plan"] == operation_url(
        Operation.objects.get().pk, "confirm"
    )


def test_registering_is_offered_by_no_menu(administrator: Client) -> None:
    factories.instance()

    html = administrator.get("/admin/herds/instance/").content.decode()

    assert 'value="rebuild"' in html
    assert 'value="register"' not in html


@pytest.mark.parametrize("observed", [True, False])
def test_an_instance_that_was_never_seen_can_be_registered_from_its_page(
    administrator: Client, observed: bool
) -> None:
    instance = factories.instance(**({} if observed else {"observed_at": None}))

    html = administrator.get(
        f"/admin/herds/instance/{instance.pk}/change/"
    ).content.decode()

    assert (f"/{instance.pk}/operate/register/" in html) is not observed
