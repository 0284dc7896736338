"""Digests by key range: equal content gives equal digests, any difference another, for keys of every kind."""

from __future__ import annotations

from dataclasses import replace

import pytest

from connectors.base import KeyRange, Write
from connectors.destinations.pgsql.verify import TableSide
from connectors.errors import DestinationError
from connectors.types import PgType, StreamSchema, UserType, UserTypeKind
from tests.databases import PgDatabase
from tests.destinations.support import ID, NAME, ORDERS, SCHEMA, Bench, bench, column, make_stream

MOOD = UserType("mood", UserTypeKind.ENUM, labels=("sad", "ok", "happy"))
WHOLE = KeyRange()


def side(one: Bench) -> TableSide:
    """The comparison's side, on a connection of its own."""
    other = Bench(one.database, one.stream, one.schema)
    other.destination.connect()
    return other.destination.comparable(one.schema, one.schema.key)


def test_hash_is_the_documented_one(pg_database: PgDatabase) -> None:
    with bench(pg_database) as one:
        one.start()
        one.write("SELECT g, CASE WHEN g = 2 THEN NULL ELSE 'it''s, \"' || g END FROM generate_series(1, 3) g")
        expected = pg_database.rows(
            "SELECT id::text, ('x' || left(md5(ROW(id, name)::text), 16))::bit(64)::bigint FROM sql_shop_dms.orders"
        )
        found = side(one).row_hashes(ORDERS.columns, WHOLE)
        assert found == {(key,): value for key, value in expected}
        (digest,) = side(one).digests(ORDERS.columns, [WHOLE])
        assert (digest.rows, digest.hash_sum) == (3, sum(value for _, value in expected))


@pytest.mark.parametrize(
    ("key", "expressions"),
    [
        (("bigint",), "g - 50"),
        (("text",), "CASE WHEN g % 2 = 0 THEN chr(96 + g % 26) || 'Ä' || g ELSE upper(chr(96 + g % 26)) || g END"),
        (("uuid",), "md5(g::text)::uuid"),
        (("numeric",), "g / 7.0"),
        (("timestamp with time zone",), "'2020-01-01'::timestamptz + g * interval '1 hour'"),
        (("integer", "text"), "g % 7, 'k' || g"),
        (("date", "bigint"), "'2020-01-01'::date + g % 3, g"),
        (("character(8)",), "'c' || g"),
        (("boolean", "bytea"), "g % 2 = 0, ('\\x' || md5(g::text))::bytea"),
    ],
)
def test_parts_add_up_to_the_whole(pg_database: PgDatabase, key: tuple[str, ...], expressions: str) -> None:
    columns = tuple(column(f"k{number}", type_text, nullable=False) for number, type_text in enumerate(key))
    names = tuple(each.name for each in columns)
    schema = StreamSchema(columns=(*columns, NAME), key=names, key_is_unique=True)
    with bench(pg_database, schema=schema) as one:
        one.start()
        one.write(f"SELECT {expressions}, 'n' || g FROM generate_series(1, 200) g")
        compared = side(one)
        (whole,) = compared.digests(schema.columns, [WHOLE])
        assert whole.rows == 200
        parts = compared.split(WHOLE, 8)
        assert len(parts) == 8
        digests = compared.digests(schema.columns, parts)
        assert [digest.rows for digest in digests] == [25] * 8
        assert sum(digest.hash_sum for digest in digests) == whole.hash_sum
        # Each part alone, and cut again, and row by row.
        for part, digest in zip(parts, digests, strict=True):
            assert compared.digests(schema.columns, [part]) == [digest]
            again = compared.digests(schema.columns, compared.split(part, 3))
            assert sum(each.hash_sum for each in again) == digest.hash_sum
            hashes = compared.row_hashes(schema.columns, part)
            assert (len(hashes), sum(hashes.values())) == (digest.rows, digest.hash_sum)
        # In any order, and with ranges that overlap.
        assert compared.digests(schema.columns, [parts[5], WHOLE, parts[0]]) == [digests[5], whole, digests[0]]


