"""Two people who change one row at a time: who saves second is told, instead of taking back what the first one did."""

from __future__ import annotations

from typing import Any

from django import forms
from django.db import connection
from django.http import HttpRequest
from django.utils.crypto import salted_hmac

from migrations_app import snapshots
from migrations_app.models import Mapping

#: The field of the form; templates/admin/change_form.html has it.
SEEN = "dms_seen"
_OTHERS = ("source.", "destination.")
_STALE = (
    "Nothing was saved: this was changed since you opened it. What you entered stands here still. Look at the page in"
    " another tab to see what is there now; Save puts what you see here in its place."
)


def seen_of(row: Any) -> str:
    """What a row says now, as one word. Keyed, so that nobody can find a secret out by trying."""
    real = snapshots.of(row).real
    more: list[Any] = []
    if isinstance(row, Mapping):
        # What its source and destinations say is changed on their own pages.
        real = {path: value for path, value in real.items() if not path.startswith(_OTHERS)}
        more = list(row.named_destinations.order_by("pk").values_list("name", "destination_id"))
        more.append(type(row)._default_manager.values_list("source_id", flat=True).get(pk=row.pk))
    return salted_hmac("migrations_app.seen", repr((sorted(real.items()), more)), algorithm="sha256").hexdigest()[:32]


class _Seen(forms.BaseForm):
    """A form that knows what its row said when the page was opened."""

    seen = ""
    instance: Any

    def clean(self) -> Any:
        """Check as ever, then hold it against what the row says now."""
        cleaned = super().clean()
        if self.seen and self.instance.pk:
            let_others_wait(self.instance)
            if self.seen != seen_of(self.instance):
                self.add_error(None, _STALE)
        return cleaned


def let_others_wait(row: Any) -> None:
    """Until the transaction ends: two who save in the same moment would both find the row as they have seen it."""
    if connection.in_atomic_block:
        # Rows that refer to this one, as runs do, are made meanwhile.
        list(type(row)._default_manager.select_for_update(no_key=True).filter(pk=row.pk).values_list("pk"))


class NoticesOthers:
    """An admin class whose pages are refused when the row has been changed meanwhile."""

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        """The form, with what its row said when the page was opened."""
        form = super().get_form(request, obj, change=change, **kwargs)  # type: ignore[misc]
        if not change or request.method != "POST":
            return form
        return type(form.__name__, (_Seen, form), {"seen": request.POST.get(SEEN, ""), "__module__": form.__module__})

    def render_change_form(self, request: HttpRequest, context: Any, *args: Any, **kwargs: Any) -> Any:
        """Send along what the row says now."""
        row = context.get("original")
        may_change = row is not None and self.has_change_permission(request, row)  # type: ignore[attr-defined]
        context["dms_seen"] = seen_of(row) if may_change else ""
        return super().render_change_form(request, context, *args, **kwargs)  # type: ignore[misc]
