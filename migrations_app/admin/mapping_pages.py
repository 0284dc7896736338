"""The page of a mapping as a whole, and the columns and filters of their list; the form is mappings.py's."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib import admin
from django.core.paginator import Paginator
from django.db.models import Count, Max, Min, Q, QuerySet, Sum
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.urls import reverse
from django.utils.html import format_html
from django.utils.http import urlencode
from django.utils.safestring import SafeString

from connectors.mapping import EVERY_TABLE
from migrations_app.admin import mapping_history
from migrations_app.admin.pages import fragment, page
from migrations_app.admin.posting import shown, url_of
from migrations_app.admin.standing_lists import (
    JudgedList,
    MappingDestinationFilter,
    MappingSourceFilter,
    StandingFilter,
    cut,
    related,
    standing_cell,
)
from migrations_app.admin.stream_pages import audit_of, schedule_in_words
from migrations_app.models import Mapping, Stream
from migrations_app.settings_io import schedule_settings
from migrations_app.standing.gathering import verdicts
from migrations_app.standing.judging import Standing, Verdict, of_mapping
from migrations_app.templatetags.dms import ago, count
from migrations_app.verbs import checking

VIEW = "migrations_app.view_mapping"
_STREAMS_PER_PAGE = 50
_LISTED_SPECS = 50
_UNKNOWN = Verdict(Standing.NEVER_RUN, "")


class MappingPages:
    """Pages and list of the admin class of mappings."""

    class Media:
        css: ClassVar[dict[str, Any]] = {"all": ("dms/streams.css",)}

    list_display: ClassVar[Any] = (
        "shown_id",
        "standing",
        "from_where",
        "to_where",
        "freshness",
        "next_due",
        "rows_total",
        "edit",
        "kept",
    )
    list_filter: ClassVar[Any] = (
        StandingFilter,
        MappingSourceFilter,
        MappingDestinationFilter,
        "enabled",
        "managed_by",
    )
    list_display_links: ClassVar[Any] = None
    list_per_page = 50

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> Any:  # noqa: ARG002 - Django's signature
        """A list that knows how its rows stand."""
        return _MappingList

    def get_list_display(self, request: HttpRequest) -> Any:  # noqa: ARG002 - Django's signature
        """Where mappings are kept is told where some are kept elsewhere: the list is wide as it is."""
        is_told = Mapping.objects.exclude(managed_by="").exists()
        return [name for name in self.list_display if is_told or name != "kept"]

    @admin.display(description="mapping", ordering="id")
    def shown_id(self, mapping: Mapping) -> SafeString:
        """Leads to the mapping's overview."""
        return format_html('<a class="dms-link" href="{}">{}</a>', overview_url(mapping), cut(mapping.pk))

    @admin.display(description="status")
    def standing(self, mapping: Mapping) -> SafeString:
        """How it stands, by its streams."""
        return standing_cell(mapping)

    @admin.display(description="from", ordering="source__name")
    def from_where(self, mapping: Mapping) -> SafeString:
        """Its source."""
        return cut(mapping.source.name)

    @admin.display(description="to")
    def to_where(self, mapping: Any) -> SafeString:
        """Its destinations."""
        return cut(", ".join(each.name for each in mapping.named_destinations.all()) or "nowhere")

    @admin.display(description="last success")
    def freshness(self, mapping: Any) -> Any:
        """When the last of its streams succeeded."""
        return ago(mapping.sums.get("success"))

    @admin.display(description="next due")
    def next_due(self, mapping: Any) -> Any:
        """When the first of its streams runs by itself."""
        return ago(mapping.sums.get("due"))

    @admin.display(description="rows changed")
    def rows_total(self, mapping: Any) -> str:
        """Rows that runs of its streams have inserted, updated or deleted since their copies began."""
        return count(mapping.sums.get("rows"))

    @admin.display(description="settings")
    def edit(self, mapping: Mapping) -> SafeString:
        """Leads to the editor."""
        url = reverse("admin:migrations_app_mapping_change", args=(mapping.pk,))
        return format_html('<a class="dms-link" href="{}">Edit<span class="dms-hidden"> {}</span></a>', url, mapping.pk)

    @shown(VIEW)
    def overview(self, request: HttpRequest, mapping: Mapping) -> HttpResponseBase:
        """The mapping as a whole, and its streams."""
        crumbs = (("Mappings", reverse("admin:migrations_app_mapping_changelist")),)
        return page(request, "pages/mapping.html", f"Mapping {mapping.pk}", crumbs=crumbs, **_context(request, mapping))

    @shown(VIEW)
    def overview_live(self, request: HttpRequest, mapping: Mapping) -> HttpResponseBase:
        """How the mapping and one page of its streams stand now, or a new page where it has no place for it."""
        now = _live(request, mapping)
        if request.GET.get("has", now["has"]) != now["has"]:
            return HttpResponse(headers={"HX-Refresh": "true"})
        return fragment(request, "parts/mapping_live.html", is_piece=True, **now)

    def response_post_save_add(self, request: HttpRequest, obj: Mapping) -> HttpResponseRedirect:  # noqa: ARG002 - Django's signature
        """Once it is saved, it is to be run."""
        return HttpResponseRedirect(overview_url(obj))

    def response_post_save_change(self, request: HttpRequest, obj: Mapping) -> HttpResponseRedirect:  # noqa: ARG002 - Django's signature
        """The same after a change."""
        return HttpResponseRedirect(overview_url(obj))


