"""Monthly partitions of the target: which column, and the statements that make them."""

from __future__ import annotations

import re
from datetime import date

from psycopg2 import sql

from connectors.destinations.pgsql.target import Target, shortened
from connectors.mapping import PartitionFormat
from connectors.types import Column, StreamSchema

_FIRST_YEAR, _LAST_YEAR = 2015, 2030
_DATETIME = re.compile(r"date|timestamp(\(\d\))? with(out)? time zone")
SUMMARY = f"-- partitions of {{table}}: one a month from {_FIRST_YEAR}-01 to {_LAST_YEAR}-12, and one for the rest"


def partition_column(target: Target, schema: StreamSchema) -> str | None:
    """Destination name of the column to partition by: the first datetime one that the spec lists.

    Others cannot make ranges of months: the table stays plain, and the report says so.
    """
    spec = target.stream.spec
    refused = []
    for source_name, column_format in zip(spec.partition_columns, spec.partition_formats, strict=True):
        column = _find(schema, source_name)
        if column is None:
            refused.append(f"{source_name} (no such column)")
        elif column_format is not PartitionFormat.DATETIME:
            refused.append(f"{source_name} (partition_col_format is {column_format}, not datetime)")
        elif not _DATETIME.fullmatch(column.pg_type.text):
            refused.append(f"{source_name} (its type is {column.pg_type.text})")
        else:
            return column.name
    if refused:
        target.report.warn(
            "a pgsql destination makes monthly partitions, by a datetime column; the table is not partitioned by "
            + ", ".join(refused)
        )
    return None


def creation(target: Target) -> sql.Composable:
    """One batch of statements: a partition a month, and the default one, which also takes NULLs."""
    months = [date(year, month, 1) for year in range(_FIRST_YEAR, _LAST_YEAR + 1) for month in range(1, 13)]
    ends = [*months[1:], date(_LAST_YEAR + 1, 1, 1)]
    statements = [
        sql.SQL("CREATE TABLE {} PARTITION OF {} FOR VALUES FROM ({}) TO ({})").format(
            _name(target, f"{first.year:04d}_{first.month:02d}"),
            target.name,
            sql.Literal(first.isoformat()),
            sql.Literal(end.isoformat()),
        )
        for first, end in zip(months, ends, strict=True)
    ]
    statements.append(sql.SQL("CREATE TABLE {} PARTITION OF {} DEFAULT").format(_name(target, "default"), target.name))
    return sql.SQL(";\n").join(statements)


def _find(schema: StreamSchema, source_name: str) -> Column | None:
    """The column of that source name, of several the last; one that the run adds has only its destination name."""
    for column in reversed(schema.columns):
        if (column.source_name or column.name) == source_name:
            return column
    return None


def _name(target: Target, suffix: str) -> sql.Composable:
    return sql.Identifier(target.schema, shortened(f"{target.table}_{suffix}"))
