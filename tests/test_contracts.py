"""The connectors of the registry under the contracts."""

from __future__ import annotations

import socket
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from connectors.base import Destination, Options, RunReport, Source, Stream
from connectors.mapping import Mapping, parse_mapping
from connectors.registry import DESTINATIONS, SOURCES, create_destination, create_source
from connectors.testing import ODD_NAME, DestinationBench, Row, SourceBench
from connectors.types import Column, PgType, StreamSchema
from tests.builders import make_mapping, make_table
from tests.contracts import DestinationContract, SourceContract
from tests.databases import PgDatabase

ODD = '"' + ODD_NAME.replace('"', '""') + '"'


def closed_port() -> int:
    """A port at which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def stream_of(mapping: Mapping, **options: Any) -> Stream:
    """The stream of the only table."""
    (spec,) = mapping.tables or ()
    limits = Options(clock_margin_s=0, writers_wait_s=0.1, connect_timeout_s=5, **options)
    return Stream("test_DMS_t_dest", "sql", "shop", spec.target, spec, options=limits)


class PgSourceBench(SourceBench):
    """A table in a database of its own."""

    def __init__(self, database: PgDatabase) -> None:
        self.database = database
        table = f"CREATE TABLE t (id int PRIMARY KEY, note text, {ODD} text, updated_at timestamptz DEFAULT now())"
        database.execute(table.replace("%", "%%"), [])
        database.execute("CREATE VIEW slow AS SELECT 1 AS id, 'x' AS note, pg_sleep(60)::text AS odd")

    def insert(self, rows: Iterable[Row]) -> None:
        for row in rows:
            self.database.execute("INSERT INTO t VALUES (%s, %s, %s)", row)

    def update(self, row: Row) -> None:
        odd = ODD.replace("%", "%%")
        self.database.execute(
            f"UPDATE t SET note = %s, {odd} = %s, updated_at = clock_timestamp() WHERE id = %s",
            [row[1], row[2], row[0]],
        )

    def source(self) -> Source:
        return self._source(make_table("t", batch_size=7))

    def missing(self) -> Source:
        return self._source(make_table("missing"))

    def unreachable(self) -> Source:
        return self._source(make_table("t"), port=closed_port())

    def slow(self) -> Source:
        return self._source(make_table("slow", bookmark=False))

    def cut(self) -> None:
        cut(self.database)

    def _source(self, table: dict[str, Any], **keys: Any) -> Source:
        raw = make_mapping(self.database, self.database, table)
        raw["source"] |= keys
        mapping = parse_mapping(raw)
        return create_source(mapping.source, stream_of(mapping, chunk_bytes=500), RunReport())


class PgDestinationBench(DestinationBench):
    """Schema `arrived` in a database of its own."""

    def __init__(self, database: PgDatabase) -> None:
        self.database = database
        text = PgType("text")
        self.schema = StreamSchema(
            (Column("id", PgType("integer"), nullable=False), Column("note", text), Column(ODD_NAME, text)), key=("id",)
        )

    def destination(self) -> Destination:
        return self._destination()

    def contents(self) -> list[Row]:
        if self.database.value("SELECT to_regclass('arrived.t') IS NULL"):
            return []
        return self.database.rows(f"SELECT id, note, {ODD} FROM arrived.t ORDER BY id")

    def unreachable(self) -> Destination:
        return self._destination(port=closed_port())

    @contextmanager
    def blocked(self) -> Iterator[None]:
        holder = self.database.connect()
        try:
            with holder.cursor() as cursor:
                cursor.execute("LOCK TABLE arrived.t IN ACCESS EXCLUSIVE MODE")
            yield
        finally:
            holder.close()

    def cut(self) -> None:
        cut(self.database)

    def _destination(self, **keys: Any) -> Destination:
        mapping = parse_mapping(make_mapping(self.database, self.database, make_table("t"), **keys))
        return create_destination(mapping.destination["dest"], stream_of(mapping), RunReport())


def cut(database: PgDatabase) -> None:
    """Terminate every other session of the database and wait until all are gone."""
    database.rows(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )


class TestPgsqlSource(SourceContract):
    """One table, synced by id."""

    @pytest.fixture
    def bench(self, pg_database: PgDatabase) -> SourceBench:
        return PgSourceBench(pg_database)


class TestPgsqlDestination(DestinationContract):
    """One table of another schema."""

    @pytest.fixture
    def bench(self, pg_database: PgDatabase) -> DestinationBench:
        return PgDestinationBench(pg_database)


def test_every_connector_of_the_registry_is_enrolled() -> None:
    enrolled = {name.lower() for name in globals() if name.startswith("Test")}
    assert {f"test{kind}source" for kind in SOURCES} <= enrolled
    assert {f"test{kind}destination" for kind in DESTINATIONS} <= enrolled
