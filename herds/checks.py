"""Start-up checks: wrong settings are named, with what to do, before anything runs.

======== ==========================================================================
E001     SECRET_KEY is empty, or the one for debugging, outside DEBUG
E002     ALLOWED_HOSTS admits every name
E003     COMMANDS has an unknown key or field, or cannot be parsed
E004     SSH has an unknown key or a value of the wrong kind
E005     the private key file is missing, cannot be read, or others can read it
E006     PUBLIC_KEY is no public key
E007     the metadata database is not PostgreSQL
E008     OPERATIONS has an unknown key or a value of the wrong kind
E009     DNS has an unknown key or a value of the wrong kind, or contradicts itself
E010     a DNS key file is missing, cannot be read or used, or others can read it
E011     LDAP travels without TLS, or with certificates unchecked
E012     NOTIFICATIONS has an unknown key or a value of the wrong kind
E013     the file of the receivers is missing, others can read it, or it lists none
E014     ATTENTION or METRICS has an unknown key or a value of the wrong kind
E015     the token for the metrics is too short, or its file is open or cannot be read
E016     LINKS has a template that is no address, or an unknown field
E017     RETENTION has an unknown key or a value of the wrong kind
E018     REFRESH has an unknown key or a value of the wrong kind
W001     no PUBLIC_KEY yet: no server can be reached
W002     PUBLIC_KEY is not the other half of the private key
W003     DNS has no key: virtual hosts are looked at, but cannot be moved
======== ==========================================================================
"""

from __future__ import annotations

import base64
import binascii
import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning, register
from django.core.exceptions import ImproperlyConfigured

from herds import conf
from herds.domain import links
from herds.errors import PreconditionFailed
from herds.messenger.messenger import Messenger
from herds.monitoring import access
from herds.nameserver.key import load_key
from herds.nameserver.nameserver import Manner
from herds.postgres import commands
from herds.services import naming

_KEYGEN = "ssh-keygen -t ed25519 -N '' -C elephaas -f"


@register
def check_secret_key(**_: Any) -> list[CheckMessage]:
    """Refuse to sign sessions with a key that everybody knows (E001)."""
    if settings.DEBUG:
        return []
    try:
        key = settings.SECRET_KEY
    except ImproperlyConfigured:
        key = ""
    if key and key != getattr(settings, "DEBUGGING_KEY", ""):
        return []
    return [
        Error(
            "SECRET_KEY is empty, and DEBUG is off: sessions could be forged.",
            hint="Set it in the local settings to a text made with: python -c "
            "'import secrets; print(secrets.token_urlsafe(50))'",
            id="herds.E001",
        )
    ]


@register
def check_allowed_hosts(**_: Any) -> list[CheckMessage]:
    """Refuse to answer to every name (E002)."""
    if "*" not in settings.ALLOWED_HOSTS:
        return []
    return [
        Error(
            "ALLOWED_HOSTS admits every host name, so links in pages and mails can be "
            "forged.",
            hint="List the names under which browsers reach this site.",
            id="herds.E002",
        )
    ]


@register
def check_commands(**_: Any) -> list[CheckMessage]:
    """Refuse templates that could not be filled in (E003)."""
    found = settings.COMMANDS
    if not isinstance(found, dict):
        wrong = [f"COMMANDS is a dictionary, not {found!r}."]
    else:
        wrong = commands.validate(found)
    return [
        Error(
            problem,
            hint="elephaas/local_settings.example.py shows and explains every command.",
            id="herds.E003",
        )
        for problem in wrong
    ]


def _errors(wrong: Iterable[str], *, id: str) -> list[CheckMessage]:
    """Give an error for each thing that is wrong with a setting."""
    return [
        Error(problem, hint="Correct the local settings.", id=id) for problem in wrong
    ]


@register
def check_ssh(**_: Any) -> list[CheckMessage]:
    """Refuse SSH settings that mean nothing (E004), then look at the keys."""
    wrong = conf.problems(conf.SshSettings, "SSH")
    if wrong:
        return _errors(wrong, id="herds.E004")
    return [
        *_private_key_problems(conf.ssh().private_key_file),
        *_public_key_problems(),
    ]


@register
def check_operations(**_: Any) -> list[CheckMessage]:
    """Refuse operation settings that mean nothing (E008)."""
    return _errors(conf.problems(conf.OperationSettings, "OPERATIONS"), id="herds.E008")


@register
def check_refresh(**_: Any) -> list[CheckMessage]:
    """Refuse refresh settings that mean nothing (E018)."""
    return _errors(conf.problems(conf.RefreshSettings, "REFRESH"), id="herds.E018")


