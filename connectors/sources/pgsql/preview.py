"""The first rows of a stream as they would arrive."""

from __future__ import annotations

from collections.abc import Sequence

from psycopg2 import sql

from connectors.postgres.session import Session
from connectors.sources.pgsql.catalog import SourceColumn
from connectors.sources.pgsql.select import Selected
from connectors.verbs import Preview, PreviewColumn


def preview(
    session: Session,
    selected: Sequence[Selected],
    source: sql.Composable,
    columns: Sequence[SourceColumn],
    masked: frozenset[str],
    row_count: int,
) -> Preview:
    """Read some rows through the SELECT list of a copy.

    Args:
        session: Of the source.
        selected: The columns as they arrive.
        source: What follows FROM.
        columns: The columns at the source.
        masked: Source names of those that are masked.
        row_count: How many rows.
    """
    texts = sql.SQL(", ").join(sql.SQL("({})::text").format(each.expression) for each in selected)
    rows = session.rows(sql.SQL("SELECT {} FROM {} LIMIT {}").format(texts, source, sql.Literal(row_count)))
    types = {column.name: column.type.pg.text for column in columns}
    return Preview(tuple(_column(each, types, masked) for each in selected), tuple(rows))


def _column(each: Selected, types: dict[str, str], masked: frozenset[str]) -> PreviewColumn:
    column = each.column
    source_type = types.get(column.source_name) if column.source_name is not None else None
    return PreviewColumn(
        column.source_name, source_type, column.name, column.pg_type.text, is_masked=column.source_name in masked
    )
