"""Specs and named destinations as parts of a mapping's page, checked together with it."""

from __future__ import annotations

from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.db import models
from django.forms.formsets import DELETION_FIELD_NAME
from django.urls import reverse
from unfold.widgets import UnfoldAdminTextareaWidget, UnfoldAdminTextInputWidget

from connectors.mapping import Issue, MappingError
from migrations_app import mapping_io, secrets, streams
from migrations_app.admin.base import BaseStackedInline, BaseTabularInline
from migrations_app.admin.editor import opening
from migrations_app.admin.editor.keys import BASICS, LAGS, MODE_WORDS
from migrations_app.admin.editor.reading import document_of
from migrations_app.admin.json_fields import JsonFormField
from migrations_app.admin.placing import show_at_field
from migrations_app.enums import Noun
from migrations_app.models import (
    ApiSpec,
    CollectionSpec,
    Mapping,
    MappingDestination,
    SpecRow,
    TableSpec,
    TopicSpec,
)
from migrations_app.models.fields import NamesField


class MappingPartFormSet(forms.BaseInlineFormSet):  # type: ignore[type-arg]
    """One of the lists of a mapping's page. The last of them checks the mapping as a whole.

    Args:
        drafted: Rows that the page opens with, not saved: those of the mapping with the same name are filled with
            them, the others are ticked to be deleted.
    """

    #: All lists of the page, this one included; empty when a list is used by itself.
    siblings: tuple[MappingPartFormSet, ...] = ()

    def __init__(self, *args: Any, drafted: list[dict[str, Any]] | None = None, **kwargs: Any) -> None:
        self._drafted: dict[str, dict[str, Any]] | None = None
        if drafted is not None:
            stored = {row.name for row in kwargs["queryset"].filter(mapping=kwargs["instance"].pk)}
            by_name = {str(row[self._name_key()]): row for row in drafted}
            kwargs["initial"] = [row for name, row in by_name.items() if name not in stored]
            self._drafted = by_name
        super().__init__(*args, **kwargs)
        if drafted is not None:
            self.extra = len(kwargs["initial"])

    def add_fields(self, form: Any, index: int | None) -> None:
        """Fill the form of a stored row with what was drafted for it."""
        super().add_fields(form, index)
        if self._drafted is not None and form.instance.pk:
            row = self._drafted.get(form.instance.name)
            form.initial |= row if row is not None else {DELETION_FIELD_NAME: True}

    def clean(self) -> None:
        """Check the whole mapping once each of its parts is readable."""
        super().clean()
        if self.siblings and self is self.siblings[-1] and self._parts_are_readable():
            check_mapping(self.instance, self.siblings)

    def kept_forms(self) -> list[Any]:
        """The forms that stay, in the order in which they will be stored."""
        kept = [
            form
            for form in self.forms
            if form.has_changed() or form.instance.pk
            if not form.cleaned_data.get(DELETION_FIELD_NAME)
        ]
        return sorted(kept, key=lambda form: form.instance.position or 0)

    def _name_key(self) -> str:
        model: Any = self.model
        return "name" if model is MappingDestination else Noun(model.noun).name_key

    def _parts_are_readable(self) -> bool:
        others = [formset for formset in self.siblings if formset is not self]
        own = all(form.is_valid() for form in self.kept_forms())
        return own and all(formset.is_valid() for formset in others) and self.instance.source_id is not None


def check_mapping(mapping: Mapping, formsets: tuple[MappingPartFormSet, ...]) -> None:
    """Hold the contract's rules against the page, each mistake at its field.

    Raises:
        ValidationError: There is a mistake; those without a field are in its messages.
    """
    try:
        issues = _issues(mapping, document_of(mapping, formsets))
    except secrets.SecretUnreadableError as error:
        raise ValidationError(str(error)) from None
    if issues:
        unplaced = [str(issue) for issue in issues if not show_at_field(issue, formsets)]
        raise ValidationError(unplaced or "The mapping has mistakes; they are shown at their fields.")


def _issues(mapping: Mapping, raw: dict[str, Any]) -> tuple[Issue, ...]:
    try:
        parsed = mapping_io.parse(raw)
    except MappingError as error:
        return error.issues
    names = [spec.name for spec in parsed.specs]
    return tuple(streams.clashes(mapping.pk, mapping.noun, names, list(parsed.destination)))


