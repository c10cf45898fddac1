"""What pages offer by permission and environment, and what they write down."""

from __future__ import annotations

import csv
import io
import json
from datetime import timedelta

import pytest
from django.contrib.auth.models import Group, User
from django.core.management import call_command
from django.db import IntegrityError, connection, transaction
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from herds.domain.states import OperationState
from herds.models import (
    AuditEntry,
    Environment,
    Grant,
    Instance,
    Operation,
    OperationOutput,
)
from herds.models.inventory import Approval
from tests import factories
from tests.admin.pages import queries_of, visit

RESTART = "herds.restart_instance"
LOOK = ("herds.view_instance", "herds.view_herd", "herds.view_operation")


@pytest.fixture
def ann(db: None) -> User:
    """Somebody who may look everywhere and restart in dev."""
    user = factories.user("ann", *LOOK)
    group = Group.objects.create(name="developers")
    group.user_set.add(user)
    Grant.objects.create(
        group=group, environment=factories.environment("dev"), permissions=[RESTART]
    )
    return user


@pytest.fixture
def hers(client: Client, ann: User) -> Client:
    client.force_login(ann)
    return client


def choose(client: Client, action: str, *members: Instance) -> str:
    """Choose a bulk action of the list; give the address it leads to."""
    answer = client.post(
        "/admin/herds/instance/",
        {"action": action, "_selected_action": [each.pk for each in members]},
    )
    return str(answer.get("Location", ""))


# Grants -------------------------------------------------------------------------


def test_a_grant_offers_the_action_and_the_plan_refuses_elsewhere(hers: Client) -> None:
    there = factories.instance("quote", "ele11", "dev")
    elsewhere = factories.instance("trade", "ele01", "prod")
    page = hers.get("/admin/herds/instance/").content.decode()
    assert "Restart selected instances" in page
    assert "Stop selected instances" not in page

    address = choose(hers, "restart", there, elsewhere)

    plan = visit(hers, address)
    assert (
        "prod: ann may not restart here; members of dba and operator may." in plan.text
    )
    assert "Restart 1 instance" in hers.get(address).content.decode()


def test_a_forged_request_elsewhere_plans_nothing(hers: Client) -> None:
    elsewhere = factories.instance("trade", "ele01", "prod")

    choose(hers, "restart", elsewhere)
    answer = hers.post(f"/admin/herds/instance/{elsewhere.pk}/operate/restart/")

    assert not Operation.objects.exists()
    assert answer.status_code == 302
    assert "/confirm/" not in answer["Location"]


def test_a_forged_yes_elsewhere_does_nothing(hers: Client) -> None:
    elsewhere = factories.instance("trade", "ele01", "prod")
    plan = factories.operation()
    target = factories.target(plan, elsewhere)

    page = hers.get(reverse("admin:herds_operation_confirm", args=[plan.pk]))
    hers.post(reverse("admin:herds_operation_confirm", args=[plan.pk]), {})

    assert b"You may read this plan." in page.content
    target.refresh_from_db()
    assert target.state in {"planned", "refused"}
    assert not Operation.objects.filter(state=OperationState.QUEUED).exists()


def test_grants_cost_one_query_a_page(hers: Client, ann: User) -> None:
    factories.instance("quote", "ele11", "dev")
    few = len(queries_of(hers, "/admin/herds/instance/"))
    for number in range(20):
        group = Group.objects.create(name=f"group {number}")
        group.user_set.add(ann)
        Grant.objects.create(
            group=group,
            environment=factories.environment(f"env{number}"),
            permissions=[RESTART],
        )

    assert len(queries_of(hers, "/admin/herds/instance/")) == few


def test_grants_and_freezes_are_edited_with_their_environment(
    administrator: Client,
) -> None:
    place = factories.environment("prod")
    group = Group.objects.get(name="operator")
    now = timezone.now()
    address = f"/admin/herds/environment/{place.pk}/change/"
    assert administrator.get(address).status_code == 200

    answer = administrator.post(
        address,
        {
            "env_name": "prod",
            "env_descr": "",
            "colour": "violet",
            "approval": Approval.ALWAYS.value,
            "types_names": "on",
            "is_refreshed": "on",
            "grants-TOTAL_FORMS": "1",
            "grants-INITIAL_FORMS": "0",
            "grants-0-group": str(group.pk),
            "grants-0-environment": str(place.pk),
            "grants-0-permissions": [RESTART, "herds.stop_instance"],
            "freezes-TOTAL_FORMS": "1",
            "freezes-INITIAL_FORMS": "0",
            "freezes-0-environment": str(place.pk),
            "freezes-0-begins_at_0": f"{now:%Y-%m-%d}",
            "freezes-0-begins_at_1": "00:00:00",
            "freezes-0-ends_at_0": f"{now + timedelta(days=1):%Y-%m-%d}",
            "freezes-0-ends_at_1": "00:00:00",
            "freezes-0-reason": "closing",
        },
    )

    assert answer.status_code == 302, answer.content.decode()[:3000]
    assert place.grants.get().permissions == [RESTART, "herds.stop_instance"]
    assert place.freezes.get().reason == "closing"
    entry = AuditEntry.objects.filter(kind="system environment", event="changed")
    told = {name for each in entry for name in (each.after or {})}
    assert {"colour", "approval", "types_names", "rows"} <= told


