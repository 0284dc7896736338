"""The three addresses that monitors ask: without login, and without a session."""

from __future__ import annotations

import hmac
import logging
from typing import Any

from django.conf import settings
from django.db import Error, connection
from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse

from migrations_app.monitoring import health, metrics
from migrations_app.monitoring.exposition import CONTENT_TYPE

logger = logging.getLogger(__name__)

_ALLOWED = ("GET", "HEAD")


def healthz(_request: HttpRequest) -> HttpResponse:
    """The process is up and answers. Asks nothing and nobody."""
    return HttpResponse("ok\n", content_type="text/plain; charset=utf-8")


def readyz(request: HttpRequest) -> HttpResponse:
    """The service does its work: 200, or 503 with what is wrong. ``?checks=database,queue`` looks at these only."""
    wanted = {name for name in request.GET.get("checks", "").split(",") if name}
    if unknown := wanted - set(health.NAMES):
        problem = f"there is no check {', '.join(sorted(unknown))}; there are {', '.join(health.NAMES)}"
        return JsonResponse({"error": problem}, status=400)
    kept = [check for check in health.checks() if not wanted or check.name in wanted | {"database"}]
    document: dict[str, Any] = {
        "ready": health.is_ready(kept),
        "checks": {check.name: {"ok": check.is_fine, "counts": check.counts, "says": check.says} for check in kept},
    }
    return JsonResponse(document, status=200 if document["ready"] else 503)


def metrics_view(request: HttpRequest) -> HttpResponseBase:
    """Metrics for Prometheus, behind a bearer token where the installation has one."""
    expected = settings.DMS_METRICS_TOKEN
    given = request.headers.get("Authorization", "")
    if expected and not hmac.compare_digest(given.encode(), f"Bearer {expected}".encode()):
        refused = HttpResponse("a bearer token is needed\n", status=401, content_type="text/plain; charset=utf-8")
        refused["WWW-Authenticate"] = "Bearer"
        return refused
    try:
        text = metrics.exposition()
    except Error as error:
        logger.warning("control database away: %s", type(error).__name__, extra={"action": "metrics"})
        connection.close()
        return HttpResponse("the control database does not answer\n", status=503, content_type="text/plain")
    return HttpResponse(text, content_type=CONTENT_TYPE)


_VIEWS = {"/healthz": healthz, "/readyz": readyz, "/metrics": metrics_view}


def answer(request: HttpRequest) -> HttpResponseBase | None:
    """The answer to a monitor; None when the request is somebody else's."""
    view = _VIEWS.get(request.path_info)
    if view is None:
        return None
    if request.method not in _ALLOWED:
        return HttpResponse(status=405, headers={"Allow": ", ".join(_ALLOWED)})
    response = view(request)
    response["Cache-Control"] = "no-store"
    return response