@register
def check_dns(**_: Any) -> list[CheckMessage]:
    """Refuse DNS settings that mean nothing (E009), then look at the keys."""
    wrong = conf.problems(conf.DnsSettings, "DNS")
    dns = None if wrong else conf.dns()
    if dns and (contradiction := naming.problem(dns)):
        wrong = [contradiction]
    if wrong:
        return _errors(wrong, id="herds.E009")
    return list(_dns_key_problems(naming.manner(dns))) if dns else []


@register
def check_notifications(**_: Any) -> list[CheckMessage]:
    """Refuse settings by which nobody could be told anything (E012, E013)."""
    wrong = conf.problems(conf.NotificationSettings, "NOTIFICATIONS")
    told = None if wrong else conf.notifications()
    if told and (unknown := set(told.events) - set(conf.EVENTS)):
        wrong = [
            f"NOTIFICATIONS['EVENTS'] knows no {', '.join(sorted(unknown))}; it knows "
            f"{', '.join(conf.EVENTS)}."
        ]
    if wrong or told is None:
        return _errors(wrong, id="herds.E012")
    try:
        Messenger(told.config_file)
    except PreconditionFailed as error:
        return [Error(error.message, hint=error.hint, id="herds.E013")]
    return []


@register
def check_retention(**_: Any) -> list[CheckMessage]:
    """Refuse settings by which nothing, or everything, would be deleted (E017)."""
    return _errors(conf.problems(conf.RetentionSettings, "RETENTION"), id="herds.E017")


@register
def check_attention(**_: Any) -> list[CheckMessage]:
    """Refuse bounds that mean nothing (E014)."""
    return _errors(conf.problems(conf.AttentionSettings, "ATTENTION"), id="herds.E014")


@register
def check_metrics(**_: Any) -> list[CheckMessage]:
    """Refuse settings that mean nothing (E014), then look at the token (E015)."""
    wrong = conf.problems(conf.MetricsSettings, "METRICS")
    if not wrong:
        wrong = list(_address_problems(conf.metrics().addresses))
    if wrong:
        return _errors(wrong, id="herds.E014")
    return list(_token_problems(conf.metrics()))


@register
def check_links(**_: Any) -> list[CheckMessage]:
    """Refuse links that could not be filled in, or lead to no page (E016)."""
    return [
        Error(
            problem,
            hint="docs/monitoring.md shows how they are written.",
            id="herds.E016",
        )
        for problem in links.problems(settings.LINKS)
    ]


def _address_problems(addresses: tuple[str, ...]) -> Iterator[str]:
    for each in addresses:
        try:
            found = access.network(each)
        except ValueError:
            yield (
                f"METRICS['ADDRESSES'] holds {each!r}, which is no address or network "
                "such as 192.0.2.0/24."
            )
            continue
        if found.prefixlen == 0:
            yield f"METRICS['ADDRESSES'] holds {each!r}: that is everybody."


def _token_problems(metrics: conf.MetricsSettings) -> Iterator[CheckMessage]:
    try:
        access.token(metrics)
        file = metrics.token_file
        mode = file.stat().st_mode if file else 0
    except PreconditionFailed as error:
        yield Error(error.message, hint=error.hint, id="herds.E015")
        return
    if mode & stat.S_IRWXO:
        yield Error(
            f"Other users of this machine can read the token for the metrics in {file} "
            f"(mode {stat.S_IMODE(mode):o}).",
            hint=f"Close it: chmod o= {file}",
            id="herds.E015",
        )


@register
def check_metadata_engine(**_: Any) -> list[CheckMessage]:
    """Refuse a metadata database that is not PostgreSQL (E007)."""
    engine = settings.DATABASES.get("default", {}).get("ENGINE", "")
    if engine == "django.db.backends.postgresql":
        return []
    return [
        Error(
            f"The metadata are kept in PostgreSQL, not in {engine or 'nothing'}.",
            hint="Set DATABASES in the local settings as in "
            "elephaas/local_settings.example.py.",
            id="herds.E007",
        )
    ]


@register
def check_ldap(**_: Any) -> list[CheckMessage]:
    """Refuse to send passwords to whoever says it is the directory (E011)."""
    address = getattr(settings, "AUTH_LDAP_SERVER_URI", "")
    if not address:
        return []
    return [
        Error(
            problem,
            hint="Set it as in elephaas/local_settings.example.py.",
            id="herds.E011",
        )
        for problem in _ldap_problems(str(address))
    ]


