"""A server is added only after its key was compared and a login was seen to work."""

from __future__ import annotations

import pytest
from django.contrib.admin.models import LogEntry
from django.core import signing
from django.test import Client
from django.utils import timezone
from pytest_django.fixtures import Settings

from herds.models import AuditEntry, Environment, Server
from herds.ssh.host_keys import HostKey
from tests import factories
from tests.unit.ssh_server import LocalSshd, free_port, make_key

from .pages import Page, visit

pytestmark = pytest.mark.django_db

ADD = "/admin/herds/server/add/"


def fingerprint(sshd: LocalSshd) -> str:
    return HostKey.parse(sshd.host_key()).fingerprint


def ask(client: Client, hostname: str = "localhost", **fields: str) -> Page:
    """Send the form that adds a server, and return the page that comes back."""
    environment = factories.environment("prod")
    response = client.post(
        ADD, {"environment": environment.pk, "hostname": hostname, **fields}
    )
    assert response.status_code == 200
    return Page(response.content.decode())


def accept(client: Client, page: Page, hostname: str = "localhost", **fields: str):  # type: ignore[no-untyped-def]
    """Tick the box below the fingerprint of this page, and send it again."""
    return client.post(
        ADD,
        {
            "environment": factories.environment("prod").pk,
            "hostname": hostname,
            "shown_key": page.inputs["shown_key"],
            "accept_key": "on",
            **fields,
        },
    )


def test_the_page_shows_the_public_key_and_where_to_put_it(
    administrator: Client, sshd: LocalSshd
) -> None:
    page = visit(administrator, ADD)

    assert "ssh-ed25519 AAAAExample elephaas@control" in page.text
    assert "/.ssh/authorized_keys" in page.text


def test_without_a_public_key_the_page_says_which_setting_lacks(
    administrator: Client, settings: Settings
) -> None:
    settings.PUBLIC_KEY = ""

    assert "The setting PUBLIC_KEY is empty" in visit(administrator, ADD).text


def test_a_host_shows_its_fingerprint_before_anything_is_saved(
    administrator: Client, sshd: LocalSshd
) -> None:
    page = ask(administrator)

    assert fingerprint(sshd) in page.text
    assert page.inputs["hostname"] == "localhost"
    assert "Please correct" not in page.text
    assert not Server.objects.exists()
    assert sshd.accepted_logins() == 0


def test_an_accepted_key_is_pinned_with_who_and_when(
    administrator: Client, sshd: LocalSshd
) -> None:
    response = accept(administrator, ask(administrator))

    server = Server.objects.get()
    assert response.status_code == 302
    assert server.hostname == "localhost"
    assert server.environment == Environment.objects.get(env_name="prod")
    assert server.host_key == sshd.host_key()
    assert server.host_key_accepted_by == "admin"
    assert server.host_key_accepted_at is not None
    assert sshd.accepted_logins() == 1


def test_a_key_that_was_not_accepted_is_shown_again(
    administrator: Client, sshd: LocalSshd
) -> None:
    first = ask(administrator)

    again = ask(administrator, shown_key=first.inputs["shown_key"])

    assert fingerprint(sshd) in again.text
    assert not Server.objects.exists()


def test_a_key_that_was_never_shown_cannot_be_accepted(
    administrator: Client, sshd: LocalSshd
) -> None:
    own = signing.dumps(["localhost", sshd.host_key()], salt="guessed")

    page = ask(administrator, shown_key=own, accept_key="on")

    assert fingerprint(sshd) in page.text
    assert not Server.objects.exists()


def test_a_key_shown_for_another_host_is_not_accepted_for_this_one(
    administrator: Client, sshd: LocalSshd
) -> None:
    first = ask(administrator, hostname="localhost")

    response = accept(administrator, first, hostname="127.0.0.1")

    assert response.status_code == 200
    assert fingerprint(sshd) in response.content.decode()
    assert not Server.objects.exists()


def test_a_host_that_changed_its_key_meanwhile_is_refused(
    administrator: Client, sshd: LocalSshd
) -> None:
    first = ask(administrator)
    before = fingerprint(sshd)
    sshd.stop()
    sshd.replace_host_key()
    sshd.start()

    page = Page(accept(administrator, first).content.decode())

    assert f"but the accepted one is {before}" in page.text
    assert "accept_key" not in page.inputs
    assert page.inputs["hostname"] == "localhost"
    assert not Server.objects.exists()
    assert accept(administrator, page).status_code == 302
    assert Server.objects.get().host_key == sshd.host_key()