class _MappingList(JudgedList):
    """Its rows know what their streams come to as `sums`, too."""

    def get_results(self, request: HttpRequest) -> None:
        """Add the sums of the page's rows in one query."""
        super().get_results(request)
        rows: list[Any] = list(self.result_list)
        streams = Stream.objects.filter(mapping__in=[row.pk for row in rows], active=True)
        sums = {found["mapping"]: found for found in _sums(streams.order_by().values("mapping"))}
        for row in rows:
            row.sums = sums.get(row.pk, {})

    def get_queryset(self, *args: Any, **kwargs: Any) -> Any:
        """With the destinations of the page's rows."""
        return super().get_queryset(*args, **kwargs).prefetch_related("named_destinations")


def overview_url(mapping: Mapping) -> str:
    """Where a mapping's overview is."""
    return reverse("admin:migrations_app_mapping_see_overview", args=(mapping.pk,))


def _sums(streams: Any) -> Any:
    return streams.annotate(
        success=Max("totals__last_success_at"),
        due=Min("schedule__next_due_at"),
        rows=Sum("checkpoint__rows_total"),
        streams=Count("pk"),
    )


def _standing(request: HttpRequest, mapping: Mapping) -> dict[str, Any]:
    """How the whole stands, and the streams of the page that is asked for, those that need somebody first."""
    found = verdicts(Stream.objects.filter(mapping=mapping))
    whole = of_mapping([each.standing for each in found.values()], is_enabled=mapping.enabled)
    counts = {standing: n for standing in Standing if (n := sum(each.standing is standing for each in found.values()))}
    chosen = request.GET.get("standing", "")
    # Those that left the mapping are shown to who asks for them.
    shown_ones = [
        pk
        for pk, each in found.items()
        if (each.standing.name.lower() == chosen if chosen else each.standing is not Standing.GONE)
    ]
    names = dict(Stream.objects.filter(mapping=mapping).values_list("pk", "unique_id"))
    shown_ones.sort(key=lambda pk: (found[pk].standing.rank, names[pk]))
    pages = Paginator(shown_ones, _STREAMS_PER_PAGE).get_page(request.GET.get("p"))
    # The parts that the page has only where there is something to show in them.
    has = "".join(str(int(bool(part))) for part in (counts, shown_ones, pages.has_other_pages()))
    asked = {"standing": chosen, "p": str(pages.number)}
    overview = overview_url(mapping)
    is_busy = any(each.standing in {Standing.RUNNING, Standing.QUEUED} for each in found.values())
    return {
        "mapping": mapping,
        "verdict": whole,
        "counts": [(standing, standing.name.lower(), n) for standing, n in counts.items()],
        "chosen": chosen,
        "pages": pages,
        "rows": [{"pk": pk, "verdict": found[pk]} for pk in pages.object_list],
        "streams_ever": len(found),
        "active_ones": [pk for pk, each in found.items() if each.standing is not Standing.GONE],
        "is_busy": is_busy,
        "has": has,
        "asked": urlencode(asked | {"has": has}),
        "overview": overview,
        "here": f"{overview}?{urlencode(asked)}",
    }


