"""The settings ElepHaaS adds to Django's, typed and read once.

Each is a dictionary of the local settings with capital keys; what is left out has the
default given here. ``herds/checks.py`` tells at start-up what is wrong with them.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, fields
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
    found = getattr(settings, name, {})
    if not isinstance(found, Mapping):
        return [f"{name} is a dictionary, not {found!r}."]
    known = get_type_hints(kind)
    keys = [key.upper() for key in known]
    wrong = [
        f"{name} has no use for the key {key!r}; it knows {', '.join(keys)}."
        for key in found
        if key not in keys
    ]
    for key, type_ in known.items():
        if key.upper() in found:
            reason = _refusal(type_, found[key.upper()])
            if reason:
                wrong.append(f"{name}[{key.upper()!r}] {reason}.")
    return wrong


def _typed(kind: type[_T], name: str) -> _T:
    """Read a setting into its class."""
    wrong = problems(kind, name)
    if wrong:
        raise ImproperlyConfigured(" ".join(wrong))
    given = getattr(settings, name, {})
    values = {}
    types = get_type_hints(kind)
    for field in fields(kind):  # type: ignore[arg-type]
        value = given.get(field.name.upper(), field.default)
        values[field.name] = _converted(types[field.name], value)
    return kind(**values)


def _refusal(type_: type[Any], value: object) -> str:
    """Tell why a value is none of its type; empty when it is one."""
    if type_ in {int, float}:
        allowed = (int,) if type_ is int else (int, float)
        if isinstance(value, bool) or not isinstance(value, allowed) or value <= 0:
            words = "a whole number" if type_ is int else "a number"
            return f"is {words} greater than 0, not {value!r}"
    elif not isinstance(value, (str, Path)) or not str(value).strip():
        return f"is a text that is not empty, not {value!r}"
    return ""


def _converted(type_: type[Any], value: Any) -> Any:
    return Path(value).expanduser() if type_ is Path else type_(value)


def _forget(**_: Any) -> None:
    """Read the settings again after a test has changed one."""
    ssh.cache_clear()
    operations.cache_clear()


setting_changed.connect(_forget, dispatch_uid="herds.conf")
