"""What the editor asks the server for while a mapping is being written: its text, its rows, its plan.

All of it reads the unsaved form, and none of it stores anything: what is asked for is said by POST, since a form is
larger than an address may be.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlencode

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.urls import reverse

from connectors.errors import ConnectorError
from connectors.mapping import SELF_MANAGED, Issue, MappingError
from connectors.mapping.sketch import ENDINGS, FORMATS
from migrations_app import secrets, streams
from migrations_app.admin import slots
from migrations_app.admin.editor import opening
from migrations_app.admin.editor.reading import Entered, read_form, read_stored
from migrations_app.admin.pages import fragment
from migrations_app.admin.posting import posted, shown
from migrations_app.enums import Noun
from migrations_app.models import Mapping
from migrations_app.scheduling import words
from migrations_app.settings_io import schedule_settings
from migrations_app.verbs import drafts, pasting

_APP = "migrations_app"
_TIMES = 5
_UNNAMED = "new"
_NO_DESTINATION = drafts.Refusal(
    "no destination yet", "add one to see the rows, as they are shown as they would arrive there", may_pass=False
)


class Editor:
    """The part of the admin class of mappings that serves its editor."""

    @shown(f"{_APP}.view_mapping", on_list=True)
    def cron_words(self, request: HttpRequest) -> HttpResponseBase:
        """A cron in words, with the next times."""
        cron = str(request.GET.get("cron", "")).strip()
        is_on, zone = schedule_settings()
        context: dict[str, Any] = {"zone": zone, "is_on": is_on}
        try:
            context |= {"words": words.in_words(cron), "times": words.next_times(cron, zone, _TIMES)}
        except ValueError as error:
            context["problem"] = str(error)
        context["has_schedule"] = cron != SELF_MANAGED
        return fragment(request, "parts/cron_words.html", **context)

    @posted(f"{_APP}.view_mapping", on_list=True, is_audited=False)
    def draft_document(self, request: HttpRequest) -> HttpResponseBase:
        """The form as the documented dictionary, with what is wrong."""
        entered = self._entered(request)
        form = request.POST.get("format")
        form = form if form in FORMATS else FORMATS[0]
        source, destination = entered.raw.get("source", {}), entered.raw.get("destination", {})
        noun = Noun.of_source(source["source_type"]) if source.get("source_type") else ""
        kinds = {part.get("destination_type", "") for part in destination.values()} - {""}
        context: dict[str, Any] = {
            "text": entered.text(form),
            "issues": entered.issues,
            "names": entered.names,
            "noun": noun,
        }
        context |= {"kinds": " ".join(sorted(kinds)), "chosen": request.POST.get("table", "")}
        context["file_name"] = f"{entered.mapping_id or 'mapping'}.{ENDINGS[form]}"
        return fragment(request, "parts/draft_document.html", **context)

    @posted(f"{_APP}.preview_data", on_list=True, is_audited=False)
    def draft_preview(self, request: HttpRequest) -> HttpResponseBase:
        """Some rows as they would arrive."""
        entered = self._entered(request)
        table = request.POST.get("table") or next(iter(entered.names), "")
        context: dict[str, Any] = {"table": table}
        with _telling(context, entered):
            wanted = self._wanted(entered)
            if wanted.document.destination:
                with slots.one_of_few():
                    context["found"] = drafts.preview(wanted, table)
            else:
                context["refusal"] = _NO_DESTINATION
        return fragment(request, "parts/draft_preview.html", **context)

    @posted(f"{_APP}.run_mapping", on_list=True, is_audited=False)
    def draft_plan(self, request: HttpRequest) -> HttpResponseBase:
        """What the next runs would do, and what saving would change."""
        entered = self._entered(request)
        # Windows and queries hold keys and bookmarks of rows.
        context: dict[str, Any] = {"may_see_positions": request.user.has_perm(f"{_APP}.view_checkpoint")}
        with _telling(context, entered):
            wanted = self._wanted(entered)
            with slots.one_of_few():
                context["plan"] = drafts.plan(wanted, table=request.POST.get("table") or None)
        return fragment(request, "parts/draft_plan.html", **context)

    @posted(f"{_APP}.view_mapping", on_list=True, is_audited=False)
    def draft_import(self, request: HttpRequest) -> HttpResponseBase:
        """Read pasted text, and open the page filled with it; or say what has to be added first."""
        row = self._edited(request)
        if not self._may_edit(request, row):
            raise PermissionDenied
        mapping_id = row.pk if row is not None else request.POST.get("id", "").strip()
        text, form = request.POST.get("text", ""), request.POST.get("text_format", "")
        try:
            pasted = pasting.read(text, form if form in FORMATS else "", mapping_id=mapping_id)
            _check_kind(row, pasted)
        except MappingError as error:
            return fragment(request, "parts/draft_import.html", issues=error.issues)
        if pasted.missing:
            missing = [(each, _adding(request, each)) for each in pasted.missing]
            return fragment(request, "parts/draft_import.html", missing=missing, notes=pasted.notes)
        key = opening.keep(request, mapping_id, pasted.draft | {"notes": list(pasted.notes)})
        page = reverse(f"admin:{_APP}_mapping_{'change' if row else 'add'}", args=[row.pk] if row else [])
        return HttpResponse(headers={"HX-Redirect": f"{page}?{urlencode({opening.PARAMETER: key})}"})

    def _edited(self, request: HttpRequest) -> Mapping | None:
        pk = request.POST.get("object_id", "")
        row: Mapping | None = self.get_object(request, pk) if pk else None  # type: ignore[attr-defined]
        return row

    def _may_edit(self, request: HttpRequest, row: Mapping | None) -> bool:
        if row is None:
            return bool(self.has_add_permission(request))  # type: ignore[attr-defined]
        return bool(self.has_change_permission(request, row))  # type: ignore[attr-defined]

    def _entered(self, request: HttpRequest) -> Entered:
        """The form for who may save it; for others the mapping as it is stored, whatever they post."""
        row = self._edited(request)
        if self._may_edit(request, row):
            return read_form(self, request, row)
        if row is None:
            raise PermissionDenied
        return read_stored(row)

    @staticmethod
    def _wanted(entered: Entered) -> drafts.Wanted:
        document = entered.parse()
        mapping_id = entered.mapping_id or _UNNAMED
        names = [spec.name for spec in document.specs]
        if issues := streams.clashes(mapping_id, document.noun, names, list(document.destination)):
            raise MappingError(issues)
        return drafts.Wanted(mapping_id, document)


@contextmanager
def _telling(context: dict[str, Any], entered: Entered) -> Iterator[None]:
    """Put into a fragment's context why what was asked for cannot be shown, and at which field that lies."""
    try:
        yield
    except MappingError as error:
        context["issues"] = _with_targets(error, entered)
    except ConnectorError as error:
        context["refusal"] = drafts.refusal_of(error)
    except (secrets.SecretUnreadableError, slots.BusyError) as error:
        may_pass = isinstance(error, slots.BusyError)
        context["refusal"] = drafts.Refusal("this service" if may_pass else "mapping", str(error), may_pass=may_pass)


def _with_targets(error: MappingError, entered: Entered) -> list[tuple[Issue, str]]:
    targets = dict(entered.issues)
    return [(issue, targets.get(issue, "")) for issue in error.issues]


def _check_kind(row: Mapping | None, pasted: pasting.Pasted) -> None:
    """A mapping goes on with the kind of source that it has.

    Raises:
        MappingError: The text is about another kind.
    """
    if row is None or row.noun.plural in pasted.draft:
        return
    message = (
        f"mapping {row.pk} copies {row.noun.plural}, and the text has none; paste it into the page of a new mapping"
    )
    raise MappingError([Issue((row.noun.plural,), message)])


def _adding(request: HttpRequest, missing: pasting.Missing) -> str:
    """Where the missing one is added, its form filled as far as the text goes; empty for who may not."""
    model = missing.kind.model
    name = model.__name__.lower()
    if not request.user.has_perm(f"{_APP}.add_{name}"):
        return ""
    kind = missing.initial[missing.kind.type_key]
    own = {"name", missing.kind.type_key}
    initial = {key if key in own else f"{kind}__{key}": value for key, value in missing.initial.items()}
    return f"{reverse(f'admin:{_APP}_{name}_add')}?{urlencode(initial)}"
