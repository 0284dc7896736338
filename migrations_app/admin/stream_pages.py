"""The page of one stream: how it stands and why, how far it is, what it has done, and what one can do about it."""

from __future__ import annotations

from typing import Any

from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.db import DataError
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.http.response import HttpResponseBase
from django.urls import reverse
from django.utils.http import urlencode

from connectors.comparison import Verdict
from connectors.mapping import EVERY_TABLE
from connectors.mapping.cron import SELF_MANAGED
from migrations_app import history
from migrations_app.admin.audit import visible
from migrations_app.admin.data_checks import check_of
from migrations_app.admin.pages import fragment, page
from migrations_app.admin.posting import shown, url_of
from migrations_app.admin.run_charts import duration_chart, rows_chart, strip_of
from migrations_app.admin.run_sight import RunSight
from migrations_app.admin.stream_actions import active_run
from migrations_app.admin.ways_on import ways_on
from migrations_app.enums import ACTIVE_STATES, Noun
from migrations_app.models import AuditEntry, Destination, Run, SpecRow, Stream
from migrations_app.models.specs import SPEC_ROWS
from migrations_app.scheduling import words
from migrations_app.settings_io import schedule_settings
from migrations_app.standing.gathering import verdict
from migrations_app.standing.places import place_of

VIEW = "migrations_app.view_stream"
_LISTED_RUNS = 10
_LISTED_AUDIT = 10


class StreamPages:
    """Pages of the admin class of streams."""

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",  # noqa: ARG002 - Django's signature
        extra_context: Any = None,  # noqa: ARG002 - Django's signature
    ) -> Any:
        """Show the stream; what can be changed of it is changed by its actions."""
        if object_id is None:
            raise PermissionDenied
        if request.method not in {"GET", "HEAD"}:
            return HttpResponseNotAllowed(["GET", "HEAD"])
        if not self.has_view_permission(request):  # type: ignore[attr-defined]
            raise PermissionDenied
        newest, found = _found(unquote(object_id))
        if found is None:
            message = f"There is no stream {object_id}."
            raise Http404(message)
        crumbs = (
            ("Mappings", reverse("admin:migrations_app_mapping_changelist")),
            (found.mapping_id, url_of(found.mapping, "overview")),
        )
        title = f"Stream {found.name} to {found.destination_name}"
        return page(request, "pages/stream.html", title, crumbs=crumbs, **_context(request, found, newest))

    @shown(VIEW)
    def live(self, request: HttpRequest, stream: Stream) -> HttpResponseBase:
        """How it stands now; the whole page is asked for again when a run has begun or ended, or a data check."""
        newest, found = _found(stream.pk)
        if found is None:
            # It was deleted with its mapping since the address has looked it up.
            raise Http404
        now = _live(found, newest)
        if request.GET.get("seen") != now["seen"]:
            return HttpResponse(headers={"HX-Refresh": "true"})
        sees_places = request.user.has_perm("migrations_app.view_checkpoint")
        return fragment(request, "parts/stream_live.html", is_piece=True, stream=found, sees_places=sees_places, **now)


def _found(pk: Any) -> tuple[Run | None, Stream | None]:
    """The stream's newest run, and the stream.

    The run is read before anything else: should it end while the page is made, the page has seen it as active, and is
    asked for again.
    """
    rows = Stream.objects.select_related("mapping__source", "checkpoint", "totals", "schedule", "data_check")
    try:
        newest = Run.objects.filter(stream=pk).order_by("-created_at").first()
        return newest, rows.filter(pk=pk).first()
    except (ValueError, OverflowError, DataError):
        # A key that no stream can have.
        return None, None


def _live(stream: Stream, newest: Run | None) -> dict[str, Any]:
    run = newest if newest is not None and newest.state in ACTIVE_STATES else active_run(stream)
    check = check_of(stream)
    is_checking = check is not None and check["is_going_on"]
    if check is not None and check["row"].verdict == Verdict.DIFFERENT and stream.active:
        ways = ways_on(stream, check["row"].result, spec_of(stream))
        check |= {"ways": ways, "keys": ways.keys}
    # Either may begin and end between two looks.
    seen = [newest.pk, newest.state] if newest is not None else []
    seen += [is_checking, *([check["row"].finished_at] if check is not None else [])]
    return {
        "verdict": verdict(stream),
        "run": run,
        "sight": RunSight(run, may_see_values=False) if run is not None else None,
        "is_busy": run is not None or is_checking,
        "check": check,
        "is_checking": is_checking,
        "seen": " ".join(map(str, seen)),
    }


def _context(request: HttpRequest, stream: Stream, newest: Run | None) -> dict[str, Any]:
    runs = history.last_runs(stream)
    is_scheduling, zone = schedule_settings()
    user = request.user
    sees_places = user.has_perm("migrations_app.view_checkpoint")
    sees_audit = user.has_perm("migrations_app.view_auditentry")
    spec = spec_of(stream)
    changes = history.schema_changes(stream)
    unseen = " ".join(str(change.pk) for change in changes if change.is_unseen)
    return {
        "stream": stream,
        "spec": spec,
        "schedule": schedule_in_words(spec, zone),
        "is_scheduling": is_scheduling,
        "destination": Destination.objects.filter(
            named_in__mapping=stream.mapping_id, named_in__name=stream.destination_name
        ).first(),
        "place": place_of(stream, zone),
        "sees_places": sees_places,
        "strip": strip_of(runs),
        "charts": [duration_chart(runs), rows_chart(runs)] if any(run.seconds for run in runs) else [],
        "runs": list(reversed(runs))[:_LISTED_RUNS],
        "runs_url": f"{reverse('admin:migrations_app_run_changelist')}?{urlencode({'stream__id__exact': stream.pk})}",
        "last_failed": bool(runs) and runs[-1].state in {"failed", "lost", "stopped"},
        "changes": changes,
        "unseen_marks": unseen if len(unseen.split()) > 1 else "",
        "seen_from": f"{request.path}#changes",
        "audit": audit_of("stream", str(stream.pk), sees_rows=sees_places) if sees_audit else None,
        **_live(stream, newest),
    }


def spec_of(stream: Stream) -> SpecRow | None:
    """The spec by which the stream is copied; that of `*` where it has none of its own."""
    row: Any = SPEC_ROWS[Noun(stream.noun)]
    key = row.noun.name_key
    found = row._default_manager.filter(mapping=stream.mapping_id, **{f"{key}__in": [stream.name, EVERY_TABLE]})
    specs = sorted(found, key=lambda spec: spec.name == EVERY_TABLE)
    return specs[0] if specs else None


def schedule_in_words(spec: SpecRow | None, zone: str) -> str:
    """When a spec is due; empty where nothing starts it by itself."""
    if spec is None or spec.cron == SELF_MANAGED:
        return ""
    try:
        return f"{words.in_words(spec.cron)} ({zone})"
    except ValueError:
        return spec.cron


def audit_of(target_type: str, target_id: str, *, sees_rows: bool) -> list[AuditEntry]:
    """What was done to a row, the newest first, as far as a person sees keys or not."""
    entries = list(AuditEntry.objects.filter(target_type=target_type, target_id=target_id)[:_LISTED_AUDIT])
    for entry in entries:
        entry.details = visible(entry.details, sees_rows=sees_rows)
    return entries
