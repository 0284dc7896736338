"""What the columns of the control database can hold, said at the key that does not fit and not by the database."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from django.db import models
from django.db.backends.base.operations import BaseDatabaseOperations

from connectors.mapping import Issue, MappingError

_TOO_LARGE = "out_of_range"


def check(rows: Sequence[models.Model], key: str) -> None:
    """Refuse rows that do not fit their columns.

    Args:
        rows: In the order of the document.
        key: The list of the document that they come from.

    Raises:
        MappingError: Every value that does not fit.
    """
    issues = [
        Issue((key, position, name), message, _TOO_LARGE)
        for position, row in enumerate(rows)
        for name, message in misfits(row)
    ]
    if issues:
        raise MappingError(issues)


def misfits(row: models.Model) -> Iterator[tuple[str, str]]:
    """Names of columns that cannot hold their value, each with a sentence."""
    for field in row._meta.concrete_fields:
        value = getattr(row, field.attname)
        if isinstance(field, models.CharField) and field.max_length and len(str(value or "")) > field.max_length:
            yield field.name, f"must not be longer than {field.max_length} characters"
        elif isinstance(field, models.IntegerField) and isinstance(value, int) and not _fits(field, value):
            yield field.name, "is a number that is too large to be kept; write a smaller one"


def _fits(field: models.IntegerField[int, int], value: int) -> bool:
    # SQLite would take more, and the mapping could not move to PostgreSQL then.
    least, greatest = BaseDatabaseOperations.integer_field_ranges[field.get_internal_type()]
    return least <= value <= greatest
