"""The audit log in the admin: to look at."""

from __future__ import annotations

from django.contrib import admin

from migrations_app.admin.base import ReadOnlyAdmin
from migrations_app.models import AuditEntry


@admin.register(AuditEntry)
class AuditEntryAdmin(ReadOnlyAdmin):
    """Who changed what."""

    list_display = ("at", "actor", "via", "action", "target_type", "target_name")
    list_filter = ("via", "action", "target_type")
    search_fields = ("actor", "target_name", "target_id", "request_id")
