"""What Django's own forms change goes into the audit log: saves with all their lists, deletions, and bulk actions."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.db import transaction
from django.http import HttpRequest

from migrations_app import audit, snapshots
from migrations_app.snapshots import Snapshot

_BEFORE = "dms_before"
_DELETE = "delete_selected"
_ITSELF = "dms_records_itself"


def records_itself(action: Callable[..., Any]) -> Callable[..., Any]:
    """Mark a bulk action that records by itself what it did: each row that it changed, not each that was selected."""
    setattr(action, _ITSELF, True)
    return action


class Audited:
    """An admin class whose saves and deletions are recorded, in the transaction that makes them."""

    def save_form(self, request: HttpRequest, form: Any, change: bool) -> Any:
        """Look at the row before anything of it is saved."""
        if change:
            self.remember(request, form.instance)
        return super().save_form(request, form, change)  # type: ignore[misc]

    def remember(self, request: HttpRequest, row: Any) -> None:
        """Keep what the row is now, to be compared when it has been saved."""
        known: dict[Any, Snapshot] = request.__dict__.setdefault(_BEFORE, {})
        known[type(row), row.pk] = snapshots.of(row)

    def log_addition(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        """Django calls it once a row and its lists are saved."""
        snapshots.note_saved(audit.actor_of(request), None, obj)
        return super().log_addition(request, obj, message)  # type: ignore[misc]

    def log_change(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        """The same of a row that was there."""
        before = request.__dict__.get(_BEFORE, {}).get((type(obj), obj.pk))
        if before is None:
            audit.record(audit.actor_of(request), "change", obj, details={"what": str(message)})
        else:
            snapshots.note_saved(audit.actor_of(request), before, obj)
        return super().log_change(request, obj, message)  # type: ignore[misc]

    def log_deletions(self, request: HttpRequest, queryset: Any) -> Any:
        """Django calls it while the rows are still there."""
        for row in queryset:
            snapshots.note_deleted(audit.actor_of(request), row)
        return super().log_deletions(request, queryset)  # type: ignore[misc]

    def response_action(self, request: HttpRequest, queryset: Any, *args: Any) -> Any:
        """Rows that are deleted together go with their entries, or stay without any."""
        if request.POST.get("action") != _DELETE:
            return super().response_action(request, queryset, *args)  # type: ignore[misc]
        with transaction.atomic():
            return super().response_action(request, queryset, *args)  # type: ignore[misc]

    def get_actions(self, request: HttpRequest) -> Any:
        """What is done to a selection is recorded for each of its rows."""
        actions: dict[str, Any] = super().get_actions(request)  # type: ignore[misc]
        return {
            name: (each[0] if name == _DELETE or hasattr(each[0], _ITSELF) else _recorded(each[0], name), *each[1:])
            for name, each in actions.items()
        }


def _recorded(action: Callable[..., Any], name: str) -> Callable[..., Any]:
    @wraps(action)
    def run(admin_class: Any, request: HttpRequest, queryset: Any) -> Any:
        rows = list(queryset)
        answer = action(admin_class, request, queryset)
        for row in rows:
            audit.record(audit.actor_of(request), name, row, details={"selected": len(rows)})
        return answer

    return run
