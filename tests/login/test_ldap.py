"""Logs people in at a real OpenLDAP server, with the example settings as written."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import ldap
import pytest
from django.contrib.auth.models import Group, User
from django.test import Client, override_settings
from django.urls import reverse
from django_auth_ldap.backend import LDAPBackend

from elephaas.site import ElephaasAdminSite, local_logins
from herds.checks import check_ldap
from herds.models import Herd
from lab.directory import BASE, GROUPS, MANAGER, PEOPLE, Directory
from tests.docs.pages import ROOT

EXAMPLE = ROOT / "elephaas" / "local_settings.example.py"
PASSWORD = "correct horse"

pytestmark = pytest.mark.django_db


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Directory]:
    server = Directory(
        tmp_path_factory.mktemp("slapd"),
        people=dict.fromkeys(["lead", "ada", "guest", "leaver"], PASSWORD),
        groups={
            "dba": ["lead", "ada", "leaver"],
            "dba-leads": ["lead"],
            "operator": ["ada"],
            "payroll": ["ada"],
        },
    )
    server.start()
    yield server
    server.stop()


def example(directory: Directory, **changes: Any) -> dict[str, Any]:
    """Uncomment the example's part on LDAP, and give its settings for this server."""
    text = EXAMPLE.read_text()
    begin = text.index("# import ldap\n")
    lines = re.sub(r"^# ?", "", text[begin:], flags=re.M)
    password = directory.folder / "password"
    password.write_text(directory.service_password + "\n")
    for old, new in {
        "ldap://ldap.example.com": f"ldap://127.0.0.1:{directory.port}",
        "/etc/ssl/certs/ca-certificates.crt": str(directory.authority),
        "/etc/elephaas/ldap.password": str(password),
    }.items():
        assert old in lines
        lines = lines.replace(old, new)
    found: dict[str, Any] = {}
    exec(compile(lines, "the example", "exec"), found)
    return {name: value for name, value in found.items() if name.isupper()} | changes


@pytest.fixture
def as_written(directory: Directory) -> Iterator[None]:
    with override_settings(**example(directory)):
        yield


def gets_in(username: str, password: str) -> bool:
    """Log in through the page; tell whether the admin opens."""
    client = Client(REMOTE_ADDR="192.0.2.1")
    client.post(reverse("admin:login"), {"username": username, "password": password})
    return client.get(reverse("admin:index")).status_code == 200


@contextmanager
def managed(directory: Directory) -> Iterator[Any]:
    connection = ldap.initialize(f"ldap://127.0.0.1:{directory.port}")
    connection.set_option(ldap.OPT_X_TLS_CACERTFILE, str(directory.authority))
    connection.set_option(ldap.OPT_X_TLS_NEWCTX, 0)
    connection.start_tls_s()
    connection.simple_bind_s(MANAGER, directory.manager_password)
    try:
        yield connection
    finally:
        connection.unbind_s()


@pytest.mark.usefixtures("as_written")
def test_a_member_logs_in_and_has_what_the_groups_give() -> None:
    Group.objects.create(name="payroll")

    assert gets_in("ada", PASSWORD)

    ada = User.objects.get(username="ada")
    assert (ada.is_staff, ada.is_superuser) == (True, False)
    assert (ada.first_name, ada.email) == ("Ada", "ada@example.com")
    assert not ada.has_usable_password()
    # Groups are mirrored by list: payroll is the directory's and this site's own.
    assert set(ada.groups.values_list("name", flat=True)) == {"dba", "operator"}


@pytest.mark.usefixtures("as_written")
def test_a_lead_is_a_superuser() -> None:
    assert gets_in("lead", PASSWORD)
    assert User.objects.get(username="lead").is_superuser


@pytest.mark.usefixtures("as_written")
def test_groups_that_are_not_listed_stay_as_they_are_set_here() -> None:
    assert gets_in("ada", PASSWORD)
    User.objects.get(username="ada").groups.add(Group.objects.create(name="payroll"))

    assert gets_in("ada", PASSWORD)

    assert User.objects.get(username="ada").groups.filter(name="payroll").exists()


@pytest.mark.usefixtures("as_written")
@pytest.mark.parametrize(
    ("username", "password"),
    [
        ("ada", "wrong"),
        ("ada", ""),
        ("ada", "*"),
        ("*", PASSWORD),
        ("a*", PASSWORD),
        ("ada)(uid=*", PASSWORD),
        ("*)(|(uid=*", PASSWORD),
        ("ada\0", PASSWORD),
        (r"\61da", PASSWORD),
        ("guest", PASSWORD),
        ("nobody", PASSWORD),
        ("", ""),
    ],
)
def test_nobody_else_gets_in(username: str, password: str) -> None:
    assert not gets_in(username, password)
    assert not User.objects.exists()