def test_a_chosen_colour_is_in_the_sites_style_sheet(administrator: Client) -> None:
    hostile = 'p"}body{display:none}'
    for name, colour in (("prod", "violet"), (hostile, "red"), ("dev", "")):
        place = factories.environment(name)
        Environment.objects.filter(pk=place.pk).update(colour=colour)

    sheet = administrator.get("/admin/herds/environment/colours.css")

    text = sheet.content.decode()
    assert sheet["Content-Type"].startswith("text/css")
    assert '[data-environment="prod"] { background: var(--ele-hue1-bg)' in text
    assert '"dev"' not in text
    assert "body{" not in text
    page = administrator.get("/admin/herds/environment/").content.decode()
    assert "environment/colours.css" in page
    assert 'data-environment="prod"' in page


def test_the_ready_made_roles_are_there_and_stay_as_a_site_made_them(db: None) -> None:
    operator = Group.objects.get(name="operator")
    held = set(operator.permissions.values_list("codename", flat=True))
    assert {"restart_instance", "view_herd"} <= held
    assert not {"failover_instance", "rebuild_instance"} & held
    dba = Group.objects.get(name="dba").permissions
    assert dba.filter(codename="failover_instance").exists()
    operator.permissions.clear()

    call_command("migrate", verbosity=0)

    assert not operator.permissions.exists()


def test_accepting_a_host_key_is_a_permission_of_its_own(
    client: Client, db: None
) -> None:
    server = factories.server()
    change = ("herds.view_server", "herds.change_server")
    client.force_login(factories.user("cleo", *change))
    address = f"/admin/herds/server/{server.pk}/host-key/"

    assert client.get(address).status_code == 403


# A second person ----------------------------------------------------------------


def test_the_plan_says_that_another_person_is_asked_and_who_asked(
    client: Client, db: None
) -> None:
    member = factories.instance()
    Environment.objects.update(approval=Approval.ALWAYS)
    people = {name: factories.user(name, RESTART, *LOOK) for name in ("ann", "bob")}
    client.force_login(people["ann"])
    address = choose(client, "restart", member)
    page = visit(client, address)
    assert "In prod another person has to say yes as well" in page.text
    assert 'value="Ask to Restart 1 instance"' in client.get(address).content.decode()

    answered = {"reason": "new kernel", "acknowledged_0": "on"}
    client.post(address, answered)

    assert "You asked for this" in visit(client, address).text
    client.force_login(people["bob"])
    theirs = client.get(address).content.decode()
    assert "ann asks for your yes" in visit(client, address).text
    assert 'value="Approve: Restart 1 instance"' in theirs
    client.post(address, answered)
    operation = Operation.objects.get()
    assert (operation.state, operation.approved_by_name) == ("queued", "bob")


def test_declining_on_the_page_leads_to_what_became_of_it(
    client: Client, db: None
) -> None:
    member = factories.instance()
    Environment.objects.update(approval=Approval.ALWAYS)
    operation = factories.operation(asked_by_name="ann", asked_at=timezone.now())
    factories.target(operation, member)
    client.force_login(factories.user("bob", RESTART, *LOOK))

    client.post(f"/admin/herds/operation/{operation.pk}/decline/", {"why_not": "no"})

    page = visit(client, f"/admin/herds/operation/{operation.pk}/")
    assert "Declined by bob: no" in page.text


# The audit log ------------------------------------------------------------------


def entries(**wanted: object) -> list[AuditEntry]:
    return list(AuditEntry.objects.filter(**wanted).order_by("audit_id"))


def test_a_change_is_kept_with_what_was_there_before(administrator: Client) -> None:
    place = factories.environment("prod")
    herd = factories.herd(env="prod")
    data = {
        "environment": str(place.pk),
        "herd_name": "trade",
        "base_name": "trade",
        "herd_descr": "",
        "vhost": "new.lab.test",
        "db_port": "5499",
        "pgdata": herd.pgdata,
    }

    administrator.post(
        f"/admin/herds/herd/{herd.pk}/change/", data, REMOTE_ADDR="192.0.2.9"
    )

    (entry,) = entries(kind="herd")
    assert (entry.who, entry.address, entry.event) == ("admin", "192.0.2.9", "changed")
    assert entry.environments == ["prod"]
    assert entry.before is not None
    assert entry.before["db_port"] == herd.db_port
    assert entry.after is not None
    assert entry.after["db_port"] == 5499
    assert set(entry.after) == {"db_port", "vhost"}


