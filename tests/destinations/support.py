"""Streams, schemas and rows for tests of destinations; the rows are made by a real server from literals."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, BinaryIO

from pydantic import SecretStr

from connectors.base import Chunk, CopyFormat, Options, Position, Prepared, RowStream, RunReport, Stream, Write
from connectors.destinations.pgsql import PgsqlDestination
from connectors.mapping import DestinationType, TableSpec
from connectors.mapping import PgsqlDestination as Config
from connectors.testing import text_batches
from connectors.types import Column, PgType, StreamSchema
from tests.databases import PgDatabase

if TYPE_CHECKING:
    import pyarrow as pa

SCHEMA = "sql_shop_dms"


class ServerRows(RowStream):
    """Rows of a query, read by COPY from a session of its own.

    Args:
        database: Where the query runs.
        columns: Of the rows.
        query: Gives the columns in that order.
        binary: Whether binary COPY data is offered.
    """

    def __init__(self, database: PgDatabase, columns: Sequence[Column], query: str, *, binary: bool = True) -> None:
        self.columns = tuple(columns)
        names = ['"' + each.name.replace('"', '""') + '"' for each in columns]
        cast = ", ".join(f"{name}::{each.pg_type.text}" for name, each in zip(names, columns, strict=True))
        self.query = f"SELECT {cast} FROM ({query}) AS literal ({', '.join(names)})"
        self.formats: list[CopyFormat] = []
        self._database = database
        if binary:
            self.binary_version = int(database.value("SHOW server_version_num")) // 10000

    def copy_to(self, sink: BinaryIO, copy_format: CopyFormat) -> int:
        self.formats.append(copy_format)
        connection = self._database.connect()
        try:
            with connection.cursor() as cursor:
                cursor.copy_expert(f"COPY ({self.query}) TO STDOUT (FORMAT {copy_format.value})", sink)
                return int(cursor.rowcount)
        finally:
            connection.close()

    def batches(self, timezone: str) -> Iterator[pa.RecordBatch]:
        return text_batches(self, timezone)


def column(name: str, type_text: str = "text", *, nullable: bool = True) -> Column:
    """A column of a built-in type."""
    return Column(name=name, pg_type=PgType(type_text), nullable=nullable, source_name=name)


ID = column("id", "bigint", nullable=False)
NAME = column("name")
ORDERS = StreamSchema(columns=(ID, NAME), key=("id",), key_is_unique=True, server_version=18)


def make_spec(**overrides: Any) -> TableSpec:
    """A table that is synced by id."""
    keys: dict[str, Any] = {
        "table_name": "orders",
        "cron": "self-managed",
        "mode": "syncing",
        "primary_key": "id",
        "primary_key_datatype": "int",
        "bookmark": "updated_at",
    }
    keys |= overrides
    if keys["mode"] == "dumping":
        keys = {
            name: value
            for name, value in keys.items()
            if name not in {"primary_key", "primary_key_datatype", "bookmark"}
        }
    return TableSpec.model_validate(keys)


def make_stream(*, options: Options | None = None, unique_id: str = "shop_DMS_orders_main", **spec: Any) -> Stream:
    """A stream of that table."""
    table = make_spec(**spec)
    return Stream(
        unique_id=unique_id,
        kind="sql",
        db_name="shop",
        name=table.table_name,
        spec=table,
        options=options or Options(),
    )


def make_config(database: PgDatabase, **overrides: Any) -> Config:
    """The database as a mapping names it."""
    server = database.server
    keys: Mapping[str, Any] = {
        "destination_type": DestinationType.PGSQL,
        "url": f"{server.host}:{server.port}",
        "db_name": database.name,
        "username": server.user,
        "password": SecretStr(server.password),
    }
    return Config.model_validate({**keys, **overrides})


class Bench:
    """A destination on a test's database, with short ways to write rows and look at them."""

    def __init__(
        self,
        database: PgDatabase,
        stream: Stream | None = None,
        schema: StreamSchema = ORDERS,
        config: Mapping[str, Any] | None = None,
    ) -> None:
        self.database = database
        self.stream = stream or make_stream()
        self.schema = schema
        self.report = RunReport()
        self.destination = PgsqlDestination(make_config(database, **(config or {})), self.stream, self.report)

    def start(self, epoch_floor: int = 0) -> Prepared:
        """Open and prepare."""
        self.resume = self.destination.open(epoch_floor=epoch_floor)
        self.prepared = self.destination.prepare(self.schema)
        return self.prepared

    def rows(self, query: str, columns: Sequence[Column] | None = None, **options: Any) -> ServerRows:
        """The rows of a query as a chunk carries them."""
        return ServerRows(self.database, columns or self.schema.columns, query, **options)

    def chunk(
        self,
        query: str,
        write: Write = Write.APPEND,
        position: Position | None = None,
        *,
        first: bool = True,
        columns: Sequence[Column] | None = None,
    ) -> Chunk:
        """A chunk with the rows of a query."""
        return Chunk(write, self.rows(query, columns), position or {"n": 1}, is_first_copy=first)

    def write(self, query: str, write: Write = Write.APPEND, position: Position | None = None, **options: Any) -> Any:
        """Write one chunk and return its commit."""
        (commit,) = self.destination.write([self.chunk(query, write, position, **options)])
        return commit

    def content(self, columns: str = "*", table: str | None = None) -> list[tuple[Any, ...]]:
        """The table's rows in the order of their first column."""
        name = table or self.stream.name
        return self.database.rows(f'SELECT {columns} FROM {SCHEMA}."{name}" ORDER BY 1')

    def state(self, columns: str) -> tuple[Any, ...]:
        """Columns of the state row."""
        (row,) = self.database.rows(
            f"SELECT {columns} FROM {SCHEMA}._dms_state WHERE table_name = %s", [self.stream.name]
        )
        return row


@contextmanager
def bench(
    database: PgDatabase,
    stream: Stream | None = None,
    schema: StreamSchema = ORDERS,
    config: Mapping[str, Any] | None = None,
) -> Iterator[Bench]:
    """A bench that is closed at the end."""
    made = Bench(database, stream, schema, config)
    try:
        yield made
    finally:
        made.destination.close()


def session_count(database: PgDatabase) -> int:
    """Number of writers that are connected."""
    return int(
        database.value(
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE datname = current_database() AND application_name LIKE 'dms-write%'"
        )
    )
