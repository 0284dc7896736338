"""The columns of the list of runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from migrations_app.durations import usual_seconds
from migrations_app.error_guide import guide_of
from migrations_app.formats import human_bytes, human_count, human_seconds
from migrations_app.models import Run
from migrations_app.templatetags import dms

if TYPE_CHECKING:
    RunChangeList = ChangeList
else:
    from unfold.views import ChangeList as RunChangeList

#: A run that takes so much longer than usual stands out.
_LONG_TIMES = 2.0
#: With one digit, less would be 0.0.
_LEAST_SHARE = 0.1
_NOTHING = "-"


class RunList(RunChangeList):
    """The runs of one page, each with how long its stream's runs usually take."""

    def get_results(self, request: HttpRequest) -> None:
        """One query more, whatever the number of runs."""
        super().get_results(request)
        found: list[Any] = list(self.result_list)
        usual = usual_seconds(run.stream_id for run in found)
        for run in found:
            run.usual_seconds = usual.get(run.stream_id)
        self.result_list = found


class RunColumns:
    """What a row of the list says."""

    @admin.display(description="run", ordering="-created_at")
    def shown_run(self, run: Run) -> SafeString:
        """Its state, the beginning of its id, and its class of error."""
        head = format_html('{} <code class="dms-typed">{}</code>', dms.status(run.state), str(run.pk)[:8])
        if run.is_backfill:
            head = format_html('{} <span class="dms-faint">backfill</span>', head)
        if not run.error_class:
            return head
        meaning = guide_of(run.error_class).cause
        return format_html('{}<span class="dms-under dms-error" title="{}">{}</span>', head, meaning, run.error_class)

    @admin.display(description="stream")
    def shown_stream(self, run: Run) -> SafeString:
        """A link to the stream."""
        stream = run.stream
        return format_html(
            '<a class="dms-link dms-cut dms-cut-short" href="{}" title="{}">{}</a>'
            '<span class="dms-faint dms-cut dms-cut-short" title="{}">{} to {}</span>',
            reverse("admin:migrations_app_stream_change", args=(stream.pk,)),
            stream.unique_id,
            stream.name,
            f"{stream.mapping_id} to {stream.destination_name}",
            stream.mapping_id,
            stream.destination_name,
        )

    @admin.display(description="started", ordering="created_at")
    def started(self, run: Run) -> SafeString:
        """When it began, or was asked for, and by whom."""
        words = origin(run)
        begun = dms.ago(run.started_at)
        if run.started_at is None:
            begun = format_html("asked for {}", dms.ago(run.created_at))
        return format_html(
            '<span class="dms-whole">{}</span><span class="dms-faint dms-cut dms-cut-name" title="{}">{}</span>',
            begun,
            words,
            words,
        )

    @admin.display(description="duration")
    def took(self, run: Any) -> SafeString | str:
        """How long, and against what is usual."""
        if run.seconds is None:
            return _NOTHING
        words = against_usual(run.seconds, run.usual_seconds)
        if not words:
            return format_html('<span class="dms-whole">{}</span>', human_seconds(run.seconds))
        is_long = run.seconds >= _LONG_TIMES * run.usual_seconds
        tone = "dms-slow" if is_long else "dms-faint"
        shown = '<span class="dms-whole">{}</span><span class="dms-under {}">{}</span>'
        return format_html(shown, human_seconds(run.seconds), tone, words)

    @admin.display(description="rows")
    def rows(self, run: Run) -> SafeString:
        """Read, how large, and what became of them."""
        changed = [
            f"{human_count(count)} {word}"
            for word, count in (("inserted", run.inserted), ("updated", run.updated), ("deleted", run.deleted))
            if count
        ]
        return format_html(
            '{} read, {}<span class="dms-faint dms-under dms-changes">{}</span>',
            human_count(run.read),
            human_bytes(run.byte_count),
            ", ".join(changed) or "nothing changed",
        )


def origin(run: Run) -> str:
    """By which way it was asked for, by whom, and how often before."""
    words = str(run.trigger)
    if run.requested_by:
        words += f", {run.requested_by}"
    return f"{words}, attempt {run.attempt + 1}" if run.attempt else words


def against_usual(seconds: float, usual: float | None) -> str:
    """Such as: 2.1x the median of 41 s."""
    if not usual:
        return ""
    share = seconds / usual
    if share < _LEAST_SHARE:
        return f"under {_LEAST_SHARE}x the median of {human_seconds(usual)}"
    return f"{share:.1f}x the median of {human_seconds(usual)}"