def test_difference_shows_in_its_range_only(pg_database: PgDatabase) -> None:
    with bench(pg_database) as one:
        one.start()
        one.write("SELECT g, 'n' || g FROM generate_series(1, 100) g")
        ranges = side(one).split(WHOLE, 4)
        before = side(one).digests(ORDERS.columns, ranges)
        hashes = side(one).row_hashes(ORDERS.columns, ranges[2])
        one.write("SELECT 60, 'changed'", Write.UPSERT)
        after = side(one).digests(ORDERS.columns, ranges)
        assert [left == right for left, right in zip(before, after, strict=True)] == [True, True, False, True]
        changed = side(one).row_hashes(ORDERS.columns, ranges[2])
        assert {key for key in hashes if hashes[key] != changed[key]} == {("60",)}


def test_one_snapshot_serves_all_questions(pg_database: PgDatabase) -> None:
    with bench(pg_database) as one:
        one.start()
        one.write("SELECT g, 'a' FROM generate_series(1, 10) g")
        compared = side(one)
        before = compared.digests(ORDERS.columns, [WHOLE])
        one.write("SELECT 11, 'b'", Write.UPSERT)
        assert compared.digests(ORDERS.columns, [WHOLE]) == before
        assert len(compared.row_hashes(ORDERS.columns, WHOLE)) == 10


def test_only_the_latest_snapshot_of_a_dump_counts(pg_database: PgDatabase) -> None:
    taken = replace(column("migration_snapshot_date", "timestamp with time zone"), source_name=None)
    schema = StreamSchema(columns=(ID, taken), key=("id",))
    with bench(pg_database, make_stream(mode="dumping"), schema) as one:
        one.start()
        one.write("SELECT g, '2024-01-01' FROM generate_series(1, 5) g")
        one.write("SELECT g, '2024-01-02' FROM generate_series(1, 3) g")
        compared = side(one)
        assert [digest.rows for digest in compared.digests([ID], [WHOLE])] == [3]
        assert [digest.rows for digest in compared.digests([ID], compared.split(WHOLE, 3))] == [1, 1, 1]
        assert compared.estimated_rows is None


def test_rows_without_a_key_are_added_up(pg_database: PgDatabase) -> None:
    schema = StreamSchema(columns=(NAME,))
    with bench(pg_database, schema=schema) as one:
        one.start()
        one.write("SELECT 'same' FROM generate_series(1, 2)")
        compared = side(one)
        assert compared.split(WHOLE, 4) == [WHOLE]
        (digest,) = compared.digests([NAME], [WHOLE])
        assert compared.row_hashes([NAME], WHOLE) == {(): digest.hash_sum}
        assert compared.digests([NAME], []) == []


def test_user_types_are_ordered_by_their_text(pg_database: PgDatabase) -> None:
    feels = replace(column("feels", nullable=False), pg_type=PgType("mood", MOOD))
    with bench(pg_database, schema=StreamSchema(columns=(feels, NAME), key=("feels",))) as one:
        one.start()
        pg_database.execute(f"INSERT INTO {SCHEMA}.orders VALUES ('sad', 'a'), ('ok', 'b'), ('happy', 'c')")
        compared = side(one)
        assert [each.upto for each in compared.split(WHOLE, 3)] == [("happy",), ("ok",), None]
        assert [each.rows for each in compared.digests([NAME], [KeyRange(("happy",), ("sad",))])] == [2]


def test_what_the_side_says_of_its_table(pg_database: PgDatabase) -> None:
    with bench(pg_database) as one:
        one.start()
        one.write("SELECT g, 'a' FROM generate_series(1, 10) g")
        one.destination.finish()
        pg_database.execute(f"ALTER TABLE {SCHEMA}.orders ADD COLUMN mine text")
        compared = side(one)
        assert compared.key == ("id",)
        assert compared.column_names == ("id", "name", "mine")
        assert compared.estimated_rows == 10


def test_missing_table_says_what_to_do(pg_database: PgDatabase) -> None:
    with bench(pg_database) as one:
        one.destination.connect()
        with pytest.raises(DestinationError, match="not there yet; run the stream first"):
            one.destination.comparable(ORDERS, ("id",))
