"""Lists of streams and of mappings by how they stand: the words of a page's rows, and filters by them.

Each takes a fixed number of queries: those of the page for its rows, those of all rows only where somebody filters.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from django.contrib import admin
from django.db.models import Count, Exists, OuterRef, QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString

from migrations_app.admin.base import is_key_of
from migrations_app.models import ColumnChange, Destination, MappingDestination, Source, Stream
from migrations_app.models import Mapping as MappingRow
from migrations_app.standing.gathering import mapping_verdicts, verdicts
from migrations_app.standing.judging import Standing, Verdict
from migrations_app.templatetags.dms import status

if TYPE_CHECKING:
    from django.contrib.admin.views.main import ChangeList
else:
    from unfold.views import ChangeList

#: A list of links is of no use when it is longer; search finds the rest.
_MOST_CHOICES = 100
_UNKNOWN = Verdict(Standing.NEVER_RUN, "")


class JudgedList(ChangeList):
    """A change list whose rows of the page know how they stand, as `verdict`."""

    def get_results(self, request: HttpRequest) -> None:
        """Judge the rows of the page in one go."""
        super().get_results(request)
        rows = list(self.result_list)
        found: Mapping[Any, Verdict] = _judged(self.model._default_manager.filter(pk__in=[row.pk for row in rows]))
        for row in rows:
            row.verdict = found.get(row.pk, _UNKNOWN)


class StreamList(JudgedList):
    """The list of streams, whose rows know as well how many changes of columns nobody has seen."""

    def get_results(self, request: HttpRequest) -> None:
        """One query more for the rows of the page."""
        super().get_results(request)
        rows = list(self.result_list)
        found = ColumnChange.objects.filter(seen_at=None, stream__in=[row.pk for row in rows]).order_by()
        counts = dict(found.values_list("stream").annotate(Count("pk")))
        for row in rows:
            row.unseen_changes = counts.get(row.pk, 0)


class UnseenFilter(admin.SimpleListFilter):
    """Streams with changes of columns that nobody has seen."""

    title = "changed columns"
    parameter_name = "columns"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:  # noqa: ARG002 - Django's
        """The one that there is."""
        return [("unseen", "not seen yet")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any] | None:  # noqa: ARG002 - Django's
        """Those streams."""
        if self.value() != "unseen":
            return None
        return queryset.filter(Exists(ColumnChange.objects.filter(stream=OuterRef("pk"), seen_at=None)))


class StandingFilter(admin.SimpleListFilter):
    """Rows by how they stand."""

    title = "status"
    parameter_name = "standing"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:  # noqa: ARG002 - Django's
        """Every word."""
        return [(each.name.lower(), each.value) for each in Standing]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any] | None:  # noqa: ARG002 - Django's
        """Those that stand so now."""
        chosen = self.value()
        if chosen is None:
            return None
        return queryset.filter(pk__in=standing_so(queryset, {chosen}))


class SourceFilter(admin.SimpleListFilter):
    """Streams or mappings by where they copy from."""

    title = "source"
    parameter_name = "source"
    path: ClassVar[str] = "mapping__source"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:  # noqa: ARG002 - Django's
        """The first of them by name."""
        return [(str(pk), name) for pk, name in Source.objects.values_list("pk", "name")[:_MOST_CHOICES]]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any] | None:  # noqa: ARG002 - Django's
        """Those that copy from it."""
        chosen = self.value()
        return queryset.filter(**{self.path: chosen}) if chosen is not None and is_key_of(Source, chosen) else None


class MappingSourceFilter(SourceFilter):
    """Mappings by where they copy from."""

    path = "source"


class DestinationFilter(admin.SimpleListFilter):
    """Streams by where they copy to."""

    title = "destination"
    parameter_name = "destination"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:  # noqa: ARG002 - Django's
        """The first of them by name."""
        return [(str(pk), name) for pk, name in Destination.objects.values_list("pk", "name")[:_MOST_CHOICES]]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any] | None:  # noqa: ARG002 - Django's
        """Those that copy to it, whatever their mappings call it."""
        chosen = self.value()
        return self.narrow(queryset, int(chosen)) if chosen is not None and is_key_of(Destination, chosen) else None

    def narrow(self, queryset: QuerySet[Any], destination: int) -> QuerySet[Any]:
        """The streams whose mapping gives the destination their name of it."""
        named = MappingDestination.objects.filter(
            mapping=OuterRef("mapping"), name=OuterRef("destination_name"), destination=destination
        )
        return queryset.filter(Exists(named))


class MappingDestinationFilter(DestinationFilter):
    """Mappings by where they copy to."""

    def narrow(self, queryset: QuerySet[Any], destination: int) -> QuerySet[Any]:
        """The mappings that name it."""
        return queryset.filter(
            Exists(MappingDestination.objects.filter(mapping=OuterRef("pk"), destination=destination))
        )


class MappingFilter(admin.SimpleListFilter):
    """Streams by their mapping."""

    title = "mapping"
    parameter_name = "mapping"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:  # noqa: ARG002 - Django's
        """The first of them, and the chosen one."""
        known = list(MappingRow.objects.values_list("pk", flat=True)[:_MOST_CHOICES])
        chosen = self.value()
        more = [chosen] if chosen is not None and chosen not in known else []
        return [(each, each) for each in [*more, *known]]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any] | None:  # noqa: ARG002 - Django's
        """Its streams."""
        return queryset.filter(mapping=self.value()) if self.value() is not None else None


def standing_so(rows: QuerySet[Any], names: Iterable[str]) -> list[Any]:
    """The keys of those rows whose standing has one of these names, in small letters."""
    wanted = set(names)
    return [pk for pk, verdict in _judged(rows).items() if verdict.standing.name.lower() in wanted]


def standing_cell(row: Any) -> SafeString:
    """How a row of a judged list stands; the reason where one points at it."""
    verdict: Verdict = row.verdict
    return status(verdict.standing.value, " ".join(part for part in (verdict.reason, verdict.remedy) if part))


def related(row: Any, name: str, field: str) -> Any:
    """A field of what belongs to a stream; None where there is none yet."""
    return getattr(getattr(row, name, None), field, None)


def cut(text: str) -> SafeString:
    """A long name in one line, whole where one points at it."""
    return format_html('<span class="dms-cut dms-cut-short" title="{}">{}</span>', text, text)


def _judged(rows: QuerySet[Any]) -> Mapping[Any, Verdict]:
    return verdicts(rows) if issubclass(rows.model, Stream) else mapping_verdicts(rows)
