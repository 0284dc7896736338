"""What the list of runs can be narrowed to. None of them looks through all runs to know what there is."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.core.exceptions import ValidationError
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone

from migrations_app import error_guide
from migrations_app.models import Run, Stream
from migrations_app.zones import moments_of, zone_named

if TYPE_CHECKING:
    DropdownFilter = admin.SimpleListFilter
    AutocompleteSelectFilter = admin.RelatedFieldListFilter
else:
    from unfold.contrib.filters.admin import AutocompleteSelectFilter, DropdownFilter

_OTHER = "other"
_ANY = "any"


class ErrorClassFilter(DropdownFilter):
    """By class of error, from those that are known; the others are defects of ours."""

    title = "error"
    parameter_name = "error_class"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:  # noqa: ARG002 - Django's signature
        """What there is to choose from."""
        return [(_ANY, "any error"), *((name, name) for name in error_guide.KNOWN), (_OTHER, "unforeseen errors")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Run]) -> QuerySet[Run]:  # noqa: ARG002 - Django's signature
        """Those runs."""
        chosen = self.value()
        if not chosen:
            return queryset
        # The index holds runs with an error alone, and SQLite uses it where the query says that it means those.
        failed = queryset.exclude(error_class="")
        if chosen == _ANY:
            return failed
        if chosen == _OTHER:
            return failed.exclude(error_class__in=error_guide.KNOWN)
        return failed.filter(error_class=chosen)


class OfStreamsFilter(AutocompleteSelectFilter):
    """By something that a run has through its stream: the streams are found first, then their runs by index."""

    def value(self) -> Any:
        """The key that was chosen; None where what the address says can be none, and then no run has it."""
        given: Any = super().value()  # type: ignore[misc]  # unfold's
        key: Any = self.field
        try:
            return key.target_field.clean(given, None) if given else None
        except ValidationError:
            return None

    def queryset(self, request: HttpRequest, queryset: QuerySet[Run]) -> QuerySet[Run] | None:  # noqa: ARG002 - Django's signature
        """Those runs."""
        value = self.value()
        if not value:
            return queryset.none() if super().value() else queryset  # type: ignore[misc]
        path = self.field_path.removeprefix("stream").removeprefix("__") or "pk"
        found = list(Stream.objects.filter(**{path: value}).values_list("pk", flat=True))
        return queryset.filter(stream_id=found[0]) if len(found) == 1 else queryset.filter(stream_id__in=found)


class TimeFilter(admin.ListFilter):
    """By when the run was asked for; both ends may be open."""

    title = "time"
    template = "parts/run_time_filter.html"
    _LOOKUPS = (("since", "gte"), ("until", "lt"))

    def __init__(self, request: HttpRequest, params: dict[str, Any], model: type[Run], model_admin: Any) -> None:
        super().__init__(request, params, model, model_admin)
        for name, _ in self._LOOKUPS:
            given = params.pop(name, None)
            value = given[-1] if isinstance(given, list) else given
            if value:
                self.used_parameters[name] = value

    def has_output(self) -> bool:
        """There is always a time to choose."""
        return True

    def expected_parameters(self) -> list[str | None]:
        """Names in the address."""
        return [name for name, _ in self._LOOKUPS]

    def choices(self, changelist: Any) -> Iterator[Any]:  # noqa: ARG002 - Django's signature
        """What the template shows."""
        fields = [(name, str(self.used_parameters.get(name, ""))) for name, _ in self._LOOKUPS]
        yield {"fields": fields, "zone": timezone.get_current_timezone_name()}

    def queryset(self, request: HttpRequest, queryset: QuerySet[Run]) -> QuerySet[Run]:  # noqa: ARG002 - Django's signature
        """Those runs; what is no time is not looked at."""
        wanted = Q()
        for name, lookup in self._LOOKUPS:
            found = _moments(str(self.used_parameters.get(name, "")))
            if found is not None:
                wanted &= Q(**{f"created_at__{lookup}": found[-1] if name == "until" else found[0]})
        return queryset.filter(wanted)


def _moments(text: str) -> tuple[datetime, ...] | None:
    """The first and the last moment of a time in the settings' zone, unless it names another; None for no time."""
    try:
        moment = datetime.fromisoformat(text)
        if timezone.is_naive(moment):
            return moments_of(moment, zone_named(timezone.get_current_timezone_name()))
        return (moment.astimezone(UTC),)
    except (ValueError, OverflowError):
        return None
