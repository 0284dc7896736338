"""The audit log in the admin: to look at and to take along. Nobody changes or removes an entry."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from typing import Any

from django.apps import apps
from django.contrib import admin
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views.main import ERROR_FLAG
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.urls import reverse

from migrations_app.admin.base import ReadOnlyAdmin
from migrations_app.admin.pages import page
from migrations_app.admin.posting import shown
from migrations_app.models import AuditEntry
from migrations_app.templatetags.dms import when

_VIEW = "migrations_app.view_auditentry"
#: Keys whose values may be those of rows.
_OF_ROWS = frozenset({"position", "from_key", "to_key", "since", "until"})
#: In place of what only those see who may see checkpoints.
HIDDEN = "(needs the permission to see checkpoints)"
_COLUMNS = (
    *("at", "actor", "via", "address", "request_id", "action"),
    *("target_type", "target_id", "target_name", "before", "after", "details"),
)
#: What makes a spreadsheet take a cell for a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_AUTH = ("user", "group")
_IN_LIST = 3
_Row = dict[str, Any]
_Writer = Callable[[Iterator[_Row]], Iterator[str]]


class _Echo:
    """A file for the CSV writer that hands each line on."""

    def write(self, text: str) -> str:
        return text


@admin.register(AuditEntry)
class AuditEntryAdmin(ReadOnlyAdmin):
    """Who changed what, when, and by which door."""

    list_display = ("when", "actor", "via", "action", "target_type", "target_name", "what")
    list_filter = ("via", "action", "target_type", "actor", "at")
    search_fields = ("actor", "target_name", "target_id", "request_id")
    date_hierarchy = "at"
    list_per_page = 50
    list_before_template = "parts/audit_downloads.html"

    def change_view(self, request: HttpRequest, object_id: str, *_: Any, **__: Any) -> HttpResponse:
        """One entry, with what was and what is side by side."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        entry = self.get_object(request, object_id)
        if entry is None:
            message = f"There is no entry {object_id}."
            raise Http404(message)
        sees_rows = request.user.has_perm("migrations_app.view_checkpoint")
        return page(
            request,
            "pages/audit_entry.html",
            f"{entry.action} {entry.target_type} {entry.target_name}",
            crumbs=(("Audit log", reverse("admin:migrations_app_auditentry_changelist")),),
            entry=entry,
            changes=_changes(entry, sees_rows=sees_rows),
            details=[(key, _text(value)) for key, value in visible(entry.details, sees_rows=sees_rows).items()],
            target_url=_url_of(entry),
        )

    @shown(_VIEW, on_list=True)
    def csv(self, request: HttpRequest) -> HttpResponseBase:
        """The entries that the list shows, for a spreadsheet."""
        return self._download(request, _csv_lines, "text/csv; charset=utf-8", "audit.csv")

    @shown(_VIEW, on_list=True)
    def json_lines(self, request: HttpRequest) -> HttpResponseBase:
        """The same for programs: an object a line."""
        return self._download(request, _json_lines, "application/x-ndjson", "audit.jsonl")

    @admin.display(description="when", ordering="at")
    def when(self, entry: AuditEntry) -> Any:
        """The time, with its zone."""
        return when(entry.at)

    @admin.display(description="changed")
    def what(self, entry: AuditEntry) -> str:
        """The first of the keys that differ."""
        keys = sorted({*(entry.before or {}), *(entry.after or {})})
        if entry.before is None or entry.after is None:
            return ""
        more = f" and {len(keys) - _IN_LIST} more" if len(keys) > _IN_LIST else ""
        return ", ".join(keys[:_IN_LIST]) + more

    def _download(self, request: HttpRequest, write: _Writer, content_type: str, name: str) -> HttpResponseBase:
        try:
            # Before the answer begins: what is wrong with the filters can be told then alone.
            entries = self.get_changelist_instance(request).queryset
        except IncorrectLookupParameters:
            return HttpResponseRedirect(f"{reverse('admin:migrations_app_auditentry_changelist')}?{ERROR_FLAG}=1")
        rows = _rows(entries, sees_rows=request.user.has_perm("migrations_app.view_checkpoint"))
        headers = {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"}
        return StreamingHttpResponse(write(rows), content_type=content_type, headers=headers)


def visible(values: dict[str, Any], *, sees_rows: bool) -> dict[str, Any]:
    """What an entry says, for who may see positions and keys or may not."""
    return {key: HIDDEN if key in _OF_ROWS and not sees_rows else value for key, value in values.items()}


def _changes(entry: AuditEntry, *, sees_rows: bool) -> list[tuple[str, str | None, str | None]]:
    """Each key with what it was and is; None where it was not there."""
    before = visible(entry.before or {}, sees_rows=sees_rows)
    after = visible(entry.after or {}, sees_rows=sees_rows)
    return [
        (key, _text(before[key]) if key in before else None, _text(after[key]) if key in after else None)
        for key in dict.fromkeys([*before, *after])
    ]


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, indent=2)


def _url_of(entry: AuditEntry) -> str:
    """The page of what was changed; empty when it has none any more."""
    app = "auth" if entry.target_type in _AUTH else "migrations_app"
    model = apps.all_models[app].get(entry.target_type)
    if model is None or not admin.site.is_registered(model) or not entry.target_id:
        return ""
    if not model._default_manager.filter(pk=entry.target_id).exists():
        return ""
    return reverse(f"admin:{app}_{entry.target_type}_change", args=(entry.target_id,))


def _rows(entries: QuerySet[AuditEntry], *, sees_rows: bool) -> Iterator[_Row]:
    for entry in entries.iterator(chunk_size=500):
        row = {name: getattr(entry, name) for name in _COLUMNS} | {"at": entry.at.isoformat()}
        for name in ("before", "after", "details"):
            row[name] = None if row[name] is None else visible(row[name], sees_rows=sees_rows)
        yield row


def _csv_lines(rows: Iterator[_Row]) -> Iterator[str]:
    writer = csv.writer(_Echo())
    yield str(writer.writerow(_COLUMNS))
    for row in rows:
        yield str(writer.writerow([_cell(row[name]) for name in _COLUMNS]))


def _cell(value: Any) -> str:
    text = "" if value is None else value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return f"'{text}" if text.startswith(_FORMULA) else text


def _json_lines(rows: Iterator[_Row]) -> Iterator[str]:
    for row in rows:
        yield json.dumps(row, ensure_ascii=False) + "\n"
