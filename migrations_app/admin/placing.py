"""Where a mistake in a mapping is shown on its page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from connectors.mapping import Issue
from migrations_app.enums import Noun
from migrations_app.models import MappingDestination


def place_of(loc: Sequence[str | int], formsets: Sequence[Any]) -> tuple[Any, str] | None:
    """The form that a place in the document is entered in, with the field's name; None when there is none.

    Every place has a field: a mistake of the form as a whole would not be seen.

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
                if part == "destination" and form.instance.name == which:
                    return form, "destination" if rest else "name"
            elif part == Noun(formset.model.noun).plural and position == which:
                key = str(rest[0]) if rest else formset.model.noun.name_key
                return form, key if key in form.fields else "options"
    return None


def field_of(loc: Sequence[str | int], formsets: Sequence[Any]) -> str:
    """The id of the field for a place in the document; empty when there is none."""
    found = place_of(loc, formsets)
    return "" if found is None else str(found[0][found[1]].id_for_label)


def show_at_field(issue: Issue, formsets: Sequence[Any]) -> bool:
    """Put the issue at the field it is about; False when the page has none for it."""
    found = place_of(issue.loc, formsets)
    if found is None:
        return False
    form, name = found
    # What the field does not say by itself: a key that has no field, or an entry of one that holds many.
    inside = issue.loc[3:] if issue.loc[2:3] == (name,) else issue.loc[2:]
    where = f"{Issue(inside, '').path}: " if inside else ""
    form.add_error(name, f"{where}{issue.message}")
    return True
