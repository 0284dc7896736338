"""Filters of the list of runs that a person keeps under a name, sees above the list, and deletes."""

from __future__ import annotations

from typing import Any

from django.contrib.auth import get_user_model
from django.db import transaction
from django.http import HttpRequest, HttpResponse, QueryDict
from django.urls import reverse

from migrations_app.admin.posting import Done, Refused, posted, whole_number
from migrations_app.models import SavedFilter

_VIEW = "migrations_app.view_run"
#: What a person still finds at a glance.
MOST = 20
_LONGEST_NAME = 60
_LONGEST_QUERY = 1000
#: Parts of the list's address that say where in it one is, or that something was wrong; as are those of Django's own
#: that begin with an underscore.
_NOT_OF_IT = ("p", "e", "all")


class SavedFilters:
    """What the admin class of runs adds for it."""

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """With the person's filters: one query."""
        asked = filter_of(request.GET)
        kept = [] if not request.user.is_authenticated else list(SavedFilter.objects.filter(user=request.user))
        shown = {"saved_filters": kept, "filter_now": asked, "is_kept": any(each.query == asked for each in kept)}
        answer: HttpResponse = super().changelist_view(request, (extra_context or {}) | shown)  # type: ignore[misc]
        return answer

    @posted(_VIEW, on_list=True, is_audited=False)
    def keep_filter(self, request: HttpRequest) -> Done:
        """Keep a filter under a name; one that has the name already is replaced."""
        name = " ".join(request.POST.get("name", "").split())
        query = filter_of(QueryDict(request.POST.get("query", "")))
        if not name or len(name) > _LONGEST_NAME or not name.isprintable():
            message = f"Nothing was kept: give the filter a name of at most {_LONGEST_NAME} characters."
            raise Refused(message)
        if not query or len(query) > _LONGEST_QUERY:
            message = f"Nothing was kept: {'the filter is too long' if query else 'filter the list first'}."
            raise Refused(message)
        user: Any = request.user
        with transaction.atomic():
            # Two tabs at once would both find room for one more.
            get_user_model().objects.select_for_update().get(pk=user.pk)
            mine = SavedFilter.objects.filter(user=user)
            if mine.exclude(name=name).count() >= MOST:
                message = f"Nothing was kept: you have {MOST} filters already; delete one that you do not need."
                raise Refused(message)
            SavedFilter.objects.update_or_create(user=user, name=name, defaults={"query": query})
        return Done(f"The filter is kept as {name}.", to=_list_of(query))

    @posted(_VIEW, on_list=True, is_audited=False)
    def forget_filter(self, request: HttpRequest) -> Done:
        """Delete a filter of one's own."""
        user: Any = request.user
        number = whole_number(request.POST.get("filter", ""))
        found = SavedFilter.objects.filter(user=user, pk=number).first() if number is not None else None
        if found is None:
            message = "Nothing was deleted: you have no such filter any more."
            raise Refused(message)
        found.delete()
        return Done(f"The filter {found.name} is deleted.")


def filter_of(asked: QueryDict) -> str:
    """What of a list's address is its filter, always in the same order."""
    kept = asked.copy()
    for key in list(kept):
        if key in _NOT_OF_IT or key.startswith("_") or not any(kept.getlist(key)):
            del kept[key]
    in_order = QueryDict(mutable=True)
    for key in sorted(kept):
        in_order.setlist(key, kept.getlist(key))
    return in_order.urlencode()


def _list_of(query: str) -> str:
    return f"{reverse('admin:migrations_app_run_changelist')}?{query}"
