"""Answers to other programs: /metrics, /healthz and /readyz."""

from __future__ import annotations

import logging

from django.db import Error
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from prometheus_client.exposition import choose_encoder

from herds.errors import PreconditionFailed

from . import access, health
from .metrics import registry

logger = logging.getLogger(__name__)

_PLAIN = "text/plain; charset=utf-8"


@require_safe
@never_cache
def metrics(request: HttpRequest) -> HttpResponse:
    """Give the metrics to whoever may read them."""
    try:
        allowed = access.may_read(request)
    except PreconditionFailed as error:
        logger.error("Nobody can read the metrics: %s", error.sentence())
        allowed = False
    if not allowed:
        refused = HttpResponse(
            "Metrics need the token of setting METRICS, or an address it lists.\n",
            status=401,
            content_type=_PLAIN,
        )
        refused["WWW-Authenticate"] = 'Bearer realm="metrics"'
        return refused
    encode, content_type = choose_encoder(request.headers.get("Accept", ""))
    try:
        return HttpResponse(encode(registry()), content_type=content_type)
    except Error as error:
        logger.warning("No metrics: the metadata cannot be read (%s)", error)
        return HttpResponse(
            "The metadata cannot be read.\n", status=503, content_type=_PLAIN
        )


@require_safe
@never_cache
def healthz(request: HttpRequest) -> JsonResponse:
    """Say that this process answers; nothing else is asked."""
    return JsonResponse({"status": "ok"})


@require_safe
@never_cache
def readyz(request: HttpRequest) -> JsonResponse:
    """Say whether the site can do its work, and which part of it cannot."""
    parts = health.parts()
    is_ready = all(found == health.FINE for found in parts.values())
    return JsonResponse(
        {"status": "ok" if is_ready else "not ready", **parts},
        status=200 if is_ready else 503,
    )
