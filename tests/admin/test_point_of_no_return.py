"""Plans with a point of no return: the bar, the checks, what cannot go, the runbook."""

from __future__ import annotations

import subprocess
from datetime import timedelta
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from herds.models import Instance, Operation
from herds.operations import registry, requests
from tests import factories
from tests.doubles.crossing import CROSSING, NUMBER_OF_CHECKS

from .pages import Page, rows, visit


@pytest.fixture(autouse=True)
def crossing(monkeypatch: pytest.MonkeyPatch) -> None:
    """An action like a switchover is known to the engine."""
    monkeypatch.setitem(registry._ACTIONS, CROSSING.name, CROSSING)


@pytest.fixture
def anna(client: Client, db: None) -> User:
    """Somebody logged in who may cross over."""
    person = factories.user("anna", "herds.view_operation", "herds.promote_instance")
    client.force_login(person)
    return person


@pytest.fixture
def trade(db: None) -> Instance:
    """A replica of herd trade."""
    primary = factories.instance("trade", "ele01")
    return factories.instance("trade", "ele02", master=primary)


@pytest.fixture
def quote(db: None) -> Instance:
    """A replica of herd quote that is stopped, so that it cannot go."""
    primary = factories.instance("quote", "ele03")
    return factories.instance("quote", "ele04", master=primary, is_online=False)


def draft(*members: Instance) -> Operation:
    requester = requests.Requester(name="anna", source="terminal")
    return requests.draft("crossing", [each.pk for each in members], requester)


def url(operation: Operation, page: str = "confirm") -> str:
    return reverse(f"admin:herds_operation_{page}", args=[operation.pk])


def html(client: Client, operation: Operation) -> str:
    return client.get(url(operation)).content.decode()


def test_the_steps_stand_on_three_parts_and_are_counted_on(
    client: Client, anna: User, trade: Instance
) -> None:
    page = html(client, draft(trade))

    bar = page[page.index('<ol class="ele-op-way"') :]
    assert bar.index("can be undone") < bar.index("Stop the old primary")
    assert bar.index("Stop the old primary") < bar.index("point of no return")
    assert bar.index("point of no return") < bar.index("Promote")
    assert bar.index("Promote") < bar.index("only forward") < bar.index("Move the name")
    assert [bar.index(f'<ol start="{number}">') for number in (1, 3, 4)]
    assert "Afterwards: ele02 takes the writes." in page


@pytest.mark.parametrize("no_return", [None, 4, 9])
def test_a_plan_that_can_be_undone_as_a_whole_has_no_bar(
    client: Client, anna: User, trade: Instance, no_return: int | None
) -> None:
    operation = draft(trade)
    target = operation.targets.get()
    target.plan["no_return"] = no_return
    target.save()

    assert "ele-op-way" not in html(client, operation)


def test_a_plan_in_which_nothing_can_be_undone_says_so(
    client: Client, anna: User, trade: Instance
) -> None:
    operation = draft(trade)
    target = operation.targets.get()
    target.plan["no_return"] = 0
    target.save()

    page = Page(html(client, operation))

    assert "can be undone nothing point of no return Write a checkpoint" in page.text


def test_twenty_fine_checks_are_one_line(
    client: Client, anna: User, trade: Instance
) -> None:
    page = html(client, draft(trade))

    assert '<details class="ele-op-checks">' in page
    assert f"{NUMBER_OF_CHECKS} checks are fine" in page


def test_a_check_that_stops_a_target_is_shown_with_it_unfolded_and_first(
    client: Client, anna: User, trade: Instance, quote: Instance
) -> None:
    page = html(client, draft(trade, quote))
    refused = page[page.index("ele-op-refused") :]

    assert "1 herd cannot go" in refused
    assert "ele04 is stopped." in refused
    assert '<details class="ele-op-checks" open>' in refused
    assert f"1 of {NUMBER_OF_CHECKS} checks needs attention" in refused
    table = Page(refused).tables["Checks of quote on ele04"]
    assert table[1][:6] == [
        *("✖ stops it", "ele04", "Check 1"),
        *("1 kB behind", "16 MB", "SELECT 1"),
    ]
    assert len(table) == 1 + NUMBER_OF_CHECKS
    assert 'value="Cross over 1 herd"' in page
    # The one that goes asks for its name, the one that does not does not.
    assert "Type <code" in page
    assert page.count("typed_") == html(client, draft(trade)).count("typed_")


