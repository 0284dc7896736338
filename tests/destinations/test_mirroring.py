"""Mirroring's deletion: what the source lost goes, behind a guard, for keys of every kind."""

from __future__ import annotations

from dataclasses import replace

import pytest
from psycopg2 import sql

from connectors.base import Chunk, Digest, Options, Write
from connectors.errors import DeleteRefused, SourceError
from connectors.postgres.hashing import record_digest
from connectors.types import Column, StreamSchema
from tests.databases import PgDatabase
from tests.destinations.support import ID, NAME, ORDERS, SCHEMA, Bench, ServerRows, bench, column, make_stream


def mirror(one: Bench, query: str, *keys: Column) -> int:
    """Delete what is not among the query's keys; returns the number of deletions."""
    chunk = one.chunk(query, Write.DELETE_ABSENT, first=False, columns=keys or (ID,))
    (commit,) = one.destination.write([chunk])
    return int(commit.deleted)


def filled(one: Bench, count: int) -> None:
    """A table with so many rows."""
    one.start()
    one.write(f"SELECT g, 'n' || g FROM generate_series(1, {count}) g")


def test_rows_that_the_source_lost_are_deleted(pg_database: PgDatabase) -> None:
    with bench(pg_database, make_stream(mode="mirroring")) as one:
        filled(one, 5)
        # Keys below the lowest and above the highest of the source go too.
        assert mirror(one, "SELECT unnest(ARRAY[2, 4, 77])") == 3
        assert one.content("id") == [(2,), (4,)]
        assert mirror(one, "SELECT unnest(ARRAY[4, 2])") == 0


@pytest.mark.parametrize("key_type", ["uuid", "text", "timestamp with time zone", "numeric", "date", "bytea", "inet"])
def test_keys_of_any_type(pg_database: PgDatabase, key_type: str) -> None:
    values = {
        "uuid": ("00000000-0000-0000-0000-000000000001", "ffffffff-0000-0000-0000-000000000001"),
        "text": ("Ä b'c\\", ""),
        "timestamp with time zone": ("2020-01-01 00:00:00.000001+00", "infinity"),
        "numeric": ("1.00", "NaN"),
        "date": ("2020-01-01", "0044-03-15 BC"),
        "bytea": ("\\x00ff", "\\x"),
        "inet": ("10.0.0.1", "::1"),
    }[key_type]
    key = column("id", key_type, nullable=False)
    schema = StreamSchema(columns=(key, NAME), key=("id",), key_is_unique=True)
    kept, lost = (sql.Literal(value).as_string(pg_database.connect()) for value in values)
    with bench(pg_database, make_stream(mode="mirroring"), schema) as one:
        one.start()
        one.write(f"SELECT {kept}, 'a' UNION ALL SELECT {lost}, 'b'")
        assert mirror(one, f"SELECT {kept}", key) == 1
        assert one.content("name") == [("a",)]
        assert mirror(one, f"SELECT {kept}", key) == 0


def test_keys_of_several_columns(pg_database: PgDatabase) -> None:
    key = (ID, column("part", "text", nullable=False))
    schema = StreamSchema(columns=(*key, NAME), key=("id", "part"), key_is_unique=True)
    with bench(pg_database, make_stream(mode="mirroring", primary_key=["id", "part"]), schema) as one:
        one.start()
        one.write("SELECT g, p, 'x' FROM generate_series(1, 2) g, unnest(ARRAY['a', 'b']) p")
        assert mirror(one, "SELECT * FROM (VALUES (1, 'b'), (2, 'a')) v", *key) == 2
        assert one.content("id, part") == [(1, "b"), (2, "a")]


def test_more_than_the_limit_is_refused_with_numbers_and_remedy(pg_database: PgDatabase) -> None:
    with bench(pg_database, make_stream(mode="mirroring")) as one:
        filled(one, 1000)
        with pytest.raises(DeleteRefused, match=r"501 of 1000 .*50%.*--allow-deletes 501") as raised:
            mirror(one, "SELECT g FROM generate_series(1, 499) g")
        assert raised.value.doomed == 501
        assert len(one.content()) == 1000
        assert one.destination.stored_position() == {"n": 1}
        assert mirror(one, "SELECT g FROM generate_series(1, 500) g") == 500


