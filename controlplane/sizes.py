"""Refuses requests that are larger than anything the service takes, before a byte of them is kept.

Django writes uploaded files to the disk while it looks for the token of the form: anybody could fill it.
"""

from __future__ import annotations

from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.template.loader import render_to_string

#: Files that are imported have 4 MB at most. Whoever chooses one that is a little larger is told by the page.
_MOST_BYTES = 16 * 1024 * 1024


class Sizes:
    """Middleware. A request without a length has no body for Django."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Refuse it, or let it through."""
        length = request.META.get("CONTENT_LENGTH") or "0"
        if length.isdecimal() and int(length) > max(_MOST_BYTES, settings.DMS_API_BODY_BYTES):
            return HttpResponse(render_to_string("400.html"), status=413)
        return self._get_response(request)
