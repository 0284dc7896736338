"""Answers monitors before anything else looks at their requests.

They ask by a pod's address and by plain HTTP, without a session: none of which the pages for people allow.
"""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest
from django.http.response import HttpResponseBase

from migrations_app.monitoring import views


class Monitors:
    """Middleware; the first one."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Answer a monitor, or let the request through."""
        return views.answer(request) or self._get_response(request)