def test_an_unreachable_host_is_refused_with_the_reason(
    administrator: Client, sshd: LocalSshd, settings: Settings
) -> None:
    settings.SSH = {**settings.SSH, "PORT": free_port()}

    page = ask(administrator)

    assert "localhost could not be reached over SSH (connection refused" in page.text
    assert page.inputs["hostname"] == "localhost"
    assert not Server.objects.exists()


def test_a_name_nobody_knows_is_refused_with_the_reason(
    administrator: Client, sshd: LocalSshd
) -> None:
    page = ask(administrator, hostname="no-such-host.invalid")

    assert "no-such-host.invalid could not be reached over SSH" in page.text
    assert not Server.objects.exists()


def test_a_host_that_answers_nothing_is_refused_in_time(
    administrator: Client, sshd: LocalSshd, settings: Settings
) -> None:
    settings.SSH = {**settings.SSH, "CONNECT_TIMEOUT": 0.3}
    sshd.freeze()

    page = ask(administrator)

    assert "localhost could not be reached over SSH" in page.text
    assert not Server.objects.exists()


def test_a_host_that_does_not_know_the_key_is_refused_with_what_to_do(
    administrator: Client, sshd: LocalSshd, settings: Settings
) -> None:
    stranger = make_key(sshd.directory / "stranger")
    settings.SSH = {**settings.SSH, "PRIVATE_KEY_FILE": str(stranger)}

    page = Page(accept(administrator, ask(administrator)).content.decode())

    assert "localhost refused the SSH login of user" in page.text
    assert "authorized_keys" in page.text
    assert page.inputs["accept_key"] == "on"
    assert page.inputs["hostname"] == "localhost"
    assert not Server.objects.exists()


def test_a_host_that_does_not_know_the_user_is_refused(
    administrator: Client, sshd: LocalSshd, settings: Settings
) -> None:
    settings.SSH = {**settings.SSH, "USER": "nobody-of-that-name"}

    page = Page(accept(administrator, ask(administrator)).content.decode())

    assert "refused the SSH login of user nobody-of-that-name" in page.text
    assert not Server.objects.exists()


def test_a_server_is_there_once_whatever_its_case(
    administrator: Client, sshd: LocalSshd
) -> None:
    factories.server("localhost")

    page = ask(administrator, hostname="LocalHost")

    assert "A server of this name exists already." in page.text
    assert Server.objects.count() == 1


@pytest.mark.parametrize(
    "hostname",
    [
        "two words",
        "semi;colon",
        "$(reboot)",
        "line\nbreak",
        "-oProxyCommand=x",
        "elé",
        "x" * 300,
        "a..b",
    ],
)
def test_what_is_no_host_name_is_refused_before_anybody_is_asked(
    administrator: Client, hostname: str
) -> None:
    page = ask(administrator, hostname=hostname)

    assert "Please correct the error below." in page.text
    assert "could not be reached" not in page.text
    assert not Server.objects.exists()


def test_changing_the_environment_asks_no_host(
    administrator: Client, settings: Settings
) -> None:
    settings.SSH = {"PORT": free_port()}
    server = factories.server("localhost", "dev", host_key="kept as it is")
    prod = factories.environment("prod")

    response = administrator.post(
        f"/admin/herds/server/{server.pk}/change/",
        {"environment": prod.pk, "hostname": "localhost"},
    )

    server.refresh_from_db()
    assert response.status_code == 302
    assert server.environment == prod
    assert server.host_key == "kept as it is"


def test_another_name_has_to_show_its_key(
    administrator: Client, sshd: LocalSshd
) -> None:
    server = factories.server("ele01")

    response = administrator.post(
        f"/admin/herds/server/{server.pk}/change/",
        {"environment": server.environment_id, "hostname": "localhost"},
    )

    server.refresh_from_db()
    assert fingerprint(sshd) in response.content.decode()
    assert server.hostname == "ele01"


# The page on which a changed key is accepted --------------------------------------


@pytest.fixture
def known(sshd: LocalSshd) -> Server:
    """A server whose key was accepted once."""
    return factories.server(
        "localhost",
        host_key=sshd.host_key(),
        host_key_accepted_at=timezone.now(),
        host_key_accepted_by="anna",
    )


