"""TableSpec: how to copy one table, or every table, of a PostgreSQL source."""

from collections.abc import Iterator
from typing import Annotated, ClassVar

from pydantic import Field

from connectors.mapping.base import Problem, Rule, rule
from connectors.mapping.enums import FieldType, KeyType, Mode
from connectors.mapping.fields import (
    Columns,
    Count,
    Flag,
    Identifier,
    IndexDdl,
    Name,
    Query,
    TableName,
    as_tuple,
    expect,
)
from connectors.mapping.specs import ModedSpec, rename_clashes

EVERY_TABLE = "*"

KeyTypes = Annotated[
    KeyType | tuple[KeyType, ...],
    expect("expected 'int', 'str', 'uuid' or 'datetime', or a list with one of them for each key column"),
]
Masking = Annotated[
    tuple[tuple[Name, Annotated[Count, Field(ge=1)]], ...],
    expect("expected a list of (column, count) pairs, where count is how many characters or digits are hidden"),
]
TableNames = Annotated[TableName | tuple[TableName, ...], expect("expected a table name, or a list of table names")]


@rule("mode", "primary_key")
def _key_for_all_but_dumping(spec: "TableSpec") -> Iterator[Problem]:
    if spec.mode is not Mode.DUMPING and spec.primary_key is None:
        message = f"is required in {spec.mode} mode; name the column, or the list of columns, that identifies a row"
        yield Problem(("primary_key",), message)


@rule("mode", "primary_key_datatype")
def _key_type_for_all_but_dumping(spec: "TableSpec") -> Iterator[Problem]:
    if spec.mode is not Mode.DUMPING and spec.primary_key_datatype is None:
        message = f"is required in {spec.mode} mode; write int, str, uuid or datetime"
        yield Problem(("primary_key_datatype",), message)


@rule("primary_key")
def _key_columns_differ(spec: "TableSpec") -> Iterator[Problem]:
    if spec.primary_key == ():
        yield Problem(("primary_key",), "lists no column; name the column or columns that identify a row")
    if len(set(spec.keys)) != len(spec.keys):
        yield Problem(("primary_key",), "names the same column twice; list each column once")


@rule("primary_key", "primary_key_datatype")
def _key_types_fit(spec: "TableSpec") -> Iterator[Problem]:
    types = spec.primary_key_datatype
    if types is None or isinstance(types, KeyType):
        return
    if len(types) != len(spec.keys):
        message = f"lists {len(types)} datatypes for {len(spec.keys)} key columns; give one for all or one each"
        yield Problem(("primary_key_datatype",), message)


@rule("mode", "primary_key_datatype", "bookmark")
def _new_rows_can_be_found(spec: "TableSpec") -> Iterator[Problem]:
    types = spec.primary_key_datatype
    listed = (types,) if isinstance(types, KeyType) else types or ()
    if spec.mode is Mode.LOGGING and not spec.bookmark and not all(each.increases for each in listed):
        message = (
            "is required in logging mode when a key is str or uuid, as such keys do not grow with time;"
            " name a datetime column that is set when a row is inserted"
        )
        yield Problem(("bookmark",), message)


@rule("table_name", "exclude_tables")
def _exclusions_from_every_table(spec: "TableSpec") -> Iterator[Problem]:
    if spec.exclude_tables and not spec.is_every_table:
        message = f"goes with table_name '{EVERY_TABLE}' only; leave it out, or set table_name to '{EVERY_TABLE}'"
        yield Problem(("exclude_tables",), message)
    if EVERY_TABLE in spec.excluded:
        yield Problem(("exclude_tables",), "must name single tables; with '*' nothing would be left to copy")


@rule("mode", "table_name", "fetch_data_query")
def _query_for_a_dump(spec: "TableSpec") -> Iterator[Problem]:
    if spec.fetch_data_query is None:
        return
    if spec.mode is not Mode.DUMPING:
        message = f"goes with mode dumping only, as {spec.mode} follows the rows of a table; leave it out"
        yield Problem(("fetch_data_query",), message)
    if spec.is_every_table:
        yield Problem(("fetch_data_query",), "fills one table; give table_name a single name instead of '*'")


@rule("fields", "fetch_data_query")
def _fields_of_a_query(spec: "TableSpec") -> Iterator[Problem]:
    if spec.fields and spec.fetch_data_query is None:
        message = "gives the datatypes of a fetch_data_query, and there is none; a table's own datatypes are kept"
        yield Problem(("fields",), message)


