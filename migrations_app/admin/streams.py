"""Streams in the admin: what runs, how far it is, and whether it is paused."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.http import HttpRequest

from migrations_app import starting
from migrations_app.admin.base import BaseAdmin
from migrations_app.admin.run_action import may_start
from migrations_app.models import Checkpoint, Stream


@admin.register(Stream)
class StreamAdmin(BaseAdmin):
    """Streams come and go with their mappings; people run and pause them."""

    list_display = ("unique_id", "mapping", "name", "destination_name", "active", "paused", "rows_total")
    list_filter = ("active", "paused", "mapping")
    search_fields = ("unique_id",)
    list_select_related = ("mapping", "checkpoint")
    actions = ("run_now",)
    fields = ("unique_id", "mapping", "noun", "name", "destination_name", "active", "paused", "epoch", "position")
    readonly_fields = (
        "unique_id",
        "mapping",
        "noun",
        "name",
        "destination_name",
        "active",
        "epoch",
        "position",
    )

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:  # noqa: ARG002 - Django's signature
        """A position holds the key of a row."""
        sees_rows = request.user.has_perm("migrations_app.view_checkpoint")
        return [name for name in self.fields or () if name != "position" or sees_rows]

    @admin.display(description="rows so far")
    def rows_total(self, stream: Stream) -> int | None:
        """Rows that all runs have written."""
        checkpoint = _checkpoint(stream)
        return checkpoint.rows_total if checkpoint else None

    @admin.display(description="position")
    def position(self, stream: Stream) -> Any:
        """The last durable position as our own record has it."""
        checkpoint = _checkpoint(stream)
        return checkpoint.position if checkpoint else "none yet"

    def has_add_permission(self, request: HttpRequest) -> bool:  # noqa: ARG002 - Django's signature
        """Mappings make streams."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002 - Django's signature
        """Streams keep their history; they go with their mapping."""
        return False

    def has_run_permission(self, request: HttpRequest) -> bool:
        """Running is a permission of its own."""
        return request.user.has_perm("migrations_app.run_mapping")

    @admin.action(description="Run now", permissions=["run"])
    def run_now(self, request: HttpRequest, queryset: Any) -> None:
        """Run the selected streams: by the workers, or without one each in a process of its own."""
        for stream in queryset:
            if not stream.active:
                messages.error(request, f"{stream.unique_id} is no longer part of its mapping.")
                continue
            if not may_start(request, stream.mapping):
                continue
            sentence = starting.start(
                stream.mapping,
                table=stream.name,
                destination=stream.destination_name,
                requested_by=request.user.get_username(),
            )
            messages.success(request, f"{stream.unique_id}: {sentence}")


def _checkpoint(stream: Stream) -> Checkpoint | None:
    return getattr(stream, "checkpoint", None)
