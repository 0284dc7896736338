"""What the tests of the editor share: forms of a mapping as the page posts them, and who posts them."""

from __future__ import annotations

from typing import Any

from django.test import Client
from django.urls import reverse

from migrations_app import mapping_io
from migrations_app.models import Destination, Mapping, Source
from tests.admin.people import staff

_LISTS = ("tables", "collections", "topics", "apis")


def address(name: str, kind: str = "do") -> str:
    """Where the editor asks for something."""
    return reverse(f"admin:migrations_app_mapping_{kind}_{name}")


EDITOR = ("view_mapping", "add_mapping", "change_mapping", "run_mapping", "preview_data", "view_checkpoint")
_PARTS = ("tablespec", "collectionspec", "topicspec", "apispec", "mappingdestination")


def editor(*more: str) -> Client:
    """Somebody who may write mappings."""
    parts = [f"{verb}_{part}" for verb in ("add", "change", "view", "delete") for part in _PARTS]
    return staff(*EDITOR, *parts, "view_source", "view_destination", *more)


def store_ends(raw: dict[str, Any]) -> None:
    """Store the source and the destinations of a mapping, and not the mapping."""
    mapping_io.save_mapping("ends", mapping_io.parse(raw))
    Mapping.objects.all().delete()


def rows(prefix: str, forms: list[dict[str, Any]], initial: int = 0) -> dict[str, Any]:
    """One of the lists."""
    posted = {f"{prefix}-{i}-{key}": value for i, form in enumerate(forms) for key, value in form.items()}
    return posted | {f"{prefix}-TOTAL_FORMS": len(forms), f"{prefix}-INITIAL_FORMS": initial}


def spec(name: str = "orders", *, key: str = "table_name", **overrides: Any) -> dict[str, Any]:
    """The form of a spec, as it is when only the first fields were filled in; None leaves one out."""
    form = {key: name, "cron": "self-managed", "batch_size": "10000", "mode": "syncing", "options": "{}"}
    form |= {"position": "0", "bookmark": "updated_at"}
    if key == "table_name":
        form |= {"primary_key": "id", "primary_key_datatype": "int"}
    return {key: value for key, value in (form | overrides).items() if value is not None}


def page(*specs: dict[str, Any], noun: str = "tables", **overrides: Any) -> dict[str, Any]:
    """The page of a new mapping with all stored destinations."""
    named = [
        {"name": row.name.rpartition(":")[2], "destination": row.pk, "position": position}
        for position, row in enumerate(Destination.objects.all())
    ]
    source = Source.objects.first()
    form: dict[str, Any] = {"id": "jobs", "enabled": "on", "source": source.pk if source else ""}
    form |= rows("named_destinations", named)
    for prefix in _LISTS:
        form |= rows(prefix, list(specs) if prefix == noun else [])
    return form | overrides


def posted(found: Any) -> dict[str, Any]:
    """What the browser would send if the page were saved as it was opened."""
    forms = [found.context["adminform"].form]
    formsets = [each.formset for each in found.context["inline_admin_formsets"]]
    sent: dict[str, Any] = {}
    for form in [*forms, *(form for formset in formsets for form in formset.forms)]:
        for bound in form:
            given: Any = bound.value()
            value = bound.field.widget.format_value(given)
            if hasattr(bound.field.widget, "check_test"):
                if given:
                    sent[bound.html_name] = "on"
            else:
                sent[bound.html_name] = next(iter(value), "") if isinstance(value, list) else value
    for formset in formsets:
        management = formset.management_form
        sent |= {bound.html_name: bound.value() for bound in management}
    return {name: "" if value is None else value for name, value in sent.items()}
