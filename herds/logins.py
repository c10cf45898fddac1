"""Writes logins into the audit log, and tells where a request comes from."""

from __future__ import annotations

from typing import Any

from axes.helpers import get_client_ip_address
from django.contrib.auth.base_user import AbstractBaseUser
from django.http import HttpRequest

from herds.operations import audit


def client_address(request: HttpRequest) -> str:
    """Tell where a request comes from; behind proxies as ``AXES_IPWARE_…`` says."""
    return get_client_ip_address(request) or ""


def note_login(request: HttpRequest, user: AbstractBaseUser, **_: Any) -> None:
    """Note that somebody logged in."""
    audit.record_change(user.get_username(), client_address(request), "logged in")


def note_logout(request: HttpRequest, user: AbstractBaseUser | None, **_: Any) -> None:
    """Note that somebody logged out."""
    if user is not None:
        audit.record_change(user.get_username(), client_address(request), "logged out")


def note_failure(
    credentials: dict[str, Any], request: HttpRequest | None = None, **_: Any
) -> None:
    """Note that somebody failed to log in."""
    name = str(credentials.get("username", ""))
    address = client_address(request) if request is not None else ""
    audit.record_change(name, address, "failed to log in")


def note_own_password(request: HttpRequest) -> None:
    """Note that somebody gave themselves another password."""
    name = request.user.get_username()
    audit.record_change(
        name, client_address(request), "changed password", kind="user", name=name
    )
