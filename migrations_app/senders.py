"""Who sends a request to the pages or the API: the address it comes from, and the id it is known by."""

from __future__ import annotations

import re
import uuid
from typing import Any

from django.conf import settings

HEADER = "X-Request-Id"
_FORM = re.compile(r"[A-Za-z0-9._-]{1,64}")
_ATTRIBUTE = "dms_request_id"


def request_id_of(request: Any) -> str:
    """The id that the caller gave, when it is a plain word, or one of our own; the same for the whole request."""
    plain = getattr(request, "_request", request)
    known: str | None = getattr(plain, _ATTRIBUTE, None)
    if known is None:
        given = plain.META.get("HTTP_X_REQUEST_ID", "")
        known = given if _FORM.fullmatch(given) else uuid.uuid4().hex
        setattr(plain, _ATTRIBUTE, known)
    return known


def sender_of(request: Any) -> str:
    """The address that a request comes from. Behind a proxy, it is the last one that the proxy has added."""
    forwarded = request.META.get("HTTP_X_FORWARDED_FOR", "")
    if settings.DMS_BEHIND_PROXY and forwarded:
        return str(forwarded.rpartition(",")[2].strip())
    return str(request.META.get("REMOTE_ADDR", ""))