def _ldap_problems(address: str) -> Iterator[str]:
    if urlsplit(address).scheme not in {"ldaps", "ldapi"} and not getattr(
        settings, "AUTH_LDAP_START_TLS", False
    ):
        yield (
            f"AUTH_LDAP_SERVER_URI is {address} and AUTH_LDAP_START_TLS is off: "
            "passwords would travel in the clear."
        )
    try:
        import ldap
    except ImportError:
        yield (
            "AUTH_LDAP_SERVER_URI is set, but python-ldap is not installed "
            "(pip install -r requirements-ldap.txt)."
        )
        return
    for name in ("AUTH_LDAP_GLOBAL_OPTIONS", "AUTH_LDAP_CONNECTION_OPTIONS"):
        wanted = (getattr(settings, name, None) or {}).get(
            ldap.OPT_X_TLS_REQUIRE_CERT, ldap.OPT_X_TLS_DEMAND
        )
        if wanted not in (ldap.OPT_X_TLS_DEMAND, ldap.OPT_X_TLS_HARD):
            yield (
                f"{name} does not demand the directory's certificate: anybody on the "
                "way could read passwords."
            )


def _dns_key_problems(manner: Manner) -> Iterator[CheckMessage]:
    """Tell what keeps the keys from signing changes of zones (E010, W003)."""
    keys = [access.key for access in (manner.access, *manner.zones.values())]
    if not any(keys):
        yield Warning(
            "DNS has no key: virtual hosts are looked at, but cannot be moved.",
            hint="Make one with: tsig-keygen elephaas, let the zone's server know it, "
            "and name its file in KEY_FILE.",
            id="herds.W003",
        )
    for path in dict.fromkeys(key for key in keys if isinstance(key, Path)):
        try:
            load_key(path)
            mode = path.stat().st_mode
        except PreconditionFailed as error:
            yield Error(error.message, hint=error.hint, id="herds.E010")
            continue
        if mode & stat.S_IRWXO:
            yield Error(
                f"Other users of this machine can use the DNS key {path} "
                f"(mode {stat.S_IMODE(mode):o}), and move every virtual host with it.",
                hint=f"Close it: chmod o= {path}",
                id="herds.E010",
            )


def _private_key_problems(path: Path) -> Iterator[CheckMessage]:
    """Tell what keeps the private key from being used (E005).

    Where no PUBLIC_KEY is set either, this is a fresh installation: W001 says so.
    """
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        if conf.public_key():
            yield Error(
                f"The SSH private key {path} does not exist: no host can be reached.",
                hint=f"Make it with: {_KEYGEN} {path}",
                id="herds.E005",
            )
        return
    except OSError as error:
        yield Error(
            f"The SSH private key {path} cannot be looked at ({error.strerror}).",
            hint="Let the user of this service reach it.",
            id="herds.E005",
        )
        return
    if not stat.S_ISREG(mode) or not os.access(path, os.R_OK):
        yield Error(
            f"The SSH private key {path} cannot be read by the user of this service.",
            hint=f"Make it a file of that user: chown and chmod 600 {path}",
            id="herds.E005",
        )
    elif mode & (stat.S_IRWXG | stat.S_IRWXO):
        yield Error(
            f"Other users of this machine can use the SSH private key {path} "
            f"(mode {stat.S_IMODE(mode):o}), and with it every registered host.",
            hint=f"Close it: chmod 600 {path}",
            id="herds.E005",
        )


def _public_key_problems() -> Iterator[CheckMessage]:
    """Tell what is wrong with the public key shown to people (E006, W001, W002)."""
    public, private_file = conf.public_key(), conf.ssh().private_key_file
    if not public:
        yield Warning(
            "PUBLIC_KEY is empty: people adding a server cannot be told which key to "
            "put there.",
            hint=f"Make a pair of keys with {_KEYGEN} {private_file} and copy "
            f"{private_file}.pub to PUBLIC_KEY in the local settings.",
            id="herds.W001",
        )
    elif not _is_public_key(public):
        yield Error(
            "PUBLIC_KEY is no SSH public key; it is shown to everybody who adds a "
            "server.",
            hint=f"Copy the one line of {private_file}.pub.",
            id="herds.E006",
        )
    elif _is_of_another_pair(public, Path(f"{private_file}.pub")):
        yield Warning(
            f"PUBLIC_KEY is not the public half of {private_file}: hosts that are "
            "given it will refuse this service.",
            hint=f"Copy the one line of {private_file}.pub.",
            id="herds.W002",
        )


def _is_public_key(line: str) -> bool:
    """Tell whether a line is a public key: type, base64 beginning with it, comment.

    Source: RFC 4253 section 6.6.
    """
    type_, _, rest = line.partition(" ")
    try:
        blob = base64.b64decode(rest.split(" ")[0], validate=True)
    except binascii.Error:
        return False
    return blob[4:].startswith(type_.encode()) and len(type_) == int.from_bytes(
        blob[:4]
    )


def _is_of_another_pair(public: str, file: Path) -> bool:
    """Tell whether the file beside the private key holds another public key."""
    try:
        beside = file.read_text(errors="replace").split()
    except OSError:
        return False
    return beside[:2] != public.split()[:2]