def key_page(server: Server) -> str:
    return f"/admin/herds/server/{server.pk}/host-key/"


def reinstall(sshd: LocalSshd) -> None:
    sshd.stop()
    sshd.replace_host_key()
    sshd.start()


def test_a_server_shows_the_accepted_key(
    administrator: Client, known: Server, sshd: LocalSshd
) -> None:
    page = visit(administrator, f"/admin/herds/server/{known.pk}/change/")

    assert fingerprint(sshd) in page.text
    assert "by anna" in page.text
    assert page.links["Compare with the host now"] == key_page(known)


def test_an_unchanged_key_leaves_nothing_to_do(
    administrator: Client, known: Server
) -> None:
    page = visit(administrator, key_page(known))

    assert "There is nothing to do." in page.text
    assert "shown_key" not in page.inputs


def test_a_reinstalled_host_shows_both_fingerprints(
    administrator: Client, known: Server, sshd: LocalSshd
) -> None:
    before = fingerprint(sshd)
    reinstall(sshd)

    page = visit(administrator, key_page(known))

    assert before in page.text
    assert fingerprint(sshd) in page.text
    known.refresh_from_db()
    assert known.host_key != sshd.host_key()


def test_the_new_key_of_a_reinstalled_host_is_accepted_and_told_in_the_history(
    administrator: Client, known: Server, sshd: LocalSshd
) -> None:
    before = fingerprint(sshd)
    reinstall(sshd)
    page = visit(administrator, key_page(known))

    response = administrator.post(
        key_page(known), {"shown_key": page.inputs["shown_key"], "accept_key": "on"}
    )

    known.refresh_from_db()
    assert response.status_code == 302
    assert known.host_key == sshd.host_key()
    assert known.host_key_accepted_by == "admin"
    story = LogEntry.objects.get().get_change_message()
    assert before in story
    assert fingerprint(sshd) in story
    entry = AuditEntry.objects.get(event="accepted host key")
    assert entry.before == {"host_key": before}
    assert entry.after == {"host_key": fingerprint(sshd)}


def test_an_unticked_box_accepts_nothing(
    administrator: Client, known: Server, sshd: LocalSshd
) -> None:
    accepted = known.host_key
    reinstall(sshd)
    page = visit(administrator, key_page(known))

    response = administrator.post(
        key_page(known), {"shown_key": page.inputs["shown_key"]}
    )

    known.refresh_from_db()
    assert "Nothing was accepted" in response.content.decode()
    assert known.host_key == accepted


def test_a_key_without_its_proof_is_not_accepted(
    administrator: Client, known: Server, sshd: LocalSshd
) -> None:
    accepted = known.host_key
    reinstall(sshd)

    administrator.post(
        key_page(known), {"shown_key": sshd.host_key(), "accept_key": "on"}
    )

    known.refresh_from_db()
    assert known.host_key == accepted


def test_a_host_that_is_down_keeps_its_key(
    administrator: Client, known: Server, sshd: LocalSshd
) -> None:
    sshd.stop()

    page = visit(administrator, key_page(known))

    assert "could not be reached over SSH" in page.text
    assert "The accepted key stays" in page.text


def test_a_server_an_agent_registered_can_have_its_key_accepted(
    administrator: Client, sshd: LocalSshd
) -> None:
    server = factories.server("localhost")
    change = visit(administrator, f"/admin/herds/server/{server.pk}/change/")
    page = visit(administrator, change.links["Compare and accept"])

    administrator.post(
        key_page(server), {"shown_key": page.inputs["shown_key"], "accept_key": "on"}
    )

    server.refresh_from_db()
    assert server.host_key == sshd.host_key()


def test_who_may_only_look_accepts_no_key(
    viewer: Client, known: Server, sshd: LocalSshd
) -> None:
    accepted = known.host_key
    reinstall(sshd)

    page = visit(viewer, f"/admin/herds/server/{known.pk}/change/")
    assert key_page(known) not in page.links.values()
    assert "by anna" in page.text
    assert viewer.get(key_page(known)).status_code == 403
    assert viewer.post(key_page(known), {"accept_key": "on"}).status_code == 403
    known.refresh_from_db()
    assert known.host_key == accepted


def test_a_server_that_is_gone_has_no_host_key(administrator: Client) -> None:
    assert administrator.get("/admin/herds/server/4711/host-key/").status_code == 404
