"""The outbox in the admin: what the stores have not been told yet, and why."""

from __future__ import annotations

from django.contrib import admin

from migrations_app.admin.base import ReadOnlyAdmin
from migrations_app.models import OutboxEntry


@admin.register(OutboxEntry)
class OutboxEntryAdmin(ReadOnlyAdmin):
    """News on their way out."""

    list_display = ("kind", "key", "attempts", "next_attempt_at", "delivered_at", "last_error")
    list_filter = ("kind", ("delivered_at", admin.EmptyFieldListFilter))
    search_fields = ("key",)
