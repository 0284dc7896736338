"""The outbox in the admin: what stores and channels have not been told yet, and why."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from migrations_app.admin.base import ReadOnlyAdmin
from migrations_app.models import Channel, OutboxEntry


@admin.register(OutboxEntry)
class OutboxEntryAdmin(ReadOnlyAdmin):
    """News on their way out."""

    list_display = ("kind", "key", "attempts", "next_attempt_at", "delivered_at", "given_up_at", "last_error")
    list_filter = ("kind", ("delivered_at", admin.EmptyFieldListFilter))
    search_fields = ("key",)

    def get_exclude(self, request: HttpRequest, obj: Any = None) -> Any:  # noqa: ARG002 - Django's signature
        """News of a place hold the key of its last row."""
        return () if request.user.has_perm("migrations_app.view_checkpoint") else ("payload",)


@admin.register(Channel)
class ChannelAdmin(ReadOnlyAdmin):
    """Where messages go, and what is wrong there."""

    list_display = ("name", "problem", "problem_since", "failures", "free_at")
