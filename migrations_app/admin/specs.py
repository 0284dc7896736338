"""Specs and named destinations as parts of a mapping's page, checked together with it."""

from __future__ import annotations

from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.forms.formsets import DELETION_FIELD_NAME
from unfold.widgets import UnfoldAdminTextareaWidget, UnfoldAdminTextInputWidget

from connectors.mapping import Issue, MappingError
from migrations_app import documents, mapping_io, secrets, streams
from migrations_app.admin.base import BaseStackedInline, BaseTabularInline
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
    """One of the lists of a mapping's page. The last of them checks the mapping as a whole."""

    #: All lists of the page, this one included; empty when a list is used by itself.
    siblings: tuple[MappingPartFormSet, ...] = ()

    def clean(self) -> None:
        """Check the whole mapping once each of its parts is readable."""
        super().clean()
        if self.siblings and self is self.siblings[-1] and self._parts_are_readable():
            check_mapping(self.instance, self.siblings)

    def kept_forms(self) -> list[Any]:
        """The forms that stay, in the order of the page."""
        return [
            form
            for form in self.forms
            if form.has_changed() or form.instance.pk
            if not form.cleaned_data.get(DELETION_FIELD_NAME)
        ]

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
        raw = _document(mapping, formsets)
        issues = _issues(mapping, raw)
    except secrets.SecretUnreadableError as error:
        raise ValidationError(str(error)) from None
    if issues:
        unplaced = [str(issue) for issue in issues if not _show_at_field(issue, formsets)]
        raise ValidationError(unplaced or "The mapping has mistakes; they are shown at their fields.")


def _document(mapping: Mapping, formsets: tuple[MappingPartFormSet, ...]) -> dict[str, Any]:
    raw: dict[str, Any] = {"source": documents.source_raw(mapping.source), "destination": {}}
    raw[mapping.noun.plural] = []
    for formset in formsets:
        rows = [form.instance for form in formset.kept_forms()]
        if formset.model is MappingDestination:
            raw["destination"] = {row.name: documents.destination_raw(row.destination) for row in rows}
        elif rows:
            raw[_noun(formset).plural] = [row.to_raw() for row in rows]
    return raw | documents.mapping_extras_raw(mapping)


def _issues(mapping: Mapping, raw: dict[str, Any]) -> tuple[Issue, ...]:
    try:
        parsed = mapping_io.parse(raw)
    except MappingError as error:
        return error.issues
    names = [spec.name for spec in parsed.specs]
    return tuple(streams.clashes(mapping.pk, mapping.noun, names, list(parsed.destination)))


def _show_at_field(issue: Issue, formsets: tuple[MappingPartFormSet, ...]) -> bool:
    """Put the issue at the form it is about; False when the page has none for it."""
    if len(issue.loc) < 2:
        return False
    part, which, *rest = issue.loc
    for formset in formsets:
        for position, form in enumerate(formset.kept_forms()):
            if formset.model is MappingDestination:
                is_it = part == "destination" and form.instance.name == which
            else:
                is_it = part == _noun(formset).plural and position == which
            if is_it:
                field = str(rest[0]) if rest and rest[0] in form.fields else None
                form.add_error(field, issue.message if field else str(issue))
                return True
    return False


def _noun(formset: MappingPartFormSet) -> Noun:
    model: Any = formset.model
    return Noun(model.noun)


class DestinationInline(BaseTabularInline):
    """The destinations of a mapping under their names."""

    model = MappingDestination
    formset = MappingPartFormSet
    fields = ("name", "destination", "position")
    extra = 0
    verbose_name = "destination"
    verbose_name_plural = "destinations"


class SpecInline(BaseStackedInline):
    """What the inlines of all specs have in common."""

    formset = MappingPartFormSet
    extra = 0
    tab = True
    formfield_overrides = {  # noqa: RUF012 - Django's attribute
        NamesField: {"widget": UnfoldAdminTextInputWidget},
    }

    def get_fields(self, request: Any, obj: Any = None) -> Any:  # noqa: ARG002 - Django's signature
        """The name first, then the keys in the contract's order, then the rest."""
        model: type[SpecRow] = self.model
        keys = [field.name for field in model.key_fields()]
        return [model.noun.name_key, *(key for key in keys if key != model.noun.name_key), "options", "position"]

    def formfield_for_dbfield(self, db_field: Any, request: Any, **kwargs: Any) -> Any:
        """Keep fields of JSON small: most are empty."""
        field = super().formfield_for_dbfield(db_field, request, **kwargs)
        if field is not None and isinstance(field.widget, UnfoldAdminTextareaWidget):
            field.widget.attrs["rows"] = 2
        return field


class TableInline(SpecInline):
    """Tables of a pgsql source."""

    model = TableSpec


class CollectionInline(SpecInline):
    """Collections of a mongo source."""

    model = CollectionSpec


class TopicInline(SpecInline):
    """Topics of a kafka source."""

    model = TopicSpec


class ApiInline(SpecInline):
    """APIs of an api source."""

    model = ApiSpec


SPEC_INLINES = {
    Noun.TABLE: TableInline,
    Noun.COLLECTION: CollectionInline,
    Noun.TOPIC: TopicInline,
    Noun.API: ApiInline,
}