def test_small_tables_are_not_guarded_by_share(pg_database: PgDatabase) -> None:
    with bench(pg_database, make_stream(mode="mirroring")) as one:
        filled(one, 999)
        assert mirror(one, "SELECT 1") == 998


def test_empty_source_is_refused_however_small_the_table(pg_database: PgDatabase) -> None:
    with bench(pg_database, make_stream(mode="mirroring")) as one:
        filled(one, 2)
        with pytest.raises(DeleteRefused, match="the source is empty"):
            mirror(one, "SELECT 1 WHERE false")
    with bench(pg_database, make_stream(mode="mirroring", options=Options(allow_deletes=1))) as two:
        two.start()
        with pytest.raises(DeleteRefused):
            mirror(two, "SELECT 1 WHERE false")
    with bench(pg_database, make_stream(mode="mirroring", options=Options(allow_deletes=2))) as three:
        three.start()
        assert mirror(three, "SELECT 1 WHERE false") == 2
        assert mirror(three, "SELECT 1 WHERE false") == 0


def test_keys_with_null_or_twice_delete_nothing(pg_database: PgDatabase) -> None:
    with bench(pg_database, make_stream(mode="mirroring"), replace(ORDERS, key_is_unique=False)) as one:
        one.start()
        one.write("SELECT g, 'a' FROM generate_series(1, 3) g", Write.UPSERT)
        with pytest.raises(SourceError):
            mirror(one, "SELECT nullif(g, 2) FROM generate_series(1, 2) g")
        with pytest.raises(SourceError):
            mirror(one, "SELECT 1 FROM generate_series(1, 2) g")
        assert len(one.content()) == 3


class DigestRows(ServerRows):
    """Keys that can be compared without being moved."""

    def key_digest(self) -> Digest | None:
        connection = self._database.connect()
        try:
            with connection.cursor() as cursor:
                cursor.execute(f"SELECT count(*), coalesce(sum(hash_record_extended(r, 0)), 0) FROM ({self.query}) r")
                count, total = cursor.fetchone() or (0, 0)
                return Digest(int(count), int(total))
        finally:
            connection.close()


def test_equal_keys_are_not_moved(pg_database: PgDatabase) -> None:
    with bench(pg_database, make_stream(mode="mirroring")) as one:
        filled(one, 5)

        def run(query: str) -> tuple[int, int]:
            rows = DigestRows(pg_database, [ID], query)
            (commit,) = one.destination.write([Chunk(Write.DELETE_ABSENT, rows, {"n": 2})])
            return commit.deleted, len(rows.formats)

        assert run("SELECT g FROM generate_series(1, 5) g") == (0, 0)
        assert one.destination.stored_position() == {"n": 2}
        assert run("SELECT g FROM generate_series(1, 4) g") == (1, 1)
        # As many keys, but others.
        assert run("SELECT g FROM generate_series(2, 5) g") == (1, 1)
        assert one.content("id") == [(2,), (3,), (4,)]


def test_digest_of_records_is_the_one_of_the_server(pg_database: PgDatabase) -> None:
    with bench(pg_database) as one:
        filled(one, 3)
        query = sql.SQL("SELECT id FROM {}").format(sql.Identifier(SCHEMA, "orders"))
        found = record_digest(one.destination._connected.session, query)
        assert found.rows == 3
        assert found.hash_sum == pg_database.value("SELECT sum(hashint8extended(g, 0)) FROM generate_series(1, 3) g")
        empty = record_digest(one.destination._connected.session, sql.SQL("SELECT 1 WHERE false"))
        assert empty == Digest(0, 0)


def test_missing_keys_are_told_as_text(pg_database: PgDatabase) -> None:
    with bench(pg_database) as one:
        filled(one, 3)
        missing = one.destination.missing_keys(one.rows("SELECT unnest(ARRAY[3, 4, 2, 5])", [ID]))
        assert sorted(missing) == [("4",), ("5",)]
        assert one.write("SELECT 4, 'x'", Write.INSERT).inserted == 1
