"""What pages offer by permission and environment, and what they write down."""

from __future__ import annotations

import csv
import io
import json
import re
from datetime import timedelta
from pathlib import Path

import pytest
from django.contrib.auth.models import Group, User
from django.core.management import call_command
from django.db import IntegrityError, connection, transaction
from django.test import Client
from django.urls import reverse
from django.utils import timezone

import herds
from herds.admin.environments import actions_to_grant
from herds.domain.states import OperationState
from herds.errors import HostUnreachable
from herds.models import (
    AuditEntry,
    Environment,
    Grant,
    Instance,
    Operation,
    OperationOutput,
    Server,
)
from herds.models.inventory import Approval
from herds.operations import audit, requests
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
    (changed,) = entries(kind="system environment", event="changed")
    assert {"colour", "approval", "types_names"} <= set(changed.after or {})
    (granted,) = entries(kind="permission here", event="added")
    assert granted.environments == ["prod"]
    assert (granted.after or {})["permissions"] == [RESTART, "herds.stop_instance"]
    (frozen,) = entries(kind="freeze", event="added")
    assert (frozen.after or {})["reason"] == "closing"


def test_what_is_changed_and_taken_away_of_a_grant_is_kept(
    administrator: Client,
) -> None:
    place = factories.environment("prod")
    lines = [
        Grant.objects.create(
            group=Group.objects.get(name=name), environment=place, permissions=[RESTART]
        )
        for name in ("operator", "viewer")
    ]
    data = {
        "env_name": "prod",
        "env_descr": "",
        "approval": Approval.NEVER.value,
        "is_refreshed": "on",
        "grants-TOTAL_FORMS": "2",
        "grants-INITIAL_FORMS": "2",
        "freezes-TOTAL_FORMS": "0",
        "freezes-INITIAL_FORMS": "0",
        "grants-1-DELETE": "on",
    }
    for number, line in enumerate(lines):
        data |= {
            f"grants-{number}-grant_id": str(line.pk),
            f"grants-{number}-environment": str(place.pk),
            f"grants-{number}-group": str(line.group_id),
            f"grants-{number}-permissions": "herds.stop_instance",
        }

    administrator.post(f"/admin/herds/environment/{place.pk}/change/", data)

    (changed,) = entries(kind="permission here", event="changed")
    assert changed.name == "operator in prod"
    assert changed.before == {"permissions": [RESTART]}
    assert changed.after == {"permissions": ["herds.stop_instance"]}
    (gone,) = entries(kind="permission here", event="deleted")
    assert gone.name == "viewer in prod"
    assert (gone.before or {})["permissions"] == [RESTART]


def test_a_host_key_is_accepted_where_that_is_granted(
    client: Client, db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def silent(host: str) -> None:
        raise HostUnreachable(host, "connection refused")

    monkeypatch.setattr("herds.services.servers.present_host_key", silent)
    there = factories.server("ele11", "dev")
    elsewhere = factories.server("ele01", "prod")
    cleo = factories.user("cleo", "herds.view_server")
    group = Group.objects.create(name="developers")
    group.user_set.add(cleo)
    Grant.objects.create(
        group=group,
        environment=there.environment,
        permissions=["herds.accept_host_key_server"],
    )
    client.force_login(cleo)

    for server, status in ((there, 200), (elsewhere, 403)):
        page = client.get(f"/admin/herds/server/{server.pk}/change/")
        offers = f"/{server.pk}/host-key/" in page.content.decode()
        assert offers is (status == 200)
        answer = client.get(f"/admin/herds/server/{server.pk}/host-key/")
        assert answer.status_code == status


def test_the_front_page_helps_where_it_may(hers: Client, ann: User) -> None:
    group = Group.objects.get(name="developers")
    Grant.objects.update(permissions=["herds.refresh_instance"])
    assert group.grants.count() == 1
    for host, env in (("ele11", "dev"), ("ele01", "prod")):
        factories.instance(f"on{host}", host, env, observed_at=None)

    page = hers.get("/admin/").content.decode()

    servers = {each.hostname: each.pk for each in Server.objects.all()}
    assert f"refresh-server-{servers['ele11']}" in page
    assert f"refresh-server-{servers['ele01']}" not in page


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


def test_a_changed_password_is_kept_without_it(administrator: Client) -> None:
    user = factories.user("cleo")
    new = "correct horse battery"
    sent = {"usable_password": "true", "password1": new, "password2": new}
    administrator.post(f"/admin/auth/user/{user.pk}/password/", sent)
    own = Client()
    own.force_login(User.objects.get(username="cleo"))
    own.post(
        reverse("admin:password_change"),
        {
            "old_password": new,
            "new_password1": "battery horse correct",
            "new_password2": "battery horse correct",
        },
    )

    told = entries(event="changed password")
    assert [(each.who, each.name) for each in told] == [
        ("admin", "cleo"),
        ("cleo", "cleo"),
    ]
    assert not any(each.before or each.after for each in told)


def test_a_discarded_plan_leaves_its_trace(administrator: Client) -> None:
    plan = factories.operation()
    factories.target(plan, factories.instance())
    admin = User.objects.get(username="admin")

    requests.discard(
        plan.pk, requests.Requester(name="admin", source="admin", user=admin)
    )

    (entry,) = entries(event="discarded")
    assert (entry.number, entry.environments) == (str(plan.pk), ["prod"])


def test_the_log_is_filtered_by_environment(administrator: Client) -> None:
    factories.environment("prod")
    factories.environment("dev")
    for name in ("prod", "dev"):
        AuditEntry.objects.create(
            who=f"of {name}", event="changed", environments=[name]
        )

    page = visit(administrator, "/admin/herds/auditentry/?place=prod")

    assert "of prod" in page.text
    assert "of dev" not in page.text
    for name in ("place", "event", "kind"):
        page = visit(administrator, f"/admin/herds/auditentry/?{name}=%00")
        assert "of prod" not in page.text


def test_every_word_of_the_log_can_be_chosen_as_a_filter(
    administrator: Client,
) -> None:
    place = factories.environment("prod")
    said = Path(herds.__file__).parent
    words = {
        word
        for file in said.rglob("*.py")
        for word in re.findall(
            r'(?:note|record|record_change)\(\s*(?:[\w.()\[\]]+,\s*)+?"([a-z ]+)"',
            file.read_text(),
        )
    }
    assert {"added", "discarded", "logged in", "accepted host key"} <= words
    assert words <= set(audit.EVENTS)

    AuditEntry.objects.create(who="ann", event="placed", kind="system environment")
    AuditEntry.objects.create(who="bob", event="added", kind="herd")
    address = "/admin/herds/auditentry/?event=placed&kind=system+environment"
    page = visit(administrator, address)
    assert "ann" in page.text
    assert "bob" not in page.text
    assert place.env_name in page.text


def test_each_permission_is_granted_by_its_own_words() -> None:
    assert dict(actions_to_grant()) == {
        "herds.start_instance": "Start",
        "herds.stop_instance": "Stop",
        "herds.restart_instance": "Restart",
        "herds.reload_instance": "Reload",
        "herds.promote_instance": "Promote",
        "herds.demote_instance": "Demote",
        "herds.rebuild_instance": "Rebuild",
        "herds.refresh_instance": "Refresh",
        "herds.switchover_instance": "Switch over",
        "herds.failover_instance": "Fail over",
        "herds.refresh_dns_instance": "Refresh DNS",
        "herds.cancel_operation": "Cancel other people's operations",
        "herds.accept_host_key_server": "Accept host keys",
        "herds.override_freeze": "Make changes during a freeze",
    }


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
