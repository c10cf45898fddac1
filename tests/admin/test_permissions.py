"""A colleague who may look sees everything and changes nothing, forged requests too."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.db.models import Model
from django.test import Client

from herds.models import Discovery, Environment, Herd, Instance, Operation, Server
from tests import factories

from .pages import LISTS, visit

pytestmark = pytest.mark.django_db

MODELS: dict[str, type[Model]] = {
    "environment": Environment,
    "herd": Herd,
    "server": Server,
    "instance": Instance,
}


@pytest.fixture(autouse=True)
def pair() -> Instance:
    """A primary, the replica of it that makes a DR pair, and something discovered."""
    primary = factories.instance("trade", "ele01", xlog_pos=10)
    factories.instance("trade", "ele02", master=primary, xlog_pos=10)
    Discovery.objects.create(server=primary.server, base_name="quote", db_port=6000)
    return primary


def row(model: str) -> Model:
    found = MODELS[model]._default_manager.first()
    assert found is not None
    return found


@pytest.mark.parametrize("model", LISTS)
def test_a_viewer_sees_every_list_without_a_way_to_add(
    viewer: Client, model: str
) -> None:
    html = viewer.get(LISTS[model]).content.decode()

    assert "result_list" in html
    assert "addlink" not in html
    assert 'name="action"' not in html


@pytest.mark.parametrize("model", MODELS)
def test_a_viewer_sees_a_page_without_a_button_to_save(
    viewer: Client, model: str
) -> None:
    page = visit(viewer, f"/admin/herds/{model}/{row(model).pk}/change/")

    assert "Save" not in page.text
    assert "Delete" not in page.links


@pytest.mark.parametrize("model", MODELS)
def test_a_viewer_neither_adds_nor_changes_nor_deletes(
    viewer: Client, model: str
) -> None:
    before = list(MODELS[model]._default_manager.values())
    of_row = f"/admin/herds/{model}/{row(model).pk}"

    for address in (f"/admin/herds/{model}/add/", f"{of_row}/delete/"):
        assert viewer.get(address).status_code == 403
        assert viewer.post(address, {"post": "yes"}).status_code == 403
    assert viewer.post(f"{of_row}/change/", {"hostname": "x"}).status_code == 403
    assert list(MODELS[model]._default_manager.values()) == before


@pytest.mark.parametrize("action", ["delete_selected", "stop", "restart", "start"])
def test_a_viewer_who_forges_a_bulk_action_does_nothing(
    viewer: Client, pair: Instance, action: str
) -> None:
    viewer.post(
        LISTS["instance"],
        {"action": action, "_selected_action": [pair.pk], "post": "yes"},
    )

    assert Instance.objects.count() == 2
    assert not Operation.objects.exists()


def test_nobody_adds_changes_or_deletes_dr_pairs(
    administrator: Client, pair: Instance
) -> None:
    page = visit(administrator, LISTS["disasterrecovery"])
    of_pair = f"/admin/herds/disasterrecovery/{pair.herd_id}"

    assert f"{LISTS['disasterrecovery']}add/" not in page.links.values()
    assert "trade prod" in page.links
    assert visit(administrator, f"{of_pair}/change/").text.count("ele02") >= 1
    assert administrator.get(f"{of_pair}/delete/").status_code == 403
    assert administrator.post(f"{of_pair}/change/", {}).status_code == 403
    assert administrator.get("/admin/herds/disasterrecovery/add/").status_code == 403


def test_whoever_may_see_only_servers_sees_only_servers(pair: Instance) -> None:
    client = Client()
    client.force_login(factories.user("anna", "herds.view_server"))

    assert client.get(LISTS["server"]).status_code == 200
    for model in set(LISTS) - {"server"}:
        assert client.get(LISTS[model]).status_code == 403, model


def test_a_herd_page_offers_to_add_a_member_only_to_whom_may(pair: Instance) -> None:
    client = Client()
    client.force_login(factories.user("anna", "herds.view_herd"))

    page = visit(client, f"/admin/herds/herd/{pair.herd_id}/change/")

    assert "Add an instance of this herd" not in page.links


def test_users_and_groups_are_managed_by_administrators(
    administrator: Client, viewer: Client
) -> None:
    person = User.objects.get(username="viewer")

    assert administrator.get("/admin/auth/user/add/").status_code == 200
    assert viewer.get("/admin/auth/user/add/").status_code == 403
    assert (
        viewer.post(
            f"/admin/auth/user/{person.pk}/change/", {"is_superuser": "on"}
        ).status_code
        == 403
    )