@rule("table_name", "indexes")
def _indexes_of_one_table(spec: "TableSpec") -> Iterator[Problem]:
    if spec.indexes and spec.is_every_table:
        message = "belongs to one table; give that table its own spec, or leave it out"
        yield Problem(("indexes",), message)


@rule("masking_columns", "primary_key", "bookmark", "partition_col")
def _masking_spares_keys(spec: "TableSpec") -> Iterator[Problem]:
    used = dict.fromkeys(spec.partition_columns, "partition column")
    used |= dict.fromkeys(as_tuple(spec.bookmark), "bookmark")
    used |= dict.fromkeys(spec.keys, "primary key")
    seen: set[str] = set()
    for position, (column, _) in enumerate(spec.masking_columns):
        if column in used:
            message = f"must not mask the {used[column]}, by which rows are found; leave that column out"
            yield Problem(("masking_columns", position), message)
        if column in seen:
            yield Problem(("masking_columns", position), "masks the same column twice; list each column once")
        seen.add(column)


@rule("col_rename", "primary_key")
def _renames_leave_the_key(spec: "TableSpec") -> Iterator[Problem]:
    yield from rename_clashes(spec, spec.keys, "a key column")


class TableSpec(ModedSpec):
    """How to copy one table of a PostgreSQL source, or with `*` every table."""

    rules: ClassVar[tuple[Rule, ...]] = (
        *ModedSpec.rules,
        _key_for_all_but_dumping,
        _key_type_for_all_but_dumping,
        _key_columns_differ,
        _key_types_fit,
        _new_rows_can_be_found,
        _exclusions_from_every_table,
        _query_for_a_dump,
        _fields_of_a_query,
        _indexes_of_one_table,
        _masking_spares_keys,
        _renames_leave_the_key,
    )
    noun: ClassVar[str] = "table"
    name_key: ClassVar[str] = "table_name"

    table_name: TableName = Field(description="table or schema.table at the source; '*' for every table")
    exclude_tables: TableNames = Field(default=(), description="tables that '*' leaves out: a name or a list of names")
    primary_key: Columns | None = Field(
        default=None,
        description="column, or list of columns, that identifies a row; required except for dumping",
    )
    primary_key_datatype: KeyTypes | None = Field(
        default=None,
        description="datatype of the key: int, str, uuid or datetime; required except for dumping",
    )
    strict: Flag = Field(
        default=False,
        description="keep json as json, and datetimes in the settings' time zone, instead of text and UTC",
    )
    indexes: dict[Identifier, IndexDdl] | None = Field(
        default=None,
        description="CREATE INDEX statements for the destination, by index name; else the source's",
    )
    masking_columns: Masking = Field(
        default=(),
        description="columns to mask with a count: last characters of a text, last digits of an integer",
    )
    fetch_data_query: Query | None = Field(
        default=None,
        description="SELECT statement whose rows are dumped instead of the table's; mode dumping only",
    )
    fields: dict[Name, FieldType] = Field(
        default={}, description="datatypes of the columns of fetch_data_query, by column"
    )
    max_delete_fraction: Annotated[float, Field(strict=True, gt=0, le=1)] | None = Field(
        default=None,
        description="largest part of the destination's rows that a mirroring run deletes unasked; else the service's",
    )
    key_overlap: Annotated[Count, Field(ge=0)] | None = Field(
        default=None,
        description="how far below the last key rows are read again, as keys may appear late; else the service's",
    )

    @property
    def is_every_table(self) -> bool:
        """Whether this spec stands for every table of the source."""
        return self.table_name == EVERY_TABLE

    @property
    def target(self) -> str:
        """The table's name without its schema, under which it arrives."""
        return self.table_name.rpartition(".")[2]

    @property
    def keys(self) -> tuple[str, ...]:
        """The key columns, in order; empty when there are none."""
        return as_tuple(self.primary_key)

    @property
    def key_types(self) -> tuple[KeyType, ...]:
        """The datatype of each key column."""
        types = self.primary_key_datatype
        if types is None:
            return ()
        return (types,) * len(self.keys) if isinstance(types, KeyType) else types

    @property
    def excluded(self) -> tuple[str, ...]:
        """The tables that `*` leaves out."""
        return as_tuple(self.exclude_tables)
