"""The admin classes that all pages build on. To mypy they are Django's own, since unfold publishes no types."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.views.main import ERROR_FLAG
from django.core.exceptions import FieldDoesNotExist, ValidationError
from django.db import DataError
from django.db.models import ForeignKey
from django.db.models.constants import LOOKUP_SEP
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.text import capfirst

from migrations_app.admin.auditing import Audited
from migrations_app.admin.posting import WithAddresses
from migrations_app.admin.seen import NoticesOthers

if TYPE_CHECKING:
    from django.contrib import admin

    UnfoldAdmin = admin.ModelAdmin[Any]
    BaseStackedInline = admin.StackedInline[Any, Any]
    BaseTabularInline = admin.TabularInline[Any, Any]
else:
    from unfold.admin import ModelAdmin as UnfoldAdmin
    from unfold.admin import StackedInline as BaseStackedInline
    from unfold.admin import TabularInline as BaseTabularInline

#: Ways of asking that can take for ever on one row: SQLite tries them by Python's `re`, which stops the whole process.
_ENDLESS = frozenset({"regex", "iregex"})
_MOST_WORDS = 30

__all__ = ["BaseAdmin", "BaseStackedInline", "BaseTabularInline", "ReadOnlyAdmin", "is_key_of", "shortened"]


def shortened(term: str) -> str:
    """What is typed into a search, as far as a query has room for it: SQLite refuses one of a thousand conditions."""
    words = term.split()
    return term if len(words) <= _MOST_WORDS else " ".join(words[:_MOST_WORDS])


def is_key_of(model: Any, text: str) -> bool:
    """Whether a row of the model could have the text as its key."""
    try:
        model._meta.pk.clean(text, None)
    except ValidationError:
        return False
    return True


class BaseAdmin(NoticesOthers, Audited, WithAddresses, UnfoldAdmin):
    """All pages of this project: unfold's, with addresses of their own, an audit log, and an eye on who else saves."""

    def lookup_allowed(self, lookup: str, value: Any, request: HttpRequest) -> bool:
        """Lists are narrowed by their filters alone.

        Django lets any column of the row be asked for in the address, by which whoever sees the list would find out,
        letter by letter, what the row's page does not show him.
        """
        if not _ENDLESS.isdisjoint(lookup.split(LOOKUP_SEP)) or not super().lookup_allowed(lookup, value, request):
            return False
        first = lookup.partition(LOOKUP_SEP)[0]
        try:
            self.model._meta.get_field(first)
        except FieldDoesNotExist:
            # The name of a filter of ours; what else is no column is ignored, or refused later.
            return True
        return any(name in {first, lookup} for name in self._filtered(request))

    def _filtered(self, request: HttpRequest) -> Iterator[str]:
        yield str(self.date_hierarchy or "")
        for each in self.get_list_filter(request):
            path = each[0] if isinstance(each, list | tuple) else each
            yield path.partition(LOOKUP_SEP)[0] if isinstance(path, str) else str(getattr(path, "parameter_name", ""))

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        """What the address fills in, without what no row can hold: nothing checks it before it is shown."""
        return {
            name: value
            for name, value in super().get_changeform_initial_data(request).items()
            if self._can_hold(name, value)
        }

    def _can_hold(self, name: str, value: Any) -> bool:
        try:
            field = self.model._meta.get_field(name)
            if isinstance(field, ForeignKey):
                field.target_field.to_python(value)
        except FieldDoesNotExist:
            return True
        except ValidationError:
            return False
        return True

    def get_search_results(self, request: HttpRequest, queryset: Any, search_term: str) -> tuple[Any, bool]:
        """Rows that hold all of the words."""
        return super().get_search_results(request, queryset, shortened(search_term))

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """A list is called by what it lists, where Django asks to select one to change."""
        # As Django answers what else cannot be looked for.
        refused = HttpResponseRedirect(f"{request.path}?{ERROR_FLAG}=1")
        # PostgreSQL has no text with it.
        if any("\0" in value for values in request.GET.lists() for value in values[1]):
            return refused
        if not all(is_key_of(self.model, each) for each in request.POST.getlist(ACTION_CHECKBOX_NAME)):
            return refused
        title = capfirst(self.model._meta.verbose_name_plural)
        try:
            return super().changelist_view(request, {"title": title} | (extra_context or {}))
        except (OverflowError, DataError):
            # A number that no column holds: SQLite's client says the one, PostgreSQL the other.
            return refused


class ReadOnlyAdmin(BaseAdmin):
    """Rows that people look at and only the program writes."""

    def has_add_permission(self, request: HttpRequest) -> bool:  # noqa: ARG002 - Django's signature
        """Nobody adds."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002 - Django's signature
        """Nobody changes."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002 - Django's signature
        """Nobody deletes."""
        return False