@pytest.mark.usefixtures("as_written")
def test_who_leaves_the_group_is_refused_from_then_on(directory: Directory) -> None:
    assert gets_in("leaver", PASSWORD)

    with managed(directory) as connection:
        member = f"uid=leaver,{PEOPLE}".encode()
        connection.modify_s(f"cn=dba,{GROUPS}", [(ldap.MOD_DELETE, "member", member)])

    assert not gets_in("leaver", PASSWORD)


def test_ldaps_does_the_same(directory: Directory) -> None:
    address = f"ldaps://127.0.0.1:{directory.tls_port}"

    with override_settings(
        **example(directory, AUTH_LDAP_SERVER_URI=address, AUTH_LDAP_START_TLS=False)
    ):
        assert gets_in("ada", PASSWORD)
        assert not gets_in("ada", "wrong")


def without_tls(directory: Directory) -> dict[str, Any]:
    return {"AUTH_LDAP_START_TLS": False}


def another_name(directory: Directory) -> dict[str, Any]:
    return {"AUTH_LDAP_SERVER_URI": f"ldap://localhost:{directory.port}"}


def another_name_by_ldaps(directory: Directory) -> dict[str, Any]:
    address = f"ldaps://localhost:{directory.tls_port}"
    return {"AUTH_LDAP_SERVER_URI": address, "AUTH_LDAP_START_TLS": False}


@pytest.mark.parametrize("changed", [without_tls, another_name, another_name_by_ldaps])
def test_no_password_goes_to_a_server_that_is_not_certain(
    directory: Directory, changed: Callable[[Directory], dict[str, Any]]
) -> None:
    with override_settings(**example(directory, **changed(directory))):
        assert not gets_in("ada", PASSWORD)


def test_a_server_of_another_authority_is_refused(
    directory: Directory, tmp_path: Path
) -> None:
    stranger = Directory(tmp_path / "s", {"ada": PASSWORD}, {"dba": ["ada"]})
    stranger.service_password = directory.service_password
    stranger.start()
    try:
        address = f"ldap://127.0.0.1:{stranger.port}"
        with override_settings(**example(directory, AUTH_LDAP_SERVER_URI=address)):
            assert not gets_in("ada", PASSWORD)
    finally:
        stranger.stop()


@pytest.mark.usefixtures("as_written")
def test_a_local_administrator_gets_in_while_the_directory_is_away(
    directory: Directory,
) -> None:
    User.objects.create_superuser("root", password=PASSWORD)
    assert gets_in("ada", PASSWORD)

    directory.stop()
    try:
        assert gets_in("root", PASSWORD)
        assert not gets_in("ada", PASSWORD)
    finally:
        directory.start()
    assert gets_in("ada", PASSWORD)


def test_the_menus_of_local_users_vanish_where_only_the_directory_decides(
    directory: Directory,
) -> None:
    settings = example(directory)
    with override_settings(**settings):
        assert local_logins()
    del settings["AUTHENTICATION_BACKENDS"][1]
    with override_settings(**settings):
        assert not local_logins()
        site = ElephaasAdminSite()
        site.register([User, Group, Herd])
        assert set(site._registry) == {Herd}


def test_the_example_passes_the_checks(directory: Directory) -> None:
    with override_settings(**example(directory)):
        assert check_ldap() == []


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"AUTH_LDAP_START_TLS": False}, "in the clear"),
        (
            {
                "AUTH_LDAP_GLOBAL_OPTIONS": {
                    ldap.OPT_X_TLS_REQUIRE_CERT: ldap.OPT_X_TLS_NEVER
                }
            },
            "does not demand",
        ),
        (
            {
                "AUTH_LDAP_CONNECTION_OPTIONS": {
                    ldap.OPT_X_TLS_REQUIRE_CERT: ldap.OPT_X_TLS_ALLOW
                }
            },
            "does not demand",
        ),
    ],
)
def test_unsafe_settings_are_refused_at_start_up(
    directory: Directory, changed: dict[str, Any], words: str
) -> None:
    with override_settings(**example(directory, **changed)):
        (found,) = check_ldap()
    assert found.id == "herds.E011"
    assert words in found.msg


def test_the_service_may_read_and_nothing_else(directory: Directory) -> None:
    with override_settings(**example(directory)):
        connection = LDAPBackend().ldap.initialize(f"ldap://127.0.0.1:{directory.port}")
    connection.start_tls_s()
    connection.simple_bind_s(
        f"cn=elephaas,ou=services,{BASE}", directory.service_password
    )

    with pytest.raises(ldap.INSUFFICIENT_ACCESS):
        connection.modify_s(
            f"uid=ada,{PEOPLE}", [(ldap.MOD_REPLACE, "userPassword", b"mine")]
        )
