"""The connectors of the registry under the contracts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from connectors.base import Chunk, Destination, Options, RunReport, Source, Stream, Write
from connectors.errors import ConfigError
from connectors.mapping import Mapping, S3Destination, TableSpec, parse_mapping
from connectors.registry import DESTINATIONS, SOURCES, create_destination, create_source
from connectors.sources.mongo.names import spelled
from connectors.testing import ODD_NAME, DestinationBench, LiteralRows, Row, SourceBench
from connectors.types import Column, PgType, StreamSchema
from tests.buckets import Bucket
from tests.builders import make_mapping, make_table
from tests.collections import Docs, make_collection, source_of
from tests.contracts import ROWS, DestinationContract, SourceContract, chunk, reopened, start, write
from tests.databases import PgDatabase
from tests.relay import Relay, closed_port, run_relay
from tests.s3_faults import Fault, How, S3Proxy

ODD = '"' + ODD_NAME.replace('"', '""') + '"'
TEXT = PgType("text")
SCHEMA = StreamSchema(
    (Column("id", PgType("integer"), nullable=False), Column("note", TEXT), Column(ODD_NAME, TEXT)), key=("id",)
)


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


class MongoSourceBench(SourceBench):
    """A collection of its own, reached through a relay. The third column has a name that is spelled."""

    column_names = ("_id", "note", spelled(ODD_NAME))

    def __init__(self, docs: Docs, relay: Relay) -> None:
        self.docs = docs
        self.relay = relay
        docs.make()

    def insert(self, rows: Iterable[Row]) -> None:
        for key, note, odd in rows:
            self.docs.collection.insert_one({"_id": key, "note": note, ODD_NAME: odd, "updated_at": datetime.now(UTC)})

    def update(self, row: Row) -> None:
        self.docs.set(row[0], note=row[1], updated_at=datetime.now(UTC), **{ODD_NAME: row[2]})

    def source(self) -> Source:
        return self._source("orders")

    def missing(self) -> Source:
        return self._source("missing")

    def unreachable(self) -> Source:
        return self._source("orders", port=closed_port())

    def slow(self) -> Source:
        self.relay.hold(b"\x02find\x00")
        return self._source("orders")

    def cut(self) -> None:
        self.relay.cut()

    def _source(self, name: str, port: int | None = None) -> Source:
        url = f"mongodb://127.0.0.1:{port or self.relay.port}/?directConnection=true"
        reached = replace(self.docs, url=url)
        raw = reached.mapping({"destination_type": "s3", "s3_bucket_name": "none"}, make_collection(name, batch_size=7))
        return source_of(raw, chunk_bytes=500, connect_timeout_s=2)


class PgDestinationBench(DestinationBench):
    """Schema `arrived` in a database of its own."""

    schema = SCHEMA

    def __init__(self, database: PgDatabase) -> None:
        self.database = database

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


class S3DestinationBench(DestinationBench):
    """Table `t` in a bucket of its own, reached through a proxy. Each chunk is a commit."""

    schema = SCHEMA

    def __init__(self, bucket: Bucket, proxy: S3Proxy) -> None:
        self.bucket = bucket
        self.proxy = proxy

    def destination(self) -> Destination:
        return self._destination(self.proxy.server.endpoint_url)

    def contents(self) -> list[Row]:
        if not self.bucket.visible_parts("sql/shop/t/"):
            return []
        return self.bucket.query("sql/shop/t/", f"SELECT id, note, {ODD} FROM parts ORDER BY id")

    def unreachable(self) -> Destination:
        return self._destination(f"http://127.0.0.1:{closed_port()}")

    @contextmanager
    def blocked(self) -> Iterator[None]:
        self.proxy.add(Fault(How.HANG, "UploadPart", times=None))
        yield
        self.proxy.clear()

    def cut(self) -> None:
        self.proxy.close()

    def _destination(self, endpoint_url: str) -> Destination:
        server = self.bucket.server
        config = S3Destination.model_validate(
            {
                "destination_type": "s3",
                "s3_bucket_name": self.bucket.name,
                "endpoint_url": endpoint_url,
                "region": server.region,
                "access_key_id": server.access_key_id,
                "secret_access_key": server.secret_access_key,
            }
        )
        spec = TableSpec.model_validate(make_table("t"))
        limits = Options(connect_timeout_s=5, commit_bytes=1)
        return create_destination(
            config, Stream("test_DMS_t_dest", "sql", "shop", "t", spec, options=limits), RunReport()
        )


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


class TestMongoSource(SourceContract):
    """One collection, synced by _id."""

    @pytest.fixture
    def bench(self, docs: Docs) -> Iterator[SourceBench]:
        with run_relay(*docs.host_and_port) as relay:
            yield MongoSourceBench(docs, relay)


class TestPgsqlDestination(DestinationContract):
    """One table of another schema."""

    @pytest.fixture
    def bench(self, pg_database: PgDatabase) -> DestinationBench:
        return PgDestinationBench(pg_database)


class TestS3Destination(DestinationContract):
    """One table in a bucket."""

    @pytest.fixture
    def bench(self, s3_bucket: Bucket, s3_proxy: S3Proxy) -> DestinationBench:
        return S3DestinationBench(s3_bucket, s3_proxy)

    def test_deletes_what_is_absent_behind_the_guard(self, bench: DestinationBench) -> None:
        """Mirroring is not available here, and nothing is deleted when it is asked for all the same."""
        write(bench, chunk(bench, ROWS, {"n": 1}))
        with closing(bench.destination()) as destination:
            start(bench, destination)
            keys = LiteralRows(bench.schema.key_columns, [(1,)])
            with pytest.raises(ConfigError, match="syncing"):
                list(destination.write([Chunk(Write.DELETE_ABSENT, keys, {"n": 2})]))
        assert bench.contents() == ROWS
        assert reopened(bench) == {"n": 1}


def test_every_connector_of_the_registry_is_enrolled() -> None:
    enrolled = {name.lower() for name in globals() if name.startswith("Test")}
    assert {f"test{kind}source" for kind in SOURCES} <= enrolled
    assert {f"test{kind}destination" for kind in DESTINATIONS} <= enrolled
