"""Runs in the admin: the list, and a page for each that is live while it runs. runs.py alone changes them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils.text import Truncator

from connectors.wording import counted
from migrations_app import runs, starting
from migrations_app.admin.base import ReadOnlyAdmin, shortened
from migrations_app.admin.pages import fragment, page
from migrations_app.admin.posting import Done, Refused, posted, shown, whole_number
from migrations_app.admin.run_columns import RunColumns, RunList
from migrations_app.admin.run_filters import ErrorClassFilter, OfStreamsFilter, TimeFilter
from migrations_app.admin.run_log import as_text, diagnostics, log_of
from migrations_app.admin.run_search import search
from migrations_app.admin.run_sight import RunSight
from migrations_app.admin.runs_at_once import RunsAtOnce
from migrations_app.admin.saved_filters import SavedFilters
from migrations_app.enums import RunState, TriggerKind
from migrations_app.models import Run

if TYPE_CHECKING:
    from django.core.paginator import Paginator as InfinitePaginator

    ChoicesDropdownFilter = admin.ChoicesFieldListFilter
else:
    from unfold.contrib.filters.admin import ChoicesDropdownFilter
    from unfold.paginator import InfinitePaginator

_VIEW = "migrations_app.view_run"
_RUN = "migrations_app.run_mapping"
_SEE_VALUES = "migrations_app.view_checkpoint"
_LEFT = "Nothing was queued: {} is no longer part of its mapping."
#: What a page needs of a run's row; lists do without the long ones.
_LONG = ("plan", "request", "warnings", "counters", "trace", "error_message", "reason")


@admin.register(Run)
class RunAdmin(SavedFilters, RunColumns, RunsAtOnce, ReadOnlyAdmin):
    """What became of every run."""

    list_display = ("shown_run", "shown_stream", "started", "took", "rows")
    list_display_links = ("shown_run",)
    list_filter = (
        ("state", ChoicesDropdownFilter),
        ("stream__mapping", OfStreamsFilter),
        ("stream", OfStreamsFilter),
        ("stream__mapping__source", OfStreamsFilter),
        ("trigger", ChoicesDropdownFilter),
        ErrorClassFilter,
        TimeFilter,
    )
    list_filter_submit = True
    list_filter_sheet = True
    list_select_related = ("stream",)
    list_per_page = 50
    sortable_by = ("started",)
    search_fields = ("stream__unique_id",)
    search_help_text = "Part of a stream's name, or a whole run or trigger id"
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    # Counting 200,000 runs would take longer than showing 50 of them.
    paginator = InfinitePaginator
    actions = ("stop_selected", "retry_selected")
    list_disable_select_all = True
    ordering = ("-created_at",)

    def get_queryset(self, request: HttpRequest) -> Any:
        """Without what only the page of one run shows."""
        return super().get_queryset(request).defer(*_LONG)

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> Any:  # noqa: ARG002 - Django's signature
        """One that knows how long each stream's runs usually take."""
        return RunList

    def get_search_results(self, request: HttpRequest, queryset: Any, search_term: str) -> tuple[Any, bool]:  # noqa: ARG002 - Django's signature
        """Runs of the streams that are called so, or under that id."""
        return search(queryset, shortened(search_term)), False

    def has_run_permission(self, request: HttpRequest) -> bool:
        """Whoever may start runs may stop them."""
        return request.user.has_perm(_RUN)

    class Media:
        css: ClassVar = {"all": ("dms/runs.css",)}

    # --- The page of one run ---------------------------------------------------------------------

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",  # noqa: ARG002 - Django's signature
        extra_context: Any = None,  # noqa: ARG002 - Django's signature
    ) -> HttpResponse:
        """The run, live while it is active."""
        if request.method not in {"GET", "HEAD"} or not self.has_view_permission(request):
            raise PermissionDenied
        run = self.get_object(request, object_id)
        if run is None:
            message = f"There is no run {object_id}."
            raise Http404(message)
        sight = self._sight(request, run)
        crumbs = [("Runs", reverse("admin:migrations_app_run_changelist"))]
        title = f"Run of {Truncator(run.stream.name).chars(80)}"
        return page(request, "pages/run.html", title, crumbs=crumbs, **self._context(request, sight))

    @shown(_VIEW)
    def live(self, request: HttpRequest, run: Run) -> HttpResponse:
        """What changes while a run is active; the last answer, when it has ended, brings the whole result."""
        sight = self._sight(request, run)
        # The log asks for itself while the run is active.
        context = {"run": sight.run, "sight": sight} if sight.is_active else self._context(request, sight)
        return fragment(request, "parts/run_live.html", is_last=not sight.is_active, is_fragment=True, **context)

    @shown(_VIEW)
    def log(self, request: HttpRequest, run: Run) -> HttpResponse:
        """The log, narrowed to a level."""
        sight = self._sight(request, run)
        return fragment(request, "parts/run_log.html", **self._context(request, sight))

    @shown(_VIEW)
    def log_file(self, request: HttpRequest, run: Run) -> HttpResponse:
        """The log as a file to keep."""
        log = log_of(self._sight(request, run), request.GET.get("level", ""), limit=None)
        answer = HttpResponse(as_text(log), content_type="text/plain; charset=utf-8")
        answer["Content-Disposition"] = f'attachment; filename="run-{run.pk}.log"'
        answer["X-Content-Type-Options"] = "nosniff"
        return answer

    def _sight(self, request: HttpRequest, run: Run) -> RunSight:
        whole = get_object_or_404(Run.objects.select_related("stream__mapping__source", "resumes"), pk=run.pk)
        return RunSight(whole, may_see_values=request.user.has_perm(_SEE_VALUES))

    def _context(self, request: HttpRequest, sight: RunSight) -> dict[str, Any]:
        log = log_of(sight, request.GET.get("level", ""))
        return {"run": sight.run, "sight": sight, "log": log, "diagnostics": diagnostics(sight)}

    # --- What can be done ------------------------------------------------------------------------

    @posted(_RUN)
    def stop(self, request: HttpRequest, run: Run) -> str:  # noqa: ARG002 - as all actions
        """Ask the run to end at its last commit."""
        if not runs.request_stop(run):
            message = "Nothing was stopped: the run has ended already."
            raise Refused(message)
        run.refresh_from_db(fields=["state"])
        if run.state == RunState.LOST:
            return (
                f"The process of {run.stream.unique_id} was gone or silent: the run has ended, and is recorded as lost."
            )
        return f"{run.stream.unique_id} stops within seconds, at its last commit."

    @posted(_RUN)
    def retry(self, request: HttpRequest, run: Run) -> Done:
        """Queue a run that does what this one was to do."""
        new = self._retried(request, run)
        to = reverse("admin:migrations_app_run_change", args=(new.pk,))
        return Done(f"Queued a new run of {run.stream.unique_id}.", to=to, details={"run": str(new.pk)})

    @posted(_RUN)
    def approve_deletes(self, request: HttpRequest, run: Run) -> Done:
        """Run the stream again, and let it delete so many rows."""
        allowed = whole_number(request.POST.get("allow_deletes", "").strip())
        if not allowed:
            message = "Nothing was queued: enter how many rows may be deleted, as a whole number."
            raise Refused(message)
        if not run.stream.active:
            raise Refused(_LEFT.format(run.stream.unique_id))
        started = starting.queue(
            [run.stream],
            allow_deletes=allowed,
            requested_by=request.user.get_username(),
            trigger=TriggerKind.ADMIN,
        )
        if not started.runs:
            message = f"Nothing was queued: {run.stream.unique_id} has a run already."
            raise Refused(message)
        (new,) = started.runs
        to = reverse("admin:migrations_app_run_change", args=(new.pk,))
        sentence = f"Queued a run of {run.stream.unique_id} that may delete {counted(allowed, 'row')}."
        return Done(sentence, to=to, details={"run": str(new.pk), "allow_deletes": allowed})

    def _retried(self, request: HttpRequest, run: Run) -> Run:
        if not run.stream.active:
            raise Refused(_LEFT.format(run.stream.unique_id))
        try:
            return starting.retry(run, requested_by=request.user.get_username(), trigger=TriggerKind.ADMIN)
        except runs.AlreadyRunningError as error:
            message = f"Nothing was queued: {error}."
            raise Refused(message) from error
