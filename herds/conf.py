"""The settings ElepHaaS adds to Django's, typed and read once.

Each is a dictionary of the local settings with capital keys; what is left out has the
default given here. ``herds/checks.py`` tells at start-up what is wrong with them.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed

_T = TypeVar("_T")


@dataclass(frozen=True, kw_only=True)
class SshSettings:
    """The setting ``SSH``: how this service logs in on the database servers.

    Attributes:
        user: the remote operating system user, owner of the instances.
        port: of the SSH servers.
        private_key_file: this service's private key; ``~`` is its own home.
        connect_timeout: seconds until a silent host counts as unreachable.
        command_timeout: seconds a command may take unless its action says more.
    """

    user: str = "postgres"
    port: int = 22
    private_key_file: Path = Path("~/.ssh/id_ed25519")
    connect_timeout: float = 5.0
    command_timeout: float = 60.0


@dataclass(frozen=True, kw_only=True)
class OperationSettings:
    """The setting ``OPERATIONS``: how much at once, and how long to wait.

    Attributes:
        concurrency: herds that one operation works on at the same time.
        worker_threads: herds that one worker works on at the same time.
        plan_lifetime: seconds until a plan can no longer be confirmed.
        patience: seconds to wait for a state after a command came back.
    """

    concurrency: int = 32
    worker_threads: int = 32
    plan_lifetime: float = 900.0
    patience: float = 60.0


@dataclass(frozen=True, kw_only=True)
class RefreshSettings:
    """The setting ``REFRESH``: how workers keep the inventory fresh by themselves.

    Attributes:
        interval: seconds from one look at a host to the next; 0 for none.
        jitter: by which part of the interval it varies from look to look.
        at_once: hosts that one worker looks at at the same time.
        names_interval: seconds from one look at a virtual host in DNS to the next; 0
            for none.
    """

    interval: float = field(default=30.0, metadata={"zero": True})
    jitter: float = field(default=0.1, metadata={"zero": True, "most": 0.5})
    at_once: int = 32
    names_interval: float = field(default=300.0, metadata={"zero": True})


@dataclass(frozen=True, kw_only=True)
class ZoneSettings:
    """What may differ from zone to zone in the setting ``DNS``.

    Attributes:
        key_file: the key that signs changes, as ``tsig-keygen`` prints it.
        key_name: the key's name, where it stands in the settings themselves.
        key_secret: its secret, in base64.
        key_algorithm: its algorithm.
        servers: addresses of the zone's servers, the one that takes changes first;
            empty to ask the zone itself.
    """

    key_file: Path | None = None
    key_name: str = ""
    key_secret: str = field(default="", repr=False)
    key_algorithm: str = "hmac-sha256"
    servers: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class DnsSettings(ZoneSettings):
    """The setting ``DNS``: how virtual hosts are moved; empty where they are not.

    Attributes:
        zones: zones by name, each with its own keys of ``ZoneSettings``; what one does
            not say is as for all others.
        domain: where host names of one part lie; empty to search as this machine does.
        ttl: seconds others may keep a new record; one that is there keeps its own.
        timeout: seconds to wait for a name server.
    """

    zones: Mapping[str, ZoneSettings] = field(default_factory=dict)
    domain: str = ""
    ttl: int = 300
    timeout: float = 2.0


@dataclass(frozen=True, kw_only=True)
class RetentionSettings:
    """The setting ``RETENTION``: how long ``manage.py prune`` keeps what grows.

    Attributes:
        output_days: days that output of commands is kept.
        audit_days: days that entries of the audit log are kept.
    """

    output_days: int = 90
    audit_days: int = 730


EVENTS = ("ended", "failed", "approval", "attention")
"""What notifications can be sent of; ``failed`` is every end that is not a success."""


@dataclass(frozen=True, kw_only=True)
class NotificationSettings:
    """The setting ``NOTIFICATIONS``: who is told of what; empty where nobody is.

    Attributes:
        config_file: the receivers, in Apprise's format.
        events: what they are told of, of ``EVENTS``.
        url: where browsers reach this site, for the links in messages.
        hold: seconds that something needs attention before anybody is told.
        attempts: how often a message is tried, at growing intervals.
    """

    config_file: Path = Path("/etc/elephaas/notifications.yml")
    events: tuple[str, ...] = ("failed", "approval", "attention")
    url: str = ""
    hold: float = 30.0
    attempts: int = 8


@dataclass(frozen=True, kw_only=True)
class AttentionSettings:
    """The setting ``ATTENTION``: from where on something needs a person.

    Attributes:
        lag: bytes that a standby may be behind.
        slot: bytes of WAL that a slot nobody uses may hold.
        unseen: seconds an instance may go unseen: three refresh intervals.
        unreported: the same where an agent reports.
    """

    lag: int = 67_108_864
    slot: int = 1_073_741_824
    unseen: float = 90.0
    unreported: float = 300.0


@dataclass(frozen=True, kw_only=True)
class MetricsSettings:
    """The setting ``METRICS``: who may read them; empty, which is the default: nobody.

    Attributes:
        token_file: a file that holds the bearer token.
        token: the token itself, where there is no file.
        addresses: networks or addresses that need no token.
        per_instance: whether each instance has a lag of its own, not only each herd.
    """

    token_file: Path | None = None
    token: str = field(default="", repr=False)
    addresses: tuple[str, ...] = ()
    per_instance: bool = False


@functools.cache
def ssh() -> SshSettings:
    """Return the setting ``SSH``.

    Raises:
        ImproperlyConfigured: when it cannot be understood.
    """
    return _typed(SshSettings, "SSH")


@functools.cache
def operations() -> OperationSettings:
    """Return the setting ``OPERATIONS``.

    Raises:
        ImproperlyConfigured: when it cannot be understood.
    """
    return _typed(OperationSettings, "OPERATIONS")


@functools.cache
def refresh() -> RefreshSettings:
    """Return the setting ``REFRESH``.

    Raises:
        ImproperlyConfigured: when it cannot be understood.
    """
    return _typed(RefreshSettings, "REFRESH")


@functools.cache
def dns() -> DnsSettings | None:
    """Return the setting ``DNS``; None where it is empty and names are not managed.

    Raises:
        ImproperlyConfigured: when it cannot be understood.
    """
    return _typed(DnsSettings, "DNS") if getattr(settings, "DNS", None) else None


@functools.cache
def notifications() -> NotificationSettings | None:
    """Return the setting ``NOTIFICATIONS``; None where it is empty: nobody is told.

    Raises:
        ImproperlyConfigured: when it cannot be understood.
    """
    if not getattr(settings, "NOTIFICATIONS", None):
        return None
    return _typed(NotificationSettings, "NOTIFICATIONS")


@functools.cache
def retention() -> RetentionSettings:
    """Return the setting ``RETENTION``.

    Raises:
        ImproperlyConfigured: when it cannot be understood.
    """
    return _typed(RetentionSettings, "RETENTION")


@functools.cache
def attention() -> AttentionSettings:
    """Return the setting ``ATTENTION``.

    Raises:
        ImproperlyConfigured: when it cannot be understood.
    """
    return _typed(AttentionSettings, "ATTENTION")


@functools.cache
def metrics() -> MetricsSettings:
    """Return the setting ``METRICS``.

    Raises:
        ImproperlyConfigured: when it cannot be understood.
    """
    return _typed(MetricsSettings, "METRICS")


def links() -> Mapping[str, Mapping[str, str]]:
    """Return the setting ``LINKS``: by label, addresses of herds and instances."""
    found: Mapping[str, Mapping[str, str]] = settings.LINKS
    return found


def commands() -> Mapping[str, str]:
    """Return the setting ``COMMANDS``: shell templates by name."""
    found: Mapping[str, str] = settings.COMMANDS
    return found


def public_key() -> str:
    """Return the setting ``PUBLIC_KEY`` on one line; empty when there is none yet."""
    return " ".join(str(settings.PUBLIC_KEY).split())


def problems(kind: type[Any], name: str) -> list[str]:
    """Tell what is wrong with a setting, a sentence a problem; none is fine.

    Args:
        kind: the class the setting is read into.
        name: the setting, such as ``"SSH"``.
    """
    return _wrong(kind, name, getattr(settings, name, {}))


def _wrong(kind: type[Any], name: str, found: object) -> list[str]:
    if not isinstance(found, Mapping):
        return [f"{name} is a dictionary, not {found!r}."]
    known = get_type_hints(kind)
    keys = [key.upper() for key in known]
    wrong = [
        f"{name} has no use for the key {key!r}; it knows {', '.join(keys)}."
        for key in found
        if key not in keys
    ]
    for each in fields(kind):
        key = each.name.upper()
        if key not in found:
            continue
        at = f"{name}[{key!r}]"
        if key == "ZONES":
            wrong += _wrong_zones(at, found[key])
        elif reason := _refusal(known[each.name], found[key], **each.metadata):
            shown = reason if each.repr else reason.partition(", not ")[0]
            wrong.append(f"{at} {shown}.")
    return wrong


def _wrong_zones(name: str, found: object) -> list[str]:
    if not isinstance(found, Mapping):
        return [f"{name} is a dictionary, not {found!r}."]
    return [
        problem
        for zone, given in found.items()
        for problem in _wrong(ZoneSettings, f"{name}[{zone!r}]", given)
    ]


def _typed(kind: type[_T], name: str) -> _T:
    """Read a setting into its class."""
    wrong = problems(kind, name)
    if wrong:
        raise ImproperlyConfigured(" ".join(wrong))
    return _read(kind, getattr(settings, name, {}))


def _read(kind: type[_T], given: Mapping[str, Any]) -> _T:
    types = get_type_hints(kind)
    values = {
        each.name: _converted(types[each.name], given[each.name.upper()], given)
        for each in fields(kind)  # type: ignore[arg-type]
        if each.name.upper() in given
    }
    return kind(**values)


def _refusal(
    type_: Any, value: object, *, zero: bool = False, most: float | None = None
) -> str:
    """Tell why a value is none of its type; empty when it is one.

    Args:
        type_: the type.
        value: what is given.
        zero: whether a number may be 0.
        most: the largest a number may be.
    """
    if type_ is bool:
        return "" if isinstance(value, bool) else f"is True or False, not {value!r}"
    if type_ in {int, float}:
        allowed = (int,) if type_ is int else (int, float)
        if isinstance(value, bool) or not (
            isinstance(value, allowed)
            and (value >= 0 if zero else value > 0)
            and (most is None or value <= most)
        ):
            words = "a whole number" if type_ is int else "a number"
            bounds = "of 0 or more" if zero else "greater than 0"
            bounds = bounds if most is None else f"from 0 to {most:g}"
            return f"is {words} {bounds}, not {value!r}"
    elif type_ == tuple[str, ...]:
        if not isinstance(value, (list, tuple)) or not all(
            isinstance(each, str) and each.strip() for each in value
        ):
            return f"is a list of texts, not {value!r}"
    elif not isinstance(value, str | Path) or not str(value).strip():
        return f"is a text that is not empty, not {value!r}"
    return ""


def _converted(type_: Any, value: Any, given: Mapping[str, Any]) -> Any:
    if type_ in {Path, Path | None}:
        return Path(value).expanduser()
    if type_ == tuple[str, ...]:
        return tuple(value)
    if type_ in {bool, int, float, str}:
        return type_(value)
    return {
        zone.lower().removesuffix("."): _read(ZoneSettings, _inherited(given, own))
        for zone, own in value.items()
    }


def _inherited(given: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """Complete a zone's own keys; a key to sign with is taken whole or not at all."""
    of_zones = {each.name.upper() for each in fields(ZoneSettings)}
    taken = {key: value for key, value in given.items() if key in of_zones}
    if any(key.startswith("KEY_") for key in own):
        taken = {key: value for key, value in taken.items() if key == "SERVERS"}
    return {**taken, **own}


def _forget(**_: Any) -> None:
    """Read the settings again after a test has changed one."""
    ssh.cache_clear()
    operations.cache_clear()
    refresh.cache_clear()
    dns.cache_clear()
    notifications.cache_clear()
    retention.cache_clear()
    attention.cache_clear()
    metrics.cache_clear()


setting_changed.connect(_forget, dispatch_uid="herds.conf")