def test_where_no_herd_can_go_that_is_said_of_herds(
    client: Client, anna: User, quote: Instance
) -> None:
    page = html(client, draft(quote))

    assert "None of these herds can go" in page
    assert "checks needs attention" in page


def test_a_plan_says_when_it_expires(
    client: Client, anna: User, trade: Instance
) -> None:
    operation = draft(trade)
    Operation.objects.update(expires_at=timezone.now() + timedelta(seconds=80))
    operation.refresh_from_db()

    page = Page(html(client, operation))

    assert f"at {operation.expires_at:%Y-%m-%d %H:%M:%S} UTC." in page.text
    assert "This plan expires in 7" in page.text


def runbook(client: Client, operation: Operation) -> str:
    response = client.get(url(operation, "runbook"))
    assert response.status_code == 200
    assert response["Content-Type"] == "text/plain; charset=utf-8"
    assert f"operation-{operation.pk}-runbook.sh" in response["Content-Disposition"]
    return str(response.content.decode())


def test_the_runbook_is_the_commands_with_the_plan_as_comments(
    client: Client, anna: User, trade: Instance, quote: Instance
) -> None:
    operation = draft(trade, quote)
    assert url(operation, "runbook") in html(client, operation)

    script = runbook(client, operation)

    commands = [line for line in script.splitlines() if line and line[0] != "#"]
    assert commands == [
        "set -eu",
        "ssh postgres@ele02 'pg_ctl promote -D /var/lib/postgresql/15/trade'",
    ]
    for comment in (
        f"# Runbook of operation {operation.pk}: Cross over 2 herds in prod.",
        "# Planned by anna at ",
        "# This plan expires at ",
        "# ==== trade in prod, on ele02 ====",
        "#   fine: Check 1: 1 kB behind; threshold 16 MB; how: SELECT 1; observed at ",
        "# can be undone: Write a checkpoint; Stop the old primary",
        "# point of no return: Promote",
        "# CANNOT GO: ele04 is stopped.",
        "#   STOPS IT: Check 1",
    ):
        assert comment in script


def test_nothing_that_was_observed_becomes_a_command(
    client: Client, anna: User, trade: Instance, tmp_path: Path
) -> None:
    attack = "x\n touch t\r\n\x1b]0;a\x07$(touch t)"
    operation = draft(trade)
    Operation.objects.update(reason=attack, headline=attack, requested_by_name=attack)
    target = operation.targets.get()
    target.plan["runbook"] = ["true"]
    for name in ("now", "will", "afterwards"):
        target.plan[name] = attack
    target.plan["steps"] = [attack] * 4
    target.plan["checks"] = [
        dict.fromkeys(("name", "how", "observed", "threshold"), attack)
        | {"verdict": "warn", "observed_at": attack}
    ]
    target.herd_name = target.hostname = target.environment_name = attack
    target.save()

    script = runbook(client, operation)

    assert "\x1b" not in script
    assert "\r" not in script
    subprocess.run(["sh", "-c", script], check=True, cwd=tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_plan_without_commands_has_no_runbook(
    client: Client, anna: User, trade: Instance
) -> None:
    operation = factories.operation(anna)
    factories.target(operation, trade)

    assert "unbook" not in html(client, operation)
    assert client.get(url(operation, "runbook")).status_code == 404


def test_the_runbook_is_for_who_may_view_operations(
    client: Client, trade: Instance
) -> None:
    operation = draft(trade)
    client.force_login(factories.user("cleo", "herds.promote_instance"))

    assert client.get(url(operation, "runbook")).status_code == 403


def test_the_page_of_an_operation_leads_to_its_runbook(
    client: Client, anna: User, trade: Instance
) -> None:
    operation = draft(trade)
    Operation.objects.update(state="running")

    page = visit(client, url(operation, "change"))

    assert page.links["Runbook, as a shell script"] == url(operation, "runbook")
    assert rows(page) == []