class DestinationForm(forms.ModelForm):  # type: ignore[type-arg]
    """A destination of a mapping. A new one that gets no name is called as the destination is."""

    class Meta:
        model = MappingDestination
        fields = ("name", "destination", "position")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "name" in self.fields:
            # A stored name is part of the names of streams, so it is not made anew.
            self.fields["name"].required = self.instance.pk is not None
            self.fields["name"].error_messages["required"] = "give it a name; it is part of every stream's name"
        if "destination" in self.fields:
            self.fields["destination"].error_messages["required"] = "choose a destination"

    def clean(self) -> dict[str, Any]:
        """Fill in the name."""
        cleaned: dict[str, Any] = super().clean() or {}
        if cleaned.get("destination") and not cleaned.get("name") and "name" not in self.errors:
            cleaned["name"] = opening.short_name(cleaned["destination"].name)
        return cleaned


class DestinationInline(BaseTabularInline):
    """The destinations of a mapping under their names."""

    model = MappingDestination
    form = DestinationForm
    formset = MappingPartFormSet
    fields = ("name", "destination", "position")
    ordering_field = "position"
    hide_ordering_field = True
    extra = 0
    verbose_name = "destination"
    verbose_name_plural = "destinations"


class SpecInline(BaseStackedInline):
    """What the inlines of all specs have in common."""

    formset = MappingPartFormSet
    extra = 0
    ordering_field = "position"
    hide_ordering_field = True
    collapsible = False
    formfield_overrides = {  # noqa: RUF012 - Django's attribute
        NamesField: {"widget": UnfoldAdminTextInputWidget},
        models.JSONField: {"form_class": JsonFormField, "widget": UnfoldAdminTextareaWidget},
    }

    def get_fieldsets(self, request: Any, obj: Any = None) -> Any:  # noqa: ARG002 - Django's signature
        """What is asked first, then the schedule; what most specs leave alone is folded away."""
        model: type[SpecRow] = self.model
        keys = [field.name for field in model.key_fields()]
        basics = [key for key in (model.noun.name_key, *BASICS) if key in keys]
        lags = [key for key in LAGS if key in keys]
        rest = [key for key in keys if key not in {*basics, *lags, "cron"}]
        sections = [
            (None, {"fields": basics}),
            ("Schedule", {"fields": ["cron"]}),
            ("Lags and old snapshots", {"fields": lags, "classes": ["collapse"]}),
            ("Advanced", {"fields": [*rest, "options", "position"], "classes": ["collapse"]}),
        ]
        return [section for section in sections if section[1]["fields"]]

    def formfield_for_choice_field(self, db_field: Any, request: Any, **kwargs: Any) -> Any:
        """Say what each mode does; none is chosen until somebody chooses."""
        offered = [(value, MODE_WORDS.get(value, label)) for value, label in db_field.get_choices(include_blank=False)]
        kwargs["choices"] = [("", "choose one"), *offered]
        return super().formfield_for_choice_field(db_field, request, **kwargs)

    def formfield_for_dbfield(self, db_field: Any, request: Any, **kwargs: Any) -> Any:
        """Let the cron say what it means, and keep fields of JSON small: most are empty."""
        field = super().formfield_for_dbfield(db_field, request, **kwargs)
        if field is None:
            return field
        if isinstance(field.widget, UnfoldAdminTextareaWidget):
            field.widget.attrs |= {"rows": 2, "spellcheck": "false"}
        if isinstance(field, JsonFormField) and not db_field.null:
            field.when_empty = dict
        if db_field.name == "cron":
            address = reverse(f"admin:{Mapping._meta.app_label}_mapping_see_cron_words")
            field.widget.attrs |= {"data-dms-cron": address, "spellcheck": "false", "autocomplete": "off"}
        return field


class TableInline(SpecInline):
    """Tables of a pgsql source."""

    model = TableSpec
    verbose_name = "table"
    verbose_name_plural = "tables"


class CollectionInline(SpecInline):
    """Collections of a mongo source."""

    model = CollectionSpec
    verbose_name = "collection"
    verbose_name_plural = "collections"


class TopicInline(SpecInline):
    """Topics of a kafka source."""

    model = TopicSpec
    verbose_name = "topic"
    verbose_name_plural = "topics"


class ApiInline(SpecInline):
    """APIs of an api source."""

    model = ApiSpec
    verbose_name = "API"
    verbose_name_plural = "APIs"


SPEC_INLINES = {
    Noun.TABLE: TableInline,
    Noun.COLLECTION: CollectionInline,
    Noun.TOPIC: TopicInline,
    Noun.API: ApiInline,
}
