"""What is kept elsewhere is only shown here: a change would be lost when it is applied from there again."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString

from migrations_app.models import Mapping, MappingDestination

_LINKED = ("https://", "http://")


def is_managed(row: Any) -> bool:
    """Whether the row is, or is part of, a mapping that is kept elsewhere."""
    if row is None or row.pk is None:
        return False
    if isinstance(row, Mapping):
        return bool(row.managed_by)
    if isinstance(row, MappingDestination):
        return bool(row.mapping.managed_by)
    return bool(row.mappings.exclude(managed_by="").exists())


def origin_of(mapping: Mapping) -> str | SafeString:
    """Where a mapping is kept, as a link where the repository is an address."""
    if not mapping.managed_by:
        return "here"
    parts = [mapping.origin.get(name, "") for name in ("repository", "path", "commit")]
    words = f"{mapping.managed_by}: {' '.join(part for part in parts if part)}".rstrip(": ")
    if parts[0].startswith(_LINKED):
        return format_html('<a href="{}">{}</a>', parts[0], words)
    return words


class ManagedElsewhere:
    """An admin class whose rows may be kept elsewhere."""

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Only what is kept here is changed here."""
        allowed: bool = super().has_change_permission(request, obj)  # type: ignore[misc]
        return allowed and not is_managed(obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """The same holds for deleting."""
        allowed: bool = super().has_delete_permission(request, obj)  # type: ignore[misc]
        return allowed and not is_managed(obj)

    def changeform_view(self, request: HttpRequest, object_id: Any = None, *args: Any, **kwargs: Any) -> Any:
        """Say why the page cannot be edited."""
        shown = self.get_object(request, object_id) if object_id else None  # type: ignore[attr-defined]
        if request.method == "GET" and is_managed(shown):
            where = origin_of(shown) if isinstance(shown, Mapping) else "with the mappings that use it"
            messages.info(request, format_html("It is only shown here, since it is kept elsewhere ({}).", where))
        return super().changeform_view(request, object_id, *args, **kwargs)  # type: ignore[misc]
