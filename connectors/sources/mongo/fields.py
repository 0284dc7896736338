"""The fields of a collection, as far as they are known, and the columns that they arrive as."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from connectors.base import RunReport, Stream
from connectors.mapping import CollectionSpec, FieldType, Mode, PartitionFormat
from connectors.sources.mongo.converting import Wanted
from connectors.sources.mongo.ids import ID
from connectors.sources.mongo.names import NameMap, read_back, spelled
from connectors.types import Column, PgType, StreamSchema

SNAPSHOT_COLUMN: Final = "migration_snapshot_date"
#: The time in `_id`, for partitions. Not _id_date: readers of buckets take directories that begin so for hidden.
ID_DATE: Final = "id_date"
TIME_TYPE: Final = PgType("timestamp without time zone")
_PG_TYPES = {
    FieldType.INT: PgType("bigint"),
    FieldType.FLOAT: PgType("double precision"),
    FieldType.BOOL: PgType("boolean"),
    FieldType.DATETIME: TIME_TYPE,
    FieldType.STR: PgType("text"),
    FieldType.COMPLEX: PgType("text"),
}
_PARTITION_TYPES = {PartitionFormat.DATETIME: FieldType.DATETIME, PartitionFormat.INT: FieldType.INT}


class Fields:
    """Knows every field that was met, in that order; the order gives columns their names.

    Args:
        stream: Of the collection.
        report: Told of columns that are called otherwise than their field.
    """

    def __init__(self, stream: Stream, report: RunReport) -> None:
        spec = stream.spec
        if not isinstance(spec, CollectionSpec):
            raise TypeError(spec)
        self._spec = spec
        self._report = report
        self.stream = stream.unique_id
        self._is_dump = stream.mode is Mode.DUMPING
        formats = dict(zip(spec.partition_columns, spec.partition_formats, strict=True))
        self.has_id_date = formats.get(ID) is PartitionFormat.DATETIME
        implied = {
            name: _PARTITION_TYPES[form]
            for name, form in formats.items()
            if form in _PARTITION_TYPES and name not in {ID, SNAPSHOT_COLUMN}
        }
        self.types = implied | spec.fields
        added = [SNAPSHOT_COLUMN] * self._is_dump + [ID_DATE] * self.has_id_date
        self._columns = NameMap(spec.col_rename, added)
        self._names: dict[str, None] = {}
        self.learn([ID])

    @property
    def names(self) -> tuple[str, ...]:
        """All fields."""
        return tuple(self._names)

    def learn(self, names: Iterable[str]) -> bool:
        """Add fields; True when one of them is new."""
        new = [name for name in names if name not in self._names]
        for name in new:
            self._names[name] = None
            self._columns.column_of(name)
        for name, column in self._columns.changed().items():
            if name in new:
                self._report.warn(f"field {name!r} arrives as column {column}; name another with `col_rename`")
        return bool(new)

    def learn_declared(self) -> None:
        """Add the fields that the mapping names, whether a document has them or not."""
        named = [*self.types, *self._spec.partition_columns, *filter(None, [self._spec.bookmark_column])]
        self.learn(name for name in named if name != SNAPSHOT_COLUMN or not self._is_dump)

    def dump(self) -> tuple[str, ...]:
        """The fields, for a position."""
        return tuple(spelled(name) for name in self._names)

    def with_more(self, names: Iterable[str]) -> tuple[str, ...]:
        """The same with fields that are to be learned next."""
        return tuple(spelled(name) for name in {**self._names, **dict.fromkeys(names)})

    def load(self, stored: Iterable[str]) -> None:
        """Add those of a position."""
        self.learn(read_back(name) for name in stored)

    def column(self, name: str) -> str:
        """The column of a field."""
        return self._columns.column_of(name)

    def wanted(self) -> Wanted:
        """What documents are converted to."""
        return Wanted(self.names, dict(self.types), ids_are_text=self.key_is_text)

    @property
    def key_is_text(self) -> bool:
        """In a dump `_id` is a field like any other when the mapping gives it a type."""
        return not self._is_dump or ID not in self.types

    def columns(self) -> tuple[Column, ...]:
        """The columns; those that the run adds come last."""
        found = [
            Column(self.column(name), self._pg_type(name), nullable=self._is_dump or name != ID, source_name=name)
            for name in self._names
        ]
        if self.has_id_date:
            # Of two columns of one field the later is the one to partition by.
            found.append(Column(ID_DATE, TIME_TYPE, source_name=ID))
        if self._is_dump:
            found.append(Column(SNAPSHOT_COLUMN, TIME_TYPE, nullable=False))
        return tuple(found)

    def schema(self) -> StreamSchema:
        """The columns, with the key."""
        key = () if self._is_dump else (self.column(ID),)
        return StreamSchema(self.columns(), key=key, key_is_unique=True)

    def key_column(self) -> Column:
        """The column of `_id`."""
        return self.columns()[0]

    def _pg_type(self, name: str) -> PgType:
        if name == ID and self.key_is_text:
            return PgType("text")
        return _PG_TYPES[self.types.get(name, FieldType.STR)]
