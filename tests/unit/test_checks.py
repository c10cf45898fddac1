"""Wrong settings are named at start-up, each with what to do."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

from herds import checks, conf

ED25519 = b"\0\0\0\x0bssh-ed25519\0\0\0\x20" + b"k" * 32
PUBLIC_KEY = f"ssh-ed25519 {base64.b64encode(ED25519).decode()} elephaas"


@pytest.fixture
def key_file(tmp_path: Path, settings: Any) -> Path:
    """A pair of key files, and settings that name them."""
    path = tmp_path / "key"
    path.touch(mode=0o600)
    Path(f"{path}.pub").write_text(f"{PUBLIC_KEY}\n")
    settings.SSH = {"PRIVATE_KEY_FILE": str(path)}
    settings.PUBLIC_KEY = PUBLIC_KEY
    return path


def ids(found: list[Any]) -> list[str]:
    assert all(message.hint for message in found)
    return [message.id for message in found]


def test_an_empty_secret_key_is_refused(settings: Any) -> None:
    settings.SECRET_KEY = ""

    assert ids(checks.check_secret_key()) == ["herds.E001"]


def test_the_debugging_key_is_refused_outside_debug(settings: Any) -> None:
    settings.SECRET_KEY = settings.DEBUGGING_KEY

    assert ids(checks.check_secret_key()) == ["herds.E001"]
    settings.DEBUG = True
    assert checks.check_secret_key() == []


def test_a_secret_key_of_ones_own_is_fine(settings: Any) -> None:
    settings.SECRET_KEY = "of one's own"

    assert checks.check_secret_key() == []


def test_answering_to_every_host_name_is_refused(settings: Any) -> None:
    assert checks.check_allowed_hosts() == []
    settings.ALLOWED_HOSTS = ["elephaas.example.com", "*"]

    assert ids(checks.check_allowed_hosts()) == ["herds.E002"]


def test_the_commands_as_shipped_are_fine() -> None:
    assert checks.check_commands() == []


@pytest.mark.parametrize(
    ("key", "template", "named"),
    [
        ("strat", "true", "strat"),
        ("start", "pg_ctl -D {pgdta}", "pgdta"),
        ("start", "{COMMANDS[bsae]} start", "bsae"),
        ("start", "pg_ctl -D {pgdata", "start"),
        ("start", "", "start"),
        ("start", 5, "start"),
    ],
)
def test_a_command_that_means_nothing_is_named(
    settings: Any, key: str, template: object, named: str
) -> None:
    settings.COMMANDS = {**settings.COMMANDS, key: template}

    found = checks.check_commands()

    assert ids(found) == ["herds.E003"]
    assert named in found[0].msg


def test_commands_of_another_kind_are_refused(settings: Any) -> None:
    settings.COMMANDS = ["pg_ctl"]

    assert ids(checks.check_commands()) == ["herds.E003"]


def test_usable_keys_are_fine(key_file: Path) -> None:
    assert checks.check_ssh() == []


@pytest.mark.parametrize(
    ("ssh", "named"),
    [
        ({"USRE": "postgres"}, "USRE"),
        ({"PORT": "22"}, "PORT"),
        ({"PORT": 0}, "PORT"),
        ({"CONNECT_TIMEOUT": -1}, "CONNECT_TIMEOUT"),
        ({"COMMAND_TIMEOUT": True}, "COMMAND_TIMEOUT"),
        ({"USER": ""}, "USER"),
        ({"PRIVATE_KEY_FILE": None}, "PRIVATE_KEY_FILE"),
        ("postgres", "SSH"),
    ],
)
def test_ssh_settings_that_mean_nothing_are_named(
    settings: Any, ssh: object, named: str
) -> None:
    settings.SSH = ssh

    found = checks.check_ssh()

    assert ids(found) == ["herds.E004"]
    assert named in found[0].msg
    with pytest.raises(ImproperlyConfigured, match=named):
        conf.ssh()


def test_a_missing_private_key_is_refused(key_file: Path) -> None:
    key_file.unlink()

    found = checks.check_ssh()

    assert ids(found) == ["herds.E005"]
    assert "does not exist" in found[0].msg


def test_a_directory_is_no_private_key(key_file: Path) -> None:
    key_file.unlink()
    key_file.mkdir()

    assert ids(checks.check_ssh()) == ["herds.E005"]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o666])
def test_a_private_key_open_to_others_is_refused(key_file: Path, mode: int) -> None:
    key_file.chmod(mode)

    found = checks.check_ssh()

    assert ids(found) == ["herds.E005"]
    assert f"mode {mode:o}" in found[0].msg


def test_a_fresh_installation_is_only_warned_about_missing_keys(
    key_file: Path, settings: Any
) -> None:
    key_file.unlink()
    settings.PUBLIC_KEY = ""

    assert ids(checks.check_ssh()) == ["herds.W001"]


@pytest.mark.parametrize(
    "text",
    [
        "-----BEGIN OPENSSH PRIVATE KEY-----",
        "replace this",
        PUBLIC_KEY.replace("ssh-ed25519", "ssh-rsa"),
        "ssh-ed25519 AAAA",
    ],
)
def test_what_is_no_public_key_is_refused(
    key_file: Path, settings: Any, text: str
) -> None:
    settings.PUBLIC_KEY = text

    assert ids(checks.check_ssh()) == ["herds.E006"]


def test_the_public_key_of_another_pair_is_warned_about(key_file: Path) -> None:
    other = base64.b64encode(ED25519.replace(b"k", b"o")).decode()
    Path(f"{key_file}.pub").write_text(f"ssh-ed25519 {other} elephaas\n")

    assert ids(checks.check_ssh()) == ["herds.W002"]


def test_metadata_elsewhere_than_in_postgresql_are_refused(
    settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert checks.check_metadata_engine() == []
    monkeypatch.setitem(
        settings.DATABASES["default"], "ENGINE", "django.db.backends.sqlite3"
    )

    assert ids(checks.check_metadata_engine()) == ["herds.E007"]


def test_operation_settings_that_mean_nothing_are_named(settings: Any) -> None:
    assert checks.check_operations() == []
    settings.OPERATIONS = {"CONCURRENCY": 0, "PATIENCE": "long"}

    assert ids(checks.check_operations()) == ["herds.E008", "herds.E008"]


def test_settings_left_out_have_their_defaults(settings: Any) -> None:
    settings.SSH = {"USER": "dba", "PRIVATE_KEY_FILE": "~/key", "CONNECT_TIMEOUT": 2}
    settings.OPERATIONS = {}

    assert conf.ssh() == conf.SshSettings(
        user="dba", private_key_file=Path.home() / "key", connect_timeout=2.0
    )
    assert conf.operations() == conf.OperationSettings()


DNS_SECRET = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
DNS_KEY = f'key "k" {{ algorithm hmac-sha256; secret "{DNS_SECRET}"; }};'
IN_SETTINGS = {"KEY_NAME": "k", "KEY_SECRET": DNS_SECRET}


@pytest.fixture
def dns_key(tmp_path: Path) -> Path:
    """A file that holds a key to sign changes of a zone."""
    path = tmp_path / "dns.key"
    path.write_text(DNS_KEY)
    path.chmod(0o600)
    return path


def test_without_dns_nothing_is_said_of_it(settings: Any) -> None:
    settings.DNS = {}

    assert checks.check_dns() == []
    assert conf.dns() is None


def test_a_usable_dns_key_is_fine(settings: Any, dns_key: Path) -> None:
    for given in ({"KEY_FILE": str(dns_key)}, IN_SETTINGS):
        settings.DNS = {**given, "SERVERS": ["192.0.2.53#5353"]}
        assert checks.check_dns() == []


@pytest.mark.parametrize(
    ("dns", "named"),
    [
        ({"KEYFILE": "/k"}, "KEYFILE"),
        ({"SERVERS": "192.0.2.53"}, "SERVERS"),
        ({"SERVERS": ["ns1.example.com"]}, "ns1.example.com"),
        ({"TTL": 0}, "TTL"),
        ({"DOMAIN": "a..b"}, "DOMAIN"),
        ({"ZONES": ["example.com"]}, "ZONES"),
        ({"ZONES": {"example.com": {"TTL": 5}}}, "example.com"),
        ({"ZONES": {"a..b": {}}}, "ZONES"),
        ({"ZONES": {"example.com": {"KEY_NAME": "k"}}}, "go together"),
        ({"KEY_NAME": "k"}, "go together"),
        ({**IN_SETTINGS, "KEY_FILE": "/k"}, "both"),
        ({**IN_SETTINGS, "KEY_ALGORITHM": "sha3"}, "algorithm"),
        ("dns.key", "DNS"),
    ],
)
def test_dns_settings_that_mean_nothing_are_named(
    settings: Any, dns: object, named: str
) -> None:
    settings.DNS = dns

    found = checks.check_dns()

    assert ids(found) == ["herds.E009"]
    assert named in found[0].msg


@pytest.mark.parametrize("secret", [DNS_SECRET[:-2], [DNS_SECRET], b"secret-bytes"])
def test_a_wrong_secret_is_not_told(settings: Any, secret: Any) -> None:
    settings.DNS = {"KEY_NAME": "k", "KEY_SECRET": secret}

    (found,) = checks.check_dns()

    assert found.id == "herds.E009"
    assert DNS_SECRET[:-2] not in found.msg
    assert "secret-bytes" not in found.msg


def test_dns_without_any_key_is_warned_about(settings: Any) -> None:
    settings.DNS = {"SERVERS": ["192.0.2.53"]}

    assert ids(checks.check_dns()) == ["herds.W003"]


def test_a_key_file_of_a_zone_is_looked_at_too(
    settings: Any, dns_key: Path, tmp_path: Path
) -> None:
    settings.DNS = {
        "KEY_FILE": str(dns_key),
        "ZONES": {"prod.example.com": {"KEY_FILE": str(tmp_path / "none")}},
    }

    found = checks.check_dns()

    assert ids(found) == ["herds.E010"]
    assert "no such file" in found[0].msg


def test_a_dns_key_open_to_everybody_is_refused(settings: Any, dns_key: Path) -> None:
    settings.DNS = {"KEY_FILE": str(dns_key)}
    dns_key.chmod(0o640)
    assert checks.check_dns() == []
    dns_key.chmod(0o644)

    found = checks.check_dns()

    assert ids(found) == ["herds.E010"]
    assert "mode 644" in found[0].msg


def test_a_zone_takes_what_it_does_not_say_from_all_others(
    settings: Any, dns_key: Path
) -> None:
    settings.DNS = {
        "KEY_FILE": str(dns_key),
        "SERVERS": ["192.0.2.53"],
        "ZONES": {"Prod.example.com.": IN_SETTINGS, "dev.example.com": {}},
    }

    dns = conf.dns()

    assert dns is not None
    prod, dev = dns.zones["prod.example.com"], dns.zones["dev.example.com"]
    assert (prod.key_name, prod.key_file, prod.servers) == ("k", None, ("192.0.2.53",))
    assert (dev.key_file, dev.servers) == (dns_key, ("192.0.2.53",))
    assert DNS_SECRET not in repr(dns)


@pytest.mark.parametrize(
    ("attention", "named"),
    [
        ({"LAG": 0}, "LAG"),
        ({"SLOT": 1.5}, "SLOT"),
        ({"UNSEEN": -1}, "UNSEEN"),
        ({"LAGG": 1}, "LAGG"),
        ([], "ATTENTION"),
    ],
)
def test_bounds_that_mean_nothing_are_named(
    settings: Any, attention: object, named: str
) -> None:
    assert checks.check_attention() == []
    settings.ATTENTION = attention

    (found,) = checks.check_attention()

    assert found.id == "herds.E014"
    assert named in found.msg


TOKEN = "a-token-that-is-long-enough"


@pytest.mark.parametrize(
    ("metrics", "named"),
    [
        ({"TOKENS": TOKEN}, "TOKENS"),
        ({"PER_INSTANCE": "yes"}, "PER_INSTANCE"),
        ({"ADDRESSES": "192.0.2.0/24"}, "ADDRESSES"),
        ({"ADDRESSES": ["prometheus.example.com"]}, "prometheus.example.com"),
        ({"ADDRESSES": ["0.0.0.0/0"]}, "everybody"),
        ({"ADDRESSES": ["::/0"]}, "everybody"),
    ],
)
def test_metrics_settings_that_mean_nothing_are_named(
    settings: Any, metrics: object, named: str
) -> None:
    settings.METRICS = metrics

    (found,) = checks.check_metrics()

    assert found.id == "herds.E014"
    assert named in found.msg


def test_a_token_is_long_and_closed_to_others(settings: Any, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(TOKEN)
    file.chmod(0o640)
    for fine in ({}, {"TOKEN": TOKEN}, {"TOKEN_FILE": str(file)}):
        settings.METRICS = fine
        assert checks.check_metrics() == []

    file.chmod(0o644)
    assert "mode 644" in checks.check_metrics()[0].msg
    for broken in ({"TOKEN": "short"}, {"TOKEN_FILE": str(tmp_path / "none")}):
        settings.METRICS = broken
        assert ids(checks.check_metrics()) == ["herds.E015"]


def test_a_token_is_not_told(settings: Any) -> None:
    settings.METRICS = {"TOKEN": [TOKEN]}

    (found,) = checks.check_metrics()

    assert TOKEN not in found.msg
    settings.METRICS = {"TOKEN": TOKEN}
    assert TOKEN not in repr(conf.metrics())


def test_links_that_lead_nowhere_are_named(settings: Any) -> None:
    assert checks.check_links() == []
    settings.LINKS = {"Grafana": {"herd": "ftp://a.example/{herd}"}}

    assert ids(checks.check_links()) == ["herds.E016"]
