"""Request ids: what a caller and the log know the same request by."""

from __future__ import annotations

import re
import uuid
from typing import Any

HEADER = "X-Request-Id"
_FORM = re.compile(r"[A-Za-z0-9._-]{1,64}")
_ATTRIBUTE = "dms_request_id"


def of(request: Any) -> str:
    """The id that the caller gave, when it is a plain word, or one of our own; the same for the whole request."""
    plain = getattr(request, "_request", request)
    known: str | None = getattr(plain, _ATTRIBUTE, None)
    if known is None:
        given = plain.META.get("HTTP_X_REQUEST_ID", "")
        known = given if _FORM.fullmatch(given) else uuid.uuid4().hex
        setattr(plain, _ATTRIBUTE, known)
    return known
