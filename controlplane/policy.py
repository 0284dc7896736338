"""What browsers may do with the pages: load from here, send to here, and stand in no other site's frame."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest
from django.http.response import HttpResponseBase

_HEADER = "Content-Security-Policy"
#: Should a text of somebody's ever become code in a page, it can neither load more of it nor send away what it sees.
#: unfold's own scripts stand in its pages, and Alpine and htmx evaluate what attributes say.
_POLICY = "; ".join(
    (
        "default-src 'self'",
        "script-src 'self' 'unsafe-inline' 'unsafe-eval'",
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data:",
        "object-src 'none'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    )
)


class ContentPolicy:
    """Middleware."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Say it with every answer."""
        answer = self._get_response(request)
        answer.headers.setdefault(_HEADER, _POLICY)
        return answer
