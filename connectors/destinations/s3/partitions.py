"""Partitions: which hive directory a row belongs to, and how directories spell values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from connectors.base import Stream
from connectors.destinations.s3.errors import CONNECTOR
from connectors.destinations.s3.target import encoded
from connectors.errors import ConfigError, ValueNotRepresentable
from connectors.mapping import Mode, PartitionFormat, TableSpec
from connectors.types import StreamSchema

#: Directory of rows whose partition column is NULL.
#: Source: https://hive.apache.org/docs/latest/language/languagemanual-ddl/ and Athena, which reads it as NULL
NULL_DIRECTORY = "__HIVE_DEFAULT_PARTITION__"
#: Of one directory, as tools that copy prefixes to disk can keep it. A whole key has 1,024 bytes at most.
#: Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html
_NAME_BYTES = 255


class TooLongError(Exception):
    """A value of the column makes too long a name for a directory."""

    def __init__(self, column: str) -> None:
        super().__init__(column)
        self.column = column

    def error(self, stream: Stream) -> ValueNotRepresentable:
        """As the error of a run."""
        expected = f"the name of a directory, which has at most {_NAME_BYTES} bytes; partition by another column"
        return ValueNotRepresentable(self.column, None, expected, connector=CONNECTOR, stream=stream.unique_id)


@dataclass(frozen=True, slots=True)
class PartitionColumn:
    """One column by which the table is partitioned: its name at the destination, and how its directories look."""

    name: str
    format: PartitionFormat

    @property
    def directories(self) -> tuple[str, ...]:
        """Names of the directory levels that it makes."""
        name = encoded(self.name)
        if self.format is PartitionFormat.DATETIME:
            return f"{name}_year", f"{name}_month", f"{name}_day"
        return (name,)


@dataclass(frozen=True, slots=True)
class Partitioning:
    """How a table is partitioned; without columns everything is one partition, the empty text.

    Attributes:
        columns: In the order in which their directories nest.
        timezone: In which the day of an instant is taken.
    """

    columns: tuple[PartitionColumn, ...] = ()
    timezone: str = "UTC"

    def __bool__(self) -> bool:
        return bool(self.columns)

    @property
    def directories(self) -> tuple[str, ...]:
        """Names of all directory levels."""
        return tuple(level for column in self.columns for level in column.directories)

    def of(self, batch: pa.RecordBatch) -> pa.Array:
        """The partition of each row, such as ``country=de/at_year=2024/at_month=1/at_day=5``, dictionary encoded.

        Args:
            batch: Has the partition columns under their names at the destination.
        """
        whole: pa.Array | None = None
        for column in self.columns:
            level = _directories(batch.column(column.name), column, self.timezone)
            whole = level if whole is None else _nested(whole, level)
        if whole is None:
            whole = pa.DictionaryArray.from_arrays(pa.repeat(pa.scalar(0, pa.int32()), batch.num_rows), [""])
        return whole


def partitioning_of(stream: Stream, schema: StreamSchema) -> Partitioning:
    """How the spec asks for the table to be partitioned.

    Raises:
        ConfigError: A partition column is not there, or its type does not fit its format.
    """
    spec = stream.spec
    by_source = {column.source_name or column.name: column.name for column in schema.columns}
    columns = []
    for name, form in zip(spec.partition_columns, spec.partition_formats, strict=True):
        found = by_source.get(name)
        if found is None:
            message = f"`partition_col` names {name}, which the source does not have; name a column of the rows"
            raise ConfigError(message, connector=CONNECTOR, stream=stream.unique_id)
        columns.append(PartitionColumn(found, form))
    is_strict = isinstance(spec, TableSpec) and spec.strict
    return Partitioning(tuple(columns), stream.timezone if is_strict else "UTC")


def check_formats(partitioning: Partitioning, arrow_schema: pa.Schema, stream: Stream) -> None:
    """Refuse a format that the column's type can never have, and directories that readers take for other columns.

    Raises:
        ConfigError: As said.
    """
    _refuse_twins(partitioning, arrow_schema, stream)
    for column in partitioning.columns:
        type_ = arrow_schema.field(column.name).type
        fits = {
            PartitionFormat.DATETIME: pa.types.is_timestamp(type_) or pa.types.is_date(type_),
            PartitionFormat.INT: pa.types.is_integer(type_) or pa.types.is_decimal(type_),
            PartitionFormat.STR: not pa.types.is_binary(type_),
        }[column.format]
        if not fits:
            message = (
                f"`partition_col_format` of {column.name} is {column.format}, and its values arrive as {type_};"
                " use datetime for dates and times, int for whole numbers, else str"
            )
            raise ConfigError(message, connector=CONNECTOR, stream=stream.unique_id)
        if column.name == "migration_snapshot_date" and stream.mode is not Mode.DUMPING:
            message = "`partition_col` names migration_snapshot_date, which only mode dumping adds; name another column"
            raise ConfigError(message, connector=CONNECTOR, stream=stream.unique_id)


def _refuse_twins(partitioning: Partitioning, arrow_schema: pa.Schema, stream: Stream) -> None:
    """Readers take the value of a column from the directory that has its name, and not from the file."""
    own = {column.name.casefold() for column in partitioning.columns}
    others = {name.casefold() for name in arrow_schema.names} - own
    seen: set[str] = set()
    for column in partitioning.columns:
        for level in column.directories:
            if level.casefold() in others | seen:
                message = (
                    f"the partitions of {column.name} would lie in directories {level}=..., and a column or another"
                    " level has that name too, so that readers would mix them up; rename one of them with `col_rename`"
                )
                raise ConfigError(message, connector=CONNECTOR, stream=stream.unique_id)
            seen.add(level.casefold())


def _directories(values: pa.Array, column: PartitionColumn, timezone: str) -> pa.Array:
    """The directories of one column's values, as a dictionary: few values, many rows."""
    if column.format is PartitionFormat.DATETIME:
        days = _days(values, timezone).dictionary_encode()
        names = [_day_directory(column, day) for day in _dates(days.dictionary)]
        return _filled(days.indices, names, "/".join(f"{level}={NULL_DIRECTORY}" for level in column.directories))
    plain = values.dictionary_encode()
    (level,) = column.directories
    names = [f"{level}={encoded(text)}" for text in _texts(plain.dictionary)]
    if any(len(name.encode()) > _NAME_BYTES for name in names):
        raise TooLongError(column.name)
    return _filled(plain.indices, names, f"{level}={NULL_DIRECTORY}")


