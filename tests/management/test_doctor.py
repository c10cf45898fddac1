"""The doctor names what is wrong with an installation, and how to mend it."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import paramiko
import pytest
from django.core.management import call_command
from django.db import OperationalError, connection
from django.db.migrations.recorder import MigrationRecorder
from django.utils import timezone

from herds.errors import HostUnreachable
from herds.management.commands import doctor
from herds.management.doctor import database, hosts, program
from herds.management.doctor.finding import Finding, Health
from herds.services import servers
from tests import factories

HOST_KEY = (
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILp2pvZrUvWUpsjRHLCsXS2m3wTBIdlTVzKOUgaDwnBc"
)


def run(*arguments: str) -> tuple[int, str]:
    out = io.StringIO()
    status = 0
    try:
        call_command("doctor", *arguments, stdout=out)
    except SystemExit as end:
        status = int(end.code or 0)
    return status, out.getvalue()


def only(found: Iterator[Finding]) -> Finding:
    (finding,) = found
    return finding


@pytest.fixture
def key(tmp_path: Path, settings: Any) -> Path:
    """A private key, and settings that name it with its public half."""
    path = tmp_path / "key"
    made = paramiko.ECDSAKey.generate()
    made.write_private_key_file(str(path))
    settings.SSH = {"PRIVATE_KEY_FILE": str(path)}
    settings.PUBLIC_KEY = f"{made.get_name()} {made.get_base64()} elephaas"
    return path


@pytest.mark.django_db
def test_a_healthy_installation_is_fine(
    key: Path, settings: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    settings.SECRET_KEY = "of the tests, and long enough to be taken for a key: 42!"
    settings.SECURE_HSTS_SECONDS = 60
    settings.SECURE_SSL_REDIRECT = True
    settings.STATIC_ROOT = str(tmp_path)
    factories.worker()
    factories.server("ele01", host_key=HOST_KEY)
    monkeypatch.setattr(servers, "check_login", lambda *_: None)
    monkeypatch.setattr(program, "static_files", lambda: iter(()))
    monkeypatch.setattr(program, "local_settings", lambda: iter(()))

    status, shown = run()

    assert status == 0, shown
    assert "All is fine." in shown
    assert "1 of 1 tried let this service in" in shown


@pytest.mark.django_db
def test_what_is_broken_stands_with_what_mends_it(key: Path) -> None:
    status, shown = run("--json")

    found = {each["part"]: each for each in json.loads(shown)}
    assert status == 1
    assert found["workers"]["health"] == "broken"
    assert "elephaas-worker" in found["workers"]["mend"]
    assert found["hosts"]["health"] == "attention"
    assert all(each["mend"] for each in json.loads(shown) if each["health"] == "broken")


@pytest.mark.django_db
def test_without_the_metadata_the_rest_is_examined(
    key: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away() -> None:
        raise OperationalError("connection refused\nmore")

    monkeypatch.setattr(connection, "ensure_connection", away)

    status, shown = run()

    assert status == 1
    assert "(connection refused)" in " ".join(shown.split())
    assert "ssh key" in shown
    assert "? workers, hosts, dns" in shown


def test_a_key_of_another_pair_is_broken(key: Path, settings: Any) -> None:
    assert only(hosts.ssh_key()).health is Health.FINE
    other = paramiko.ECDSAKey.generate()
    settings.PUBLIC_KEY = f"{other.get_name()} {other.get_base64()}"

    finding = only(hosts.ssh_key())

    assert finding.health is Health.BROKEN
    assert servers.public_half() in finding.mend


def test_a_key_that_is_missing_is_broken(tmp_path: Path, settings: Any) -> None:
    settings.SSH = {"PRIVATE_KEY_FILE": str(tmp_path / "none")}

    finding = only(hosts.ssh_key())

    assert finding.health is Health.BROKEN
    assert "ssh-keygen" in finding.mend


@pytest.mark.django_db
def test_hosts_that_refuse_do_not_hide_those_that_let_in(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def login(hostname: str, _: object) -> None:
        if hostname == "ele02":
            raise HostUnreachable(hostname, "connection refused")

    monkeypatch.setattr(servers, "check_login", login)
    factories.server("ele01", host_key=HOST_KEY)
    factories.server("ele02", host_key=HOST_KEY)
    factories.server("ele03")

    found = list(hosts.reached(5))

    assert [each.health for each in found] == [
        *(Health.ATTENTION, Health.ATTENTION, Health.FINE)
    ]
    assert "1 of 3 tried" in found[-1].observed


@pytest.mark.django_db
def test_no_more_hosts_are_tried_than_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tried: list[str] = []
    monkeypatch.setattr(servers, "check_login", lambda name, _: tried.append(name))
    for number in range(4):
        factories.server(f"ele{number:02}", host_key=HOST_KEY)

    list(hosts.reached(2))

    assert len(tried) == 2


@pytest.mark.django_db
def test_a_migration_that_is_not_applied_is_broken() -> None:
    assert only(database.migrations()).health is Health.FINE
    applied = MigrationRecorder(connection).migration_qs
    applied.filter(app="herds", name="0010_freshness").delete()
    applied.filter(app="herds", name__gt="0010_freshness").delete()

    finding = only(database.migrations())

    assert finding.health is Health.BROKEN
    assert "0010_freshness" in finding.observed


@pytest.mark.django_db
def test_the_tables_of_a_newer_release_are_noticed() -> None:
    MigrationRecorder(connection).record_applied("herds", "9999_of_tomorrow")

    assert "9999_of_tomorrow" in only(database.migrations()).observed


@pytest.mark.django_db
def test_lacking_privileges_are_named() -> None:
    assert only(database.privileges()).health is Health.FINE
    with connection.cursor() as cursor:
        cursor.execute("CREATE ROLE reader")
        cursor.execute("GRANT USAGE ON SCHEMA utility TO reader")
        cursor.execute("GRANT SELECT ON ALL TABLES IN SCHEMA utility TO reader")
        cursor.execute("SET LOCAL ROLE reader")

    finding = only(database.privileges())

    assert finding.health is Health.BROKEN
    assert "UPDATE on ele_herd" in finding.observed
    assert "SELECT on ele_herd" not in finding.observed


@pytest.mark.django_db
def test_another_schema_is_broken() -> None:
    assert only(database.schema()).health is Health.FINE
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL search_path TO public")

    assert only(database.schema()).health is Health.BROKEN


@pytest.mark.django_db
def test_clocks_that_are_apart_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert only(database.clock()).health is Health.FINE
    late = timezone.now().replace(year=2001)
    monkeypatch.setattr(timezone, "now", lambda: late)

    assert only(database.clock()).health is Health.ATTENTION


@pytest.mark.django_db
def test_a_view_that_is_gone_is_broken() -> None:
    assert only(database.objects()).health is Health.FINE
    with connection.cursor() as cursor:
        cursor.execute("DROP VIEW v_flat_instance")

    assert "v_flat_instance" in only(database.objects()).observed


def test_libraries_other_than_tested_are_named(settings: Any, tmp_path: Path) -> None:
    assert only(program.libraries()).health is Health.FINE
    (tmp_path / "requirements.txt").write_text("Django==1.9\nnone-such==1\n# x\n")
    settings.BASE_DIR = tmp_path

    missing, other = program.libraries()

    assert (missing.health, other.health) == (Health.BROKEN, Health.ATTENTION)
    assert "none-such" in missing.observed
    assert "instead of 1.9" in other.observed


def test_static_files_that_were_not_collected_are_broken(
    settings: Any, tmp_path: Path
) -> None:
    settings.STATIC_ROOT = str(tmp_path)
    settings.STORAGES = {
        **settings.STORAGES,
        "staticfiles": {
            "BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"
        },
    }

    assert only(program.static_files()).health is Health.BROKEN
    call_command("collectstatic", interactive=False, verbosity=0)
    program.staticfiles_storage._setup()  # type: ignore[attr-defined]
    assert only(program.static_files()).health is Health.FINE


def test_debugging_is_nothing_for_a_service(settings: Any, key: Path) -> None:
    settings.DEBUG = True

    assert any("DEBUG is on" in each.observed for each in program.local_settings())


def test_the_worst_finding_gives_the_exit_status() -> None:
    def of(*health: Health) -> int:
        return doctor.status_of(
            [Finding(part="x", health=each, observed="") for each in health]
        )

    assert of(Health.FINE) == 0
    assert of(Health.FINE, Health.ATTENTION) == 3
    assert of(Health.ATTENTION, Health.BROKEN, Health.UNKNOWN) == 1
