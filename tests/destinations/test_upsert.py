"""Upsert and insert: counted by the destination, compared by row image, keyed or refused."""

from __future__ import annotations

from dataclasses import replace

import pytest

from connectors.base import CopyFormat, Write
from connectors.destinations.pgsql import writing
from connectors.errors import ConnectorError, DestinationError, SourceError
from connectors.types import StreamSchema
from tests.databases import PgDatabase
from tests.destinations.support import ID, NAME, ORDERS, SCHEMA, Bench, bench, column, make_stream

UNGUARDED = replace(ORDERS, key_is_unique=False)


@pytest.mark.parametrize(
    ("type_text", "before", "after"),
    [
        ("interval", "30 days", "1 mon"),
        ("numeric", "1.0", "1.00"),
        ("double precision", "0", "-0"),
        ("json", '{"a":1}', '{"a": 1}'),
        ("point", "(1,2)", "(1,3)"),
        ("text[]", "{a}", "[0:0]={a}"),
        ("character(3)", "a", "b"),
        ("text", "a", "NULL"),
    ],
)
def test_any_change_of_a_value_is_seen(pg_database: PgDatabase, type_text: str, before: str, after: str) -> None:
    schema = StreamSchema(columns=(ID, column("value", type_text)), key=("id",), key_is_unique=True)
    with bench(pg_database, schema=schema) as one:
        one.start()
        one.write(f"SELECT 1, '{before}'")
        assert one.write(f"SELECT 1, '{before}'", Write.UPSERT).updated == 0
        changed = "NULL" if after == "NULL" else f"'{after}'"
        assert one.write(f"SELECT 1, {changed}", Write.UPSERT).updated == 1
        assert one.write(f"SELECT 1, {changed}", Write.UPSERT).updated == 0
        (found,) = one.content("value::text")
        assert found[0] == pg_database.value(f"SELECT {changed}::{type_text}::text")


def test_only_changed_rows_are_touched(pg_database: PgDatabase) -> None:
    with bench(pg_database) as one:
        one.start()
        one.write("SELECT g, 'n' || g FROM generate_series(1, 100) g")
        before = dict(pg_database.rows(f"SELECT id, xmin::text FROM {SCHEMA}.orders"))
        commit = one.write(
            "SELECT g, CASE WHEN g % 10 = 0 THEN 'x' ELSE 'n' || g END FROM generate_series(1, 105) g", Write.UPSERT
        )
        assert (commit.read, commit.inserted, commit.updated) == (105, 5, 10)
        after = dict(pg_database.rows(f"SELECT id, xmin::text FROM {SCHEMA}.orders"))
        assert {key for key in before if before[key] != after[key]} == {g for g in range(1, 101) if g % 10 == 0}


@pytest.mark.parametrize(
    ("type_text", "key"),
    [
        ("bigint", "n - 1500"),
        ("uuid", "lpad(to_hex(n), 32, '0')::uuid"),
        ("text", "chr(228) || ' ''%' || n"),
        ("character varying(9)", "lpad(n::text, 9)"),
        ("date", "CASE n WHEN 1300 THEN date 'infinity' ELSE date '0001-12-25 BC' + n END"),
        ("timestamp(3) with time zone", "timestamptz '1969-12-31 23:00+00' + n * interval '1.001 s'"),
        ("numeric", "n / 8.0"),
    ],
)
@pytest.mark.parametrize("step", [1, 7])
def test_what_is_upserted_does_not_depend_on_how_close_its_keys_are(
    pg_database: PgDatabase, monkeypatch: pytest.MonkeyPatch, type_text: str, key: str, step: int
) -> None:
    """Of close keys only their range of the table is read: 300 rows of 2,900 here, and nearly all with a step."""
    monkeypatch.setattr(writing, "MANY_ROWS", 1)
    schema = StreamSchema(columns=(column("id", type_text, nullable=False), NAME), key=("id",), key_is_unique=True)
    with bench(pg_database, schema=schema) as one:
        one.start()
        one.write(f"SELECT {key}, 'old ' || n FROM generate_series(1, 3000) n WHERE n % 30 <> 0")
        pg_database.execute(f"ANALYZE {SCHEMA}.orders")
        numbers = f"generate_series(1000, 1000 + 299 * {step}, {step}) n"
        commit = one.write(
            f"SELECT {key}, CASE n % 2 WHEN 0 THEN 'new ' ELSE 'old ' END || n FROM {numbers}", Write.UPSERT
        )
        inserted = pg_database.value(f"SELECT count(*) FROM {numbers} WHERE n % 30 = 0 OR n > 3000")
        updated = pg_database.value(f"SELECT count(*) FROM {numbers} WHERE n % 30 <> 0 AND n <= 3000 AND n % 2 = 0")
        assert (commit.read, commit.inserted, commit.updated) == (300, inserted, updated)
        expected = pg_database.rows(
            f"SELECT ({key})::{type_text}::text, CASE WHEN u.n IS NULL OR n % 2 = 1 THEN 'old ' ELSE 'new ' END || n"
            f" FROM generate_series(1, 4000) n LEFT JOIN {numbers.replace(' n', ' u(n)')} USING (n)"
            " WHERE (n <= 3000 AND n % 30 <> 0) OR u.n IS NOT NULL ORDER BY 1"
        )
        assert one.content("id::text, name") == expected


