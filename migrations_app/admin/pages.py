"""Pages of our own in the admin's frame."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.template.response import TemplateResponse

Crumbs = Sequence[tuple[str, str]]


def page(
    request: HttpRequest, template: str, title: str, *, crumbs: Crumbs = (), status: int = 200, **context: Any
) -> TemplateResponse:
    """A page in the admin's frame.

    Args:
        request: For whom.
        template: One that extends ``pages/base.html``.
        title: The page's name; its heading, and what the browser's tab says.
        crumbs: Name and address of the pages above it, the outermost first.
        status: Of HTTP.
        context: For the template.
    """
    frame = admin.site.each_context(request)
    frame |= {"title": title, "crumbs": crumbs}
    request.current_app = admin.site.name
    return TemplateResponse(request, template, frame | context, status=status)


def fragment(request: HttpRequest, template: str, *, is_last: bool = False, **context: Any) -> TemplateResponse:
    """A piece of a page that htmx puts in its place; after the last one of a series it asks no more (286)."""
    return TemplateResponse(request, template, context, status=286 if is_last else 200)
