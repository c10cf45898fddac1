"""People at a browser introduce real hosts to ElepHaaS, and refuse strange ones."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from herds.models import Server
from herds.ssh.host_keys import HostKey
from tests.browser.pictures import picture
from tests.browser.screens import log_in
from tests.lab.product import Product
from tests.lab.sshd import SshServer

pytestmark = [pytest.mark.lab, pytest.mark.browser]

SPARE = "ele10"


@pytest.fixture
def page(browser: Browser, website: str, debian: Product) -> Iterator[Page]:
    """A page of an administrator; an error of a script fails the test."""
    context = browser.new_context(base_url=website)
    context.set_default_timeout(20_000)
    page = context.new_page()
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    log_in(page, website, "admin", "admin")
    yield page
    context.close()
    assert complaints == []
    Server.objects.filter(hostname=SPARE).delete()


def introduce(page: Page, hostname: str) -> None:
    """Fill in the form of a new server and send it."""
    page.goto("/admin/herds/server/add/")
    page.select_option("#id_environment", label="dev")
    page.fill("#id_hostname", hostname)
    page.click("input[name=_save]")


def fingerprint_on(product: Product, host: str) -> str:
    """Ask a host itself for its fingerprint, as the page tells people to."""
    argv = ["ssh-keygen", "-lf", "/etc/ssh/ssh_host_ed25519_key.pub"]
    return product.lab.exec(host, argv).stdout.split()[1]


def test_a_server_is_added_once_its_fingerprint_was_accepted(
    page: Page, debian: Product
) -> None:
    page.goto("/admin/herds/server/add/")
    expect(page.locator("#public-key")).to_have_text(
        debian.lab.ssh_key.with_suffix(".pub").read_text().strip()
    )
    picture(page, "server-add")

    introduce(page, SPARE)

    expect(page.locator("#content")).to_contain_text(fingerprint_on(debian, SPARE))
    picture(page, "server-fingerprint")
    assert not Server.objects.filter(hostname=SPARE).exists()
    page.get_by_label("The fingerprints are the same").check()
    page.click("input[name=_save]")

    expect(page.locator(".messagelist .success")).to_contain_text(SPARE)
    server = Server.objects.get(hostname=SPARE)
    assert server.host_key == debian.lab.host_key(SPARE)
    assert server.host_key_accepted_by == "admin"
    page.goto(f"/admin/herds/server/{server.pk}/change/")
    expect(page.locator("#content")).to_contain_text(fingerprint_on(debian, SPARE))
    picture(page, "server")


def test_a_host_that_changes_its_key_after_it_was_shown_is_refused(
    page: Page, debian: Product
) -> None:
    introduce(page, SPARE)
    expect(page.locator("#content")).to_contain_text(fingerprint_on(debian, SPARE))
    with SshServer(debian.lab, SPARE).with_another_key():
        page.get_by_label("The fingerprints are the same").check()
        page.click("input[name=_save]")

        expect(page.locator(".field-hostname .errorlist")).to_contain_text(
            f"{SPARE} presents the SSH host key {fingerprint_on(debian, SPARE)}, but "
        )
        picture(page, "server-key-changed-meanwhile")
    assert not Server.objects.filter(hostname=SPARE).exists()


def test_a_changed_key_of_a_known_server_is_compared_and_accepted(
    page: Page, debian: Product
) -> None:
    server = Server.objects.create(
        hostname=SPARE,
        environment=debian.instance("orders@ele08").server.environment,
        host_key=debian.lab.host_key(SPARE),
    )
    before = HostKey.parse(server.host_key).fingerprint
    with SshServer(debian.lab, SPARE).with_another_key():
        page.goto(f"/admin/herds/server/{server.pk}/change/")
        page.click("a:has-text('Compare with the host now')")
        expect(page.locator("#content")).to_contain_text("no longer presents the key")
        expect(page.locator("#content")).to_contain_text(before)
        expect(page.locator("#content")).to_contain_text(fingerprint_on(debian, SPARE))
        picture(page, "server-key-changed")
        page.get_by_label("The fingerprints are the same").check()
        page.click("input[type=submit]")
        expect(page.locator(".messagelist .success")).to_contain_text("in place of")
        server.refresh_from_db()
        assert server.host_key == debian.lab.host_key(SPARE)


def refused(page: Page, why: str) -> None:
    """See that the form came back with a reason, and with what was typed."""
    expect(page.locator(".field-hostname .errorlist")).to_contain_text(why)
    expect(page.locator("#id_environment option:checked")).to_have_text("dev")
    assert not Server.objects.filter(hostname=page.input_value("#id_hostname")).exists()


def test_a_host_that_is_off_is_refused_with_the_reason(
    page: Page, debian: Product
) -> None:
    debian.lab.kill(SPARE)
    try:
        introduce(page, SPARE)
        refused(page, f"{SPARE} could not be reached over SSH (")
        picture(page, "server-unreachable")
    finally:
        debian.lab.boot(SPARE)


def test_an_sshd_that_hangs_is_refused_within_seconds(
    page: Page, debian: Product
) -> None:
    hung = SshServer(debian.lab, SPARE)
    hung.hang()
    try:
        introduce(page, SPARE)
        refused(page, "(no SSH server answered on port 22 within 5 s)")
    finally:
        hung.go_on()


def test_a_name_that_nobody_has_is_refused_with_the_reason(page: Page) -> None:
    introduce(page, "nobody.lab.test")

    refused(
        page, "nobody.lab.test could not be reached over SSH (its name is not known)"
    )


def test_a_host_that_does_not_let_the_user_in_is_refused_with_the_reason(
    page: Page, debian: Product
) -> None:
    keys = "/var/lib/postgresql/.ssh/authorized_keys"
    debian.lab.exec(SPARE, ["mv", keys, f"{keys}.away"])
    try:
        introduce(page, SPARE)
        page.get_by_label("The fingerprints are the same").check()
        page.click("input[name=_save]")
        refused(page, f"{SPARE} refused the SSH login of user postgres")
        picture(page, "server-login-refused")
    finally:
        debian.lab.exec(SPARE, ["mv", f"{keys}.away", keys])