def _filled(indices: pa.Array, names: list[str], null_name: str) -> pa.Array:
    """A dictionary array in which the NULLs have a name of their own."""
    filled = pc.fill_null(indices.cast(pa.int32()), pa.scalar(len(names), pa.int32()))
    return pa.DictionaryArray.from_arrays(filled, [*names, null_name])


def _nested(outer: pa.Array, inner: pa.Array) -> pa.Array:
    """outer/inner for each row, made once for each pair that occurs."""
    pairs = pc.add(
        pc.multiply(outer.indices.cast(pa.int64()), len(inner.dictionary)), inner.indices.cast(pa.int64())
    ).dictionary_encode()
    outers, inners = outer.dictionary.to_pylist(), inner.dictionary.to_pylist()
    names = [f"{outers[pair // len(inners)]}/{inners[pair % len(inners)]}" for pair in pairs.dictionary.to_pylist()]
    return pa.DictionaryArray.from_arrays(pairs.indices, names)


def _days(values: pa.Array, timezone: str) -> pa.Array:
    """Days since 1970 of dates, wall times and instants; the latter as the time zone's wall shows them."""
    type_ = values.type
    if pa.types.is_timestamp(type_) and type_.tz is not None:
        values = pc.local_timestamp(values.cast(pa.timestamp(type_.unit, timezone)))
    if pa.types.is_timestamp(type_):
        # A cast refuses what is not midnight; floor_temporal goes towards the past for years before 1970 too.
        values = pc.floor_temporal(values, unit="day")
    return values.cast(pa.date32())


def _dates(days: pa.Array) -> list[tuple[int, int, int]]:
    """Year, month and day; computed by Arrow, as Python's dates end in the year 9999 and begin in 1."""
    years, months, numbers = pc.year(days), pc.month(days), pc.day(days)
    return list(zip(years.to_pylist(), months.to_pylist(), numbers.to_pylist(), strict=True))


def _day_directory(column: PartitionColumn, day: tuple[int, int, int]) -> str:
    return "/".join(f"{level}={number}" for level, number in zip(column.directories, day, strict=True))


def _texts(values: pa.Array) -> Sequence[str]:
    if pa.types.is_boolean(values.type):
        return ["true" if value else "false" for value in values.to_pylist()]
    texts: list[str] = values.cast(pa.string()).to_pylist()
    return texts
