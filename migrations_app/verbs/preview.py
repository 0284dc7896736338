"""Preview: the first rows of a stream as they would arrive."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

from connectors.base import Preview, RunReport
from connectors.errors import ConfigError
from migrations_app.plans import Plan

ROWS = 20


def preview(plan: Plan, *, row_count: int = ROWS) -> Preview:
    """Read some rows and write nothing; the destination is not asked, and only names its types.

    Raises:
        ConnectorError: The source cannot be reached, or the spec does not fit it.
    """
    source = plan.source(RunReport())
    try:
        source.open()
        schema = source.describe()
        found = source.preview(row_count)
    finally:
        source.close()
    if found is None:
        sentence = f"{plan.source_config.source_type} sources cannot be previewed yet"
        raise ConfigError(sentence, connector="preview", stream=plan.stream.unique_id)
    # Which makes no connection.
    destination = plan.destination(RunReport())
    types = {column.name: destination.column_type(column) for column in schema.columns}
    return replace(found, columns=tuple(replace(each, type=types.get(each.name, each.type)) for each in found.columns))


def as_dict(found: Preview) -> dict[str, Any]:
    """As JSON: each row as an object of texts by destination name."""
    names = [column.name for column in found.columns]
    return {
        "columns": [asdict(column) for column in found.columns],
        "rows": [dict(zip(names, row, strict=True)) for row in found.rows],
    }
