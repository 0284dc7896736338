"""The admin classes that all pages build on. To mypy they are Django's own, since unfold publishes no types."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.http import HttpRequest, HttpResponse
from django.utils.text import capfirst

from migrations_app.admin.auditing import Audited
from migrations_app.admin.posting import WithAddresses

if TYPE_CHECKING:
    from django.contrib import admin

    UnfoldAdmin = admin.ModelAdmin[Any]
    BaseStackedInline = admin.StackedInline[Any, Any]
    BaseTabularInline = admin.TabularInline[Any, Any]
else:
    from unfold.admin import ModelAdmin as UnfoldAdmin
    from unfold.admin import StackedInline as BaseStackedInline
    from unfold.admin import TabularInline as BaseTabularInline

__all__ = ["BaseAdmin", "BaseStackedInline", "BaseTabularInline", "ReadOnlyAdmin"]


class BaseAdmin(Audited, WithAddresses, UnfoldAdmin):
    """All pages of this project: unfold's, with addresses of their own and an audit log."""

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """A list is called by what it lists, where Django asks to select one to change."""
        title = capfirst(self.model._meta.verbose_name_plural)
        return super().changelist_view(request, {"title": title} | (extra_context or {}))


class ReadOnlyAdmin(BaseAdmin):
    """Rows that people look at and only the program writes."""

    def has_add_permission(self, request: HttpRequest) -> bool:  # noqa: ARG002 - Django's signature
        """Nobody adds."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002 - Django's signature
        """Nobody changes."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002 - Django's signature
        """Nobody deletes."""
        return False
