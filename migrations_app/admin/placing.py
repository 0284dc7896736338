"""Where a mistake in a mapping is shown on its page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from connectors.mapping import Issue
from migrations_app.enums import Noun
from migrations_app.models import MappingDestination


def form_of(loc: Sequence[str | int], formsets: Sequence[Any]) -> tuple[Any, str | None] | None:
    """The form that a place in the document is entered in, with the field's name; None when there is none.

    Args:
        loc: As an issue has it.
        formsets: The lists of the page.
    """
    if len(loc) < 2:
        return None
    part, which, *rest = loc
    for formset in formsets:
        for position, form in enumerate(formset.kept_forms()):
            if formset.model is MappingDestination:
                is_it = part == "destination" and form.instance.name == which
            else:
                is_it = part == Noun(formset.model.noun).plural and position == which
            if is_it:
                return form, str(rest[0]) if rest and rest[0] in form.fields else None
    return None


def field_of(loc: Sequence[str | int], formsets: Sequence[Any]) -> str:
    """The id of the field for a place in the document; that of the form's first field where it has none of its own."""
    found = form_of(loc, formsets)
    if found is None:
        return ""
    form, name = found
    bound = form[name] if name else next(iter(form.visible_fields()))
    return str(bound.id_for_label)


def show_at_field(issue: Issue, formsets: Sequence[Any]) -> bool:
    """Put the issue at the form it is about; False when the page has none for it."""
    found = form_of(issue.loc, formsets)
    if found is None:
        return False
    form, name = found
    if name is None:
        form.add_error(None, str(issue))
        return True
    deeper = issue.loc[3:]
    # Inside of a field of JSON: which of its entries.
    where = f"{Issue(deeper, '').path}: " if deeper else ""
    form.add_error(name, f"{where}{issue.message}")
    return True
