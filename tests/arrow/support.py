"""Read a table through the source as Arrow, and ask PostgreSQL what should have come."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from decimal import Decimal
from typing import Any

import pyarrow as pa

from connectors.base import Prepared, ReadRequest, RowStream, RunReport, Source, Stream, Write
from connectors.mapping import parse_mapping
from connectors.registry import create_source
from connectors.types import Column, PgType
from tests.builders import make_mapping, make_table
from tests.contracts import _AllMissing
from tests.databases import PgDatabase

TIMEZONE = "Asia/Kolkata"

# What a value must be, by the kind of its Arrow type: an SQL expression, and the form of the Arrow value equal to it.
_Check = tuple[str, Callable[[Any], object]]
_AS_TEXT: _Check = ("format('%%s', {0})", str)


def new_source(database: PgDatabase, table: str, **spec: Any) -> tuple[Source, Stream]:
    """A source of one table, not yet open."""
    mapping = parse_mapping(make_mapping(database, database, make_table(table, **{"strict": True, **spec})))
    (table_spec,) = mapping.tables or ()
    stream = Stream("test_DMS_t", "sql", database.name, table_spec.target, table_spec, timezone=TIMEZONE)
    return create_source(mapping.source, stream, RunReport()), stream


@contextmanager
def opened(database: PgDatabase, table: str, **spec: Any) -> Iterator[tuple[Source, RowStream]]:
    """A source and the rows of its first chunk."""
    source, _ = new_source(database, table, **spec)
    with closing(source):
        source.open()
        source.describe()
        request = ReadRequest(None, Prepared(is_fresh=True), _AllMissing())  # type: ignore[arg-type]
        chunks = source.read(request)
        yield source, next(iter(chunks)).rows
        chunks.close()  # type: ignore[attr-defined]  # a generator


def read_table(database: PgDatabase, table: str, **spec: Any) -> pa.Table:
    """The rows of all chunks."""
    source, _ = new_source(database, table, **spec)
    batches: list[pa.RecordBatch] = []
    schemas = []
    with closing(source):
        source.open()
        source.describe()
        request = ReadRequest(None, Prepared(is_fresh=True), _AllMissing())  # type: ignore[arg-type]
        for chunk in source.read(request):
            if chunk.write is Write.APPEND:
                batches += chunk.rows.batches(TIMEZONE)
                schemas += [batch.schema for batch in batches]
    assert all(schema == schemas[0] for schema in schemas)
    read = pa.Table.from_batches(batches)
    read.validate(full=True)
    return read


def wrong_columns(database: PgDatabase, read: pa.Table, expressions: dict[str, str], table: str) -> list[str]:
    """Columns that hold another value than PostgreSQL does in some row.

    Args:
        database: Where the table is.
        read: What was read of it, with its `id`.
        expressions: By column, what arrives in it.
        table: The table's name.
    """
    rows = read.sort_by("id")
    checks = {name: _check(rows.schema.field(name).type) for name in expressions}
    selected = ", ".join(
        f"CASE WHEN {expression} IS NOT DISTINCT FROM NULL THEN NULL ELSE {checks[name][0].format(expression)} END"
        for name, expression in expressions.items()
    )
    connection = database.connect()
    try:
        with connection.cursor() as cursor:
            cursor.execute("SET TimeZone = 'UTC'; SET extra_float_digits = 3; SET lc_monetary = 'C'")
            cursor.execute(f"SELECT {selected} FROM {table} ORDER BY id", ())
            expected = cursor.fetchall()
    finally:
        connection.close()
    assert len(expected) == read.num_rows
    return [
        name
        for place, name in enumerate(expressions)
        if _comparable(rows.column(name), checks[name]) != [row[place] for row in expected]
    ]


def column(name: str, type_text: str) -> Column:
    """A column of a built-in type."""
    return Column(name, PgType(type_text), source_name=name)


def _check(arrow_type: pa.DataType) -> _Check:
    checks: Sequence[tuple[Callable[[pa.DataType], bool], _Check]] = (
        (pa.types.is_boolean, ("({0})", bool)),
        (pa.types.is_integer, ("({0})", int)),
        (pa.types.is_float32, ("encode(float4send({0}), 'hex')", lambda value: struct.pack(">f", value).hex())),
        (pa.types.is_float64, ("encode(float8send({0}), 'hex')", lambda value: struct.pack(">d", value).hex())),
        (pa.types.is_decimal, ("({0})::numeric", Decimal)),
        (pa.types.is_date, ("({0})::date - date '1970-01-01'", int)),
        (pa.types.is_timestamp, ("(extract(epoch FROM {0}) * 1000000)::bigint", int)),
        (pa.types.is_binary, ("encode({0}, 'hex')", bytes.hex)),
        (pa.types.is_string, _AS_TEXT),
    )
    return next(check for is_kind, check in checks if is_kind(arrow_type))


def _comparable(values: pa.ChunkedArray, check: _Check) -> list[object]:
    if pa.types.is_date(values.type):
        values = values.cast(pa.int32())
    if pa.types.is_timestamp(values.type):
        values = values.cast(pa.int64())
    return [None if value is None else check[1](value) for value in values.to_pylist()]