def _live(request: HttpRequest, mapping: Mapping) -> dict[str, Any]:
    """All of the page that runs change."""
    standing = _standing(request, mapping)
    rows = _rows([row["pk"] for row in standing["rows"]])
    modes = _modes(mapping, {stream.name for stream in rows.values()})
    # A stream alone has its links above, among the mapping's.
    has_several = len(standing["active_ones"]) > 1
    for row in standing["rows"]:
        stream = rows[row["pk"]]
        row.update(_columns(stream))
        row["is_reread"] = has_several and stream.active
        row["is_dumped"] = modes.get(stream.name, modes.get(EVERY_TABLE)) == "dumping"
    is_scheduling, zone = schedule_settings()
    specs = list(mapping.spec_rows()[: _LISTED_SPECS + 1])
    active = Stream.objects.filter(mapping=mapping, active=True).order_by()
    sums = next(iter(_sums(active.values("mapping"))), {"rows": None, "success": None, "due": None})
    schedules = [(spec, schedule_in_words(spec, zone)) for spec in specs]
    return standing | {
        "sums": sums,
        "paused": active.filter(paused=True).count(),
        "is_checking": checking.goes_on(Q(mapping=mapping.pk)),
        "specs": schedules[:_LISTED_SPECS],
        "has_more_specs": len(specs) > _LISTED_SPECS,
        "is_held_back": not is_scheduling and any(schedule for _, schedule in schedules),
        "strip": mapping_history.strip(mapping),
        "zone": zone,
    }


def _context(request: HttpRequest, mapping: Mapping) -> dict[str, Any]:
    sees_audit = request.user.has_perm("migrations_app.view_auditentry")
    sees_rows = request.user.has_perm("migrations_app.view_checkpoint")
    live = _live(request, mapping)
    past = mapping_history.past_of(mapping, live["streams_ever"], live["zone"])
    return (
        live
        | past
        | {
            "sees_places": sees_rows,
            "seen_from": f"{request.path}#changes",
            "only": _only(live),
            "destinations": list(mapping.named_destinations.select_related("destination")),
            "runs_url": f"{reverse('admin:migrations_app_run_changelist')}?"
            + urlencode({"stream__mapping__id__exact": mapping.pk}),
            "streams_url": f"{reverse('admin:migrations_app_stream_changelist')}?{urlencode({'mapping': mapping.pk})}",
            "audit": audit_of("mapping", mapping.pk, sees_rows=sees_rows) if sees_audit else None,
        }
    )


def _only(live: dict[str, Any]) -> dict[str, Any] | None:
    """Where the stream of a mapping that has no other is read again."""
    if len(live["active_ones"]) != 1:
        return None
    (pk,) = live["active_ones"]
    is_dumped = any(row["pk"] == pk and row["is_dumped"] for row in live["rows"])
    stream = Stream(pk=pk)
    return {"backfill": "" if is_dumped else url_of(stream, "backfilling"), "reset": url_of(stream, "resetting")}


def _modes(mapping: Mapping, names: set[str]) -> dict[str, str]:
    """Modes of those specs, by name, and that of `*`."""
    specs = mapping.spec_rows()
    key = f"{mapping.noun.name_key}__in"
    return {spec.name: spec.mode or "" for spec in specs.filter(**{key: [*names, EVERY_TABLE]})}


def _columns(stream: Stream) -> dict[str, Any]:
    return {
        "stream": stream,
        "success": related(stream, "totals", "last_success_at"),
        "due": related(stream, "schedule", "next_due_at"),
        "rows": related(stream, "checkpoint", "rows_total"),
    }


def _rows(streams: list[int]) -> dict[int, Stream]:
    found: QuerySet[Stream] = Stream.objects.filter(Q(pk__in=streams)).select_related(
        "mapping", "totals", "schedule", "checkpoint"
    )
    return {stream.pk: stream for stream in found}