def test_no_row_is_missed_where_a_table_that_inherits_holds_another_key_too(pg_database: PgDatabase) -> None:
    with bench(pg_database) as one:
        one.start()
        one.write("SELECT 1, 'a'")
        pg_database.execute(f"CREATE TABLE {SCHEMA}.heir () INHERITS ({SCHEMA}.orders)")
        pg_database.execute(f"INSERT INTO {SCHEMA}.heir VALUES (1, 'by hand')")
        assert one.write("SELECT g, 'b' FROM generate_series(1, 2) g", Write.UPSERT).inserted == 1
        assert one.content() == [(1, "b"), (1, "b"), (2, "b")]


def test_insert_never_touches_a_row_that_is_there(pg_database: PgDatabase) -> None:
    with bench(pg_database) as one:
        one.start()
        one.write("SELECT 1, 'old'")
        commit = one.write("SELECT g, 'new' FROM generate_series(1, 2) g", Write.INSERT)
        assert (commit.read, commit.inserted, commit.updated) == (2, 1, 0)
        assert one.content() == [(1, "old"), (2, "new")]


def test_logging_that_meets_a_row_on_its_first_copy_leaves_it(pg_database: PgDatabase) -> None:
    with bench(pg_database, make_stream(mode="logging", bookmark=None)) as one:
        one.start()
        one.write("SELECT 1, 'old'")
        assert one.write("SELECT g, 'new' FROM generate_series(1, 2) g").inserted == 1
        assert one.content() == [(1, "old"), (2, "new")]
        assert one.report.counts["chunks_written_again"] == 1


@pytest.mark.parametrize("write", [Write.UPSERT, Write.INSERT, Write.APPEND])
def test_key_that_stands_twice_in_a_snapshot_is_the_source_error(pg_database: PgDatabase, write: Write) -> None:
    with bench(pg_database, schema=UNGUARDED) as one:
        one.start()
        with pytest.raises(SourceError, match=r"1 keys \(id\).*`primary_key`"):
            one.write("SELECT least(g, 2), 'a' FROM generate_series(1, 3) g", write)
        assert one.content() == []


def test_key_with_null_is_the_source_error(pg_database: PgDatabase) -> None:
    with bench(pg_database, schema=UNGUARDED) as one:
        one.start()
        with pytest.raises(SourceError, match=r"2 rows have NULL in the key \(id\)"):
            one.write("SELECT nullif(g, g), 'a' FROM generate_series(1, 2) g", Write.UPSERT)


def test_upsert_without_a_key_names_the_setting(pg_database: PgDatabase) -> None:
    with bench(pg_database, schema=replace(ORDERS, key=())) as one:
        one.start()
        assert one.write("SELECT 1, 'a' FROM generate_series(1, 2)").inserted == 2
        with pytest.raises(DestinationError, match="`primary_key`"):
            one.write("SELECT 1, 'a'", Write.UPSERT)


def test_table_of_nothing_but_its_key(pg_database: PgDatabase) -> None:
    with bench(pg_database, schema=StreamSchema(columns=(ID,), key=("id",))) as one:
        one.start()
        one.write("SELECT 1")
        commit = one.write("SELECT g FROM generate_series(1, 3) g", Write.UPSERT)
        assert (commit.inserted, commit.updated) == (2, 0)


