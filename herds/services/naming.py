"""Reads the setting ``DNS`` into what the nameserver adapter works with."""

from __future__ import annotations

from herds.conf import DnsSettings, ZoneSettings
from herds.domain.clock import Clock
from herds.errors import PreconditionFailed
from herds.nameserver.key import TsigKey
from herds.nameserver.names import checked
from herds.nameserver.nameserver import Access, Manner, Nameserver
from herds.nameserver.zone import read_server


def nameserver(settings: DnsSettings | None, clock: Clock) -> Nameserver | None:
    """Give what asks and moves names; None where they are not managed.

    Raises:
        ValueError: the settings contradict themselves; see ``problems``.
    """
    return Nameserver(manner(settings), clock) if settings else None


def manner(settings: DnsSettings) -> Manner:
    """Read the settings.

    Raises:
        ValueError: with the reason; it never tells a secret.
    """
    return Manner(
        access=_access("DNS", settings),
        zones={
            _name("ZONES", zone): _access(f"ZONES[{zone!r}]", own)
            for zone, own in settings.zones.items()
        },
        domain=_name("DOMAIN", settings.domain) if settings.domain else "",
        ttl=settings.ttl,
        timeout=settings.timeout,
    )


def problem(settings: DnsSettings) -> str:
    """Tell in what the settings contradict themselves; empty where they do not."""
    try:
        manner(settings)
    except ValueError as error:
        return f"{error}."
    return ""


def _access(at: str, settings: ZoneSettings) -> Access:
    for text in settings.servers:
        try:
            read_server(text)
        except ValueError as error:
            raise ValueError(f"SERVERS in {at} names what is none: {error}") from None
    in_settings = settings.key_name or settings.key_secret
    if settings.key_file and in_settings:
        raise ValueError(f"{at} has both KEY_FILE and KEY_NAME with KEY_SECRET")
    if not in_settings:
        return Access(key=settings.key_file, servers=settings.servers)
    if not (settings.key_name and settings.key_secret):
        raise ValueError(f"KEY_NAME and KEY_SECRET in {at} go together")
    try:
        key = TsigKey(
            name=settings.key_name,
            secret=settings.key_secret,
            algorithm=settings.key_algorithm.lower(),
        )
    except ValueError as error:
        raise ValueError(f"The key in {at} cannot be used: {error}") from None
    return Access(key=key, servers=settings.servers)


def _name(at: str, text: str) -> str:
    try:
        return checked(text)
    except PreconditionFailed as error:
        raise ValueError(f"{at}: {error.message.removesuffix('.')}") from None
