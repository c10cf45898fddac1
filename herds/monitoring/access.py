"""Who may read the metrics: whoever has the token, or asks from a known address."""

from __future__ import annotations

import hmac
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path

from django.http import HttpRequest

from herds import conf
from herds.errors import PreconditionFailed

SHORTEST_TOKEN = 16
"""Characters; a shorter token could be guessed."""

_FORWARDED = ("HTTP_X_FORWARDED_FOR", "HTTP_FORWARDED", "HTTP_X_REAL_IP")

Network = IPv4Network | IPv6Network


def may_read(request: HttpRequest) -> bool:
    """Tell whether a request may have the metrics; without a setting nobody may.

    An address counts only where the request came from it straight: what a proxy passes
    on has the proxy's address, whoever asked.

    Raises:
        PreconditionFailed: the file that holds the token cannot be used.
    """
    settings = conf.metrics()
    has_passed_a_proxy = any(name in request.META for name in _FORWARDED)
    if not has_passed_a_proxy and _is_among(
        request.META.get("REMOTE_ADDR", ""), settings.addresses
    ):
        return True
    wanted = token(settings)
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    return (
        bool(wanted)
        and scheme.lower() == "bearer"
        and hmac.compare_digest(given.strip().encode(), wanted.encode())
    )


def token(settings: conf.MetricsSettings) -> str:
    """Return the token that opens the metrics; empty where there is none.

    Raises:
        PreconditionFailed: its file cannot be read, or it is too short to be safe.
    """
    found = settings.token.strip()
    if settings.token_file is not None:
        found = _read(settings.token_file)
    is_wanted = bool(found) or settings.token_file is not None
    if is_wanted and len(found) < SHORTEST_TOKEN:
        raise PreconditionFailed(
            f"The token for the metrics has fewer than {SHORTEST_TOKEN} characters.",
            hint="Make one with: python -c 'import secrets; "
            "print(secrets.token_urlsafe(32))'",
        )
    return found


def network(text: str) -> Network:
    """Read a network, or an address as a network of one.

    Raises:
        ValueError: it is neither.
    """
    return ip_network(text.strip(), strict=False)


def _read(file: Path) -> str:
    try:
        return file.read_text(errors="replace").strip()
    except OSError as error:
        raise PreconditionFailed(
            f"The file {file} with the token for the metrics cannot be read "
            f"({error.strerror}).",
            hint="Make it a file that the user of this service can read, and others "
            "cannot.",
        ) from error


def _is_among(address: str, allowed: tuple[str, ...]) -> bool:
    try:
        asking = ip_address(address)
    except ValueError:  # it came through a socket file, or not over IP at all
        return False
    mapped = getattr(asking, "ipv4_mapped", None)
    return any((mapped or asking) in each for each in _networks(allowed))


@lru_cache(maxsize=8)
def _networks(allowed: tuple[str, ...]) -> tuple[Network, ...]:
    return tuple(network(each) for each in allowed)
