"""The destination's table: made, extended when the source grew, never dropped, never silently bent."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from connectors.base import Write
from connectors.errors import ConfigError, DestinationAuthFailed, SchemaMismatch
from connectors.types import Column, PgType, StreamSchema, UserType, UserTypeKind
from tests.databases import PgDatabase
from tests.destinations.support import ID, NAME, ORDERS, SCHEMA, bench, column, make_stream

MOOD = UserType("mood", UserTypeKind.ENUM, labels=("sad", "ok", "happy"))


def user_column(name: str, user: UserType, *, text: str | None = None, is_array: bool = False) -> Column:
    """A column of a user type."""
    return Column(name=name, pg_type=PgType(text or user.name, user, is_array=is_array), source_name=name)


def with_columns(*columns: Column) -> StreamSchema:
    """The orders with more columns."""
    return replace(ORDERS, columns=(*ORDERS.columns, *columns))


def make_table(database: PgDatabase, columns: str) -> None:
    """A table that somebody else made."""
    database.execute(f'CREATE SCHEMA {SCHEMA}; CREATE TABLE {SCHEMA}."orders" ({columns})')


def test_names_with_capitals_quotes_and_spaces(pg_database: PgDatabase) -> None:
    odd = 'Or"der %s'
    stream = make_stream(table_name=odd)
    schema = StreamSchema(columns=(ID, column('Na"me %s')), key=("id",))
    with bench(pg_database, stream, schema, config={"schema": 'Sche"ma %s'}) as one:
        one.start()
        one.write("SELECT 1, 'a'")
        one.write("SELECT g, 'b' FROM generate_series(1, 2) g", Write.UPSERT)
        one.destination.finish()
        found = pg_database.rows('SELECT * FROM "Sche""ma %s"."Or""der %s" ORDER BY 1')
        assert found == [(1, "b"), (2, "b")]


@pytest.mark.parametrize(("table", "schema"), [("t" * 64, "s"), ("ü" * 32, "s"), ("_dms_state", "s")])
def test_names_that_cannot_be_kept_are_refused(pg_database: PgDatabase, table: str, schema: str) -> None:
    with (
        pytest.raises(ConfigError, match="table name"),
        bench(pg_database, make_stream(table_name=table), config={"schema": schema}),
    ):
        pass


def test_user_types_are_made_in_the_destination_schema(pg_database: PgDatabase) -> None:
    positive = UserType("positive", UserTypeKind.DOMAIN, base=PgType("integer"))
    address = UserType(
        "address", UserTypeKind.COMPOSITE, attributes=(("street", PgType("text")), ("mood", PgType("mood", MOOD)))
    )
    span = UserType("span", UserTypeKind.RANGE, base=PgType("double precision"))
    schema = with_columns(
        user_column("feels", MOOD),
        user_column("felt", MOOD, is_array=True),
        user_column("amount", positive),
        user_column("lives", address),
        user_column("between", span),
    )
    with bench(pg_database, schema=schema) as one:
        one.start()
        pg_database.execute(f"SET search_path = {SCHEMA}")
        row = "1, 'a', 'ok', '{sad,happy}', 5, '(Main,ok)', '[1.5,2)'"
        rows = one.rows(f"SELECT {row}", [column(each.name) for each in schema.columns])
        rows.columns = schema.columns
        list(one.destination.write([replace(one.chunk("SELECT 1, ''", columns=[ID, NAME]), rows=rows)]))
        assert one.content() == [(1, "a", "ok", "{sad,happy}", 5, "(Main,ok)", "[1.5,2)")]
    with bench(pg_database, schema=schema) as two:
        two.destination.connect()
        assert two.destination.plan_statements(schema) == []
        assert not two.start().notes


def test_new_enum_labels_are_added_in_their_place(pg_database: PgDatabase) -> None:
    with bench(pg_database, schema=with_columns(user_column("feels", MOOD))) as one:
        one.start()
    grown = replace(MOOD, labels=("awful", "sad", "so-so", "ok", "happy", "it's fine"))
    with bench(pg_database, schema=with_columns(user_column("feels", grown))) as two:
        two.start()
        labels = pg_database.value(f"SELECT enum_range(NULL::{SCHEMA}.mood)::text[]")
        assert labels == list(grown.labels)


def test_type_that_is_something_else_there_is_refused(pg_database: PgDatabase) -> None:
    pg_database.execute(f"CREATE SCHEMA {SCHEMA}; CREATE DOMAIN {SCHEMA}.mood AS text")
    with bench(pg_database, schema=with_columns(user_column("feels", MOOD))) as one:
        with pytest.raises(SchemaMismatch, match="something else of the name of the enum type mood"):
            one.start()
        assert pg_database.value(f"SELECT to_regclass('{SCHEMA}.orders')") is None


def test_composite_that_differs_is_refused(pg_database: PgDatabase) -> None:
    pg_database.execute(f"CREATE SCHEMA {SCHEMA}; CREATE TYPE {SCHEMA}.pair AS (a integer, b text)")
    pair = UserType("pair", UserTypeKind.COMPOSITE, attributes=(("a", PgType("integer")), ("b", PgType("integer"))))
    schema = with_columns(user_column("both", pair))
    with bench(pg_database, schema=schema) as one, pytest.raises(SchemaMismatch, match="pair is made of other types"):
        one.start()


def test_missing_extension_is_named_with_its_statement(pg_database: PgDatabase) -> None:
    citext = UserType("citext", UserTypeKind.EXTENSION, extension="citext")
    schema = with_columns(user_column("email", citext), user_column("others", citext, is_array=True))
    with bench(pg_database, schema=schema) as one:
        with pytest.raises(SchemaMismatch, match="CREATE EXTENSION") as raised:
            one.start()
        assert "citext" in raised.value.message
        pg_database.execute('CREATE SCHEMA "Ext"; CREATE EXTENSION citext SCHEMA "Ext"')
        one.destination.prepare(schema)
        types = pg_database.rows(
            f"SELECT format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = '{SCHEMA}.orders'::regclass"
            " AND attname IN ('email', 'others') ORDER BY attname"
        )
        assert types == [('"Ext".citext',), ('"Ext".citext[]',)]
        assert not one.destination.prepare(schema).notes


def test_column_that_is_new_at_the_source_is_added(pg_database: PgDatabase) -> None:
    with bench(pg_database) as one:
        one.start()
        one.write("SELECT 1, 'a'")
    grown = with_columns(column("size", "numeric(8,2)", nullable=False), column("tags", "text[]"))
    with bench(pg_database, schema=grown) as two:
        assert two.start().added_columns == ("size", "tags")
        two.write("SELECT 2, 'b', 1.50, ARRAY['x']", Write.UPSERT)
        assert two.content("id, size::text, tags") == [(1, None, None), (2, "1.50", ["x"])]
    with bench(pg_database, schema=grown) as three:
        assert three.start().added_columns == ()


def test_column_that_the_source_lost_stays_and_takes_null(pg_database: PgDatabase) -> None:
    with bench(pg_database, schema=with_columns(column("gone", "integer", nullable=False))) as one:
        one.start()
        one.write("SELECT 1, 'a', 7")
    with bench(pg_database) as two:
        (note,) = two.start().notes
        assert "gone" in note
        two.write("SELECT 2, 'b'", Write.UPSERT)
        two.write("SELECT 1, 'c'", Write.UPSERT)
        assert two.content() == [(1, "c", 7), (2, "b", None)]


def test_columns_of_the_user_are_left_alone(pg_database: PgDatabase) -> None:
    with bench(pg_database) as one:
        one.start()
        one.write("SELECT 1, 'a'")
        pg_database.execute(
            f"ALTER TABLE {SCHEMA}.orders ADD COLUMN seen timestamptz NOT NULL DEFAULT now(), ADD mine text"
        )
        pg_database.execute(f"UPDATE {SCHEMA}.orders SET mine = 'kept'")
    with bench(pg_database) as two:
        prepared = two.start()
        assert prepared.notes == ()
        two.write("SELECT 1, 'b'", Write.UPSERT)
        assert two.content("id, name, mine, seen IS NULL") == [(1, "b", "kept", False)]


def test_column_that_became_nullable_takes_null(pg_database: PgDatabase) -> None:
    with bench(pg_database, schema=replace(ORDERS, columns=(ID, column("name", nullable=False)))) as one:
        one.start()
    with bench(pg_database) as two:
        two.start()
        assert two.write("SELECT 1, NULL", Write.UPSERT).inserted == 1


@pytest.mark.parametrize(
    ("there", "source"),
    [
        ("integer", "text"),
        ("character varying(20)", "character varying(50)"),
        ("numeric(8,2)", "numeric(10,2)"),
        ("timestamp without time zone", "timestamp with time zone"),
        ("text", "text[]"),
        ("json", "jsonb"),
    ],
)
def test_changed_type_is_an_error_that_says_what_to_do(pg_database: PgDatabase, there: str, source: str) -> None:
    with bench(pg_database, schema=replace(ORDERS, columns=(ID, column("name", there)))) as one:
        one.start()
    changed = replace(ORDERS, columns=(ID, column("name", source), column("more")))
    with bench(pg_database, schema=changed) as two:
        with pytest.raises(SchemaMismatch) as raised:
            two.start()
        message = raised.value.message
        assert f"is {there} here and {source} at the source" in message
        assert f'ALTER TABLE "{SCHEMA}"."orders" ALTER COLUMN "name" TYPE {source} USING "name"::{source}' in message
        assert two.content() == []
        # Nothing of the plan was done.
        statement = re.search(r"ALTER TABLE .*? USING .*?(?=, or rename)", message)
        assert statement is not None
        pg_database.execute(statement[0].replace(f'USING "name"::{source}', f"USING NULL::{source}"))
        assert two.destination.prepare(changed).added_columns == ("more",)


def test_user_type_of_the_same_name_in_another_schema_is_another_type(pg_database: PgDatabase) -> None:
    pg_database.execute("CREATE TYPE public.mood AS ENUM ('sad', 'ok', 'happy')")
    make_table(pg_database, "id bigint PRIMARY KEY, name text, feels public.mood")
    schema = with_columns(user_column("feels", MOOD))
    with bench(pg_database, schema=schema) as one, pytest.raises(SchemaMismatch, match='column "feels"'):
        one.start()


def test_generated_column_and_view_are_refused(pg_database: PgDatabase) -> None:
    make_table(pg_database, "id bigint PRIMARY KEY, name text GENERATED ALWAYS AS ('x') STORED")
    with bench(pg_database) as one, pytest.raises(SchemaMismatch, match="DROP EXPRESSION"):
        one.start()
    pg_database.execute(f"DROP TABLE {SCHEMA}.orders; CREATE VIEW {SCHEMA}.orders AS SELECT 1")
    with bench(pg_database) as two, pytest.raises(SchemaMismatch, match="a view or another object"):
        two.start()


def test_table_of_somebody_else_is_upserted_into(pg_database: PgDatabase) -> None:
    make_table(pg_database, "id bigint NOT NULL, name text")
    pg_database.execute(f"INSERT INTO {SCHEMA}.orders VALUES (1, 'old'), (9, 'mine')")
    with bench(pg_database) as one:
        assert not one.start().is_fresh
        commit = one.write("SELECT g, 'new' FROM generate_series(1, 2) g")
        assert (commit.inserted, commit.updated) == (1, 1)
        assert one.content() == [(1, "new"), (2, "new"), (9, "mine")]
        assert (
            pg_database.value("SELECT count(*) FROM pg_indexes WHERE tablename = 'orders' AND indexdef LIKE '%UNIQUE%'")
            == 1
        )
    with bench(pg_database) as two:
        two.start()
        assert pg_database.value("SELECT count(*) FROM pg_indexes WHERE tablename = 'orders'") == 1


def test_identity_column_takes_the_source_values(pg_database: PgDatabase) -> None:
    make_table(pg_database, "id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text")
    with bench(pg_database) as one:
        one.start()
        assert one.write("SELECT 70, 'a'", Write.UPSERT).inserted == 1
        assert one.content() == [(70, "a")]


def test_table_with_a_key_twice_is_refused(pg_database: PgDatabase) -> None:
    make_table(pg_database, "id bigint, name text")
    pg_database.execute(f"INSERT INTO {SCHEMA}.orders VALUES (1, 'a'), (1, 'b')")
    with bench(pg_database) as one:
        with pytest.raises(SchemaMismatch, match=r"rows of one key \(id\) more than once"):
            one.start()
        assert len(one.content()) == 2


def test_plan_names_every_statement_and_changes_nothing(pg_database: PgDatabase) -> None:
    schema = with_columns(user_column("feels", MOOD))
    with bench(pg_database, schema=schema) as one:
        one.destination.connect()
        plan = one.destination.plan_statements(schema)
        assert [statement.split("(")[0].split(" AS ")[0].strip() for statement in plan] == [
            f'CREATE SCHEMA "{SCHEMA}"',
            f'CREATE TABLE IF NOT EXISTS "{SCHEMA}"."_dms_state"',
            f'CREATE TYPE "{SCHEMA}"."mood"',
            f'CREATE TABLE "{SCHEMA}"."orders"',
        ]
        assert 'PRIMARY KEY ("id")' in plan[-1]
        assert pg_database.value(f"SELECT to_regnamespace('{SCHEMA}')") is None
        one.start()
        assert one.destination.plan_statements(schema) == []


def test_destination_that_may_not_be_written_says_so(pg_database: PgDatabase) -> None:
    role = pg_database.name
    pg_database.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'x'")
    try:
        with (
            bench(pg_database, config={"username": role, "password": "x"}) as one,
            pytest.raises(DestinationAuthFailed, match="permission denied for database"),
        ):
            one.start()
    finally:
        pg_database.execute(f"DROP ROLE {role}")


def test_composite_and_odd_keys(pg_database: PgDatabase) -> None:
    key = (column("code", "character varying(10)", nullable=False), column("day", "date", nullable=False))
    schema = StreamSchema(columns=(*key, NAME), key=("code", "day"))
    with bench(pg_database, schema=schema) as one:
        one.start()
        one.write("SELECT 'a', '2020-01-01', 'x'")
        commit = one.write("SELECT 'a', d, 'y' FROM unnest(ARRAY['2020-01-01', '2020-01-02']) d", Write.UPSERT)
        assert (commit.inserted, commit.updated) == (1, 1)
