"""The product's settings as typed values, read from Django's settings when asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

from django.conf import settings

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class SshSettings:
    """Setting ``SSH``: how hosts are reached. Times are in seconds."""

    user: str = "postgres"
    port: int = 22
    private_key_file: Path = Path("~/.ssh/id_ed25519")
    connect_timeout: float = 5.0
    command_timeout: float = 60.0


@dataclass(frozen=True, kw_only=True)
class OperationSettings:
    """Setting ``OPERATIONS``: how much at once, and how long to wait.

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


def ssh() -> SshSettings:
    """Read the setting ``SSH``; what it leaves out has its default."""
    values = _read(SshSettings, getattr(settings, "SSH", {}))
    return SshSettings(
        **{
            **values,
            "private_key_file": Path(
                values.get("private_key_file", SshSettings.private_key_file)
            ).expanduser(),
        }
    )


def operations() -> OperationSettings:
    """Read the setting ``OPERATIONS``; what it leaves out has its default."""
    return OperationSettings(
        **_read(OperationSettings, getattr(settings, "OPERATIONS", {}))
    )


def commands() -> Mapping[str, str]:
    """Read the setting ``COMMANDS``."""
    return dict(settings.COMMANDS)


def public_key() -> str:
    """Read the setting ``PUBLIC_KEY``: the key that hosts have to let in."""
    return str(settings.PUBLIC_KEY).strip()


def _read(kind: type[T], setting: Mapping[str, Any]) -> dict[str, Any]:
    """Give the fields that a setting names, whose names it writes in capitals."""
    return {
        field.name: setting[field.name.upper()]
        for field in fields(kind)  # type: ignore[arg-type]
        if field.name.upper() in setting
    }
