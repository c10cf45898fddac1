"""Watches for lost primaries that come back, and has them fenced at once."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import timedelta
from functools import partial

from django.db.models import Q
from django.utils import timezone

from herds.domain.states import ACTIVE_TARGETS
from herds.errors import ElephaasError
from herds.models import Fence, Instance, OperationTarget
from herds.services import fence

from . import requests
from .runner import Crew

logger = logging.getLogger(__name__)

GUARD = requests.Requester(name="ElepHaaS", source="worker")
"""Who asks for what nobody has to be asked about."""

_AGAIN = timedelta(seconds=60)  # until it is tried once more where it failed


def watch_fences(crew: Crew) -> None:
    """Look for the hosts of lost primaries, and ask for a fence where one answers."""
    for instance in crew.journal.do(_waiting):
        try:
            crew.toolbox.cluster(instance).look()
        except ElephaasError:
            continue
        if not crew.stopping.is_set():
            crew.journal.do(partial(_ask, instance.pk))


def _waiting() -> Sequence[Instance]:
    ids = fence.waiting()
    if not ids:
        return ()
    return list(
        Instance.objects.filter(pk__in=ids).select_related(
            "herd__environment", "server"
        )
    )


def _ask(instance_id: int) -> None:
    """Ask for the fence, unless somebody is at work there or has just tried."""
    locked = Fence.objects.select_for_update(skip_locked=True, of=("self",))
    if not locked.filter(pk=instance_id, applied_at__isnull=True).exists():
        return
    herd_id = Instance.objects.values_list("herd_id", flat=True).get(pk=instance_id)
    busy = Q(herd=herd_id, state__in=ACTIVE_TARGETS)
    tried = Q(
        instance=instance_id,
        operation__action="fence",
        finished_at__gt=timezone.now() - _AGAIN,
    )
    if OperationTarget.objects.filter(busy | tried).exists():
        return
    operation = requests.draft("fence", [instance_id], GUARD)
    requests.confirm(
        operation.pk, GUARD, reason="It was failed over from, and its host is back."
    )
    logger.warning("Operation %s fences a primary that came back", operation.pk)