def test_empty_chunk_moves_the_position(pg_database: PgDatabase) -> None:
    with bench(pg_database) as one:
        one.start()
        for number, write in enumerate(Write):
            commit = one.write("SELECT 1, 'a' WHERE false", write, {"n": number})
            assert (commit.read, commit.inserted, commit.deleted) == (0, 0, 0)
            assert one.destination.stored_position() == {"n": number}


def formats(one: Bench, query: str, write: Write = Write.UPSERT, *, binary: bool = True) -> list[CopyFormat]:
    """The form in which the rows of a query went."""
    rows = one.rows(query, binary=binary)
    list(one.destination.write([replace(one.chunk(query, write), rows=rows)]))
    return rows.formats


def test_binary_only_where_bytes_mean_the_same(pg_database: PgDatabase) -> None:
    with bench(pg_database) as one:
        one.start()
        assert formats(one, "SELECT 1, 'a'") == [CopyFormat.BINARY]
        assert formats(one, "SELECT 1, 'a'", binary=False) == [CopyFormat.TEXT]
        other = one.rows("SELECT 1, 'b'")
        other.binary_version = 17
        list(one.destination.write([replace(one.chunk("SELECT 1, 'b'", Write.UPSERT), rows=other)]))
        assert other.formats == [CopyFormat.TEXT]


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (Write.APPEND, "gave 1 rows and the destination took 0; a trigger"),
        (Write.UPSERT, "1 rows did not arrive in .*; a trigger"),
        (Write.INSERT, "1 rows did not arrive in .*; a trigger"),
    ],
)
def test_trigger_that_drops_rows_is_noticed(pg_database: PgDatabase, write: Write, message: str) -> None:
    with bench(pg_database) as one:
        one.start()
        pg_database.execute(
            f"CREATE FUNCTION {SCHEMA}.nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';"
            f"CREATE TRIGGER t BEFORE INSERT ON {SCHEMA}.orders FOR EACH ROW EXECUTE FUNCTION {SCHEMA}.nothing()"
        )
        with pytest.raises(DestinationError, match=message):
            one.write("SELECT 1, 'a'", write)
        assert one.destination.stored_position() is None


def test_value_that_does_not_fit_is_an_error_without_the_value(pg_database: PgDatabase) -> None:
    with bench(pg_database, schema=replace(ORDERS, columns=(ID, column("name", "character varying(3)")))) as one:
        one.start()
        rows = one.rows("SELECT 1, 'secret'", [ID, column("name")], binary=False)
        with pytest.raises(DestinationError) as raised:
            list(one.destination.write([replace(one.chunk("SELECT 1, ''"), rows=rows)]))
        assert "secret" not in str(raised.value)
        assert "name" in str(raised.value)
        assert one.content() == []


def test_source_that_dies_in_the_middle_commits_nothing(pg_database: PgDatabase) -> None:
    """The end of data after a dead source looks like the end of a whole copy."""
    with bench(pg_database) as one:
        one.start()
        for binary in (True, False):
            # The last row fails long after the first have arrived.
            query = "SELECT g, repeat('x', 100) || (1 / (g - 50000)) FROM generate_series(1, 50000) g"
            rows = one.rows(query, binary=binary)
            with pytest.raises(Exception, match="division by zero"):
                list(one.destination.write([replace(one.chunk("SELECT 1, ''"), rows=rows)]))
            assert one.content() == []
            assert one.destination.stored_position() is None
        assert one.write("SELECT 1, 'a'").inserted == 1


def test_destination_that_refuses_in_the_middle_can_go_on(pg_database: PgDatabase) -> None:
    with bench(pg_database) as one:
        one.start()
        one.write("SELECT 70000, 'there'")
        commit = one.write("SELECT g, repeat('x', 100) FROM generate_series(1, 100000) g")
        assert (commit.read, commit.inserted, commit.updated) == (100000, 99999, 1)


def test_cancel_ends_a_write_at_once_and_leaves_nothing(pg_database: PgDatabase) -> None:
    with bench(pg_database) as one:
        one.start()
        one.destination.cancel()
        with pytest.raises(ConnectorError, match="stopped on request"):
            one.write("SELECT 1, 'a'")
        assert one.content() == []