def test_a_deletion_keeps_what_was_there(administrator: Client) -> None:
    herd = factories.herd()

    administrator.post(
        "/admin/herds/herd/",
        {
            "action": "delete_selected",
            "_selected_action": [herd.pk],
            "post": "yes",
        },
    )

    (entry,) = entries(kind="herd", event="deleted")
    assert entry.before is not None
    assert entry.before["herd_name"] == "trade"


def test_a_password_is_never_in_the_log(administrator: Client) -> None:
    administrator.post(
        "/admin/auth/user/add/",
        {
            "username": "cleo",
            "usable_password": "true",
            "password1": "correct horse battery",
            "password2": "correct horse battery",
        },
    )

    (entry,) = entries(kind="user", event="added")
    assert entry.after is not None
    assert entry.after["password"] == "(not shown)"


def test_logins_are_kept_also_those_that_fail(client: Client, db: None) -> None:
    factories.user("ann")
    login = reverse("admin:login")
    for password in ("wrong", "secret"):
        client.post(login, {"username": "ann", "password": password})
    client.post(reverse("admin:logout"))

    assert [each.event for each in entries(who="ann")] == [
        "failed to log in",
        "logged in",
        "logged out",
    ]


def test_nobody_changes_or_deletes_an_entry(db: None) -> None:
    AuditEntry.objects.create(who="ann", event="logged in")

    for deed in (
        lambda: AuditEntry.objects.update(who="bob"),
        lambda: AuditEntry.objects.all().delete(),
    ):
        with pytest.raises(IntegrityError, match="not changed"), transaction.atomic():
            deed()


def test_the_log_shows_what_was_changed_and_offers_nothing(
    administrator: Client,
) -> None:
    AuditEntry.objects.create(
        who="ann",
        event="changed",
        kind="herd",
        name="trade",
        environments=["prod"],
        before={"db_port": 5432},
        after={"db_port": 5433},
    )

    page = visit(administrator, "/admin/herds/auditentry/")

    assert "db_port: 5432 → 5433" in page.text
    assert "Delete selected" not in page.text
    assert administrator.get("/admin/herds/auditentry/help/").status_code == 200


def test_the_log_costs_no_query_a_row(administrator: Client) -> None:
    AuditEntry.objects.create(who="ann", event="logged in")
    few = len(queries_of(administrator, "/admin/herds/auditentry/"))
    for _ in range(50):
        AuditEntry.objects.create(who="ann", event="logged in")

    assert len(queries_of(administrator, "/admin/herds/auditentry/")) == few


def test_the_log_can_be_taken_along_as_it_is_filtered(administrator: Client) -> None:
    AuditEntry.objects.create(who="=cmd()", event="logged in", words="naïve, “so”")
    AuditEntry.objects.create(who="bob", event="logged out")

    address = "/admin/herds/auditentry/export"
    query = "?event=logged+in&q=cmd"
    table = b"".join(administrator.get(f"{address}.csv{query}")).decode()
    data = json.loads(b"".join(administrator.get(f"{address}.json{query}")))

    (row,) = csv.DictReader(io.StringIO(table))
    assert row["who"] == "'=cmd()"
    assert row["words"] == "naïve, “so”"
    assert [each["who"] for each in data] == ["=cmd()"]
    assert administrator.get(f"{address}.xls").status_code == 404


def test_the_log_needs_its_permission(hers: Client) -> None:
    assert hers.get("/admin/herds/auditentry/").status_code == 403
    assert hers.get("/admin/herds/auditentry/export.csv").status_code == 403


def test_pruning_deletes_what_is_too_old_and_nothing_else(
    db: None, capsys: pytest.CaptureFixture[str]
) -> None:
    old = timezone.now() - timedelta(days=1000)
    AuditEntry.objects.create(who="old", event="logged in", at=old)
    AuditEntry.objects.create(who="new", event="logged in")
    operation = factories.operation(state=OperationState.SUCCEEDED)
    target = factories.target(operation, factories.instance())
    for moment in (old, timezone.now()):
        factories.output(factories.step(target, finished_at=moment), "text")

    call_command("prune", "--dry-run")
    assert AuditEntry.objects.count() == 2
    call_command("prune")

    assert list(AuditEntry.objects.values_list("who", flat=True)) == ["new"]
    assert OperationOutput.objects.count() == 1
    said = capsys.readouterr().out
    assert "1 audit entries older than 730 days were deleted." in said
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('elephaas.retention', true)")
        assert cursor.fetchone() != ("on",) or connection.in_atomic_block
