"""What somebody has entered so far, as a document with its mistakes. Nothing is saved."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.conf import settings
from django.http import HttpRequest

from connectors import mapping as contract
from connectors.mapping import Issue
from connectors.mapping.sketch import document_text, sketch_text
from migrations_app import documents, mapping_io, secrets
from migrations_app.admin.placing import field_of
from migrations_app.models import Mapping, MappingDestination

_HEAD = "__all__"


@dataclass(frozen=True, slots=True)
class Entered:
    """A form as it stands.

    Attributes:
        mapping_id: What it is called, or empty.
        raw: The document, with secrets in the clear: for parsing, never for showing.
        issues: What is wrong with it, each with the id of its form field or empty.
        names: What is to be copied, in the order of the page.
    """

    mapping_id: str
    raw: dict[str, Any] = field(repr=False)
    issues: tuple[tuple[Issue, str], ...]
    names: tuple[str, ...]

    def text(self, form: str) -> str:
        """The document in one of the formats, as its export would be if it is right."""
        try:
            return document_text(contract.parse_mapping(self.raw), form)
        except contract.MappingError:
            return sketch_text(self.raw, form)

    def parse(self) -> contract.Mapping:
        """The document, under this installation's rules.

        Raises:
            MappingError: Every mistake.
        """
        if self.issues:
            raise contract.MappingError([issue for issue, _ in self.issues])
        return mapping_io.parse(self.raw)


def read_form(admin: Any, request: HttpRequest, row: Mapping | None) -> Entered:
    """Read the posted page of a mapping, however unfinished.

    Args:
        admin: The admin class of mappings.
        request: Its POST is what the page would send to be saved.
        row: The mapping that is edited; None for a new one. It is changed in memory, and not saved.
    """
    form = admin.get_form(request, row, change=row is not None)(request.POST, instance=row)
    form.is_valid()
    mapping = form.instance
    formsets = admin.lists_of(request, mapping, change=row is not None)
    for formset in formsets:
        formset.is_valid()
    found = [*_head_issues(form), *(each for formset in formsets for each in _row_issues(formset))]
    try:
        raw = document_of(mapping, formsets)
    except secrets.SecretUnreadableError as error:
        return Entered(mapping.pk or "", {}, ((Issue((), str(error)), ""),), ())
    taken = {issue.loc for issue, _ in found}
    # Where the end itself is missing, what it lacks says nothing.
    missing = [loc for loc in taken if loc == ("source",) or loc[2:] == ("destination",)]
    found += [
        (issue, field_of(issue.loc, formsets))
        for issue in _contract_issues(raw)
        if issue.loc not in taken and not any(issue.loc[: min(2, len(loc))] == loc[:2] for loc in missing)
    ]
    names = [form.instance.name for formset in _specs(formsets) for form in formset.kept_forms()]
    return Entered(mapping.pk or "", raw, tuple(found), tuple(name for name in names if name))


def read_stored(row: Mapping) -> Entered:
    """A mapping as it is stored, for a page that only shows it."""
    try:
        raw = mapping_io.load_raw(row)
    except secrets.SecretUnreadableError as error:
        return Entered(row.pk, {}, ((Issue((), str(error)), ""),), ())
    issues = tuple((issue, "") for issue in _contract_issues(raw))
    return Entered(row.pk, raw, issues, tuple(spec.name for spec in row.spec_rows()))


def _specs(formsets: Sequence[Any]) -> list[Any]:
    return [formset for formset in formsets if formset.model is not MappingDestination]


def document_of(mapping: Mapping, formsets: Sequence[Any]) -> dict[str, Any]:
    """The document that the page says, secrets in the clear; what is not chosen yet is empty.

    Args:
        mapping: The head of the page.
        formsets: Its lists.

    Raises:
        SecretUnreadableError: A stored secret was sealed with a key that is gone.
    """
    raw: dict[str, Any] = {"source": {}, "destination": {}}
    if mapping.source_id is not None:
        raw["source"] = documents.source_raw(mapping.source)
        raw[mapping.noun.plural] = []
    for formset in formsets:
        rows = [form.instance for form in formset.kept_forms()]
        if formset.model is MappingDestination:
            raw["destination"] = {row.name: _destination(row) for row in rows if row.name}
        elif rows:
            raw[formset.model.noun.plural] = [row.to_raw() for row in rows]
    return raw | documents.mapping_extras_raw(mapping)


def _destination(row: MappingDestination) -> dict[str, Any]:
    return documents.destination_raw(row.destination) if row.destination_id else {}


def _contract_issues(raw: dict[str, Any]) -> Sequence[Issue]:
    """Without a look at the servers' names, which would ask the resolver at each key that is pressed."""
    try:
        parsed = contract.parse_mapping(raw, function_prefixes=settings.DMS_FUNCTION_PREFIXES)
        mapping_io.check_references(parsed)
    except contract.MappingError as error:
        return error.issues
    return ()


def _head_issues(form: Any) -> Iterator[tuple[Issue, str]]:
    for name, errors in form.errors.items():
        loc = () if name == _HEAD else (name,)
        target = form[name].id_for_label if name in form.fields else ""
        yield from ((Issue(loc, str(error)), target) for error in errors)


def _row_issues(formset: Any) -> Iterator[tuple[Issue, str]]:
    for position, form in enumerate(formset.kept_forms()):
        for name, errors in form.errors.items():
            loc: tuple[str | int, ...]
            if formset.model is MappingDestination:
                loc = ("destination", form.instance.name or position)
            else:
                loc = (formset.model.noun.plural, position)
            if name != _HEAD:
                loc = (*loc, name)
            target = form[name].id_for_label if name in form.fields else ""
            yield from ((Issue(loc, str(error)), target) for error in errors)
    for error in formset.non_form_errors():
        yield Issue((), str(error)), ""
