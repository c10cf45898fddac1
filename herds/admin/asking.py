"""Asks the engine for a plan in the name of who is logged in, and leads to it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, cast

from django.contrib import messages
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponseRedirect

from herds.errors import ElephaasError
from herds.logins import client_address
from herds.operations import requests
from herds.services.actions import Action

from .operation_urls import operation_url


def requester_of(request: HttpRequest) -> requests.Requester:
    """Tell the engine who asks; the admin lets nobody in who is not logged in."""
    user = cast(User, request.user)
    return requests.Requester(
        user=user,
        name=user.get_username(),
        source="admin",
        address=client_address(request),
    )


def plan_operation(
    request: HttpRequest,
    action: Action,
    instance_ids: Iterable[int],
    parameters: Mapping[str, Any] | None = None,
) -> HttpResponseRedirect | None:
    """Write a plan and lead to it; say why where that is refused.

    An action that nobody has to confirm is begun at once. ``parameters`` are what was
    asked for beside the instances.

    Returns:
        Where to go, or None after a refusal, which stands among the messages.
    """
    requester = requester_of(request)
    try:
        operation = requests.draft(action.name, instance_ids, requester, parameters)
        if action.confirm:
            return HttpResponseRedirect(operation_url(operation.pk, "confirm"))
        requests.confirm(operation.pk, requester)
    except ElephaasError as error:
        messages.error(request, error.sentence())
        return None
    return HttpResponseRedirect(operation_url(operation.pk))
