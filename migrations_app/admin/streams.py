"""Streams in the admin: the list, and what is done to several of them at a time."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib import admin
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString

from migrations_app.admin.auditing import records_itself
from migrations_app.admin.base import BaseAdmin
from migrations_app.admin.selected import each_of
from migrations_app.admin.standing_lists import (
    DestinationFilter,
    MappingFilter,
    SourceFilter,
    StandingFilter,
    StreamList,
    UnseenFilter,
    cut,
    related,
    standing_cell,
)
from migrations_app.admin.stream_actions import StreamActions, name_of, run_stream
from migrations_app.admin.stream_pages import StreamPages
from migrations_app.admin.stream_rereading import StreamRereading
from migrations_app.models import Stream
from migrations_app.templatetags.dms import ago, count
from migrations_app.verbs import pausing


@admin.register(Stream)
class StreamAdmin(StreamPages, StreamActions, StreamRereading, BaseAdmin):
    """Streams come and go with their mappings; people run and pause them."""

    class Media:
        css: ClassVar[dict[str, Any]] = {"all": ("dms/streams.css",)}

    list_display = (
        "shown_name",
        "standing",
        "shown_mapping",
        "shown_destination",
        "freshness",
        "next_due",
        "last_run",
        "rows_total",
    )
    list_filter = (StandingFilter, MappingFilter, SourceFilter, DestinationFilter, UnseenFilter, "active", "paused")
    search_fields = ("unique_id",)
    list_select_related = ("mapping", "checkpoint", "totals", "schedule")
    list_per_page = 50
    actions = ("run_now", "pause_all", "resume_all")

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> Any:  # noqa: ARG002 - Django's signature
        """A list that knows how its rows stand."""
        return StreamList

    @admin.display(description="stream", ordering="name")
    def shown_name(self, stream: Any) -> SafeString:
        """The table, collection, topic or API, and whether nobody has seen what became of its columns."""
        if not getattr(stream, "unseen_changes", 0):
            return cut(stream.name)
        return format_html('{}<span class="dms-faint dms-under">columns changed</span>', cut(stream.name))

    @admin.display(description="mapping", ordering="mapping")
    def shown_mapping(self, stream: Stream) -> SafeString:
        """Its mapping."""
        return cut(stream.mapping_id)

    @admin.display(description="to", ordering="destination_name")
    def shown_destination(self, stream: Stream) -> SafeString:
        """The destination's name in the mapping."""
        return cut(stream.destination_name)

    @admin.display(description="status")
    def standing(self, stream: Stream) -> SafeString:
        """How it stands."""
        return standing_cell(stream)

    @admin.display(description="last success", ordering="totals__last_success_at")
    def freshness(self, stream: Stream) -> Any:
        """How old what arrived is."""
        return ago(related(stream, "totals", "last_success_at"))

    @admin.display(description="next due", ordering="schedule__next_due_at")
    def next_due(self, stream: Stream) -> Any:
        """When it runs by itself."""
        return ago(related(stream, "schedule", "next_due_at"))

    @admin.display(description="last run", ordering="totals__last_finished_at")
    def last_run(self, stream: Stream) -> Any:
        """When its last run ended, however that was."""
        return ago(related(stream, "totals", "last_finished_at"))

    @admin.display(description="rows changed", ordering="checkpoint__rows_total")
    def rows_total(self, stream: Stream) -> str:
        """Rows that runs have inserted, updated or deleted since its copy began."""
        return count(related(stream, "checkpoint", "rows_total"))

    def has_add_permission(self, request: HttpRequest) -> bool:  # noqa: ARG002 - Django's signature
        """Mappings make streams."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002 - Django's signature
        """Actions change them."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002 - Django's signature
        """Streams keep their history; they go with their mapping."""
        return False

    def has_run_permission(self, request: HttpRequest) -> bool:
        """Running is a permission of its own."""
        return request.user.has_perm("migrations_app.run_mapping")

    @records_itself
    @admin.action(description="Run now", permissions=["run"])
    def run_now(self, request: HttpRequest, queryset: Any) -> None:
        """Run the selected streams: by the workers, or without one each in a process of its own."""
        each_of(request, queryset, "run", lambda stream: run_stream(stream, name_of(request.user)), reaches_out=True)

    @records_itself
    @admin.action(description="Pause", permissions=["run"])
    def pause_all(self, request: HttpRequest, queryset: Any) -> None:
        """Schedule nothing of the selected streams."""

        def pause(stream: Stream) -> str:
            pausing.pause(stream.mapping, table=stream.name, destination=stream.destination_name)
            return f"{stream} is not scheduled any more."

        each_of(request, queryset.filter(paused=False), "pause", pause)

    @records_itself
    @admin.action(description="Resume", permissions=["run"])
    def resume_all(self, request: HttpRequest, queryset: Any) -> None:
        """Schedule the selected streams again."""

        def resume(stream: Stream) -> str:
            pausing.resume(stream.mapping, table=stream.name, destination=stream.destination_name)
            rest = "" if stream.mapping.enabled else " once its mapping is enabled"
            return f"{stream} is scheduled again{rest}."

        each_of(request, queryset.filter(paused=True), "resume", resume)
