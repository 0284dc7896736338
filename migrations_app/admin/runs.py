"""Runs in the admin: to look at; runs.py alone changes them."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.http import HttpRequest

from migrations_app import runs
from migrations_app.admin.base import BaseTabularInline, ReadOnlyAdmin
from migrations_app.models import Run, RunEvent


class EventInline(BaseTabularInline):
    """The run's log."""

    model = RunEvent
    fields = ("at", "level", "message")
    readonly_fields = fields
    extra = 0
    can_delete = False

    def has_add_permission(self, request: Any, obj: Any = None) -> bool:  # noqa: ARG002 - Django's signature
        """Nobody adds."""
        return False


@admin.register(Run)
class RunAdmin(ReadOnlyAdmin):
    """What became of every run."""

    list_display = (
        "stream",
        "state",
        "trigger",
        "started_at",
        "duration",
        "read",
        "inserted",
        "updated",
        "deleted",
        "error_class",
    )
    list_filter = ("state", "trigger", "error_class", "stream__mapping")
    search_fields = ("stream__unique_id", "id", "trigger_id")
    date_hierarchy = "created_at"
    list_select_related = ("stream",)
    inlines = (EventInline,)
    actions = ("stop",)
    fieldsets = (
        (None, {"fields": ("stream", "state", "reason", "error_class", "error_message", "warnings", "trace")}),
        (
            "Progress",
            {
                "fields": (
                    "phase",
                    "read",
                    "inserted",
                    "updated",
                    "deleted",
                    "byte_count",
                    "rows_expected",
                    "counters",
                )
            },
        ),
        (
            "Times",
            {"fields": ("created_at", "started_at", "heartbeat_at", "finished_at", "duration", "lease_until")},
        ),
        (
            "Origin",
            {
                "fields": (
                    "trigger",
                    "trigger_id",
                    "requested_by",
                    "request",
                    "allow_deletes",
                    "resumes",
                    "owner_host",
                    "owner_pid",
                    "lease_epoch",
                    "stop_requested",
                    "stop_reason",
                    "plan",
                )
            },
        ),
    )

    def has_run_permission(self, request: HttpRequest) -> bool:
        """Whoever may start runs may stop them."""
        return request.user.has_perm("migrations_app.run_mapping")

    @admin.action(description="Stop", permissions=["run"])
    def stop(self, request: HttpRequest, queryset: Any) -> None:
        """Ask the selected runs to end at their last commit."""
        for run in queryset:
            if runs.request_stop(run):
                messages.success(request, f"{run.stream.unique_id} stops within seconds.")
            else:
                messages.warning(request, f"{run.stream.unique_id} is not running.")

    @admin.display(description="seconds")
    def duration(self, run: Run) -> str:
        """How long it ran."""
        return "" if run.seconds is None else f"{run.seconds:.1f}"
