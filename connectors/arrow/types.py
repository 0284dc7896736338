"""The Arrow type in which each PostgreSQL type arrives, so that no value changes."""

from __future__ import annotations

import re
from collections.abc import Iterable

import pyarrow as pa

from connectors.types import Column, PgType

#: Most digits of an Arrow decimal that Parquet readers know.
MOST_DIGITS = 38
#: For numeric without precision, and for money.
ANY_NUMERIC = pa.decimal128(MOST_DIGITS, 9)

_FIXED = {
    "boolean": pa.bool_(),
    "smallint": pa.int16(),
    "integer": pa.int32(),
    "bigint": pa.int64(),
    "real": pa.float32(),
    "double precision": pa.float64(),
    "numeric": ANY_NUMERIC,
    "money": ANY_NUMERIC,
    "date": pa.date32(),
    "bytea": pa.binary(),
}
_NUMERIC = re.compile(r"numeric\((\d+),(-?\d+)\)")
_TIMESTAMP = re.compile(r"timestamp(?:\(\d\))? (with|without) time zone")


def arrow_type(pg_type: PgType, timezone: str) -> pa.DataType:
    """The Arrow type of a column; a string with PostgreSQL's text where Arrow has no type that keeps every value.

    Args:
        pg_type: As the column arrives.
        timezone: Of instants.
    """
    text = pg_type.scalar
    if text is None:
        return pa.string()
    if text in _FIXED:
        return _FIXED[text]
    if found := _NUMERIC.fullmatch(text):
        return _decimal(int(found[1]), int(found[2]))
    if found := _TIMESTAMP.fullmatch(text):
        return pa.timestamp("us", timezone if found[1] == "with" else None)
    return pa.string()


def arrow_schema(columns: Iterable[Column], timezone: str) -> pa.Schema:
    """The schema of a stream's batches. Every field takes NULL: what the source forbids today it may allow tomorrow."""
    return pa.schema([pa.field(column.name, arrow_type(column.pg_type, timezone)) for column in columns])


def _decimal(precision: int, scale: int) -> pa.DataType:
    """The decimal that holds every value of numeric(precision, scale); Parquet knows none with more scale than digits.

    Source: https://parquet.apache.org/docs/file-format/types/logicaltypes/ (DECIMAL)
    """
    digits, scale = (precision - scale, 0) if scale < 0 else (max(precision, scale), scale)
    return pa.decimal128(digits, scale) if digits <= MOST_DIGITS else pa.string()
